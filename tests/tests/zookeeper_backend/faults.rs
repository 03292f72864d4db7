//! Lost replies, late requests, and many waiters.

use std::time::{Duration, Instant};

use futures::future::try_join_all;
use leasehold_core::{
    AttemptIds, BackendErrorKind, Certainty, Enqueued, Interest, LockBackend, Mode, OpenSession,
    RegisterWrite, Versioned, Withdrawn,
};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};

use crate::fixture::*;

/// Resolves once the reply to a write is lost, which holds a stat; the reply to a renewal is far shorter.
async fn lost(proxy: &Proxy) {
    soon(proxy.until(|counts| counts.swallowed_bytes > 80)).await;
}

/// The creation is applied and its reply is lost: the attempt is found again, not made twice.
#[tokio::test]
async fn a_creation_whose_reply_is_lost_is_adopted() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let b = open(&server.endpoint(), &ns).await;
    for path in lock_in_each_layout(&ns, "a") {
        let proxy = Proxy::start(&server.endpoint()).await;
        let a = open(&proxy.endpoint(), &ns).await;
        let (qa, qb) = (a.queue(&path), b.queue(&path));
        // So that the directory exists.
        let warm = ids.next();
        enter(&*qa, warm).await;
        leave(&*qa, warm).await;
        let x = ids.next();
        let revision = look(&*qb).await.1;
        // So that it is known who is there, and the next creation is one request.
        look(&*qa).await;
        proxy.drop_replies();
        let (outcome, _) = futures::join!(qa.enqueue(entry(x, Mode::Exclusive)), async {
            soon(qb.changed(Interest::Queue { revision })).await.unwrap();
            lost(&proxy).await;
            proxy.heal();
        });
        assert_eq!(kind(outcome), BackendErrorKind::Indeterminate);
        let y = ids.next();
        let behind = enter(&*qb, y).await;
        let order = enter(&*qa, x).await;
        assert!(order < behind, "the place was kept");
        assert_eq!(attempts(&*qb).await, [x, y]);
        assert_eq!(qb.entries().await.unwrap()[0].order, order);
        assert_eq!(qa.withdraw(x, Certainty::Placed).await.unwrap(), Withdrawn::Removed);
        leave(&*qb, y).await;
    }
}

/// The creation is still on its way when the attempt is withdrawn: it can never land.
#[tokio::test]
async fn a_withdrawn_creation_cannot_land_late() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let proxy = Proxy::start(&server.endpoint()).await;
    let a = open(&proxy.endpoint(), &ns).await;
    let b = open(&server.endpoint(), &ns).await;
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let warm = ids.next();
    enter(&*qa, warm).await;
    leave(&*qa, warm).await;
    for give_up in [false, true] {
        let x = ids.next();
        proxy.hold_requests();
        let mut enqueue = Box::pin(qa.enqueue(entry(x, Mode::Exclusive)));
        assert!(is_pending(&mut enqueue).await);
        let counts = proxy.until(|counts| counts.held_bytes > 0).await;
        assert!(counts.held_bytes > 0);
        if give_up {
            drop(enqueue);
        } else {
            // The client is cut off and the server is not: it may hear the creation after the client reconnects.
            proxy.close_clients();
            assert_eq!(kind(soon(enqueue).await), BackendErrorKind::Indeterminate);
        }
        let withdrawal = qa.withdraw(x, Certainty::Ambiguous);
        let late = async {
            if give_up {
                proxy.release();
            }
        };
        let (withdrawn, ()) = futures::join!(soon(withdrawal), late);
        let expected = if give_up { Withdrawn::Removed } else { Withdrawn::WasGone };
        assert_eq!(withdrawn.unwrap(), expected);
        proxy.release();
        tokio::time::sleep(Duration::from_millis(300)).await;
        assert_eq!(attempts(&*qb).await, []);
        assert_eq!(kind(qa.enqueue(entry(x, Mode::Exclusive)).await), BackendErrorKind::Withdrawn);
        proxy.heal();
    }
}

/// Without a connection nothing is handed to the client, so giving up is certain.
#[tokio::test]
async fn without_a_connection_nothing_is_in_doubt() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let proxy = Proxy::start(&server.endpoint()).await;
    let patience = Duration::from_millis(300);
    let options = OpenSession { request_timeout: patience, ttl: Duration::from_secs(20), ..options(&ns) };
    let a = backend(&proxy.endpoint()).open_session(options).await.unwrap();
    let queue = a.queue(&lock(&ns, "a"));
    let warm = ids.next();
    enter(&*queue, warm).await;
    proxy.cut();
    let mut states = a.liveness().subscribe();
    soon(states.wait_for(|state| matches!(state, leasehold_core::Liveness::Suspect { .. }))).await.unwrap();
    let began = Instant::now();
    let x = ids.next();
    assert_eq!(kind(queue.enqueue(entry(x, Mode::Exclusive)).await), BackendErrorKind::Unavailable);
    assert!(began.elapsed() < patience * 3);
    let write = RegisterWrite { value: "x".into(), if_version: None, if_held: None };
    assert_eq!(kind(a.write(&lock(&ns, "r"), write).await), BackendErrorKind::Unavailable);
    proxy.heal();
    soon(states.wait_for(|state| matches!(state, leasehold_core::Liveness::Live { .. }))).await.unwrap();
    assert_eq!(attempts(&*queue).await, [warm]);
    assert_eq!(a.read(&lock(&ns, "r")).await.unwrap(), None);
}

/// A write whose reply is lost is in doubt, and is not repeated.
#[tokio::test]
async fn a_write_whose_reply_is_lost_is_not_repeated() {
    let (server, ns) = (server().await, namespace());
    let proxy = Proxy::start(&server.endpoint()).await;
    let a = open(&proxy.endpoint(), &ns).await;
    let register = lock(&ns, "r");
    let write = |value: &'static str| RegisterWrite { value: value.into(), if_version: None, if_held: None };
    a.write(&register, write("1")).await.unwrap();
    let b = open(&server.endpoint(), &ns).await;
    proxy.drop_replies();
    let (outcome, _) = futures::join!(a.write(&register, write("2")), async {
        soon(b.register_changed(&register, 1)).await.unwrap();
        lost(&proxy).await;
        proxy.heal();
    });
    assert_eq!(kind(outcome), BackendErrorKind::Indeterminate);
    assert_eq!(a.read(&register).await.unwrap(), Some(Versioned { value: "2".into(), version: 2 }));
}

/// Dropped at any point, an enqueue leaves at most what its withdrawal removes.
#[tokio::test]
async fn dropped_at_every_poll() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let session = open(&server.endpoint(), &ns).await;
    for (only_if_free, layout) in [false, true].into_iter().flat_map(|free| [(free, 0), (free, 1), (free, 2)])
    {
        for polls in 0.. {
            let path = &lock_in_each_layout(&ns, &format!("{only_if_free} {polls}"))[layout];
            let (queue, x) = (session.queue(path), ids.next());
            let new = leasehold_core::NewEntry { only_if_free, ..entry(x, Mode::Exclusive) };
            let outcome =
                leasehold_testkit::polls::poll_times(queue.enqueue(new), polls, Duration::from_millis(20))
                    .await;
            queue.withdraw(x, Certainty::Ambiguous).await.unwrap();
            assert_eq!(attempts(&*queue).await, []);
            if outcome.is_some() {
                break;
            }
        }
    }
}

/// A thousand waiters on one connection are handed the lock in turn.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_waiters() {
    let _cited = cites("zookeeper", &[71]);
    const WAITERS: usize = 1_000;
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let (ns, ids) = (namespace(), AttemptIds::new().unwrap());
    // All enter at once, and each request counts its time from then on.
    let patient = OpenSession {
        ttl: Duration::from_secs(30),
        request_timeout: Duration::from_secs(30),
        ..options(&ns)
    };
    let session = backend(&server.endpoint()).open_session(patient).await.unwrap();
    let path = lock(&ns, "a");
    let (granted, mut grants) = tokio::sync::mpsc::unbounded_channel();
    let contenders = (0..WAITERS).map(|_| {
        let (queue, x, granted) = (session.queue(&path), ids.next(), granted.clone());
        tokio::spawn(async move {
            let order = enter(&*queue, x).await;
            loop {
                let mut ahead = None;
                queue.contenders(&mut |all| ahead = all.ahead_of(x).next()).await.unwrap();
                let Some(ahead) = ahead else { break };
                let gone = Interest::Entry { attempt: ahead.attempt, mode: ahead.mode, version: None };
                queue.changed(gone).await.unwrap();
            }
            granted.send(order).unwrap();
            leave(&*queue, x).await;
        })
    });
    let contenders: Vec<_> = contenders.collect();
    drop(granted);
    let began = Instant::now();
    // The first that fails ends it, since those behind it would wait for ever.
    try_join_all(contenders).await.unwrap();
    let mut orders = Vec::new();
    while let Some(order) = grants.recv().await {
        orders.push(order);
    }
    assert!(orders.is_sorted() && orders.len() == WAITERS);
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
    assert!(session.liveness().is_alive());
    assert_eq!(watches(&server).await, 0);
    let connections =
        server.four_letter("cons").await.lines().filter(|line| line.contains("sid=0x1")).count();
    assert_eq!(connections, 1);
}

/// Try again of `Busy`: a try that meets a holder leaves nothing even when its reply is lost.
#[tokio::test]
async fn a_try_whose_reply_is_lost_is_decided_when_it_is_repeated() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let proxy = Proxy::start(&server.endpoint()).await;
    let a = open(&proxy.endpoint(), &ns).await;
    let b = open(&server.endpoint(), &ns).await;
    let (qa, qb) = (a.queue(&lock(&ns, "a")), b.queue(&lock(&ns, "a")));
    let warm = ids.next();
    enter(&*qa, warm).await;
    leave(&*qa, warm).await;
    let x = ids.next();
    // The creation goes out unanswered as an ordinary one, so that it stands behind a holder when it is repeated as a try.
    enter(&*qb, ids.next()).await;
    let revision = look(&*qb).await.1;
    proxy.drop_replies();
    let (outcome, _) = futures::join!(qa.enqueue(entry(x, Mode::Exclusive)), async {
        soon(qb.changed(Interest::Queue { revision })).await.unwrap();
        lost(&proxy).await;
        proxy.heal();
    });
    assert_eq!(kind(outcome), BackendErrorKind::Indeterminate);
    assert!(matches!(qa.enqueue(try_entry(x, Mode::Exclusive)).await.unwrap(), Enqueued::Busy { .. }));
    assert_eq!(attempts(&*qb).await.len(), 1);
}
