//! First come, first served, however many come.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fixture::*;

/// How often each of `contenders` nodes gets the lock until it was got `each` times on average.
async fn shares(endpoint: &str, contenders: usize, each: usize) -> Vec<usize> {
    let mut nodes = Vec::new();
    for _ in 0..contenders {
        nodes.push(coordinator(endpoint, LONG_TTL).await);
    }
    let (start, stop) = (Arc::new(Barrier::new(contenders)), Arc::new(AtomicBool::new(false)));
    let total = Arc::new(AtomicUsize::new(0));
    let mut workers = JoinSet::new();
    for node in nodes {
        let (start, stop, total) = (start.clone(), stop.clone(), total.clone());
        workers.spawn(async move {
            let mutex = node.mutex(format!("of {contenders}"));
            let mut share = 0;
            // Everybody stands in the queue before anybody counts.
            mutex.lock().await.unwrap().release().await.unwrap();
            start.wait().await;
            while !stop.load(Ordering::SeqCst) {
                let guard = mutex.lock().await.unwrap();
                if !stop.load(Ordering::SeqCst) {
                    share += 1;
                    if total.fetch_add(1, Ordering::SeqCst) + 1 == contenders * each {
                        stop.store(true, Ordering::SeqCst);
                    }
                }
                guard.release().await.unwrap();
            }
            share
        });
    }
    // It is about who gets how much: with 128 sessions, each of which follows the queue, it takes what it takes.
    timeout(Duration::from_secs(90), workers.join_all()).await.expect("all have had their shares")
}

#[tokio::test]
async fn two_to_128_contenders_get_equal_shares() {
    let server = server().await;
    for (contenders, each) in [(2, 200), (4, 100), (8, 50), (16, 40), (32, 30), (64, 20), (128, 12)] {
        let shares = shares(&server.endpoint(), contenders, each).await;
        let (most, least) = (shares.iter().max().copied().unwrap(), shares.iter().min().copied().unwrap());
        assert!(most * 10 <= least * 12, "{contenders} contenders: {least} to {most}");
    }
}
