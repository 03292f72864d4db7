//! Who may do what, servers that are refused, and openings that fail.

use std::time::{Duration, Instant};

use leasehold_core::{AttemptIds, BackendErrorKind, Interest, LockBackend, OpenSession};
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::servers::RedisServer;

use crate::fixture::*;

/// The rights that the documentation asks for.
pub(crate) const RIGHTS: [&str; 10] = [
    "~{leasehold}:*",
    "&{leasehold}:*",
    "+@read",
    "+@write",
    "+@scripting",
    "+@pubsub",
    "+@connection",
    "-@dangerous",
    "+time",
    "+info",
];

/// A user with these rights.
async fn user(server: &RedisServer, name: &str, rights: &[&str]) -> RedisConfig {
    server.command(&[&["ACL", "SETUSER", name, "reset", "on", ">secret"], rights].concat()).await;
    RedisConfig::new(server.endpoint()).user(name, "secret")
}

fn without(right: &str) -> Vec<&str> {
    RIGHTS.into_iter().filter(|known| *known != right).collect()
}

#[tokio::test]
async fn nobody_listens() {
    let began = Instant::now();
    let error = try_open(RedisConfig::new("127.0.0.1:1")).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
    assert!(error.to_string().contains("127.0.0.1:1"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2), "at once, not at the time-out");
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    for config in [RedisConfig::new(&endpoint), RedisConfig::new(&endpoint).password("secret")] {
        let options = OpenSession { connect_timeout: Duration::from_millis(500), ..options(TTL) };
        let began = Instant::now();
        let opened = RedisBackend::new(config).unwrap().open_session(options).await;
        assert_eq!(kind(opened), BackendErrorKind::Unavailable);
        assert!(began.elapsed() < Duration::from_secs(1));
    }
}

#[tokio::test]
async fn passwords() {
    let _cited = cites("redis", &[29]);
    let server = server_with(&["--requirepass", "pass word"]).await;
    let config = RedisConfig::new(server.endpoint());
    assert_eq!(kind(try_open(config.clone()).await), BackendErrorKind::Unauthenticated);
    for wrong in [config.clone().password("hunter2"), config.clone().user("me", "hunter2")] {
        let error = try_open(wrong).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unauthenticated, "{error:?}");
        assert!(error.to_string().contains("WRONGPASS"), "in the server's words: {error}");
        assert!(!format!("{error:?}").contains("hunter2"));
    }
    for right in [config.clone().password("pass word"), config.user("default", "pass word")] {
        let session = try_open(right).await.unwrap();
        let (queue, ids) = (session.queue(&lock("a")), AttemptIds::new().unwrap());
        let attempt = place(&*queue, &ids).await;
        assert_eq!(contenders(&*queue).await, [attempt], "the subscription's connection says who it is too");
        session.close().await;
    }
    let url = format!("redis://:pass%20word@{}", server.endpoint());
    let coordinator = leasehold::connect(&url).await.unwrap();
    coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_password_that_nobody_asked_for() {
    let server = server().await;
    // Redis takes any password of a default user that has none, but only beside a name.
    let error = try_open(RedisConfig::new(server.endpoint()).password("x")).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unauthenticated, "{error:?}");
}

#[tokio::test]
async fn the_documented_rights_are_enough() {
    let server = server().await;
    let config = user(&server, "app", &RIGHTS).await;
    let session = try_open(config.clone()).await.unwrap();
    let other = try_open(config).await.unwrap();
    let ids = AttemptIds::new().unwrap();
    let (queue, theirs) = (session.queue(&lock("a")), other.queue(&lock("a")));
    let (first, second) = (place(&*queue, &ids).await, place(&*theirs, &ids).await);
    assert_eq!(contenders(&*theirs).await, [first, second]);
    let withdraw = async {
        queue.withdraw(first, leasehold_core::Certainty::Ambiguous).await.unwrap();
    };
    let (changed, ()) = soon(async { tokio::join!(theirs.changed(gone(first)), withdraw) }).await;
    changed.unwrap();
    session.write(&register("r"), write("v")).await.unwrap();
    assert_eq!(other.read(&register("r")).await.unwrap().unwrap().value, "v");
    assert_eq!(other.queues(leasehold_core::Kind::Lock).await.unwrap(), [lock("a")]);
    session.close().await;
    other.close().await;
}

#[tokio::test]
async fn what_is_not_allowed_is_said_and_leaves_nothing() {
    let _cited = cites("redis", &[29]);
    let server = server().await;
    for missing in ["~{leasehold}:*", "+@scripting", "+@write", "+info", "+time"] {
        let config = user(&server, "app", &without(missing)).await;
        let error = try_open(config).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::PermissionDenied, "without {missing}: {error:?}");
        assert_eq!(server.keys("*").await, [""; 0], "without {missing}");
    }
}

#[tokio::test]
async fn whoever_may_not_subscribe_is_told_when_it_waits() {
    let server = server().await;
    let rights = RIGHTS.map(|right| if right == "+@pubsub" { "+publish" } else { right });
    let session = try_open(user(&server, "app", &rights).await).await.unwrap();
    let (queue, ids) = (session.queue(&lock("a")), AttemptIds::new().unwrap());
    let attempt = place(&*queue, &ids).await;
    assert_eq!(kind(soon(queue.contenders(&mut |_| {})).await), BackendErrorKind::PermissionDenied);
    assert_eq!(kind(soon(queue.changed(gone(attempt))).await), BackendErrorKind::PermissionDenied);
    let wait = soon(session.register_changed(&register("r"), 0)).await;
    assert_eq!(kind(wait), BackendErrorKind::PermissionDenied);
    // And once it may, it is served.
    let _same = user(&server, "app", &RIGHTS).await;
    assert_eq!(contenders(&*queue).await, [attempt]);
}

#[tokio::test]
async fn servers_that_are_refused() {
    let scriptless = server_with(&["--rename-command", "EVALSHA", ""]).await;
    assert_eq!(kind(try_open(RedisConfig::new(scriptless.endpoint())).await), BackendErrorKind::Unsupported);

    // The port of its own kind, which by itself is 10,000 above the other, may be none.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port().to_string();
    let node = server_with(&["--cluster-enabled", "yes", "--cluster-port", &free]).await;
    let error = try_open(RedisConfig::new(node.endpoint())).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unsupported, "{error:?}");

    let primary = scriptless.endpoint();
    let (host, port) = primary.split_once(':').unwrap();
    let replica = server_with(&["--replicaof", host, port]).await;
    let error = try_open(RedisConfig::new(replica.endpoint())).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "it may be promoted: {error:?}");
    assert!(error.to_string().contains("READONLY"), "{error}");
}

#[tokio::test]
async fn a_server_that_may_evict_is_refused_unless_it_is_accepted() {
    let server = server_with(&["--maxmemory", "100mb"]).await;
    let config = RedisConfig::new(server.endpoint());
    for policy in ["volatile-lru", "allkeys-lru", "volatile-ttl", "allkeys-random"] {
        server.command(&["CONFIG", "SET", "maxmemory-policy", policy]).await;
        let error = try_open(config.clone()).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{error:?}");
        assert!(error.to_string().contains(policy), "{error}");
        try_open(config.clone().accept_eviction(true)).await.unwrap().close().await;
    }
    let url = format!("redis://{}?accept_eviction=true", server.endpoint());
    leasehold::connect(&url).await.unwrap();
    server.command(&["CONFIG", "SET", "maxmemory-policy", "noeviction"]).await;
    try_open(config).await.unwrap().close().await;
}

#[tokio::test]
async fn what_a_server_says_of_itself() {
    let server = server().await;
    let backend = RedisBackend::new(RedisConfig::new(server.endpoint())).unwrap();
    let report = backend.inspect(Duration::from_secs(2)).await.unwrap().remove(0);
    assert_eq!(report.endpoint, server.endpoint());
    assert!(report.primary && !report.cluster && report.is_durable() && !report.may_evict(), "{report:?}");
    server.command(&["CONFIG", "SET", "appendfsync", "everysec"]).await;
    let report = backend.inspect(Duration::from_secs(2)).await.unwrap().remove(0);
    assert_eq!(report.append_fsync.as_deref(), Some("everysec"));
    assert!(!report.is_durable());
    // A user that may not ask for the configuration learns the rest.
    let config = user(&server, "app", &RIGHTS).await;
    let reports = RedisBackend::new(config).unwrap().inspect(Duration::from_secs(2)).await.unwrap();
    let [report] = reports.as_slice() else { panic!("{reports:?}") };
    assert_eq!((report.append_only, &report.append_fsync), (true, &None));
}

#[tokio::test]
async fn ttls_that_cannot_work() {
    let server = server().await;
    let backend = RedisBackend::new(RedisConfig::new(server.endpoint())).unwrap();
    for ttl in [Duration::ZERO, Duration::from_micros(99_999), Duration::MAX] {
        let opened = backend.open_session(options(ttl)).await;
        assert_eq!(kind(opened), BackendErrorKind::InvalidConfig, "{ttl:?}");
    }
    let session = backend.open_session(options(Duration::from_millis(100))).await.unwrap();
    assert_eq!(session.ttl(), Duration::from_millis(100));
    let queue = session.queue(&lock("a"));
    soon(queue.changed(Interest::Queue { revision: u64::MAX })).await.unwrap();
    session.close().await;
}
