//! Sessions over a client of the application's own.

use leasehold_core::{
    AttemptIds, BackendErrorKind, Credentials, Liveness, LockBackend, LossReason, Mode, OpenSession,
};
use leasehold_zookeeper::ZooKeeperBackend;
use zookeeper_client::{Acls, Client, CreateMode, SessionState};

use crate::fixture::*;
use leasehold_testkit::conformance::cites;

#[tokio::test]
async fn closing_removes_what_is_ours_and_leaves_the_rest() {
    let _cited = cites("zookeeper", &[71]);
    let (endpoint, ns, ids) = (server().await.endpoint(), namespace(), AttemptIds::new().unwrap());
    let client = Client::connector().with_session_timeout(TTL).connect(&endpoint).await.unwrap();
    let ephemeral = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    let own_node = format!("/own-{}", ids.next());
    client.create(&own_node, b"", &ephemeral).await.unwrap();
    let backend = ZooKeeperBackend::from_client(client.clone()).with_tick(TICK);
    let session = backend.open_session(options(&ns)).await.unwrap();
    // It would be taken back by the client that lives on.
    assert!(!backend.capabilities().resumable_sessions && session.credentials().is_none());
    let resume = Some(Credentials::from_bytes(*b"anything"));
    let refused = backend.open_session(OpenSession { resume, ..options(&ns) }).await;
    assert_eq!(kind(refused.map(drop)), BackendErrorKind::Unsupported);
    assert_eq!(session.ttl(), TTL);
    assert_eq!(session.id(), client.session_id().to_string());
    let path = lock(&ns, "a");
    let (queue, [x, y]) = (session.queue(&path), [ids.next(), ids.next()]);
    enter(&*queue, x).await;
    enter(&*queue, y).await;
    leave(&*queue, y).await;
    session.close().await;
    assert_eq!(session.liveness().current(), Liveness::Lost(LossReason::ShutDown));
    assert_eq!(client.list_children(&format!("/{path}")).await.unwrap(), Vec::<String>::new());
    assert!(client.check_stat(&own_node).await.unwrap().is_some());
    assert_eq!(client.state(), SessionState::SyncConnected);

    // Dropped without being closed: the same, in the background.
    let session = backend.open_session(options(&ns)).await.unwrap();
    let z = ids.next();
    enter(&*session.queue(&path), z).await;
    drop(session);
    soon(async { while !client.list_children(&format!("/{path}")).await.unwrap().is_empty() {} }).await;
    assert!(client.check_stat(&own_node).await.unwrap().is_some());
}

#[tokio::test]
async fn access_is_that_of_the_clients_user() {
    let (endpoint, ns, ids) = (server().await.endpoint(), namespace(), AttemptIds::new().unwrap());
    let client = Client::connector().with_auth("digest", b"app:secret").connect(&endpoint).await.unwrap();
    let session = ZooKeeperBackend::from_client(client.clone())
        .with_tick(TICK)
        .open_session(options(&ns))
        .await
        .unwrap();
    let path = lock(&ns, "a");
    enter(&*session.queue(&path), ids.next()).await;
    // Over a client of one's own there are no nodes beside those of the queues.
    let stranger = Client::connector().connect(&endpoint).await.unwrap();
    let stranger = ZooKeeperBackend::from_client(stranger).with_tick(TICK);
    let stranger = stranger.open_session(options(&ns)).await.unwrap();
    let (elsewhere, theirs) = (stranger.queue(&lock(&ns, "b")), stranger.queue(&path));
    assert_eq!(kind(theirs.contenders(&mut |_| {}).await), BackendErrorKind::PermissionDenied);
    for queue in [theirs, elsewhere] {
        let entered = queue.enqueue(entry(ids.next(), Mode::Exclusive)).await;
        assert_eq!(kind(entered), BackendErrorKind::PermissionDenied);
    }
}
