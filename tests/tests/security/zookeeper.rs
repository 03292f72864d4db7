//! ZooKeeper: TLS, certificates of clients, users of the digest scheme and of SASL, and whose the nodes are.

use std::time::Duration;

use leasehold::ErrorKind;
use leasehold::tls::Tls;
use leasehold_core::BackendErrorKind;
use leasehold_testkit::servers::{ServerOptions, ServerTls, ZooKeeperServer};
use leasehold_tests::certificates::{Authority, Flaw, HERE};
use leasehold_tls::Handshake;
use tempfile::TempDir;
use zookeeper_client::{Acl, Acls, Client, CreateMode, Error, Permission};

use crate::life::*;

fn options() -> ServerOptions {
    ServerOptions::default()
}

async fn secured(tls: ServerTls) -> ZooKeeperServer {
    start(options(), Some(tls)).await
}

async fn start(options: ServerOptions, tls: Option<ServerTls>) -> ZooKeeperServer {
    let Some(tls) = tls else { return ZooKeeperServer::start(options).await };
    let server = ZooKeeperServer::start(options.tls(tls)).await;
    shake_hands(&server).await;
    server
}

/// The first handshake of a Java process takes longer on a busy machine than a client gives it whose sessions are short.
async fn shake_hands(server: &ZooKeeperServer) {
    let nobody = Tls::new().authorities(Authority::new("nobody").pem);
    let endpoint: std::net::SocketAddr = server.tls_endpoint().parse().unwrap();
    let at = (&*endpoint.ip().to_string(), endpoint.port());
    let refused = soon(Handshake::new(&nobody, &[]).unwrap().diagnose("ZooKeeper", at, b"")).await;
    assert_eq!(refused.expect("nobody has signed its certificate").kind(), BackendErrorKind::Untrusted);
}

/// A server that knows the users `app` and `eve` by SASL, and refuses everybody else.
async fn with_sasl(tls: Option<ServerTls>) -> (ZooKeeperServer, TempDir) {
    let dir = tempfile::tempdir().unwrap();
    let jaas = dir.path().join("jaas.conf");
    let users = "user_app=\"app-hunter2\" user_eve=\"eve-hunter2\"";
    let module = "org.apache.zookeeper.server.auth.DigestLoginModule";
    std::fs::write(&jaas, format!("Server {{ {module} required {users}; }};\n")).unwrap();
    let options = options()
        .arg(format!("-Djava.security.auth.login.config={}", jaas.display()))
        .arg("-Dzookeeper.authProvider.sasl=org.apache.zookeeper.server.auth.SASLAuthenticationProvider")
        .arg("-Dzookeeper.enforce.auth.enabled=true")
        .arg("-Dzookeeper.enforce.auth.schemes=sasl");
    (start(options, tls).await, dir)
}

/// Whoever this is, for what is done behind a coordinator's back.
async fn digest_user(server: &ZooKeeperServer, user: &str) -> Client {
    let connector = Client::connector().with_auth("digest", user.as_bytes());
    connector.connect(&server.endpoint()).await.unwrap()
}

/// Ends all sessions of three seconds: the server is silent for longer, and ends them as soon as it is back.
async fn end_sessions(server: &ZooKeeperServer) {
    server.pause();
    tokio::time::sleep(Duration::from_millis(4_500)).await;
    server.resume();
}

async fn children(client: &Client, path: &str) -> Vec<String> {
    let mut children = client.list_children(path).await.unwrap_or_default();
    children.sort();
    children
}

/// Every node below a path is this user's alone.
async fn belongs_to(client: &Client, path: &str, scheme: &str, id: &str) -> usize {
    let mut unread = vec![path.to_owned()];
    let mut seen = 0;
    while let Some(node) = unread.pop() {
        let (acls, _) = client.get_acl(&node).await.unwrap();
        let own = |acl: &Acl| {
            acl.scheme() == scheme && acl.id().starts_with(id) && acl.permission() == Permission::ALL
        };
        assert!(!acls.is_empty() && acls.iter().all(own), "{node}: {acls:?}");
        seen += 1;
        unread.extend(children(client, &node).await.into_iter().map(|child| format!("{node}/{child}")));
    }
    seen
}

#[tokio::test]
async fn a_digest_user_has_its_nodes_to_itself() {
    let server = ZooKeeperServer::start(options()).await;
    let url =
        |user: &str, path: &str| format!("zookeeper://{user}{}/{path}?ttl=3s&tick=500ms", server.endpoint());
    let ours = url("app:app-hunter2@", "team/prod");
    a_lock_lives([&ours, &ours], async |_| end_sessions(&server).await).await;

    let coordinator = connect(&ours).await;
    let guard = coordinator.mutex("a").lock().await.unwrap();
    coordinator.register("r").write("v").await.unwrap();
    let app = digest_user(&server, "app:app-hunter2").await;
    assert!(belongs_to(&app, "/team/prod", "digest", "app:").await >= 7);
    // Above the namespace everybody may come beside us, and nobody may meddle.
    let eve = digest_user(&server, "eve:eve-hunter2").await;
    let theirs = connect(&url("eve:eve-hunter2@", "team/test")).await;
    theirs.mutex("a").lock().await.unwrap().release().await.unwrap();
    assert_eq!(children(&eve, "/team").await, ["prod", "test"]);
    assert_eq!(eve.set_data("/team", b"x", None).await.unwrap_err(), Error::NoAuth);
    assert_eq!(eve.set_acl("/team", &Acls::anyone_all(), None).await.unwrap_err(), Error::NoAuth);
    // Another password is another user; so is nobody.
    for stranger in ["app:wrong-hunter2@", "eve:eve-hunter2@", ""] {
        is(&refused(&url(stranger, "team/prod")).await, ErrorKind::PermissionDenied, "does not permit");
    }
    let queue = "/team/prod/locks/a";
    for outcome in [
        eve.list_children(queue).await.map(drop),
        eve.create(&format!("{queue}/forged"), b"", &CreateMode::Ephemeral.with_acls(Acls::anyone_all()))
            .await
            .map(drop),
        eve.get_data("/team/prod/registers/r").await.map(drop),
        eve.set_data("/team/prod/registers/r", b"x", None).await.map(drop),
        eve.delete("/team/prod/registers/r", None).await,
        eve.list_children("/team/prod/!sessions").await.map(drop),
        eve.delete("/team/prod", None).await,
    ] {
        assert_eq!(outcome.unwrap_err(), Error::NoAuth);
    }
    for entry in children(&app, queue).await {
        assert_eq!(eve.delete(&format!("{queue}/{entry}"), None).await.unwrap_err(), Error::NoAuth);
    }
    let resumed = leasehold::builder(&url("eve:eve-hunter2@", "team/prod")).unwrap();
    let error = resumed.resume(coordinator.credentials().unwrap()).connect().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
    assert!(guard.is_held());
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_lock_at_a_path_of_another_program_leaves_what_is_above_to_others() {
    let server = ZooKeeperServer::start(options()).await;
    let ours = connect(&format!("zookeeper://app:app-hunter2@{}?tick=500ms", server.endpoint())).await;
    let at = ours.at(leasehold::WireProfile::Curator, "/shared/deep/lock").mutex().unwrap();
    let guard = at.lock().await.unwrap();
    let eve = digest_user(&server, "eve:x").await;
    let open = CreateMode::Persistent.with_acls(Acls::creator_all());
    eve.create("/shared/theirs", b"", &open).await.unwrap();
    eve.create("/shared/deep/theirs", b"", &open).await.unwrap();
    assert_eq!(eve.list_children("/shared/deep/lock").await.unwrap_err(), Error::NoAuth);
    guard.release().await.unwrap();
}

#[tokio::test]
async fn nodes_are_shared_with_whom_the_url_names() {
    let server = ZooKeeperServer::start(options()).await;
    let eve = digest_user(&server, "eve:eve-hunter2").await;
    let eves_name = {
        let open = CreateMode::Ephemeral.with_acls(Acls::creator_all());
        eve.create("/who", b"", &open).await.unwrap();
        eve.get_acl("/who").await.unwrap().0[0].id().to_owned()
    };
    let url = |user: &str, share: &str| {
        format!("zookeeper://{user}:{user}-hunter2@{}/both?tick=500ms&share={share}", server.endpoint())
    };
    let id = |text: &str| text.replace('+', "%2B").replace('=', "%3D").replace('/', "%2F");
    let ours = connect(&url("app", &format!("digest:{}", id(&eves_name)))).await;
    let guard = ours.mutex("a").lock().await.unwrap();
    let theirs = connect(&url("eve", "digest:app:x")).await;
    assert!(theirs.mutex("a").try_lock().await.unwrap().is_none());
    guard.release().await.unwrap();
    theirs.mutex("a").lock().await.unwrap().release().await.unwrap();
    is(
        &refused(&format!("zookeeper://{}/both?tick=500ms", server.endpoint())).await,
        ErrorKind::PermissionDenied,
        "",
    );
    let open = format!("zookeeper://app:app-hunter2@{}/open?tick=500ms&share=everybody", server.endpoint());
    connect(&open).await.mutex("a").lock().await.unwrap().release().await.unwrap();
    let anybody = connect(&format!("zookeeper://{}/open?tick=500ms", server.endpoint())).await;
    anybody.mutex("a").lock().await.unwrap().release().await.unwrap();
    for wrong in ["share=nobody", "share=x509:", "auth=kerberos"] {
        let error = leasehold::builder(&format!("zookeeper://a:b@c?{wrong}")).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{wrong}: {error}");
    }
}

#[tokio::test]
async fn sasl_users() {
    let (server, _jaas) = with_sasl(None).await;
    let url =
        |user: &str| format!("zookeeper://{user}{}/prod?ttl=3s&tick=500ms&auth=sasl", server.endpoint());
    is(
        &refused(&url("app:wrong-hunter2@")).await,
        ErrorKind::Unauthenticated,
        "does not accept the credentials",
    );
    let nobody = refused(&url("nobody:nobody-hunter2@")).await;
    is(&nobody, ErrorKind::Unauthenticated, "does not accept the credentials");
    for plain in ["", "app:app-hunter2@"] {
        let error = refused(&format!("zookeeper://{plain}{}/prod", server.endpoint())).await;
        is(&error, ErrorKind::Unauthenticated, "does not accept the credentials");
    }
    let app = Client::connector()
        .with_sasl(zookeeper_client::SaslOptions::digest_md5("app", "app-hunter2"))
        .connect(&server.endpoint())
        .await
        .unwrap();
    assert_eq!(children(&app, "/").await, ["zookeeper"], "nothing is left");
    let ours = url("app:app-hunter2@");
    a_lock_lives([&ours, &ours], async |_| end_sessions(&server).await).await;
    let coordinator = connect(&ours).await;
    let held = coordinator.mutex("a").lock().await.unwrap();
    assert!(belongs_to(&app, "/prod", "sasl", "app").await >= 5);
    is(&refused(&url("eve:eve-hunter2@")).await, ErrorKind::PermissionDenied, "does not permit");
    // The server takes a name that it does not know with the password of whoever logged in last. That is a user of its own, too.
    let more = format!("zookeeper://app:app-hunter2@{}/more?tick=500ms&auth=sasl", server.endpoint());
    drop(connect(&more).await);
    is(&refused(&url("nobody:app-hunter2@")).await, ErrorKind::PermissionDenied, "does not permit");
    assert!(held.is_held());
}

#[tokio::test]
async fn a_server_without_sasl_knows_nobody_by_it() {
    let server = ZooKeeperServer::start(options()).await;
    let url = format!("zookeeper://app:app-hunter2@{}/prod?tick=500ms&auth=sasl", server.endpoint());
    is(&refused(&url).await, ErrorKind::InvalidConfig, "knows us as no user");
    assert_eq!(children(&digest_user(&server, "x:y").await, "/").await, ["zookeeper"]);
}

#[tokio::test]
async fn a_lock_lives_over_tls() {
    let files = Files::new();
    let server = secured(files.server()).await;
    let url = format!("zookeepers://{}/prod?ttl=3s&tick=500ms&{}", server.tls_endpoint(), files.trusted());
    a_lock_lives([&url, &url], async |_| end_sessions(&server).await).await;
    let examined = connect(&url).await.examine().await.unwrap();
    assert!(examined[0].version.is_some() && examined[0].findings.is_empty(), "{examined:?}");
}

#[tokio::test]
async fn a_server_that_cannot_be_believed_is_told_nothing() {
    let files = Files::new();
    for (identity, options, words) in [
        (files.authority.sign_for(&HERE), files.trusted_stranger(), "not trusted"),
        (files.authority.sign_for(&HERE), String::new(), "not trusted"),
        (files.authority.sign_flawed(Flaw::OtherHost), files.trusted(), "for another host"),
        (files.authority.sign_flawed(Flaw::Expired), files.trusted(), "has expired"),
        (files.authority.sign_flawed(Flaw::Early), files.trusted(), "not valid yet"),
    ] {
        let server = secured(files.of(&identity)).await;
        let url = format!("zookeepers://app:hunter2@{}?{options}", server.tls_endpoint());
        let error = refused(&url).await;
        is(&error, ErrorKind::Untrusted, words);
        is(&error, ErrorKind::Untrusted, &server.tls_endpoint());
        assert_eq!(children(&digest_user(&server, "x:y").await, "/").await, ["zookeeper"]);
    }
}

#[tokio::test]
async fn a_server_that_asks_who_we_are_has_a_user_for_each_certificate() {
    let files = Files::new();
    let server = secured(files.server().clients_must_show_one()).await;
    let url = |more: &str| format!("zookeepers://{}/prod?ttl=3s&tick=500ms&{more}", server.tls_endpoint());
    is(&refused(&url(&files.trusted())).await, ErrorKind::Unauthenticated, "asks for a certificate of ours");
    let stranger = files.shown("stranger", &files.stranger.sign_client("app"));
    is(&refused(&url(&stranger)).await, ErrorKind::Unauthenticated, "does not accept our certificate");
    let outside = digest_user(&server, "x:y").await;
    assert_eq!(children(&outside, "/").await, ["zookeeper"]);
    let app = files.shown("app", &files.authority.sign_client("app"));
    let right = url(&app);
    a_lock_lives([&right, &right], async |_| end_sessions(&server).await).await;
    let coordinator = connect(&right).await;
    let held = coordinator.mutex("a").lock().await.unwrap();
    assert_eq!(outside.list_children("/prod").await.unwrap_err(), Error::NoAuth);
    assert_eq!(outside.list_children("/prod/locks/a").await.unwrap_err(), Error::NoAuth);
    let eve = url(&files.shown("eve", &files.authority.sign_client("eve")));
    is(&refused(&eve).await, ErrorKind::PermissionDenied, "does not permit");
    assert!(held.is_held());
    // Programs with certificates of their own share what they name.
    let both = |name: &str, other: &str| {
        format!(
            "zookeepers://{}/both?tick=500ms&share=x509:CN%3D{other}&{}",
            server.tls_endpoint(),
            files.shown(name, &files.authority.sign_client(name))
        )
    };
    let (one, two) = (connect(&both("one", "two")).await, connect(&both("two", "one")).await);
    let first = one.mutex("a").lock().await.unwrap();
    let waiting = tokio::spawn(async move { two.mutex("a").lock().await.map(|guard| (guard, two)) });
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(!waiting.is_finished());
    first.release().await.unwrap();
    let (guard, _two) = soon(waiting).await.unwrap().unwrap();
    guard.release().await.unwrap();
}

#[tokio::test]
async fn sasl_within_tls() {
    let files = Files::new();
    let (server, _jaas) = with_sasl(Some(files.server())).await;
    let url = |user: &str| {
        let at = server.tls_endpoint();
        format!("zookeepers://{user}@{at}/prod?ttl=3s&tick=500ms&auth=sasl&{}", files.trusted())
    };
    is(
        &refused(&url("app:wrong-hunter2")).await,
        ErrorKind::Unauthenticated,
        "does not accept the credentials",
    );
    let coordinator = connect(&url("app:app-hunter2")).await;
    coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
    coordinator.shutdown(Duration::from_secs(5)).await.unwrap();
}

#[tokio::test]
async fn one_side_only_speaks_tls_and_names_that_cannot_be_asked_for() {
    let files = Files::new();
    let server = secured(files.server()).await;
    let url = format!("zookeepers://{}?connect_timeout=2s&{}", server.endpoint(), files.trusted());
    let error = refused(&url).await;
    assert!(matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::InvalidConfig), "{error:?}");
    let plain = refused(&format!("zookeeper://{}?connect_timeout=2s", server.tls_endpoint())).await;
    assert_eq!(plain.kind(), ErrorKind::Unavailable, "{plain:?}");
    for (host, option) in [("a", "&tls_server_name=b"), ("a..b", "")] {
        let url = format!("zookeepers://{host}?{}{option}", files.trusted());
        let error = leasehold::builder(&url).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error}");
    }
}
