//! Entries: places, orders, changes, and nothing left.

use std::time::Duration;

use bytes::Bytes;
use futures::future::join_all;
use leasehold_core::{
    AttemptIds, BackendErrorKind, Certainty, Enqueued, Interest, KeyPath, Kind, Mode, Publish, Published,
    Withdrawn,
};
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use zookeeper_client::{Acls, CreateMode};

use crate::fixture::*;

#[tokio::test]
async fn places_orders_and_withdrawals() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let path = lock(&ns, "a/b c");
    let (qa, qb) = (a.queue(&path), b.queue(&path));
    let [x, y, z] = [ids.next(), ids.next(), ids.next()];
    let first = enter(&*qa, x).await;
    let Enqueued::Placed { order: second, contenders: Some(seen) } =
        qb.enqueue(entry(y, Mode::Exclusive)).await.unwrap()
    else {
        panic!("the contenders come with the answer");
    };
    assert_eq!(seen.iter().map(|c| c.attempt).collect::<Vec<_>>(), [x, y]);
    let third = enter(&*qa, z).await;
    assert!(first < second && second < third);
    assert_eq!(enter(&*qa, x).await, first, "idempotent");
    assert_eq!(attempts(&*qb).await, [x, y, z]);
    let entries = qb.entries().await.unwrap();
    assert_eq!(
        entries.iter().map(|e| (e.attempt, e.order)).collect::<Vec<_>>(),
        [(x, first), (y, second), (z, third)]
    );
    assert!(entries.iter().all(|e| e.value == "value" && e.version == e.order));
    assert_eq!(a.queues(Kind::Lock).await.unwrap(), std::slice::from_ref(&path));
    assert_eq!(qb.withdraw(y, Certainty::Placed).await.unwrap(), Withdrawn::Removed);
    assert_eq!(qb.withdraw(x, Certainty::Placed).await.unwrap(), Withdrawn::Removed, "another session's");
    assert_eq!(qa.withdraw(x, Certainty::Placed).await.unwrap(), Withdrawn::WasGone);
    assert_eq!(kind(qa.enqueue(entry(x, Mode::Exclusive)).await), BackendErrorKind::Withdrawn);
    assert_eq!(attempts(&*qa).await, [z]);
    leave(&*qa, z).await;
    assert_eq!(a.queues(Kind::Lock).await.unwrap(), Vec::<KeyPath>::new());
}

#[tokio::test]
async fn enqueues_of_one_attempt_at_once_make_one_entry() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let session = open(&server.endpoint(), &ns).await;
    let queue = session.queue(&lock(&ns, "a"));
    for _ in 0..20 {
        let x = ids.next();
        let orders = join_all((0..4).map(|_| enter(&*queue, x))).await;
        assert!(orders.iter().all(|order| *order == orders[0]), "{orders:?}");
        assert_eq!(attempts(&*queue).await, [x]);
        leave(&*queue, x).await;
    }
}

#[tokio::test]
async fn only_if_free() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let session = open(&server.endpoint(), &ns).await;
    let queue = session.queue(&lock(&ns, "a"));
    let busy = async |mode| match queue.enqueue(try_entry(ids.next(), mode)).await.unwrap() {
        Enqueued::Busy { .. } => true,
        Enqueued::Placed { .. } => false,
    };
    let x = ids.next();
    assert!(matches!(queue.enqueue(try_entry(x, Mode::Shared)).await.unwrap(), Enqueued::Placed { .. }));
    assert!(matches!(queue.enqueue(try_entry(x, Mode::Shared)).await.unwrap(), Enqueued::Placed { .. }));
    assert!(!busy(Mode::Shared).await, "beside another reader");
    let before = look(&*queue).await.1;
    assert!(busy(Mode::Exclusive).await);
    let (entries, revision) = look(&*queue).await;
    assert_eq!((entries.len(), revision), (2, before), "a busy queue was not written to");
}

/// Many at once on a free queue: the listing beforehand does not decide, the one after the creation does.
#[tokio::test]
async fn only_one_of_many_tries_is_placed() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let endpoint = server.endpoint();
    let sessions = join_all((0..4).map(|_| open(&endpoint, &ns))).await;
    for round in 0..10 {
        let path = lock(&ns, &format!("round {round}"));
        let queues: Vec<_> = sessions.iter().map(|session| session.queue(&path)).collect();
        let tries = queues.iter().map(|queue| {
            let x = ids.next();
            async move { (queue, x, queue.enqueue(try_entry(x, Mode::Exclusive)).await.unwrap()) }
        });
        let outcomes = join_all(tries).await;
        let placed: Vec<_> = outcomes
            .iter()
            .filter(|(_, _, outcome)| matches!(outcome, Enqueued::Placed { .. }))
            .map(|(_, attempt, _)| *attempt)
            .collect();
        assert!(placed.len() <= 1, "{placed:?}");
        assert_eq!(attempts(&**outcomes[0].0).await, placed, "the others left nothing");
    }
}

#[tokio::test]
async fn an_entry_tells_its_changes_and_leaves_no_watch() {
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let (ns, ids) = (namespace(), AttemptIds::new().unwrap());
    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let x = ids.next();
    let version = enter(&*qa, x).await;
    attempts(&*qb).await;
    let interest = |version| Interest::Entry { attempt: x, mode: Mode::Exclusive, version };
    let mut gone = Box::pin(qb.changed(interest(None)));
    let mut again = Box::pin(qb.changed(interest(None)));
    let mut value = Box::pin(qb.changed(interest(Some(version))));
    assert!(is_pending(&mut gone).await && is_pending(&mut again).await && is_pending(&mut value).await);
    assert_eq!(watches(&server).await, 1, "waiters share a watch");
    let change =
        Publish { attempt: x, mode: Mode::Exclusive, value: Bytes::from_static(b"new"), if_version: None };
    let Published::Done { version: newer } = qa.publish(change).await.unwrap() else {
        panic!("no condition")
    };
    soon(value).await.unwrap();
    soon(qb.changed(interest(Some(version)))).await.unwrap();
    assert!(newer > version);
    let mut value = Box::pin(qb.changed(interest(Some(newer))));
    assert!(
        is_pending(&mut value).await && is_pending(&mut gone).await,
        "a value is nothing to who did not ask"
    );
    drop((value, again));
    leave(&*qa, x).await;
    soon(gone).await.unwrap();
    soon(qb.changed(interest(None))).await.unwrap();
    // A wait that is dropped takes its watch along.
    let y = ids.next();
    enter(&*qa, y).await;
    attempts(&*qb).await;
    let mut dropped =
        Box::pin(qb.changed(Interest::Entry { attempt: y, mode: Mode::Exclusive, version: None }));
    assert!(is_pending(&mut dropped).await);
    assert_eq!(watches(&server).await, 1);
    drop(dropped);
    soon(async {
        while watches(&server).await != 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_queue_tells_its_changes() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let (none, absent) = look(&*qb).await;
    assert!(none.is_empty());
    let mut changed = Box::pin(qb.changed(Interest::Queue { revision: absent }));
    assert!(is_pending(&mut changed).await);
    let x = ids.next();
    enter(&*qa, x).await;
    soon(changed).await.unwrap();
    let (_, one) = look(&*qb).await;
    let mut changed = Box::pin(qb.changed(Interest::Queue { revision: one }));
    assert!(is_pending(&mut changed).await);
    let change = |mode| Publish { attempt: x, mode, value: Bytes::new(), if_version: None };
    qa.publish(change(Mode::Exclusive)).await.unwrap();
    assert!(is_pending(&mut changed).await, "a value changes no membership");
    qa.publish(change(Mode::Shared)).await.unwrap();
    soon(changed).await.unwrap();
    soon(qb.changed(Interest::Queue { revision: one })).await.unwrap();
    let (_, two) = look(&*qb).await;
    let changed = qb.changed(Interest::Queue { revision: two });
    leave(&*qa, x).await;
    soon(changed).await.unwrap();
    assert!(absent < one && one < two && two < look(&*qb).await.1);
}

#[tokio::test]
async fn a_change_of_mode_keeps_place_and_order() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let [x, y] = [ids.next(), ids.next()];
    let (first, second) = (enter(&*qa, x).await, enter(&*qa, y).await);
    attempts(&*qb).await;
    let change =
        |mode, value: &'static str, if_version| Publish { attempt: x, mode, value: value.into(), if_version };
    let mut waiting =
        Box::pin(qb.changed(Interest::Entry { attempt: x, mode: Mode::Exclusive, version: None }));
    assert!(is_pending(&mut waiting).await);
    let Published::Done { version } = qa.publish(change(Mode::Shared, "s", Some(first))).await.unwrap()
    else {
        panic!("the version was right");
    };
    soon(waiting).await.unwrap();
    let mut seen = None;
    qb.contenders(&mut |contenders| seen = contenders.get(x)).await.unwrap();
    assert_eq!(seen.map(|contender| contender.mode), Some(Mode::Shared), "replaced, not departed");
    assert_eq!(qb.publish(change(Mode::Shared, "t", Some(first))).await.unwrap(), Published::VersionDiffers);
    assert_eq!(
        qa.publish(change(Mode::Exclusive, "t", Some(first))).await.unwrap(),
        Published::VersionDiffers
    );
    assert_eq!(kind(qb.publish(change(Mode::Exclusive, "t", None)).await), BackendErrorKind::Unsupported);
    let Published::Done { version: newer } =
        qb.publish(change(Mode::Shared, "u", Some(version))).await.unwrap()
    else {
        panic!("another session may change the value");
    };
    let permits = Mode::Permits { count: 2, limit: 3, granted: false };
    qa.publish(change(permits, "v", Some(newer))).await.unwrap();
    let entries = qb.entries().await.unwrap();
    assert_eq!(
        entries.iter().map(|e| (e.attempt, e.order, e.mode, e.value.clone())).collect::<Vec<_>>(),
        [(x, first, permits, "v".into()), (y, second, Mode::Exclusive, "value".into())]
    );
    assert!(first < version && version < newer && newer < entries[0].version);
    assert_eq!(enter(&*qa, x).await, first, "an enqueue finds it under its new name");
    assert_eq!(qb.withdraw(x, Certainty::Placed).await.unwrap(), Withdrawn::Removed);
    assert_eq!(kind(qa.publish(change(Mode::Shared, "w", None)).await), BackendErrorKind::NoEntry);
    assert_eq!(kind(qa.publish(change(permits, "w", Some(newer))).await), BackendErrorKind::NoEntry);
}

#[tokio::test]
async fn foreign_nodes_are_left_alone() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let session = open(&server.endpoint(), &ns).await;
    let path = lock(&ns, "a");
    let queue = session.queue(&path);
    let outside = observer(&server.endpoint()).await;
    let directory = format!("/{path}");
    let persistent = CreateMode::Persistent.with_acls(Acls::anyone_all());
    outside.mkdir(&directory, &persistent).await.unwrap();
    for foreign in ["lock-0000000000", "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-0000000000", "x"] {
        outside.create(&format!("{directory}/{foreign}"), b"", &persistent).await.unwrap();
    }
    assert_eq!(session.queues(Kind::Lock).await.unwrap(), Vec::<KeyPath>::new());
    let x = ids.next();
    assert!(matches!(queue.enqueue(try_entry(x, Mode::Exclusive)).await.unwrap(), Enqueued::Placed { .. }));
    assert_eq!(attempts(&*queue).await, [x]);
    leave(&*queue, x).await;
    assert_eq!(outside.list_children(&directory).await.unwrap().len(), 3);
}

#[tokio::test]
async fn a_reaped_directory_is_made_again_and_orders_rise() {
    let reaping = ServerOptions::default().container_check_interval(Duration::from_millis(100));
    let server = ZooKeeperServer::start(reaping).await;
    let (ns, ids) = (namespace(), AttemptIds::new().unwrap());
    let session = open(&server.endpoint(), &ns).await;
    let path = lock(&ns, "a");
    let queue = session.queue(&path);
    let outside = observer(&server.endpoint()).await;
    let mut last = 0;
    for _ in 0..3 {
        let x = ids.next();
        let order = enter(&*queue, x).await;
        assert!(order > last);
        last = order;
        let revision = look(&*queue).await.1;
        leave(&*queue, x).await;
        let (stat, watcher) = outside.check_and_watch_stat(&format!("/{path}")).await.unwrap();
        if stat.is_some() {
            soon(watcher.changed()).await;
        }
        soon(queue.changed(Interest::Queue { revision })).await.unwrap();
        assert_eq!(look(&*queue).await.0, []);
    }
}

#[tokio::test]
async fn a_value_that_is_too_large_is_refused_and_the_largest_is_not() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let backend = backend(&server.endpoint());
    let session = leasehold_core::LockBackend::open_session(&backend, options(&ns)).await.unwrap();
    let most = leasehold_core::LockBackend::capabilities(&backend).max_value_bytes;
    let path = KeyPath::new(&ns, Kind::Lock, &"/".repeat(255)).unwrap();
    let queue = session.queue(&path);
    let x = ids.next();
    let large =
        |bytes| leasehold_core::NewEntry { value: vec![7; bytes].into(), ..entry(x, Mode::Exclusive) };
    assert_eq!(kind(queue.enqueue(large(most + 1)).await), BackendErrorKind::TooLarge);
    assert!(matches!(queue.enqueue(large(most)).await.unwrap(), Enqueued::Placed { .. }));
    let change = Publish { attempt: x, mode: Mode::Shared, value: vec![8; most].into(), if_version: None };
    assert!(matches!(queue.publish(change).await.unwrap(), Published::Done { .. }));
    assert_eq!(queue.entries().await.unwrap()[0].value.len(), most);
}
