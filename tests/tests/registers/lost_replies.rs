//! Writes whose requests or replies are lost.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold::ErrorKind;
use leasehold::memory::{Fault, MemoryService, Operation};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use super::{FAULTS, MARKS, REQUEST_TIMEOUT, disturb, is_too_slow, node};

/// Every fault at every call of an increment, while others add not at all, a little, or more than a register remembers.
#[tokio::test(start_paused = true)]
async fn an_increment_is_applied_once_whatever_is_lost() {
    for fault in FAULTS {
        for others in [0, 1, MARKS - 1, MARKS, MARKS + 5] {
            for nth in 1.. {
                let service = MemoryService::with_tokio_time();
                let (mine, theirs) = (node(&service).await, node(&service).await);
                mine.counter("one").add(100).await.unwrap();
                let (reached, mut reaching) = tokio::sync::mpsc::unbounded_channel();
                let calls = disturb(
                    &service,
                    &mine,
                    move |call| call == nth,
                    fault,
                    move || {
                        let _ = reached.send(());
                    },
                );
                let rival: JoinHandle<()> = tokio::spawn({
                    let counter = theirs.counter("one");
                    async move {
                        // Not at all if the call is never made.
                        if reaching.recv().await.is_some() {
                            for _ in 0..others {
                                counter.add(1000).await.unwrap();
                            }
                        }
                    }
                });
                let start = Instant::now();
                let outcome = mine.counter("one").add(1).await;
                assert!(start.elapsed() <= 5 * REQUEST_TIMEOUT, "{:?}", start.elapsed());
                let disturbed = calls.load(Ordering::SeqCst) >= nth;
                service.clear_on_call();
                rival.await.unwrap();
                let context = format!("{fault:?} of call {nth}, {others} others: {outcome:?}");
                let at_once = theirs.counter("one").get().await.unwrap();
                sleep(Duration::from_secs(10)).await;
                let sum = theirs.counter("one").get().await.unwrap();
                let rivals = if disturbed { others * 1000 } else { 0 };
                let added = sum - 100 - rivals;
                match &outcome {
                    Ok(told) => {
                        assert_eq!(added, 1, "{context}");
                        assert_eq!(told % 10, 1, "{context}");
                        assert_eq!(at_once, sum, "{context}");
                    }
                    Err(error) if error.kind() == ErrorKind::Indeterminate => {
                        assert!((0..=1).contains(&added), "{added}: {context}");
                        assert!(others >= MARKS, "it could have been found out: {context}");
                    }
                    Err(error) => {
                        // A read took as long as a request may take.
                        assert_eq!((error.kind(), added), (ErrorKind::Unavailable, 0), "{context}");
                        assert!(is_too_slow(fault), "{context}");
                    }
                }
                if !disturbed {
                    assert!(nth > 2, "a read and a write at least");
                    break;
                }
            }
        }
    }
}

/// The service never answers the node again.
#[tokio::test(start_paused = true)]
async fn what_nobody_answers_is_indeterminate_within_bounds() {
    for (fault, applied) in [(Fault::LoseReply, true), (Fault::LoseRequest, false)] {
        let service = MemoryService::with_tokio_time();
        let (mine, theirs) = (node(&service).await, node(&service).await);
        theirs.register("one").write("before").await.unwrap();
        let version = mine.register("one").read().await.unwrap().unwrap().version;
        // All but the first read of an update.
        disturb(&service, &mine, |_| true, fault, || {});
        let start = Instant::now();
        let error = mine.register("one").compare_and_set(version, "after").await.unwrap_err();
        assert_eq!(
            (error.kind(), error.name(), error.is_retryable()),
            (ErrorKind::Indeterminate, Some("one"), false)
        );
        assert!(start.elapsed() <= 3 * REQUEST_TIMEOUT, "{:?}", start.elapsed());
        let error = mine.register("two").write("blind").await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Indeterminate, "{error}");
        service.clear_on_call();
        let seen = theirs.register("one").read().await.unwrap().unwrap();
        assert_eq!(seen.value, if applied { "after" } else { "before" });
        assert_eq!(theirs.register("two").read().await.unwrap().is_some(), applied);
        // Refused before anything was done: that is another thing.
        disturb(&service, &mine, |_| true, Fault::Refuse, || {});
        let start = Instant::now();
        let error = mine.register("one").write("refused").await.unwrap_err();
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Unavailable, true), "{error}");
        assert!(start.elapsed() <= REQUEST_TIMEOUT, "{:?}", start.elapsed());
        let error = mine.register("one").read().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        service.clear_on_call();
        assert_eq!(theirs.register("one").read().await.unwrap(), Some(seen));
    }
}

/// An unconditional write is found by its mark, also under what was built upon it; if others have overwritten it, nobody knows.
#[tokio::test(start_paused = true)]
async fn an_unconditional_write_is_looked_for_and_not_repeated() {
    for fault in FAULTS {
        for others in ["nobody", "updates", "writes"] {
            let service = MemoryService::with_tokio_time();
            let (mine, theirs) = (node(&service).await, node(&service).await);
            mine.register("one").write("before").await.unwrap();
            let (reached, mut reaching) = tokio::sync::mpsc::unbounded_channel();
            disturb(
                &service,
                &mine,
                |call| call == 1,
                fault,
                move || {
                    let _ = reached.send(());
                },
            );
            let rival = tokio::spawn({
                let register = theirs.register("one");
                async move {
                    reaching.recv().await.unwrap();
                    // After what is applied at once, before what is looked up or comes late.
                    match others {
                        "updates" => drop(register.update(|_| Some("updated".into())).await.unwrap()),
                        "writes" => drop(register.write("overwritten").await.unwrap()),
                        _ => {}
                    }
                }
            });
            let outcome = mine.register("one").write("mine").await;
            rival.await.unwrap();
            service.clear_on_call();
            sleep(Duration::from_secs(10)).await;
            let seen = theirs.register("one").read().await.unwrap().unwrap();
            let context = format!("{fault:?}, {others}: {outcome:?}, then {seen:?}");
            let arrives_late = matches!(fault, Fault::Refuse | Fault::Delay(_) | Fault::DeliverLate(_));
            if others == "writes" && !arrives_late {
                assert_eq!(seen.value, "overwritten", "{context}");
            }
            match outcome {
                Ok(version) if seen.value == "mine" => assert_eq!(version, seen.version, "{context}"),
                Ok(version) => assert!(version < seen.version, "{context}"),
                Err(error) => {
                    assert_eq!(error.kind(), ErrorKind::Indeterminate, "{context}");
                    let in_vain = matches!(fault, Fault::LoseRequest | Fault::Delay(_));
                    assert!(others == "writes" || in_vain, "it could have been found out: {context}");
                }
            }
        }
    }
}

/// What another one writes on top leaves all of the history, or what is its own: then nobody knows who wrote before.
#[tokio::test(start_paused = true)]
async fn what_is_written_unread_hides_who_wrote_before() {
    for (other, found) in [("update", true), ("compare_and_set", false), ("write", false)] {
        let service = MemoryService::with_tokio_time();
        let (mine, theirs) = (node(&service).await, node(&service).await);
        let version = theirs.register("one").write("before").await.unwrap();
        let session = mine.status().borrow().session.clone();
        let calls = AtomicU64::new(0);
        service.on_call(move |call| match call.operation {
            Operation::Renew => Fault::None,
            _ if call.session != session => Fault::None,
            _ if calls.fetch_add(1, Ordering::SeqCst) == 0 => Fault::LoseReply,
            _ => Fault::Delay(Duration::from_millis(500)),
        });
        let register = mine.register("one");
        let (outcome, after) = tokio::join!(register.compare_and_set(version, "mine"), async {
            sleep(Duration::from_millis(100)).await;
            let register = theirs.register("one");
            let seen = register.read().await.unwrap().unwrap();
            assert_eq!(seen.value, "mine");
            match other {
                "update" => drop(register.update(|_| Some("theirs".into())).await.unwrap()),
                "write" => drop(register.write("theirs").await.unwrap()),
                _ => drop(register.compare_and_set(seen.version, "theirs").await.unwrap()),
            }
            seen.version
        });
        match outcome {
            Ok(written) => assert_eq!((written, found), (Some(after), true), "{other}"),
            Err(error) => assert_eq!((error.kind(), found), (ErrorKind::Indeterminate, false), "{other}"),
        }
    }
}

/// A write on condition of a lock whose reply is lost, while the lock is lost.
#[tokio::test(start_paused = true)]
async fn a_conditional_write_of_a_lost_lock_is_told_rightly() {
    for fault in FAULTS {
        for removed in [false, true] {
            let service = MemoryService::with_tokio_time();
            let (mine, theirs) = (node(&service).await, node(&service).await);
            let version = mine.register("one").write("before").await.unwrap();
            let guard = mine.mutex("one").lock().await.unwrap();
            let path =
                leasehold_core::KeyPath::new(mine.namespace(), leasehold_core::Kind::Lock, "one").unwrap();
            let entry = service.entries(&path)[0].attempt;
            let admin = service.clone();
            disturb(
                &service,
                &mine,
                |call| call == 1,
                fault,
                move || {
                    if removed {
                        // In the next moment: what is applied at once is applied before.
                        let (admin, path) = (admin.clone(), path.clone());
                        tokio::spawn(async move { admin.remove_entry(&path, entry) });
                    }
                },
            );
            let outcome = mine.register("one").compare_and_set_held(&guard, version, "mine").await;
            service.clear_on_call();
            sleep(Duration::from_secs(10)).await;
            let seen = theirs.register("one").read().await.unwrap().unwrap();
            let context = format!("{fault:?}, removed: {removed}: {outcome:?}, then {seen:?}");
            match outcome {
                Ok(written) => {
                    assert_eq!((written, seen.value), (Some(seen.version), "mine".into()), "{context}")
                }
                Err(error) => {
                    assert!(removed && error.kind() == ErrorKind::Lost, "{context}");
                    assert_eq!(seen.value, "before", "{context}");
                }
            }
        }
    }
}

/// Every fault at every call of a count-down.
#[tokio::test(start_paused = true)]
async fn a_count_down_is_counted_once_whatever_is_lost() {
    for fault in FAULTS {
        for created in [false, true] {
            for nth in 1.. {
                let service = MemoryService::with_tokio_time();
                let (mine, theirs) = (node(&service).await, node(&service).await);
                if created {
                    assert!(!theirs.latch("one", 5).wait_for(Duration::ZERO).await.unwrap());
                }
                let calls = disturb(&service, &mine, move |call| call == nth, fault, || {});
                let left = mine.latch("one", 5).count_down().await;
                service.clear_on_call();
                sleep(Duration::from_secs(10)).await;
                let context = format!("{fault:?} of call {nth}: {left:?}");
                let expected = match left {
                    Ok(left) => left,
                    Err(error) => {
                        assert!(error.kind() == ErrorKind::Unavailable && is_too_slow(fault), "{context}");
                        5
                    }
                };
                assert!(expected == 4 || is_too_slow(fault), "{context}");
                assert_eq!(theirs.latch("one", 5).count().await.unwrap(), expected, "{context}");
                if calls.load(Ordering::SeqCst) < nth {
                    break;
                }
            }
        }
    }
}
