//! How fast a contended lock changes hands; alone in its file, so that no other test runs beside it.

mod etcd_support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use etcd_support::*;
use leasehold_testkit::servers::{EtcdServer, ServerOptions};
use tokio::time::{Instant, sleep};

/// Acquisitions a second of one lock by so many sessions.
async fn rate(server: &EtcdServer, sessions: usize) -> f64 {
    let rounds = Arc::new(AtomicU64::new(0));
    let mut coordinators = Vec::new();
    let mut tasks = tokio::task::JoinSet::new();
    for _ in 0..sessions {
        let (coordinator, rounds) = (coordinator(&server.endpoint()).await, rounds.clone());
        let mutex = coordinator.mutex("hot");
        coordinators.push(coordinator);
        tasks.spawn(async move {
            loop {
                let guard = mutex.lock().await.unwrap();
                rounds.fetch_add(1, Ordering::Relaxed);
                guard.release().await.unwrap();
            }
        });
    }
    sleep(Duration::from_millis(500)).await;
    let (start, before) = (Instant::now(), rounds.load(Ordering::Relaxed));
    sleep(Duration::from_secs(2)).await;
    let rate = (rounds.load(Ordering::Relaxed) - before) as f64 / start.elapsed().as_secs_f64();
    tasks.shutdown().await;
    for coordinator in coordinators {
        coordinator.shutdown(Duration::from_secs(5)).await.unwrap();
    }
    rate
}

/// etcd serves watches that begin in the past every 100 ms. A lock that waits for that changes hands some 80 times a second
/// among eight sessions, however fast the machine is; one that does not is about as fast as without contention.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handoff_does_not_wait_for_the_server_s_loop() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let alone = rate(&server, 1).await;
    let contended = rate(&server, 8).await;
    println!("acquisitions a second: {alone:.0} by one session, {contended:.0} by eight");
    assert!(contended > alone / 4.0, "{alone:.0} by one session, {contended:.0} by eight");
}
