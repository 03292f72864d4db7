//! What an application sees of real services, through the facade alone: refusals, and what its locks cost.

use std::time::{Duration, Instant};

use leasehold::{Error, ErrorKind};
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{EtcdServer, ServerOptions, ZooKeeperServer};
use tokio::task::JoinSet;

async fn fails(url: &str) -> Error {
    leasehold::connect(url).await.expect_err(url)
}

#[tokio::test]
async fn nobody_listening_is_told_at_once() {
    for (url, backend) in [("etcd://127.0.0.1:9", "etcd"), ("zookeeper://127.0.0.1:9", "zookeeper")] {
        let start = Instant::now();
        let error = fails(&format!("{url}?connect_timeout=3s")).await;
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
        assert_eq!((error.kind(), error.backend()), (ErrorKind::Unavailable, Some(backend)), "{error}");
        assert!(error.is_retryable() && error.to_string().contains("127.0.0.1:9"), "{error}");
    }
}

/// A host that takes connections and never says a word.
#[tokio::test]
async fn a_silent_host_is_given_up_within_the_connect_time_out() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = silent.local_addr().unwrap();
    for scheme in ["etcd", "zookeeper"] {
        let start = Instant::now();
        let error = fails(&format!("{scheme}://{endpoint}?connect_timeout=1s")).await;
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        // Well below the time that it would take by default, and well above what a busy machine adds.
        assert!(start.elapsed() < Duration::from_secs(4), "{:?}", start.elapsed());
    }
}

#[tokio::test]
async fn etcd_refuses_strangers() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let mut admin = etcd_client::Client::connect([server.endpoint()], None).await.unwrap();
    for (name, password) in [("root", "r"), ("app", "right"), ("other", "o")] {
        admin.user_add(name, password, None).await.unwrap();
    }
    admin.role_add("locks").await.unwrap();
    let permission = etcd_client::Permission::read_write("prod/").with_prefix();
    admin.role_grant_permission("locks", permission).await.unwrap();
    admin.user_grant_role("app", "locks").await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.auth_enable().await.unwrap();

    let endpoint = server.endpoint();
    let error = fails(&format!("etcd://app:wrong@{endpoint}/prod")).await;
    assert_eq!(error.kind(), ErrorKind::Unauthenticated, "{error}");
    assert!(!format!("{error} {error:?}").contains("wrong") && !error.is_retryable());

    let ours = leasehold::connect(&format!("etcd://app:right@{endpoint}/prod")).await.unwrap();
    let held = ours.mutex("one").lock().await.unwrap();
    // Told as soon as they come, since a session has a key of its own.
    for stranger in
        [format!("etcd://other:o@{endpoint}/prod"), format!("etcd://app:right@{endpoint}/elsewhere")]
    {
        let error = fails(&stranger).await;
        assert_eq!((error.kind(), error.backend()), (ErrorKind::PermissionDenied, Some("etcd")), "{error}");
    }
    held.release().await.unwrap();
    assert!(ours.mutex("one").try_lock().await.unwrap().is_some(), "nothing of the refused is in the way");
}

#[tokio::test]
async fn zookeeper_refuses_strangers() {
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let endpoint = server.endpoint();
    let url = |user: &str| format!("zookeeper://{user}{endpoint}/prod");
    let ours = leasehold::connect(&url("app:right@")).await.unwrap();
    let held = ours.mutex("one").lock().await.unwrap();
    for user in ["app:wrong@", "other:o@", ""] {
        let error = fails(&url(user)).await;
        assert_eq!(
            (error.kind(), error.backend()),
            (ErrorKind::PermissionDenied, Some("zookeeper")),
            "{error}"
        );
    }
    held.release().await.unwrap();
    assert!(ours.mutex("one").try_lock().await.unwrap().is_some(), "nothing of the refused is in the way");
}

#[tokio::test]
async fn the_granted_ttl_is_reported() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    let zookeeper =
        ZooKeeperServer::start(ServerOptions::default().config_line("minSessionTimeout=3000")).await;
    for (url, least) in [
        (format!("etcd://{}", etcd.endpoint()), Duration::from_secs(2)),
        (format!("zookeeper://{}", zookeeper.endpoint()), Duration::from_secs(3)),
    ] {
        let coordinator = leasehold::connect(&format!("{url}?ttl=1s")).await.unwrap();
        let status = coordinator.status().borrow().clone();
        assert_eq!(status.ttl, Some(least), "{url}");
        coordinator.mutex("one").lock().await.unwrap().release().await.unwrap();
    }
}

#[tokio::test]
async fn a_busy_try_writes_nothing_on_etcd() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let url = format!("etcd://{}", server.endpoint());
    let (a, b) = (leasehold::connect(&url).await.unwrap(), leasehold::connect(&url).await.unwrap());
    let held = a.mutex("one").lock().await.unwrap();
    let mut admin = etcd_client::Client::connect([server.endpoint()], None).await.unwrap();
    let mut revision = async || admin.get("leasehold/", None).await.unwrap().header().unwrap().revision();
    let before = revision().await;
    let requests =
        async || server.metrics().await.with("grpc_server_msg_received_total", &[("grpc_method", "Txn")]);
    let asked = requests().await;
    for _ in 0..10 {
        assert!(b.mutex("one").try_lock().await.unwrap().is_none());
    }
    assert_eq!(revision().await, before, "no commit");
    assert_eq!(requests().await - asked, 10.0, "one transaction each");
    held.release().await.unwrap();
}

/// A thousand tasks of one coordinator wait for one lock, and get it in turn.
async fn a_thousand_wait(url: &str) -> JoinSet<()> {
    const WAITERS: usize = 1_000;
    let coordinator = leasehold::connect(url).await.unwrap();
    let held = coordinator.mutex("one").lock().await.unwrap();
    let mut waiters = JoinSet::new();
    for _ in 0..WAITERS {
        let mutex = coordinator.mutex("one");
        waiters.spawn(async move { mutex.lock().await.unwrap().release().await.unwrap() });
    }
    // Until all of them watch: what they have sent before goes ahead of these on the one connection.
    let other = coordinator.mutex("another");
    for _ in 0..10 {
        other.lock().await.unwrap().release().await.unwrap();
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
    assert!(waiters.try_join_next().is_none(), "nobody is granted while another holds");
    waiters.spawn(async move {
        held.release().await.unwrap();
        drop(coordinator);
    });
    waiters
}

#[tokio::test]
async fn a_thousand_tasks_share_one_connection_and_one_watch_stream_of_etcd() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let waiters = a_thousand_wait(&format!("etcd://{}", proxy.endpoint())).await;
    assert_eq!(proxy.connections(), 1);
    assert_eq!(server.metrics().await.sum("etcd_debugging_mvcc_watch_stream_total"), 1.0);
    waiters.join_all().await;
}

#[tokio::test]
async fn a_thousand_tasks_share_one_connection_to_zookeeper() {
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let waiters = a_thousand_wait(&format!("zookeeper://{}", proxy.endpoint())).await;
    assert_eq!(proxy.connections(), 1);
    waiters.join_all().await;
}
