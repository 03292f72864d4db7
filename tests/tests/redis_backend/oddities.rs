//! Data that is not ours under our keys, a server that is full, and one that forgets.

use std::time::Duration;

use leasehold_core::{AttemptIds, BackendErrorKind, Certainty, LossReason, Publish, Withdrawn};
use leasehold_redis::RedisConfig;
use leasehold_testkit::servers::RedisServer;

use crate::fixture::*;

/// Puts a key of another type in place of one of ours.
async fn spoil(server: &RedisServer, key: &str) {
    server.command(&["DEL", key]).await;
    server.command(&["LPUSH", key, "a stranger's"]).await;
}

#[tokio::test]
async fn a_key_of_another_type_is_named_when_the_session_is_opened() {
    let server = server().await;
    for name in ["seq", "index", "entries", "values", "sessions"] {
        let key = format!("{{leasehold}}:7:{name}");
        spoil(&server, &key).await;
        let error = try_open(RedisConfig::new(server.endpoint())).await.map(drop).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{error:?}");
        assert!(error.to_string().contains(&key), "{error}");
        server.command(&["DEL", &key]).await;
        assert_eq!(server.keys("*").await, [""; 0], "nothing is left of the opening");
    }
}

#[tokio::test]
async fn a_key_of_another_type_is_named_later_too_and_nothing_is_half_done() {
    let server = server().await;
    for name in ["entries", "values", "index", "seq", "sessions"] {
        server.command(&["FLUSHALL"]).await;
        let (session, ids) = (open(&server.endpoint(), LONG_TTL).await, AttemptIds::new().unwrap());
        let queue = session.queue(&lock("a"));
        let there = place(&*queue, &ids).await;
        let key = key_beside(&server, &lock("a"), name).await;
        spoil(&server, &key).await;
        let attempt = ids.next();
        let error = try_enter(&*queue, attempt).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{error:?}");
        assert!(error.to_string().contains(&key), "{error}");
        let index = key.replace(name, "index");
        if name != "index" {
            let members = server.command(&["ZRANGE", &index, "0", "-1"]).await.texts();
            assert!(!members.iter().any(|member| member.contains(&attempt.to_string())), "{members:?}");
            let withdrawn = queue.withdraw(there, Certainty::Placed).await;
            // A release does not look after sessions.
            if name == "sessions" {
                assert_eq!(withdrawn.unwrap(), Withdrawn::Removed);
            } else {
                assert_eq!(kind(withdrawn), BackendErrorKind::Corrupt);
                let members = server.command(&["ZRANGE", &index, "0", "-1"]).await.texts();
                assert!(members.iter().any(|member| member.contains(&there.to_string())), "{members:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_counter_that_is_no_number() {
    let server = server().await;
    let (session, ids) = (open(&server.endpoint(), LONG_TTL).await, AttemptIds::new().unwrap());
    let queue = session.queue(&lock("a"));
    place(&*queue, &ids).await;
    let key = key_beside(&server, &lock("a"), "seq").await;
    server.command(&["SET", &key, "many"]).await;
    let error = try_enter(&*queue, ids.next()).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{error:?}");
    assert!(error.to_string().contains(&key), "{error}");
}

#[tokio::test]
async fn a_register_that_is_not_ours() {
    let server = server().await;
    let session = open(&server.endpoint(), LONG_TTL).await;
    session.write(&register("r"), write("v")).await.unwrap();
    let key = server.keys("*:register:*").await.remove(0);
    assert!(key.ends_with(":register:registers/r"), "{key}");
    server.command(&["HDEL", &key, "version"]).await;
    assert_eq!(kind(session.read(&register("r")).await), BackendErrorKind::Corrupt);
    spoil(&server, &key).await;
    for error in [
        session.read(&register("r")).await.map(drop).unwrap_err(),
        session.write(&register("r"), write("w")).await.map(drop).unwrap_err(),
        soon(session.register_changed(&register("r"), 1)).await.unwrap_err(),
    ] {
        assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{error:?}");
        assert!(error.to_string().contains(&key), "{error}");
    }
}

#[tokio::test]
async fn a_full_server_refuses_what_it_cannot_keep_and_changes_nothing() {
    let server = server().await;
    let (session, ids) = (open(&server.endpoint(), LONG_TTL).await, AttemptIds::new().unwrap());
    let queue = session.queue(&lock("a"));
    let there = place(&*queue, &ids).await;
    let before = queue.entry(there).await.unwrap().unwrap();
    server.command(&["CONFIG", "SET", "maxmemory", "1"]).await;
    let attempt = ids.next();
    assert_eq!(kind(try_enter(&*queue, attempt).await), BackendErrorKind::TooLarge);
    let change = Publish { attempt: there, mode: before.mode, value: "x".into(), if_version: None };
    assert_eq!(kind(queue.publish(change).await), BackendErrorKind::TooLarge);
    assert_eq!(kind(session.write(&register("r"), write("v")).await), BackendErrorKind::TooLarge);
    assert_eq!(kind(queue.withdraw(there, Certainty::Placed).await), BackendErrorKind::TooLarge);
    server.command(&["CONFIG", "SET", "maxmemory", "0"]).await;
    assert_eq!(queue.entry(there).await.unwrap(), Some(before));
    assert_eq!(contenders(&*queue).await, [there]);
    assert_eq!(session.read(&register("r")).await.unwrap(), None);
    try_enter(&*queue, attempt).await.unwrap();
    assert_eq!(queue.withdraw(there, Certainty::Placed).await.unwrap(), Withdrawn::Removed);
}

/// The numbers follow the server's clock, so that a counter that was lost does not begin anew.
#[tokio::test]
async fn a_server_that_forgets_everything_ends_the_sessions_and_tokens_still_rise() {
    let server = server().await;
    let coordinator = coordinator(&server.endpoint(), Duration::from_secs(2)).await;
    let guard = coordinator.mutex("a").lock().await.unwrap();
    let before = guard.fencing_token();
    let ids = AttemptIds::new().unwrap();
    let outsider = open(&server.endpoint(), TTL).await;
    let version = outsider.write(&register("r"), write("v")).await.unwrap();
    server.command(&["FLUSHALL"]).await;
    let error = try_enter(&*outsider.queue(&lock("b")), ids.next()).await.unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::SessionLost, "{error:?}");
    assert_eq!(soon(guard.lost()).await, LossReason::SessionEnded);
    let again = soon(coordinator.mutex("a").lock()).await.unwrap();
    assert!(again.fencing_token() > before);
    let later = open(&server.endpoint(), TTL).await;
    let leasehold_core::RegisterWritten::Written { version: first } = version else { panic!("{version:?}") };
    let rewritten = later.write(&register("r"), write("v")).await.unwrap();
    assert!(matches!(rewritten, leasehold_core::RegisterWritten::Written { version } if version > first));
}

#[tokio::test]
async fn a_register_that_was_deleted_by_hand_is_missed_and_its_versions_go_on() {
    let server = server().await;
    let session = open(&server.endpoint(), Duration::from_secs(2)).await;
    let written = session.write(&register("r"), write("v")).await.unwrap();
    let leasehold_core::RegisterWritten::Written { version } = written else { panic!("{written:?}") };
    let path = register("r");
    let (changed, ()) = soon(async {
        tokio::join!(session.register_changed(&path, version), async {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let key = server.keys("*:register:*").await.remove(0);
            server.command(&["DEL", &key]).await;
        })
    })
    .await;
    changed.unwrap();
    assert_eq!(session.read(&register("r")).await.unwrap(), None);
    let again = session.write(&register("r"), write("v")).await.unwrap();
    assert!(matches!(again, leasehold_core::RegisterWritten::Written { version: later } if later > version));
}
