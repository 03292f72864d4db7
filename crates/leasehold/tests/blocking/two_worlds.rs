//! Threads that block, and asynchronous code.

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use leasehold::blocking::{self, wait, wait_for};
use leasehold::memory::MemoryService;
use leasehold::{ErrorKind, Recipe};

use crate::{PATIENCE, nothing_is_left, open};

#[test]
fn handles_of_both_worlds_share_a_session() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let asynchronous = coordinator.as_async().clone();
    let guard = wait(asynchronous.mutex("one").lock()).unwrap();
    assert!(coordinator.mutex("one").try_lock().unwrap().is_none());
    assert_eq!(service.sessions().len(), 1);
    let guard = blocking::MutexGuard::from(guard);
    wait(guard.into_async().release()).unwrap();
    assert_eq!(coordinator.mutex("\0").lock().unwrap_err().kind(), ErrorKind::InvalidName);
    assert_eq!(blocking::connect("nonsense").unwrap_err().kind(), ErrorKind::InvalidConfig);
    blocking::connect_lazy("memory://").unwrap().mutex("lazy").with(|_| ()).unwrap();
}

fn message(panic: Box<dyn std::any::Any + Send>) -> String {
    match panic.downcast::<String>() {
        Ok(text) => *text,
        Err(panic) => panic.downcast_ref::<&str>().copied().unwrap_or_default().to_owned(),
    }
}

/// What would stop a runtime's thread panics at once instead, on runtimes of both kinds, and nothing is left behind.
#[test]
fn waiting_in_asynchronous_code_panics() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let runtimes = [
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap(),
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap(),
    ];
    for runtime in runtimes {
        let says = |panic| assert!(message(panic).contains("Cannot block the current thread"));
        let refused = |call: &dyn Fn()| says(catch_unwind(AssertUnwindSafe(call)).unwrap_err());
        runtime.block_on(async {
            refused(&|| drop(blocking::connect("memory://")));
            refused(&|| drop(coordinator.mutex("one").lock()));
            refused(&|| drop(coordinator.mutex("one").try_lock()));
            refused(&|| drop(coordinator.mutex("one").with(|_| unreachable!())));
            refused(&|| drop(coordinator.rw_lock("one").read()));
            refused(&|| drop(coordinator.semaphore("one", 1).acquire()));
            refused(&|| drop(coordinator.election("one").campaign("")));
            refused(&|| drop(coordinator.election("one").lead(pending::<()>(), |_| unreachable!())));
            refused(&|| drop(coordinator.election("one").observe().unwrap().next()));
            refused(&|| drop(coordinator.group("one").stay("")));
            refused(&|| drop(coordinator.group("one").watch().unwrap().next_for(Duration::ZERO)));
            refused(&|| drop(coordinator.group("one").events().unwrap().next()));
            refused(&|| drop(coordinator.double_barrier("one", 1).enter()));
            refused(&|| drop(coordinator.admin().names(Recipe::Mutex, "")));
            refused(&|| assert!(wait_for(ready(()), PATIENCE).is_none()));
            refused(&|| drop(coordinator.shutdown(PATIENCE)));
            let mutex = coordinator.mutex("one");
            let task = tokio::spawn(async move { drop(mutex.lock()) });
            says(task.await.unwrap_err().into_panic());
        });
        assert!(service.keys("").is_empty(), "nothing was asked of the service");
    }
    assert!(coordinator.mutex("one").try_lock().unwrap().is_some(), "the coordinator is as it was");
}

#[test]
fn a_guard_is_given_up_in_asynchronous_code_too() {
    let service = MemoryService::new();
    let mutex = open(&service).mutex("one");
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let (dropped, released) = (mutex.lock().unwrap(), open(&service).mutex("two").lock().unwrap());
    let other = open(&service);
    let (election, group) = (other.election("one"), other.group("one"));
    let dropped = (dropped, election.campaign("").unwrap(), group.join("").unwrap(), group.stay("").unwrap());
    let streams = (election.observe().unwrap(), group.watch().unwrap(), group.events().unwrap());
    let staying = group.stay("").unwrap();
    let resigned = other.election("two").campaign("").unwrap();
    runtime.block_on(async {
        drop((dropped, streams));
        catch_unwind(AssertUnwindSafe(|| released.release())).unwrap_err();
        catch_unwind(AssertUnwindSafe(|| staying.leave())).unwrap_err();
        catch_unwind(AssertUnwindSafe(|| resigned.resign())).unwrap_err();
    });
    nothing_is_left(&service);
}

#[test]
fn threads_for_blocking_work_may_wait() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let sums = runtime.block_on(async {
        let work = || blocking::connect("memory://").unwrap().mutex("may wait").with(|_| 1).unwrap();
        let (spawned, in_place) = (
            tokio::task::spawn_blocking(work),
            tokio::spawn(async move { tokio::task::block_in_place(work) }),
        );
        spawned.await.unwrap() + in_place.await.unwrap()
    });
    assert_eq!(sums, 2);
}
