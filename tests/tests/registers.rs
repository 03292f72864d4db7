//! Registers on paused time, over the memory service with injected faults: every fault at every call, with and without others who write
//! meanwhile.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use leasehold::memory::{Fault, MemoryBackend, MemoryService, Operation};
use leasehold::{Capabilities, Coordinator, CoordinatorBuilder, Error, ErrorKind, Updated};
use leasehold_core::{BackendError, Clock, LockBackend, OpenSession, Session};
use tokio::runtime::Handle;
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

const TTL: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The marks that a register keeps.
const MARKS: i64 = 16;

fn builder(service: &MemoryService) -> CoordinatorBuilder {
    Coordinator::builder(service.backend())
        .ttl(TTL)
        .request_timeout(REQUEST_TIMEOUT)
        .runtime(Handle::current())
}

async fn node(service: &MemoryService) -> Coordinator {
    builder(service).connect().await.unwrap()
}

const FAULTS: [Fault; 8] = [
    Fault::None,
    Fault::Refuse,
    Fault::LoseRequest,
    Fault::LoseReply,
    Fault::Delay(Duration::from_secs(1)),
    Fault::Delay(Duration::from_secs(3)),
    Fault::DelayReply(Duration::from_secs(3)),
    Fault::DeliverLate(Duration::from_millis(5)),
];

/// Whether a call takes longer than a request may take.
fn is_too_slow(fault: Fault) -> bool {
    matches!(fault, Fault::Delay(time) | Fault::DelayReply(time) if time > REQUEST_TIMEOUT)
}

/// What happens to the calls of one node: one of them is disturbed, and at that moment somebody else is told.
fn disturb(
    service: &MemoryService,
    node: &Coordinator,
    disturbed: impl Fn(u64) -> bool + Send + Sync + 'static,
    fault: Fault,
    meanwhile: impl Fn() + Send + Sync + 'static,
) -> Arc<AtomicU64> {
    let session = node.status().borrow().session.clone();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    service.on_call(move |call| {
        let ours = call.session == session && !matches!(call.operation, Operation::Renew);
        if !ours {
            return Fault::None;
        }
        let nth = counted.fetch_add(1, Ordering::SeqCst) + 1;
        if !disturbed(nth) {
            return Fault::None;
        }
        meanwhile();
        fault
    });
    calls
}

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

/// The waiter's watch reports changes that were none, late changes, and lost requests.
#[tokio::test(start_paused = true)]
async fn waits_look_again_whatever_wakes_them() {
    for fault in [Fault::Refuse, Fault::Delay(Duration::from_secs(1))] {
        let service = MemoryService::with_tokio_time();
        let (mine, theirs) = (node(&service).await, node(&service).await);
        theirs.barrier("one").set().await.unwrap();
        let session = mine.status().borrow().session.clone();
        let woken = Arc::new(AtomicU64::new(0));
        let count = woken.clone();
        service.on_call(move |call| match call.operation {
            // A few times at once, then in truth.
            Operation::RegisterChanged
                if call.session == session && count.fetch_add(1, Ordering::SeqCst) < 20 =>
            {
                fault
            }
            Operation::Read if call.session == session && call.nth % 3 == 0 => Fault::LoseReply,
            _ => Fault::None,
        });
        let waits = [
            tokio::spawn({
                let barrier = mine.barrier("one");
                async move { barrier.wait().await }
            }),
            tokio::spawn({
                let latch = mine.latch("one", 1);
                async move { latch.wait().await }
            }),
        ];
        sleep(Duration::from_secs(5)).await;
        assert!(waits.iter().all(|wait| !wait.is_finished()));
        theirs.barrier("one").lift().await.unwrap();
        theirs.latch("one", 1).count_down().await.unwrap();
        for wait in waits {
            wait.await.unwrap().unwrap();
        }
        assert!(woken.load(Ordering::SeqCst) >= 2);
    }
}

/// An update that loses its races keeps to its patience, and one that does not wins at last.
#[tokio::test(start_paused = true)]
async fn an_update_keeps_to_its_patience() {
    let service = MemoryService::with_tokio_time();
    let (mine, theirs) = (node(&service).await, node(&service).await);
    let patience = Duration::from_millis(500);
    // Each read of the one is followed by a write of the other.
    let (reached, mut reaching) = tokio::sync::mpsc::unbounded_channel();
    let session = mine.status().borrow().session.clone();
    service.on_call(move |call| match call.operation {
        Operation::Read if call.session == session => {
            let _ = reached.send(());
            Fault::DelayReply(Duration::from_millis(1))
        }
        _ => Fault::None,
    });
    let rival = tokio::spawn(async move {
        while reaching.recv().await.is_some() {
            theirs.register("one").write("theirs").await.unwrap();
        }
    });
    let start = Instant::now();
    let mut runs = 0;
    let register = mine.register("one");
    let updated = register.update_for(patience, |_| {
        runs += 1;
        Some("mine".into())
    });
    assert_eq!(updated.await.unwrap(), Updated::OutOfTime);
    assert!(start.elapsed() <= patience + Duration::from_millis(5), "{:?}", start.elapsed());
    assert!(runs > 3, "{runs}");
    service.clear_on_call();
    rival.await.unwrap();
    let written = mine.register("one").update(|_| Some("mine".into())).await.unwrap().written().unwrap();
    assert_eq!(mine.register("one").read().await.unwrap(), Some(written));
}

/// Reads and writes go on while a coordinator drains, and end with it.
#[tokio::test(start_paused = true)]
async fn a_closed_coordinator_answers_at_once() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    node.register("one").write("x").await.unwrap();
    node.shutdown(Duration::from_secs(1)).await.unwrap();
    let start = Instant::now();
    let closed = |error: Error| assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    closed(node.register("one").read().await.unwrap_err());
    closed(node.register("one").write("y").await.unwrap_err());
    closed(node.register("one").changed(0).await.unwrap_err());
    closed(node.counter("two").add(1).await.unwrap_err());
    closed(node.barrier("one").wait().await.unwrap_err());
    closed(node.latch("one", 1).wait_for(Duration::from_secs(5)).await.unwrap_err());
    assert_eq!(start.elapsed(), Duration::ZERO);
    assert!(service.is_empty());
}

/// A memory service that can do less.
#[derive(Debug)]
struct Lesser {
    inner: MemoryBackend,
    conditional_writes: bool,
    max_value_bytes: usize,
}

#[async_trait]
impl LockBackend for Lesser {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn endpoint(&self) -> String {
        self.inner.endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.conditional_writes = self.conditional_writes;
        capabilities.max_value_bytes = self.max_value_bytes;
        capabilities
    }

    fn clock(&self) -> Clock {
        self.inner.clock()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        self.inner.open_session(options).await
    }
}

/// Work whose completion could not be recorded does not begin.
#[tokio::test(start_paused = true)]
async fn what_the_service_cannot_do_is_told_before_anything_is_done() {
    let service = MemoryService::with_tokio_time();
    let lesser = |conditional_writes, max_value_bytes| {
        let backend = Lesser { inner: service.backend(), conditional_writes, max_value_bytes };
        Coordinator::builder(backend).ttl(TTL).request_timeout(REQUEST_TIMEOUT).runtime(Handle::current())
    };
    let node = lesser(false, 1 << 20).connect().await.unwrap();
    let guard = node.mutex("one").lock().await.unwrap();
    let run = async |node: &Coordinator, occurrence: &str| {
        let once = node.once("billing").occurrence(occurrence);
        let ran = once.run(|_held| async { Ok::<_, Infallible>("done".repeat(20)) }).await;
        ran.map(|ran| ran.unwrap().ran_here()).map_err(|error| error.kind())
    };
    let refused = node.register("one").write_held(&guard, "x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    assert_eq!(node.register("one").read().await.unwrap(), None);
    assert_eq!(run(&node, "1").await, Err(ErrorKind::Unsupported));
    // So little room that a few occurrences fill it.
    let node = lesser(true, 15_000).connect().await.unwrap();
    let mut done = 0;
    let full = loop {
        match run(&node, &done.to_string()).await {
            Ok(ran_here) => assert!(ran_here),
            Err(kind) => break kind,
        }
        done += 1;
        assert!(done < 100, "it is full some time");
    };
    assert_eq!(full, ErrorKind::TooLarge);
    let once = node.once("billing").occurrence("another");
    let refused = once.try_run(|_held| async { Err::<&str, _>("there is no room") });
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(run(&node, "0").await, Ok(false), "what is done stays done");
}
