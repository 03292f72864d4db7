//! First come, first served, however many come.

use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::fixture::*;

/// How often each of `contenders`, which are divided among the nodes, gets the lock until it was got `each` times on average.
async fn shares(endpoint: &str, nodes: usize, contenders: usize, each: usize) -> Vec<usize> {
    let mut coordinators = Vec::new();
    for _ in 0..nodes {
        coordinators.push(coordinator(endpoint, LONG_TTL).await);
    }
    let (start, stop) = (Arc::new(Barrier::new(contenders)), Arc::new(AtomicBool::new(false)));
    let (total, grants) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut workers = JoinSet::new();
    for node in coordinators.into_iter().cycle().take(contenders) {
        let (start, stop, total, grants) = (start.clone(), stop.clone(), total.clone(), grants.clone());
        workers.spawn(async move {
            let mutex = node.mutex(format!("of {contenders}"));
            let mut share = 0;
            // Everybody stands in the queue before anybody counts.
            mutex.lock().await.unwrap().release().await.unwrap();
            grants.fetch_add(1, Ordering::SeqCst);
            start.wait().await;
            while !stop.load(Ordering::SeqCst) {
                let guard = mutex.lock().await.unwrap();
                grants.fetch_add(1, Ordering::SeqCst);
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
    // It is about who gets how much, and takes what it takes; but somebody always gets it.
    let mut finished = pin!(workers.join_all());
    loop {
        let before = grants.load(Ordering::SeqCst);
        match timeout(Duration::from_secs(20), &mut finished).await {
            Ok(shares) => return shares,
            Err(_) => assert!(grants.load(Ordering::SeqCst) > before, "nobody gets it any more"),
        }
    }
}

#[tokio::test]
async fn two_to_128_contenders_get_equal_shares() {
    let server = server().await;
    // Each node hears of everything, so many of them take long.
    let cases =
        [(2, 2, 200), (4, 4, 100), (8, 8, 50), (16, 16, 40), (32, 32, 30), (64, 64, 20), (16, 128, 20)];
    for (nodes, contenders, each) in cases {
        let shares = shares(&server.endpoint(), nodes, contenders, each).await;
        let (most, least) = (shares.iter().max().copied().unwrap(), shares.iter().min().copied().unwrap());
        assert!(most * 10 <= least * 12, "{contenders} contenders: {least} to {most}");
    }
}
