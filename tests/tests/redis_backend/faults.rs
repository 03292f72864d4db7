//! Servers that die, turn into replicas and forget scripts; connections that break and fall silent; processes that are killed.

use std::time::Duration;

use leasehold_core::{
    AttemptIds, BackendErrorKind, Certainty, Credentials, Liveness, LockBackend, LossReason, OpenSession,
    Session,
};
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::process::Worker;
use leasehold_testkit::proxy::Proxy;
use leasehold_tests::FencedFile;
use tokio::time::{Instant, sleep, timeout};

use crate::fixture::*;

async fn until_live(session: &dyn Session) {
    let mut states = session.liveness().subscribe();
    let state = *soon(states.wait_for(|state| !matches!(state, Liveness::Suspect { .. }))).await.unwrap();
    assert!(matches!(state, Liveness::Live { .. }), "{state:?}");
}

#[tokio::test]
async fn a_server_that_is_killed_in_mid_wait_loses_no_waiter_and_no_order() {
    const WAITERS: usize = 5;
    let server = server().await;
    let holder = coordinator(&server.endpoint(), TTL).await;
    let guard = holder.mutex("a").lock().await.unwrap();
    let observer = open(&server.endpoint(), TTL).await;
    let queue = observer.queue(&lock("a"));
    let (granted, mut grants) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..WAITERS {
        let (node, granted) = (coordinator(&server.endpoint(), TTL).await, granted.clone());
        tokio::spawn(async move {
            let guard = node.mutex("a").lock().await.unwrap();
            granted.send((number, guard.fencing_token())).unwrap();
            guard.release().await.unwrap();
        });
        // In this order.
        soon(async {
            while contenders(&*queue).await.len() != number + 2 {
                sleep(Duration::from_millis(5)).await;
            }
        })
        .await;
    }
    server.kill().await;
    sleep(Duration::from_millis(300)).await;
    server.restart().await;
    assert!(guard.held().is_held());
    let mut last = guard.fencing_token();
    guard.release().await.unwrap();
    for number in 0..WAITERS {
        let (who, token) = soon(grants.recv()).await.unwrap();
        assert_eq!(who, number, "first come, first served, before and after");
        assert!(token > last, "{token} after {last}");
        last = token;
    }
}

#[tokio::test]
async fn a_holder_that_is_killed_frees_its_lock_within_its_ttl() {
    const TTL: Duration = Duration::from_secs(2);
    let server = server().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("register");
    FencedFile::create(&path, 1).unwrap();
    let url = format!("redis://{}?ttl=2s", server.endpoint());
    let program = env!("CARGO_BIN_EXE_leasehold-test-worker");
    let mut worker = Worker::start(program, [&url, "a", path.to_str().unwrap(), "0", "1", "0"]);
    worker.expect("ready").await;
    worker.send("go").await;
    worker.expect("stalled").await;
    let node = coordinator(&server.endpoint(), LONG_TTL).await;
    let waiting = tokio::spawn({
        let mutex = node.mutex("a");
        async move { mutex.lock().await }
    });
    sleep(TTL).await;
    assert!(!waiting.is_finished(), "it is renewed");
    worker.kill().await;
    let killed = Instant::now();
    let guard = soon(waiting).await.unwrap().unwrap();
    let after = killed.elapsed();
    assert!(after <= TTL + Duration::from_secs(1), "{after:?} after it was killed");
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_primary_that_became_a_replica_applies_nothing_and_is_left_until_it_is_promoted() {
    let _cited = cites("redis", &[69]);
    let server = server().await;
    let (session, ids) =
        (open(&server.endpoint(), Duration::from_secs(10)).await, AttemptIds::new().unwrap());
    let queue = session.queue(&lock("a"));
    let (there, refused) = (place(&*queue, &ids).await, ids.next());
    let before = server.command(&["INFO", "stats"]).await.text();
    server.command(&["REPLICAOF", "127.0.0.1", "1"]).await;
    for _ in 0..3 {
        let error = try_enter(&*queue, refused).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unavailable, "certainly not applied: {error:?}");
        assert!(error.to_string().contains("READONLY"), "{error}");
    }
    let connections = |info: &str| {
        let line = info.lines().find_map(|line| line.strip_prefix("total_connections_received:"));
        line.unwrap().trim().parse::<u64>().unwrap()
    };
    let after = server.command(&["INFO", "stats"]).await.text();
    assert!(connections(&after) >= connections(&before) + 4, "each try is a new connection, and ours twice");
    until_suspect(&*session).await;
    server.command(&["REPLICAOF", "NO", "ONE"]).await;
    until_live(&*session).await;
    assert_eq!(contenders(&*queue).await, [there]);
    try_enter(&*queue, refused).await.unwrap();
}

#[tokio::test]
async fn a_server_that_forgot_the_scripts_is_told_them_again() {
    let server = server().await;
    let (session, ids) = (open(&server.endpoint(), LONG_TTL).await, AttemptIds::new().unwrap());
    let queue = session.queue(&lock("a"));
    for _ in 0..3 {
        server.command(&["SCRIPT", "FLUSH"]).await;
        let attempt = place(&*queue, &ids).await;
        server.command(&["SCRIPT", "FLUSH"]).await;
        assert_eq!(contenders(&*queue).await, [attempt]);
        queue.withdraw(attempt, Certainty::Placed).await.unwrap();
    }
}

#[tokio::test]
async fn a_silent_connection_is_left_for_a_new_one() {
    let _cited = cites("redis", &[67]);
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), Duration::from_secs(6)).await;
    let (rival, ids) = (open(&server.endpoint(), TTL).await, AttemptIds::new().unwrap());
    let ahead = place(&*rival.queue(&lock("a")), &ids).await;
    let queue = session.queue(&lock("a"));
    let own = place(&*queue, &ids).await;
    assert_eq!(contenders(&*queue).await, [ahead, own]);
    let seen = session.write(&register("r"), write("first")).await.unwrap();
    let leasehold_core::RegisterWritten::Written { version } = seen else { panic!("{seen:?}") };
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.register_changed(&register("r"), version).await }
    });
    sleep(Duration::from_millis(100)).await;
    proxy.drop_replies();
    until_suspect(&*session).await;
    until_live(&*session).await;
    // The subscription moved too, or moves as soon as its ping is not answered.
    rival.queue(&lock("a")).withdraw(ahead, Certainty::Placed).await.unwrap();
    rival.write(&register("r"), write("second")).await.unwrap();
    soon(queue.changed(gone(ahead))).await.unwrap();
    soon(waiting).await.unwrap().unwrap();
    assert_eq!(contenders(&*queue).await, [own]);
}

#[tokio::test]
async fn a_subscription_that_breaks_misses_nothing() {
    let _cited = cites("redis", &[68]);
    let server = server().await;
    let (session, other) =
        (open(&server.endpoint(), LONG_TTL).await, open(&server.endpoint(), LONG_TTL).await);
    let ids = AttemptIds::new().unwrap();
    let (queue, theirs) = (session.queue(&lock("a")), other.queue(&lock("a")));
    for round in 0..40_u64 {
        let attempt = place(&*theirs, &ids).await;
        assert!(
            soon(async {
                // A look may end early while the connection is broken.
                while !contenders(&*queue).await.contains(&attempt) {
                    sleep(Duration::from_millis(2)).await;
                }
                true
            })
            .await
        );
        let break_it = async {
            sleep(Duration::from_micros(round % 8 * 300)).await;
            server.command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        };
        let leave = async {
            sleep(Duration::from_micros(round % 5 * 500)).await;
            theirs.withdraw(attempt, Certainty::Placed).await.unwrap();
        };
        let (changed, (), ()) =
            soon(async { tokio::join!(queue.changed(gone(attempt)), break_it, leave) }).await;
        changed.unwrap();
        assert!(!contenders(&*queue).await.contains(&attempt));
    }
    assert!(session.liveness().is_alive());
}

#[tokio::test]
async fn the_loss_is_signalled_before_the_entry_is_gone() {
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), Duration::from_secs(2)).await;
    let (observer, ids) = (open(&server.endpoint(), LONG_TTL).await, AttemptIds::new().unwrap());
    let attempt = place(&*session.queue(&lock("a")), &ids).await;
    let seen = observer.queue(&lock("a"));
    assert_eq!(contenders(&*seen).await, [attempt]);
    proxy.black_hole();
    let (lost_at, gone_at) = soon(async {
        tokio::join!(
            async {
                assert_eq!(session.liveness().lost().await, LossReason::DeadlinePassed);
                Instant::now()
            },
            async {
                seen.changed(gone(attempt)).await.unwrap();
                Instant::now()
            }
        )
    })
    .await;
    assert!(lost_at < gone_at, "{:?} too late", lost_at - gone_at);
}

#[tokio::test]
async fn an_unanswered_write_is_indeterminate_and_the_next_request_goes_over_a_new_connection() {
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let (session, ids) = (open(&proxy.endpoint(), Duration::from_secs(60)).await, AttemptIds::new().unwrap());
    let queue = session.queue(&lock("a"));
    place(&*queue, &ids).await;
    let unsure = ids.next();
    proxy.drop_replies();
    assert_eq!(kind(try_enter(&*queue, unsure).await), BackendErrorKind::Indeterminate);
    let order = try_enter(&*queue, unsure).await.unwrap();
    assert_eq!(queue.entries().await.unwrap().len(), 2, "it had arrived");
    assert_eq!(queue.entry(unsure).await.unwrap().unwrap().order, order);
    // Nobody is there at all.
    proxy.cut();
    sleep(Duration::from_millis(50)).await;
    let outcome = try_enter(&*queue, ids.next()).await.unwrap_err();
    assert!(outcome.is_transient(), "{outcome:?}");
    assert_eq!(kind(try_enter(&*queue, ids.next()).await), BackendErrorKind::Unavailable, "not sent");
    proxy.heal();
    assert!(timeout(TTL, try_enter(&*queue, ids.next())).await.unwrap().is_ok());
}

/// Whichever of the two arrives first.
#[tokio::test]
async fn an_enqueue_that_is_still_on_its_way_is_withdrawn_for_good() {
    let server = server().await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let (session, ids) = (open(&proxy.endpoint(), Duration::from_secs(60)).await, AttemptIds::new().unwrap());
    let queue = session.queue(&lock("a"));
    let before = place(&*queue, &ids).await;
    let attempt = ids.next();
    proxy.hold_requests();
    assert_eq!(kind(try_enter(&*queue, attempt).await), BackendErrorKind::Indeterminate);
    let withdrawing = tokio::spawn({
        let queue = session.queue(&lock("a"));
        async move { queue.withdraw(attempt, Certainty::Ambiguous).await }
    });
    sleep(Duration::from_millis(200)).await;
    proxy.release();
    soon(withdrawing).await.unwrap().unwrap();
    sleep(Duration::from_millis(300)).await;
    let observer = open(&server.endpoint(), LONG_TTL).await;
    assert_eq!(contenders(&*observer.queue(&lock("a"))).await, [before]);
    assert_eq!(kind(try_enter(&*queue, attempt).await), BackendErrorKind::Withdrawn);
}

#[tokio::test]
async fn a_session_is_resumed_by_another_process_and_the_older_one_does_nothing_more() {
    let server = server().await;
    let (session, ids) = (open(&server.endpoint(), TTL).await, AttemptIds::new().unwrap());
    let queue = session.queue(&lock("a"));
    let attempt = place(&*queue, &ids).await;
    let resume = OpenSession { resume: session.credentials(), ..options(TTL) };
    let backend = RedisBackend::new(RedisConfig::new(server.endpoint())).unwrap();
    let resumed = backend.open_session(resume.clone()).await.unwrap();
    // The older one does not know yet.
    assert!(session.liveness().is_alive());
    for error in [
        try_enter(&*queue, ids.next()).await.map(drop).unwrap_err(),
        queue.withdraw(attempt, Certainty::Placed).await.map(drop).unwrap_err(),
        session.write(&register("r"), write("v")).await.map(drop).unwrap_err(),
    ] {
        assert_eq!(error.kind(), BackendErrorKind::SessionLost, "{error:?}");
    }
    session.close().await;
    assert_eq!(contenders(&*resumed.queue(&lock("a"))).await, [attempt]);
    let mut forged = session.credentials().unwrap().as_bytes().to_vec();
    *forged.last_mut().unwrap() ^= 1;
    let forged = Credentials::from_bytes(forged);
    let opened = backend.open_session(OpenSession { resume: Some(forged), ..options(TTL) }).await;
    assert_eq!(kind(opened), BackendErrorKind::Unauthenticated);
    assert!(resumed.liveness().is_alive());
    resumed.close().await;
    assert_eq!(kind(backend.open_session(resume).await), BackendErrorKind::SessionLost);
}

#[tokio::test]
async fn a_connection_that_the_server_closed_for_being_idle_is_replaced() {
    let server = server_with(&["--timeout", "1"]).await;
    let (session, ids) = (open(&server.endpoint(), LONG_TTL).await, AttemptIds::new().unwrap());
    let queue = session.queue(&lock("a"));
    for _ in 0..3 {
        soon(async {
            // Nobody but who asks.
            while server.command(&["CLIENT", "LIST"]).await.text().lines().count() > 1 {
                sleep(Duration::from_millis(50)).await;
            }
        })
        .await;
        let attempt = ids.next();
        // Whether the news came before the request was written is a matter of luck.
        if let Err(error) = try_enter(&*queue, attempt).await {
            assert_eq!(error.kind(), BackendErrorKind::Indeterminate, "{error:?}");
            try_enter(&*queue, attempt).await.unwrap();
        }
    }
    assert_eq!(contenders(&*queue).await.len(), 3);
}

/// As a server that takes over in a failover, or restarts without having synced, may not know of a release.
#[tokio::test]
async fn an_entry_that_was_withdrawn_and_is_back_is_removed_again() {
    let server = server().await;
    let (session, ids) = (open(&server.endpoint(), Duration::from_secs(6)).await, AttemptIds::new().unwrap());
    let rival = open(&server.endpoint(), TTL).await;
    let queue = session.queue(&lock("a"));
    let attempt = place(&*queue, &ids).await;
    let waits = place(&*rival.queue(&lock("a")), &ids).await;
    let mut kept = Vec::new();
    for name in ["index", "entries", "values"] {
        let key = key_beside(&server, &lock("a"), name).await;
        kept.push((server.command(&["DUMP", &key]).await, server.command(&["PTTL", &key]).await.text(), key));
    }
    queue.withdraw(attempt, Certainty::Placed).await.unwrap();
    for (dump, ttl, key) in kept {
        let leasehold_testkit::servers::RedisReply::Value(dump) = dump else { panic!("{dump:?}") };
        let restore = [b"RESTORE", key.as_bytes(), ttl.as_bytes(), &dump, b"REPLACE"];
        server.command(&restore).await;
    }
    assert_eq!(contenders(&*rival.queue(&lock("a"))).await, [attempt, waits], "it is back");
    server.command(&["CLIENT", "KILL", "TYPE", "normal"]).await;
    soon(rival.queue(&lock("a")).changed(gone(attempt))).await.unwrap();
    assert!(session.liveness().is_alive());
    assert_eq!(contenders(&*rival.queue(&lock("a"))).await, [waits]);
}
