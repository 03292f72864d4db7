//! Who may do what, and openings that fail.

use std::time::{Duration, Instant};

use leasehold_core::{AttemptIds, BackendErrorKind, Credentials, LockBackend, OpenSession};
use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};
use zookeeper_client::{Acls, CreateMode};

use crate::fixture::*;
use leasehold_testkit::conformance::cites;

#[tokio::test]
async fn nobody_listens() {
    let backend = ZooKeeperBackend::new(ZooKeeperConfig::new(["127.0.0.1:1", "127.0.0.1:2"])).unwrap();
    let began = Instant::now();
    let error = backend.open_session(options(&namespace())).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    assert!(error.to_string().contains("127.0.0.1:1,127.0.0.1:2"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(2), "at once, not at the time-out");
}

#[tokio::test]
async fn a_server_that_never_answers() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let options = OpenSession { connect_timeout: Duration::from_millis(500), ..options(&namespace()) };
    let began = Instant::now();
    let error = backend(&endpoint).open_session(options).await.map(|_| ()).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(1));
}

#[tokio::test]
async fn what_cannot_be_opened() {
    let (endpoint, ns) = (server().await.endpoint(), namespace());
    let open = async |config, options| {
        let backend = ZooKeeperBackend::new(config).unwrap();
        backend.open_session(options).await.map(|_| ()).unwrap_err().kind()
    };
    let missing = ZooKeeperConfig::new([&endpoint]).chroot("/no/such/node");
    assert_eq!(open(missing, options(&ns)).await, BackendErrorKind::InvalidConfig);
    let here = ZooKeeperConfig::new([&endpoint]);
    let endless = OpenSession { ttl: Duration::MAX, ..options(&ns) };
    assert_eq!(open(here.clone(), endless).await, BackendErrorKind::InvalidConfig);
    let slow = ZooKeeperConfig::new([&endpoint]).tick(TTL);
    assert_eq!(open(slow, options(&ns)).await, BackendErrorKind::InvalidConfig);
    let resumed = OpenSession { resume: Some(Credentials::from_bytes(*b"id")), ..options(&ns) };
    assert_eq!(open(here, resumed).await, BackendErrorKind::InvalidConfig);
}

#[tokio::test]
async fn below_a_chroot() {
    let (endpoint, ns, ids) = (server().await.endpoint(), namespace(), AttemptIds::new().unwrap());
    let outside = observer(&endpoint).await;
    let open_to_all = CreateMode::Persistent.with_acls(Acls::anyone_all());
    outside.mkdir("/apps/ours", &open_to_all).await.unwrap();
    let config = ZooKeeperConfig::new([&endpoint]).chroot("/apps/ours").tick(TICK);
    let session = ZooKeeperBackend::new(config).unwrap().open_session(options(&ns)).await.unwrap();
    let path = lock(&ns, "a");
    let (queue, x) = (session.queue(&path), ids.next());
    enter(&*queue, x).await;
    assert_eq!(outside.list_children(&format!("/apps/ours/{path}")).await.unwrap().len(), 1);
    leave(&*queue, x).await;
    session.close().await;
}

#[tokio::test]
async fn nodes_of_a_digest_user_are_closed_to_others() {
    let _cited = cites("zookeeper", &[29]);
    let (endpoint, ns, ids) = (server().await.endpoint(), namespace(), AttemptIds::new().unwrap());
    let config = ZooKeeperConfig::new([&endpoint]).digest("locks", "secret").tick(TICK);
    let owner = ZooKeeperBackend::new(config).unwrap().open_session(options(&ns)).await.unwrap();
    let path = lock(&ns, "a");
    let (queue, x) = (owner.queue(&path), ids.next());
    enter(&*queue, x).await;
    // A session has nodes of its own in the namespace.
    let stranger = ZooKeeperBackend::new(ZooKeeperConfig::new([&endpoint]).tick(TICK)).unwrap();
    assert_eq!(kind(stranger.open_session(options(&ns)).await.map(drop)), BackendErrorKind::PermissionDenied);
    let owning =
        zookeeper_client::Client::connector().with_auth("digest", b"locks:secret").connect(&endpoint).await;
    let (acls, _) = owning.unwrap().get_acl(&format!("/{}", ns.as_str())).await.unwrap();
    assert!(acls.iter().all(|acl| acl.scheme() == "digest" && acl.id().starts_with("locks:")), "{acls:?}");
    assert_eq!(attempts(&*queue).await, [x], "nothing was left");
}
