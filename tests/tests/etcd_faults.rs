//! The etcd backend when connections, servers and leases fail.

mod etcd_support;

use std::time::Duration;

use etcd_client::Permission;
use etcd_support::*;
use leasehold_core::{
    AttemptIds, BackendErrorKind, Certainty, Enqueued, Kind, Liveness, LockBackend, LossReason, NewEntry,
    RegisterWrite, RegisterWritten, Withdrawn,
};
use leasehold_etcd::{EtcdBackend, EtcdConfig};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{EtcdCluster, EtcdServer, ServerOptions};
use tokio::time::{Instant, timeout};

const SOON: Duration = Duration::from_secs(5);

#[tokio::test]
async fn nobody_listening_is_said_at_once() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    drop(listener);
    let start = Instant::now();
    let error = backend(&endpoint).open_session(options(TTL)).await.err().unwrap();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    assert!(error.to_string().contains(&endpoint) && error.to_string().contains("refused"), "{error}");
    assert!(start.elapsed() < Duration::from_secs(1), "{:?}", start.elapsed());
}

#[tokio::test]
async fn a_silent_endpoint_is_given_up_after_the_connect_time_out() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    proxy.black_hole();
    let mut options = options(TTL);
    options.connect_timeout = Duration::from_secs(1);
    let start = Instant::now();
    let error = backend(&proxy.endpoint()).open_session(options).await.err().unwrap();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable);
    assert!(error.to_string().contains(&proxy.endpoint()), "{error}");
    assert!(start.elapsed() < Duration::from_millis(1_500), "{:?}", start.elapsed());
}

#[tokio::test]
async fn one_endpoint_of_several_is_enough() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let dead = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let config = EtcdConfig::new([dead.clone(), dead, server.endpoint()]);
    let session = EtcdBackend::new(config).unwrap().open_session(options(TTL)).await.unwrap();
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    for _ in 0..50 {
        let attempt = place(&*queue, &ids).await;
        queue.withdraw(attempt, Certainty::Placed).await.unwrap();
    }
}

#[tokio::test]
async fn users_and_passwords() {
    let _cited = cites("etcd", &[29]);
    let server = EtcdServer::start(ServerOptions::default()).await;
    let mut admin = admin(&server).await;
    for (name, password) in [("root", "r"), ("app", "right"), ("other", "o"), ("visitor", "v")] {
        admin.user_add(name, password, None).await.unwrap();
    }
    admin.role_add("locks").await.unwrap();
    let permission = Permission::read_write("leasehold/").with_prefix();
    admin.role_grant_permission("locks", permission).await.unwrap();
    admin.user_grant_role("app", "locks").await.unwrap();
    admin.role_add("sessions").await.unwrap();
    let permission = Permission::read_write("leasehold/!sessions/").with_prefix();
    admin.role_grant_permission("sessions", permission).await.unwrap();
    admin.user_grant_role("visitor", "sessions").await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.auth_enable().await.unwrap();
    let open = async |user: Option<(&str, &str)>| {
        let mut config = EtcdConfig::new([server.endpoint()]);
        if let Some((name, password)) = user {
            config = config.user(name, password);
        }
        EtcdBackend::new(config).unwrap().open_session(options(TTL)).await
    };
    let error = open(Some(("app", "wrong"))).await.err().unwrap();
    assert_eq!(error.kind(), BackendErrorKind::Unauthenticated, "{error:?}");
    assert!(!format!("{error:?}").contains("wrong"));
    let session = open(Some(("app", "right"))).await.unwrap();
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    let attempt = place(&*queue, &ids).await;
    assert_eq!(contenders(&*queue).await, [attempt]);
    // A session has a key of its own, so who may not write is refused when it is opened.
    for (user, kind) in [
        (None, BackendErrorKind::Unauthenticated),
        (Some(("other", "o")), BackendErrorKind::PermissionDenied),
    ] {
        let error = open(user).await.err().unwrap();
        assert_eq!(error.kind(), kind, "{error:?}");
    }
    // Who may have sessions and nothing else is refused later.
    let outsider = open(Some(("visitor", "v"))).await.unwrap();
    let queue = outsider.queue(&path(Kind::Lock, "a"));
    let error = queue.enqueue(entry(ids.next())).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::PermissionDenied, "{error:?}");
    let error = timeout(SOON, queue.changed(gone(attempt))).await.expect("it waits in vain").unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::PermissionDenied, "{error:?}");
    outsider.close().await;
    session.close().await;
}

#[tokio::test]
async fn waiting_survives_compaction_and_restarts() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let (holder, waiter) = (open(&server.endpoint(), TTL).await, open(&server.endpoint(), TTL).await);
    let ids = AttemptIds::new().unwrap();
    let name = path(Kind::Lock, "a");
    let (held, waiting) = (holder.queue(&name), waiter.queue(&name));
    let ahead = place(&*held, &ids).await;
    let own = place(&*waiting, &ids).await;
    assert_eq!(contenders(&*waiting).await, [ahead, own]);
    let changed = tokio::spawn({
        let queue = waiter.queue(&name);
        async move { queue.changed(gone(ahead)).await }
    });
    let register = path(Kind::Register, "r");
    let register_changed = tokio::spawn({
        let (waiter, register) = (waiter.clone(), register.clone());
        async move { waiter.register_changed(&register, 0).await }
    });
    compact(&server).await;
    server.kill().await;
    until_suspect(&*waiter).await;
    server.restart().await;
    until_live(&*waiter).await;
    until_live(&*holder).await;
    assert!(!changed.is_finished() && !register_changed.is_finished());
    assert_eq!(contenders(&*waiting).await, [ahead, own]);
    held.withdraw(ahead, Certainty::Placed).await.unwrap();
    timeout(SOON, changed).await.expect("the removal was missed").unwrap().unwrap();
    assert_eq!(contenders(&*waiting).await, [own]);
    let write = RegisterWrite { value: "v".into(), if_version: Some(0), if_held: Some((name.clone(), own)) };
    let written = holder.write(&register, write).await.unwrap();
    assert!(matches!(written, RegisterWritten::Written { .. }));
    timeout(SOON, register_changed).await.expect("the write was missed").unwrap().unwrap();
}

#[tokio::test]
async fn what_happens_while_the_watch_is_broken_is_not_missed() {
    let _cited = cites("etcd", &[68]);
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let (holder, waiter) = (open(&server.endpoint(), TTL).await, open(&proxy.endpoint(), TTL).await);
    let ids = AttemptIds::new().unwrap();
    let name = path(Kind::Lock, "a");
    let (held, waiting) = (holder.queue(&name), waiter.queue(&name));
    for _ in 0..5 {
        let ahead = place(&*held, &ids).await;
        let own = place(&*waiting, &ids).await;
        assert_eq!(contenders(&*waiting).await, [ahead, own]);
        proxy.cut();
        held.withdraw(ahead, Certainty::Placed).await.unwrap();
        compact(&server).await;
        proxy.heal();
        timeout(SOON, waiting.changed(gone(ahead))).await.expect("the removal was missed").unwrap();
        until_live(&*waiter).await;
        assert_eq!(waiting.withdraw(own, Certainty::Placed).await.unwrap(), Withdrawn::Removed);
    }
}

/// An enqueue that is still on its way when its attempt is withdrawn must not come to be.
#[tokio::test]
async fn a_late_enqueue_of_a_withdrawn_attempt_leaves_nothing() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), Duration::from_secs(3)).await;
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    place(&*queue, &ids).await;
    let attempt = ids.next();
    proxy.hold_requests();
    // Larger than anything else that is on its way.
    let late = NewEntry { value: vec![b'x'; 4_000].into(), ..entry(attempt) };
    let (enqueued, ()) = tokio::join!(queue.enqueue(late), async {
        proxy.until(|counts| counts.held_bytes > 4_000).await;
        // The client hears nothing, and the server does not hear that the client gave up.
        proxy.close_clients();
    });
    let error = enqueued.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate, "{error:?}");
    assert!(matches!(queue.enqueue(entry(attempt)).await, Ok(Enqueued::Placed { .. })), "the retry");
    assert_eq!(queue.withdraw(attempt, Certainty::Ambiguous).await.unwrap(), Withdrawn::Removed);
    let before = handled(&server, "Txn").await;
    proxy.release();
    timeout(SOON, async {
        while handled(&server, "Txn").await == before {
            tokio::task::yield_now().await;
        }
    })
    .await
    .expect("the late enqueue never arrived");
    assert_eq!(queue.entries().await.unwrap().len(), 1);
    let error = queue.enqueue(entry(attempt)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Withdrawn);
    assert_eq!(queue.withdraw(attempt, Certainty::Ambiguous).await.unwrap(), Withdrawn::WasGone);
    assert_eq!(session.queues(Kind::Lock).await.unwrap(), [path(Kind::Lock, "a")]);
    session.close().await;
    assert_eq!(keys(&server).await, 0, "entry and tombstone went with the session");
}

/// The reply to an enqueue is lost, and its repetition finds the same place.
#[tokio::test]
async fn a_repeated_enqueue_finds_its_place() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), Duration::from_secs(3)).await;
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    let attempt = ids.next();
    proxy.drop_replies();
    let error = queue.enqueue(entry(attempt)).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Indeterminate, "{error:?}");
    until_live(&*session).await;
    let rival = place(&*session.queue(&path(Kind::Lock, "a")), &ids).await;
    assert!(matches!(queue.enqueue(entry(attempt)).await, Ok(Enqueued::Placed { .. })));
    assert_eq!(contenders(&*queue).await, [attempt, rival]);
}

#[tokio::test]
async fn a_revoked_lease_ends_the_session() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let session = open(&server.endpoint(), Duration::from_secs(3)).await;
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    let attempt = place(&*queue, &ids).await;
    let (removed, ()) = tokio::join!(queue.changed(gone(attempt)), async {
        // The watch is open once the copy can be looked at.
        assert_eq!(contenders(&*queue).await, [attempt]);
        revoke(&server, &*session).await;
    });
    // The end of the session is told beside the end of the entry.
    assert!(removed.is_ok() || removed.is_err_and(|error| error.kind() == BackendErrorKind::SessionLost));
    assert_eq!(timeout(SOON, session.liveness().lost()).await, Ok(LossReason::SessionEnded));
    let error = queue.enqueue(entry(ids.next())).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::SessionLost);
}

#[tokio::test]
async fn an_enqueue_tells_that_the_session_is_over() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let session = open(&server.endpoint(), Duration::from_secs(60)).await;
    revoke(&server, &*session).await;
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    let error = queue.enqueue(entry(ids.next())).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::SessionLost, "{error:?}");
    assert_eq!(session.liveness().current(), Liveness::Lost(LossReason::SessionEnded));
}

#[tokio::test]
async fn a_session_outlives_its_ttl_and_a_short_outage() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), Duration::from_secs(2)).await;
    assert_eq!(session.ttl(), Duration::from_secs(2));
    tokio::time::sleep(Duration::from_secs(3)).await;
    assert!(session.liveness().is_alive());
    proxy.cut();
    timeout(Duration::from_millis(500), until_suspect(&*session)).await.expect("trouble is suspect at once");
    proxy.heal();
    timeout(SOON, until_live(&*session)).await.expect("it recovers");
}

#[tokio::test]
async fn a_silent_connection_is_left_for_a_new_one() {
    let _cited = cites("etcd", &[67]);
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), Duration::from_secs(6)).await;
    let (rival, ids) = (open(&server.endpoint(), TTL).await, AttemptIds::new().unwrap());
    let name = path(Kind::Lock, "a");
    let ahead = place(&*rival.queue(&name), &ids).await;
    let queue = session.queue(&name);
    let own = place(&*queue, &ids).await;
    assert_eq!(contenders(&*queue).await, [ahead, own]);
    proxy.drop_replies();
    timeout(SOON, until_suspect(&*session)).await.expect("a renewal is missed");
    timeout(SOON, until_live(&*session)).await.expect("a new connection renews");
    // The watch moved too.
    rival.queue(&name).withdraw(ahead, Certainty::Placed).await.unwrap();
    timeout(SOON, queue.changed(gone(ahead))).await.expect("the removal was missed").unwrap();
}

#[tokio::test]
async fn the_loss_is_signalled_before_the_entry_is_gone() {
    let _cited = cites("etcd", &[67]);
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let session = open(&proxy.endpoint(), Duration::from_secs(2)).await;
    let (observer, ids) = (open(&server.endpoint(), TTL).await, AttemptIds::new().unwrap());
    let name = path(Kind::Lock, "a");
    let attempt = place(&*session.queue(&name), &ids).await;
    let seen = observer.queue(&name);
    assert_eq!(contenders(&*seen).await, [attempt]);
    proxy.black_hole();
    let (lost_at, gone_at) = timeout(Duration::from_secs(10), async {
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
    .await
    .unwrap();
    assert!(lost_at < gone_at, "{:?} too late", lost_at - gone_at);
}

#[tokio::test]
async fn a_closed_session_leaves_nothing_and_ends_what_waits() {
    let _cited = cites("etcd", &[71]);
    let server = EtcdServer::start(ServerOptions::default()).await;
    let session = open(&server.endpoint(), TTL).await;
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    let attempt = place(&*queue, &ids).await;
    contenders(&*queue).await;
    let waiting = tokio::spawn({
        let queue = session.queue(&path(Kind::Lock, "a"));
        async move { queue.changed(gone(attempt)).await }
    });
    tokio::task::yield_now().await;
    session.close().await;
    assert_eq!(session.liveness().current(), Liveness::Lost(LossReason::ShutDown));
    assert_eq!(keys(&server).await, 0);
    assert!(admin(&server).await.leases().await.unwrap().leases().is_empty());
    let error = timeout(SOON, waiting).await.expect("it waits in vain").unwrap().unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::SessionLost);
}

#[tokio::test]
async fn a_dropped_session_stops_renewing() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let session = open(&server.endpoint(), Duration::from_secs(2)).await;
    let ids = AttemptIds::new().unwrap();
    // The handle outlives the session.
    let queue = session.queue(&path(Kind::Lock, "a"));
    place(&*queue, &ids).await;
    drop(session);
    timeout(Duration::from_secs(10), async {
        while keys(&server).await > 0 {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("somebody renews");
}

#[tokio::test]
async fn sessions_outlive_the_leader() {
    let _cited = cites("etcd", &[69]);
    let cluster = EtcdCluster::start(ServerOptions::default()).await;
    let config = EtcdConfig::new(cluster.endpoints());
    let session = EtcdBackend::new(config).unwrap().open_session(options(TTL)).await.unwrap();
    let ids = AttemptIds::new().unwrap();
    let queue = session.queue(&path(Kind::Lock, "a"));
    let (ahead, own) = (place(&*queue, &ids).await, place(&*queue, &ids).await);
    assert_eq!(contenders(&*queue).await, [ahead, own]);
    let changed = tokio::spawn({
        let queue = session.queue(&path(Kind::Lock, "a"));
        async move { queue.changed(gone(ahead)).await }
    });
    cluster.node(cluster.leader().await).kill().await;
    timeout(Duration::from_secs(10), async {
        loop {
            match queue.withdraw(ahead, Certainty::Placed).await {
                Ok(_) => break,
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    })
    .await
    .expect("two of three do not serve");
    timeout(Duration::from_secs(10), changed).await.expect("the removal was missed").unwrap().unwrap();
    timeout(Duration::from_secs(10), until_live(&*session)).await.expect("nobody renews");
    assert_eq!(contenders(&*queue).await, [own]);
}

/// A leader without followers serves on for an election time-out at most, and the followers have never renewed anything.
#[tokio::test]
async fn without_a_quorum_nothing_is_renewed() {
    let _cited = cites("etcd", &[66]);
    let cluster = EtcdCluster::start(ServerOptions::default()).await;
    let leader = cluster.leader().await;
    let ttl = Duration::from_secs(4);
    let sessions = [
        open(&cluster.node(leader).endpoint(), ttl).await,
        open(&cluster.node((leader + 1) % 3).endpoint(), ttl).await,
    ];
    let stopped = Instant::now();
    for session in &sessions {
        assert!(matches!(session.liveness().current(), Liveness::Live { .. }));
    }
    // One node is left to each session, with nobody to agree with.
    cluster.node((leader + 2) % 3).kill().await;
    cluster.node((leader + 1) % 3).pause();
    let reason = timeout(ttl * 3, sessions[0].liveness().lost()).await.expect("renewed by a minority");
    assert_eq!(reason, LossReason::DeadlinePassed);
    assert!(stopped.elapsed() < ttl + Duration::from_secs(2), "{:?}", stopped.elapsed());
    let reason = timeout(ttl, sessions[1].liveness().lost()).await.expect("renewed by nobody");
    assert_eq!(reason, LossReason::DeadlinePassed);
    cluster.node((leader + 1) % 3).resume();
}

/// The next leader counts every lease anew, so it gives nothing away before the holder has stopped believing.
#[tokio::test]
async fn after_a_change_of_leader_the_loss_is_still_signalled_first() {
    let _cited = cites("etcd", &[70]);
    let cluster = EtcdCluster::start(ServerOptions::default()).await;
    let leader = cluster.leader().await;
    let [near, far] = [1, 2].map(|step| cluster.node((leader + step) % 3).endpoint());
    let proxy = Proxy::start(&near).await;
    let ttl = Duration::from_secs(3);
    let (session, observer) = (open(&proxy.endpoint(), ttl).await, open(&far, TTL).await);
    let (name, ids) = (path(Kind::Lock, "a"), AttemptIds::new().unwrap());
    let attempt = place(&*session.queue(&name), &ids).await;
    let seen = observer.queue(&name);
    assert_eq!(contenders(&*seen).await, [attempt]);
    cluster.node(leader).kill().await;
    proxy.cut();
    let (lost_at, gone_at) = timeout(Duration::from_secs(30), async {
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
    .await
    .expect("the entry stays for ever");
    assert!(lost_at < gone_at, "{:?} too late", lost_at - gone_at);
}

#[tokio::test]
async fn an_application_s_client_serves_as_well() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let proxy = Proxy::start(&server.endpoint()).await;
    let client = etcd_client::Client::connect([proxy.endpoint()], None).await.unwrap();
    let backend = EtcdBackend::from_client(client);
    let mut sessions = Vec::new();
    for _ in 0..3 {
        sessions.push(backend.open_session(options(TTL)).await.unwrap());
    }
    let ids = AttemptIds::new().unwrap();
    let mut attempts = Vec::new();
    for session in &sessions {
        attempts.push(place(&*session.queue(&path(Kind::Lock, "a")), &ids).await);
    }
    for session in &sessions {
        assert_eq!(contenders(&*session.queue(&path(Kind::Lock, "a"))).await, attempts);
    }
    assert_eq!(proxy.connections(), 1);
}

#[tokio::test]
async fn an_expired_token_is_replaced() {
    let server = EtcdServer::start(ServerOptions::default().arg("--auth-token-ttl=1")).await;
    let mut admin = admin(&server).await;
    admin.user_add("root", "r", None).await.unwrap();
    admin.user_grant_role("root", "root").await.unwrap();
    admin.auth_enable().await.unwrap();
    let config = EtcdConfig::new([server.endpoint()]).user("root", "r");
    let session = EtcdBackend::new(config).unwrap().open_session(options(TTL)).await.unwrap();
    let ids = AttemptIds::new().unwrap();
    for name in ["a", "b", "c"] {
        let queue = session.queue(&path(Kind::Lock, name));
        // The stream of watches was opened with an old token.
        let listed = queue.entries().await.unwrap().len();
        let attempt = place(&*queue, &ids).await;
        assert_eq!((listed, contenders(&*queue).await), (0, vec![attempt]));
        tokio::time::sleep(Duration::from_secs(3)).await;
        let looked = session.queue(&path(Kind::Election, name));
        assert_eq!(contenders(&*looked).await, [], "a new watch with nothing but an old token");
        assert_eq!(queue.withdraw(attempt, Certainty::Placed).await.unwrap(), Withdrawn::Removed);
    }
}
