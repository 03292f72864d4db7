//! Runs and their records.

use std::convert::Infallible;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{Coordinator, ErrorKind};
use tokio::time::sleep;

use super::{FAULTS, disturb, is_too_slow, node};

/// Every fault at every call of a run: it ends, it has run once, and the completion is recorded once.
#[tokio::test(start_paused = true)]
async fn a_run_is_completed_once_whatever_is_lost() {
    for fault in FAULTS {
        for nth in 1.. {
            let service = MemoryService::with_tokio_time();
            let (mine, theirs) = (node(&service).await, node(&service).await);
            let calls = disturb(&service, &mine, move |call| call == nth, fault, || {});
            let runs = AtomicU64::new(0);
            let run = async |node: &Coordinator| {
                let once = node.once("billing").occurrence("2026-11-23");
                let ran = once.run(|_held| async {
                    runs.fetch_add(1, Ordering::SeqCst);
                    Ok::<_, Infallible>("done")
                });
                ran.await.map(|ran| ran.unwrap())
            };
            let done = run(&mine).await;
            service.clear_on_call();
            sleep(Duration::from_secs(10)).await;
            let context = format!("{fault:?} of call {nth}: {done:?}");
            let theirs = run(&theirs).await.unwrap();
            assert_eq!(runs.load(Ordering::SeqCst), 1, "{context}");
            match done {
                Ok(done) => {
                    assert!(done.ran_here() && !theirs.ran_here(), "{context}");
                    assert_eq!(theirs.completed_at(), done.completed_at(), "{context}");
                }
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Unavailable, "{context}");
                    assert!(theirs.ran_here(), "it had not begun: {context}");
                    assert!(is_too_slow(fault), "{context}");
                }
            }
            if calls.load(Ordering::SeqCst) < nth {
                assert!(nth > 5, "looks, a place, a record");
                break;
            }
        }
    }
}

/// A runner that has lost its place and cannot know finds the completion of the next one, which looks just like its own.
#[tokio::test(start_paused = true)]
async fn who_completed_is_told_whatever_the_results() {
    let runs = (0..20).map(async |_| {
        let service = MemoryService::with_tokio_time();
        let (mine, theirs) = (node(&service).await, node(&service).await);
        let session = mine.status().borrow().session.clone();
        service.on_call(move |call| match call.operation {
            Operation::Write if call.session == session => Fault::Refuse,
            Operation::Changed if call.session == session => Fault::Delay(Duration::from_secs(60)),
            _ => Fault::None,
        });
        let runs = leasehold_core::KeyPath::new(mine.namespace(), leasehold_core::Kind::OnceRun, "billing/");
        let run = async |node: &Coordinator| {
            let once = node.once("billing");
            let ran = once.run(|_held| async { Ok::<_, Infallible>("done") });
            ran.await.unwrap().unwrap().ran_here()
        };
        let next = async {
            sleep(Duration::from_millis(1)).await;
            let runs = runs.unwrap();
            service.remove_entry(&runs, service.entries(&runs)[0].attempt);
            // In the same moment by the wall clock, which is not the paused one.
            run(&theirs).await
        };
        tokio::join!(run(&mine), next)
    });
    for run in runs {
        assert_eq!(run.await, (false, true));
    }
}

/// A shutdown gives up what cannot be recorded, and then nobody says that nothing was run.
#[tokio::test(start_paused = true)]
async fn a_run_that_a_shutdown_cuts_off_is_lost() {
    let service = MemoryService::with_tokio_time();
    let mine = node(&service).await;
    service.on_call(|call| match call.operation {
        Operation::Write => Fault::Refuse,
        _ => Fault::None,
    });
    let running = tokio::spawn({
        let once = mine.once("billing");
        async move { once.run(|_held| async { Ok::<_, Infallible>("done") }).await }
    });
    sleep(Duration::from_secs(1)).await;
    mine.shutdown(Duration::from_secs(1)).await.unwrap_err();
    let error = running.await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.name()), (ErrorKind::Lost, Some("billing")), "{error}");
}

/// Whoever comes first after the runner looks once more: what it saw before, and what its watch tells it, may be late.
#[tokio::test(start_paused = true)]
async fn a_run_is_not_begun_on_an_old_look() {
    for late in [Operation::Read, Operation::RegisterChanged] {
        let service = MemoryService::with_tokio_time();
        let (mine, theirs) = (node(&service).await, node(&service).await);
        let session = mine.status().borrow().session.clone();
        let count = AtomicU64::new(0);
        service.on_call(move |call| {
            if call.session != session || call.operation != late {
                return Fault::None;
            }
            match (late, count.fetch_add(1, Ordering::SeqCst)) {
                // What it reads is what was there when it asked.
                (Operation::Read, 0) => Fault::DelayReply(Duration::from_secs(1)),
                (Operation::RegisterChanged, _) => Fault::Delay(Duration::from_secs(60)),
                _ => Fault::None,
            }
        });
        // The one looks before, or waits while, the other one runs.
        let (first, second) = tokio::join!(
            async {
                let once = theirs.once("billing");
                once.run(|_held| async {
                    sleep(Duration::from_millis(500)).await;
                    Ok::<_, Infallible>("first")
                })
                .await
            },
            async {
                sleep(Duration::from_millis(1)).await;
                mine.once("billing").run(|_held| async { Err::<&str, _>("it is done already") }).await
            },
        );
        let (first, second) = (first.unwrap().unwrap(), second.unwrap().unwrap());
        assert!(first.ran_here() && !second.ran_here(), "{late:?}");
        assert_eq!(second.result(), "first", "{late:?}");
    }
}
