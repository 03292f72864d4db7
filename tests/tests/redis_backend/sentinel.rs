//! A primary that sentinels watch: failovers that lose nothing, failovers that lose everything, and sentinels that lead astray.

use std::time::Duration;

use leasehold_core::{AttemptIds, BackendErrorKind, Coordinator, LockBackend, LossReason, MutexGuard};
use leasehold_redis::{RedisBackend, RedisConfig};
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{RedisClient, RedisSentinels, RedisServer, Sentinel, Server, ServerOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio::time::{Instant, sleep};

use crate::fixture::*;

/// Longer than a failover takes here.
const OUTLIVES_FAILOVERS: Duration = Duration::from_secs(15);

fn config(sentinels: &RedisSentinels) -> RedisConfig {
    RedisConfig::sentinel(RedisSentinels::NAME, sentinels.endpoints())
}

async fn node(sentinels: &RedisSentinels) -> Coordinator {
    coordinator_over(config(sentinels), OUTLIVES_FAILOVERS).await
}

/// Returns when the replicas know all that the primary knows.
async fn replicated(primary: &RedisServer) {
    let mut client = RedisClient::connect(&primary.endpoint()).await.unwrap();
    client.command(&["SET", "replicated", "?"]).await.unwrap();
    let replicas = client.command(&["WAIT", "2", "5000"]).await.unwrap().text();
    assert_eq!(replicas, "2", "both replicas follow");
}

/// Has the replicas forget all that they were told: they lag behind as far as can be.
async fn replicas_forget(sentinels: &RedisSentinels, primary: &RedisServer) {
    for replica in sentinels.servers().iter().filter(|server| server.endpoint() != primary.endpoint()) {
        replica.command(&["CONFIG", "SET", "replica-read-only", "no"]).await;
        replica.command(&["FLUSHALL"]).await;
    }
}

/// Kills the primary; returns when there is another.
async fn fail_over<'a>(sentinels: &'a RedisSentinels, primary: &RedisServer) -> &'a RedisServer {
    let before = primary.endpoint();
    primary.kill().await;
    let after = sentinels.primary().await;
    assert_ne!(after.endpoint(), before);
    after
}

#[tokio::test]
async fn a_failover_that_loses_nothing_keeps_the_holder_the_order_and_the_tokens() {
    const WAITERS: usize = 4;
    let sentinels = RedisSentinels::start(ServerOptions::default()).await;
    let url =
        format!("redis+sentinel://{}/{}?ttl=15s", sentinels.endpoints().join(","), RedisSentinels::NAME);
    let guard = leasehold::connect(&url).await.unwrap().mutex("a").lock().await.unwrap();
    let observer = RedisBackend::new(config(&sentinels)).unwrap();
    let observer = observer.open_session(options(OUTLIVES_FAILOVERS)).await.unwrap();
    let queue = observer.queue(&lock("a"));
    let (granted, mut grants) = tokio::sync::mpsc::unbounded_channel();
    for number in 0..WAITERS {
        let (node, granted) = (node(&sentinels).await, granted.clone());
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
    let primary = sentinels.primary().await;
    replicated(primary).await;
    fail_over(&sentinels, primary).await;
    assert!(guard.held().is_held(), "a failover within the TTL is survived");
    let mut last = guard.fencing_token();
    soon(guard.release()).await.unwrap();
    for number in 0..WAITERS {
        let (who, token) = soon(grants.recv()).await.unwrap();
        assert_eq!(who, number, "first come, first served, before and after");
        assert!(token > last, "{token} after {last}");
        last = token;
    }
    // The old one comes back, takes itself for the primary for a while, and nobody goes there.
    primary.restart().await;
    let written = observer.write(&register("r"), write("v")).await.unwrap();
    assert!(matches!(written, leasehold_core::RegisterWritten::Written { .. }));
    let now = sentinels.primary().await;
    assert_eq!(now.keys("*:register:registers/r").await.len(), 1);
    assert_eq!(primary.keys("*:register:registers/r").await.len(), 0);
}

/// A planned one: the old primary lives on as a replica, and says so.
#[tokio::test]
async fn a_primary_that_is_demoted_is_left_for_its_successor() {
    let sentinels = RedisSentinels::start(ServerOptions::default()).await;
    let (first, second) = (node(&sentinels).await, node(&sentinels).await);
    let guard = first.mutex("a").lock().await.unwrap();
    let waiting = tokio::spawn(async move { second.mutex("a").lock().await });
    let before = sentinels.primary().await;
    replicated(before).await;
    sentinels.sentinels()[0].command(&["SENTINEL", "FAILOVER", RedisSentinels::NAME]).await;
    soon(async {
        while sentinels.primary().await.endpoint() == before.endpoint() {
            sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    let token = guard.fencing_token();
    soon(release(guard)).await;
    assert!(soon(waiting).await.unwrap().unwrap().fencing_token() > token);
}

/// A release while there is no primary says that it is not known what came of it, and is made later.
async fn release(guard: MutexGuard) {
    if let Err(error) = guard.release().await {
        assert!(matches!(error, leasehold_core::ReleaseError::Unknown { .. }), "{error:?}");
    }
}

#[tokio::test]
async fn a_failover_that_loses_everything_ends_the_holds_and_the_waiters_go_on() {
    let sentinels = RedisSentinels::start(ServerOptions::default()).await;
    let (first, second) = (node(&sentinels).await, node(&sentinels).await);
    let guard = first.mutex("a").lock().await.unwrap();
    let session = first.status().borrow().session.clone();
    let waiting = tokio::spawn(async move { second.mutex("a").lock().await });
    let primary = sentinels.primary().await;
    replicated(primary).await;
    replicas_forget(&sentinels, primary).await;
    let failed_at = Instant::now();
    fail_over(&sentinels, primary).await;
    // The new primary knows neither the session nor its entry. Which of the two is told depends on who reconnects first:
    // this one, whose renewal tells of the session, or the other, whose entry in a new session shows that ours is gone.
    let lost = soon(guard.lost()).await;
    assert!(matches!(lost, LossReason::SessionEnded | LossReason::EntryRemoved), "{lost:?}");
    let next = soon(waiting).await.unwrap().unwrap();
    assert!(failed_at.elapsed() < OUTLIVES_FAILOVERS, "by the server's word, not at the deadline");
    assert!(next.fencing_token() > guard.fencing_token(), "the clock keeps them rising");
    assert!(!guard.held().is_held(), "lost for good");
    assert!(matches!(guard.release().await, Err(leasehold_core::ReleaseError::Lost { .. })));
    soon(next.release()).await.unwrap();
    soon(first.mutex("a").lock()).await.unwrap().release().await.unwrap();
    assert_ne!(first.status().borrow().session, session, "the session did not come back");
}

/// The one case that the crate's documentation names, and the way out.
#[tokio::test]
async fn tokens_can_fall_back_in_a_failover_and_the_operator_s_epoch_raises_them() {
    let sentinels = RedisSentinels::start(ServerOptions::default()).await;
    let before = node(&sentinels).await;
    before.mutex("a").lock().await.unwrap().release().await.unwrap();
    let primary = sentinels.primary().await;
    // As if its clock had been an hour ahead.
    for counter in primary.keys("*:seq").await {
        let number: u64 = primary.command(&["GET", &counter]).await.text().parse().unwrap();
        primary.command(&["SET", &counter, &format!("{:016}", number + 3_600_000_000)]).await;
    }
    let guard = before.mutex("a").lock().await.unwrap();
    replicated(primary).await;
    replicas_forget(&sentinels, primary).await;
    fail_over(&sentinels, primary).await;
    soon(guard.lost()).await;
    let after = node(&sentinels).await;
    let fallen = soon(after.mutex("a").lock()).await.unwrap();
    assert!(fallen.fencing_token() < guard.fencing_token(), "what is not promised");
    fallen.release().await.unwrap();
    let url =
        format!("redis+sentinel://{}/{}?epoch=1", sentinels.endpoints().join(","), RedisSentinels::NAME);
    let raised = leasehold::connect(&url).await.unwrap().mutex("a").lock().await.unwrap();
    assert!(raised.fencing_token() > guard.fencing_token());
}

/// What a register's reader was told, a failover can take back; a waiter hears of the next write.
#[tokio::test]
async fn a_register_can_fall_back_in_a_failover() {
    let sentinels = RedisSentinels::start(ServerOptions::default()).await;
    let backend = RedisBackend::new(config(&sentinels)).unwrap();
    let session = backend.open_session(options(OUTLIVES_FAILOVERS)).await.unwrap();
    let version_of = |written| match written {
        leasehold_core::RegisterWritten::Written { version } => version,
        other => panic!("{other:?}"),
    };
    version_of(session.write(&register("r"), write("old")).await.unwrap());
    let primary = sentinels.primary().await;
    replicated(primary).await;
    let key = primary.keys("*:register:*").await.remove(0);
    let old = primary.command(&["HGETALL", &key]).await.texts();
    let seen = version_of(session.write(&register("r"), write("new")).await.unwrap());
    replicated(primary).await;
    // As if the second write had not arrived.
    for replica in sentinels.servers().iter().filter(|server| server.endpoint() != primary.endpoint()) {
        replica.command(&["CONFIG", "SET", "replica-read-only", "no"]).await;
        replica
            .command(&[&["HSET", &key], &old.iter().map(String::as_str).collect::<Vec<_>>()[..]].concat())
            .await;
    }
    fail_over(&sentinels, primary).await;
    let read = soon(async {
        loop {
            match session.read(&register("r")).await {
                Ok(read) => return read.unwrap(),
                Err(error) => assert!(error.is_transient(), "{error:?}"),
            }
        }
    })
    .await;
    assert_eq!(read.value, "old", "what is not promised");
    assert!(read.version < seen);
    let waiting = tokio::spawn({
        let session = session.clone();
        async move { session.register_changed(&register("r"), seen).await }
    });
    sleep(Duration::from_millis(300)).await;
    let rewritten = version_of(session.write(&register("r"), write("newest")).await.unwrap());
    assert!(rewritten > seen);
    soon(waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_primary_that_is_cut_off_from_its_replicas_and_refuses_writes_is_left() {
    let sentinels = RedisSentinels::start(ServerOptions::default()).await;
    let backend = RedisBackend::new(config(&sentinels)).unwrap();
    let session = backend.open_session(options(OUTLIVES_FAILOVERS)).await.unwrap();
    let (queue, ids) = (session.queue(&lock("a")), AttemptIds::new().unwrap());
    let primary = sentinels.primary().await;
    primary.command(&["CONFIG", "SET", "min-replicas-to-write", "3"]).await;
    let connections = primary.calls("info").await;
    for _ in 0..3 {
        let error = try_enter(&*queue, ids.next()).await.unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Unavailable, "certainly not applied: {error:?}");
        assert!(error.to_string().contains("NOREPLICAS"), "{error}");
    }
    assert!(primary.calls("info").await >= connections + 2, "the sentinels are asked again each time");
    primary.command(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    soon(place(&*queue, &ids)).await;
}

async fn refusal(config: RedisConfig) -> (BackendErrorKind, String) {
    let error = try_open(config).await.map(drop).unwrap_err();
    (error.kind(), error.to_string())
}

/// Answers whatever it is asked by that address.
async fn false_sentinel(points_to: &str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = listener.local_addr().unwrap().to_string();
    let (host, port) = points_to.rsplit_once(':').unwrap();
    let answer = format!("*2\r\n${}\r\n{host}\r\n${}\r\n{port}\r\n", host.len(), port.len());
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            if stream.read(&mut [0; 1024]).await.is_ok_and(|read| read > 0) {
                let _ = stream.write_all(answer.as_bytes()).await;
            }
        }
    });
    endpoint
}

#[tokio::test]
async fn a_replica_that_a_sentinel_points_to_is_refused() {
    let primary = server().await;
    let endpoint = primary.endpoint();
    let (host, port) = endpoint.split_once(':').unwrap();
    let replica = server_with(&["--replicaof", host, port]).await;
    let (kind, message) =
        refusal(RedisConfig::sentinel("m", [false_sentinel(&replica.endpoint()).await])).await;
    assert_eq!(kind, BackendErrorKind::Unavailable, "it may be promoted: {message}");
    assert!(message.contains("READONLY") && message.contains(&replica.endpoint()), "{message}");
    let right = RedisConfig::sentinel("m", [false_sentinel(&endpoint).await]);
    try_open(right).await.unwrap().close().await;
    let reached = Proxy::start(&endpoint).await;
    let behind = RedisConfig::sentinel("m", [false_sentinel("10.9.8.7:6379").await]);
    try_open(behind.reach("10.9.8.7:6379", reached.endpoint())).await.unwrap().close().await;
    assert!(reached.connections() > 0);
}

#[tokio::test]
async fn sentinels_that_are_silent_or_gone_are_passed_over() {
    let primary = server().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let silent_endpoint = silent.local_addr().unwrap().to_string();
    let sentinels =
        [silent_endpoint.clone(), "127.0.0.1:1".into(), false_sentinel(&primary.endpoint()).await];
    try_open(RedisConfig::sentinel("m", sentinels)).await.unwrap().close().await;
    let (kind, message) = refusal(RedisConfig::sentinel("m", ["127.0.0.1:1", &silent_endpoint])).await;
    assert_eq!(kind, BackendErrorKind::Unavailable);
    assert!(message.contains("127.0.0.1:1"), "{message}");
}

#[tokio::test]
async fn what_a_sentinel_refuses_is_said() {
    let primary = server().await;
    let endpoint = primary.endpoint();
    let (host, port) = endpoint.split_once(':').unwrap();
    let options = ServerOptions::default()
        .config_line(format!("sentinel monitor mymaster {host} {port} 1"))
        .config_line("requirepass pass");
    let sentinel: Server<Sentinel> = Server::start(options).await;
    let config = |name: &str| RedisConfig::sentinel(name, [sentinel.endpoint()]);
    for wrong in [config("mymaster"), config("mymaster").sentinel_password("hunter2")] {
        let (kind, message) = refusal(wrong).await;
        assert_eq!(kind, BackendErrorKind::Unauthenticated, "{message}");
        assert!(message.contains(&sentinel.endpoint()) && !message.contains("hunter2"), "{message}");
    }
    let (kind, message) = refusal(config("other").sentinel_password("pass")).await;
    assert_eq!(kind, BackendErrorKind::InvalidConfig);
    assert!(message.contains("\"other\""), "{message}");
    try_open(config("mymaster").sentinel_password("pass")).await.unwrap().close().await;
    try_open(config("mymaster").sentinel_user("default", "pass")).await.unwrap().close().await;
    let url = format!("redis+sentinel://{}/mymaster/team/prod?sentinel_password=pass", sentinel.endpoint());
    let coordinator = leasehold::connect(&url).await.unwrap();
    coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
    assert!(primary.keys("{team/prod}:*").await.iter().any(|key| key.ends_with(":seq")));
    let backend = RedisBackend::new(config("mymaster").sentinel_password("pass")).unwrap();
    let reports = backend.inspect(Duration::from_secs(2)).await.unwrap();
    assert_eq!(reports.iter().map(|report| &report.endpoint).collect::<Vec<_>>(), [&endpoint]);
}

#[tokio::test]
async fn a_session_is_suspect_while_there_is_no_primary_and_lost_if_none_comes() {
    let sentinels = RedisSentinels::start(ServerOptions::default()).await;
    let backend = RedisBackend::new(config(&sentinels)).unwrap();
    let session = backend.open_session(options(Duration::from_secs(3))).await.unwrap();
    for server in sentinels.servers() {
        server.kill().await;
    }
    until_suspect(&*session).await;
    assert_eq!(soon(session.liveness().lost()).await, LossReason::DeadlinePassed);
}
