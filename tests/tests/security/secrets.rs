//! Passwords that stand elsewhere than in the URL, and that nothing shows.

use std::sync::Arc;
use std::time::Duration;

use leasehold::{ErrorKind, Secret};
use leasehold_core::LockBackend;
use leasehold_testkit::servers::{RedisServer, ServerOptions};

use crate::life::*;

async fn server() -> RedisServer {
    let server = RedisServer::start(ServerOptions::default()).await;
    let variable = format!(">{}", std::env::var(VARIABLE).unwrap());
    for (user, password) in [("app", ">hunter2 pass@word"), ("other", &variable)] {
        server.command(&["ACL", "SETUSER", user, "reset", "on", "~*", "&*", "+@all", password]).await;
    }
    server
}

/// One that every process has, since a test cannot set any.
const VARIABLE: &str = "PATH";

#[tokio::test]
async fn a_password_comes_from_a_file_or_the_environment() {
    let (server, files) = (server().await, Files::new());
    let file = files.password("hunter2 pass@word");
    for url in [
        format!("redis://app@{}?password_file={file}", server.endpoint()),
        format!("redis://app:hunter2%20pass%40word@{}", server.endpoint()),
        format!("redis://other@{}?password_env={VARIABLE}", server.endpoint()),
    ] {
        connect(&url).await.mutex("a").lock().await.unwrap().release().await.unwrap();
    }
    let wrong = files.password("wrong-hunter2");
    let error = refused(&format!("redis://app@{}?password_file={wrong}", server.endpoint())).await;
    is(&error, ErrorKind::Unauthenticated, "WRONGPASS");
    for (options, named) in [
        ("password_file=/nowhere/password", "/nowhere/password"),
        ("password_env=LEASEHOLD_TEST_NO_SUCH", "LEASEHOLD_TEST_NO_SUCH"),
        ("password_file=/x&password_env=Y", "exclude each other"),
    ] {
        let error = leasehold::builder(&format!("redis://app@a?{options}")).map(drop).unwrap_err();
        is(&error, ErrorKind::InvalidConfig, named);
    }
}

/// Everything that can be formatted, of each backend with all that it can be told.
#[tokio::test]
async fn nothing_shows_a_secret() {
    crate::logs::listen();
    let files = Files::new();
    let client = files.authority.sign_client("hunter2-is-no-name");
    let tls = leasehold::tls::Tls::new()
        .authorities(&*files.authority.pem)
        .identity(&*client.certificate, &*client.key);
    let secret = || Secret::from("hunter2");
    let etcd = leasehold::etcd::EtcdConfig::new(["a:1"]).user("app", secret()).tls(tls.clone());
    let zookeeper =
        leasehold::zookeeper::ZooKeeperConfig::new(["a:1"]).digest("app", secret()).tls(tls.clone());
    let sasl = leasehold::zookeeper::ZooKeeperConfig::new(["a:1"]).sasl("app", secret());
    let redis = leasehold::redis::RedisConfig::new("a:1").user("app", secret()).tls(tls.clone());
    let sentinel =
        leasehold::redis::RedisConfig::sentinel("m", ["a:1"]).password(secret()).sentinel_password(secret());
    let keys = leasehold::redis::RedisConfig::new("a:1").password("hunter2");
    let mut shown =
        format!("{tls:?} {etcd:?} {zookeeper:?} {sasl:?} {redis:?} {sentinel:?} {keys:?} {:?}", secret());
    let etcd = leasehold::etcd::EtcdBackend::new(etcd).unwrap();
    let zookeeper = leasehold::zookeeper::ZooKeeperBackend::new(zookeeper).unwrap();
    let sasl = leasehold::zookeeper::ZooKeeperBackend::new(sasl).unwrap();
    let redis = leasehold::redis::RedisBackend::new(redis).unwrap();
    shown += &format!("{etcd:?} {zookeeper:?} {sasl:?} {redis:?}");
    let backends: [Arc<dyn LockBackend>; 4] =
        [Arc::new(etcd), Arc::new(zookeeper), Arc::new(sasl), Arc::new(redis)];
    for backend in backends {
        shown += &backend.endpoint();
        let builder = leasehold::Coordinator::builder(backend);
        shown += &format!("{builder:?}");
        let coordinator = builder.connect_timeout(Duration::from_millis(200)).connect_lazy().unwrap();
        shown += &format!("{coordinator:?} {:?} {:?}", coordinator.status().borrow(), coordinator.mutex("a"));
        if let Err(error) = coordinator.examine().await {
            shown += &format!("{error:?} {error}");
        }
    }
    no_secret_in(&shown);
    assert!(crate::logs::heard() > 0, "the clients do log");
    let key = client.key.lines().nth(1).unwrap();
    assert!(!shown.contains(key) && !shown.contains("PRIVATE KEY"), "{shown}");
}
