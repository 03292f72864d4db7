//! When the whole is lost, and who is told.

use std::sync::mpsc;
use std::time::Duration;

use leasehold::memory::{Call, Fault, MemoryService, Operation};
use leasehold::{ErrorKind, LossReason};
use leasehold_core::local_deadline;
use tokio::runtime::Builder;
use tokio::time::{Instant, sleep};

use crate::fixture::{Contender, Members, SLACK, TTL, everything_settles, held, losses, soon};

/// A contender whose session at each member has a TTL of its own.
async fn with_ttls(members: &Members, ttls: &[u64]) -> Contender {
    let mut nodes = Vec::new();
    for (service, ttl) in members.0.iter().zip(ttls) {
        let one = Members(vec![service.clone()]);
        nodes.extend(one.nodes(Duration::from_secs(*ttl)).await);
    }
    Contender::over(nodes)
}

/// Of deadlines that come one after the other, the one that counts is that of the last member that the majority cannot do without.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_that_of_the_majority() {
    for (ttls, decides) in [
        (&[10, 20, 30][..], 20),
        (&[30, 10, 20], 20),
        (&[10, 10, 30], 10),
        (&[10, 20, 30, 40], 20),
        (&[50, 40, 10, 20, 30], 30),
    ] {
        let members = Members::paused(ttls.len());
        let one = with_ttls(&members, ttls).await;
        let guard = one.lock.lock().await.unwrap();
        everything_settles().await;
        let clock = leasehold_core::Clock::tokio();
        let until = local_deadline(clock.now(), Duration::from_secs(decides)).saturating_since(clock.now());
        // No renewal has been sent since the sessions were opened, a moment ago.
        let remaining = guard.remaining();
        assert!(remaining <= until && remaining + SLACK >= until, "{ttls:?}: {remaining:?}, not {until:?}");
        members.0.iter().for_each(MemoryService::pause);
        let start = Instant::now();
        let lost = tokio::time::timeout(Duration::from_secs(100), guard.lost()).await.unwrap();
        let took = start.elapsed();
        assert!(took + SLACK >= until && took <= until + SLACK, "{ttls:?}: {took:?}, not {until:?}");
        assert_eq!(lost.reason, LossReason::DeadlinePassed);
        let left = lost.members.iter().filter(|member| member.is_held).count();
        assert!(left < one.lock.majority(), "{lost}");
        assert!(!guard.is_held() && guard.remaining().is_zero());
        assert_eq!(guard.loss(), Some(lost));
    }
}

/// Once more with nobody to tell: whoever asks looks at the deadlines by itself.
#[test]
fn a_blocked_runtime_does_not_make_it_believe_longer() {
    let ttl = Duration::from_secs(1);
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let members = Members::real(3);
    let (guard, contender) = runtime.block_on(async {
        let contender = Contender::over(members.nodes(ttl).await);
        (contender.lock.lock().await.unwrap(), contender)
    });
    assert!(guard.is_held());
    // Nothing runs but this thread.
    std::thread::sleep(guard.remaining());
    assert!(!guard.is_held() && guard.remaining().is_zero());
    let reason = guard.loss().unwrap().reason;
    assert_eq!(reason, LossReason::DeadlinePassed);
    // When it runs again, nothing brings it back.
    runtime.block_on(async {
        let lost = guard.lost().await;
        assert_eq!(Some(lost), guard.loss());
        let error = guard.release().await.unwrap_err();
        assert!(error.is_lost(), "{error}");
        drop(contender);
    });
}

/// A member that comes in again does not bring back what was lost while nobody looked.
#[test]
fn a_loss_that_nobody_saw_stays_one() {
    let runtime = |_| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let runtimes: Vec<_> = (0..3).map(runtime).collect();
    let members = Members::real(3);
    let nodes: Vec<_> = (members.0.iter().zip(&runtimes))
        .map(|(service, runtime)| runtime.block_on(Members(vec![service.clone()]).nodes(TTL)).remove(0))
        .collect();
    let slow = |call: &Call| match call.operation {
        Operation::Enqueue => Fault::Delay(Duration::from_millis(100)),
        _ => Fault::None,
    };
    // The first to answer is the one whose runtime keeps the lock.
    members.0[1].on_call(slow);
    members.0[2].on_call(slow);
    let contender = Contender::over(nodes);
    let guard = runtimes[0].block_on(async {
        let guard = contender.lock.lock().await.unwrap();
        while held(&guard) != [true; 3] {
            sleep(Duration::from_millis(1)).await;
        }
        guard
    });
    let (asked, asking) = mpsc::channel();
    members.0[1].on_call(move |call| {
        if call.operation == Operation::Enqueue {
            let _ = asked.send(());
        }
        slow(call)
    });
    members.0[1].expire_session(&contender.session(1));
    asking.recv_timeout(Duration::from_secs(60)).expect("the lost member is asked again");
    // From here on the keeper hears of nothing until all of it has happened.
    let (stopped, is_stopped) = mpsc::channel();
    let (go_on, going_on) = mpsc::channel::<()>();
    runtimes[0].spawn(async move {
        stopped.send(()).unwrap();
        going_on.recv()
    });
    is_stopped.recv().unwrap();
    assert!(held(&guard) == [true, false, true]);
    runtimes[1].block_on(members.until_entries(&[1, 1, 1]));
    members.0[2].expire_session(&contender.session(2));
    // Two of three are another's for a while.
    runtimes[2].block_on(async {
        let other = Members(vec![members.0[2].clone()]).nodes(TTL).await.remove(0);
        soon(other.mutex("x").lock()).await.unwrap().release().await.unwrap();
        sleep(Duration::from_millis(100)).await;
    });
    go_on.send(()).unwrap();
    runtimes[1].block_on(async {
        let lost = soon(guard.lost()).await;
        assert_eq!(lost.members.iter().filter(|member| member.is_held).count(), 1, "{lost}");
        assert!(!guard.is_held());
    });
    drop(guard);
    for runtime in runtimes {
        runtime.shutdown_background();
    }
}

/// The word comes before anybody else can have it, and what is left stays until the guard is released.
#[tokio::test(start_paused = true)]
async fn the_loss_is_told_and_what_is_left_stays() {
    let members = Members::paused(3);
    let [one, other] = [members.contender().await, members.contender().await];
    let guard = one.lock.lock().await.unwrap();
    everything_settles().await;
    let (lost, stop) = (guard.lost(), guard.cancellation_token());
    members.0[0].expire_session(&one.session(0));
    members.0[1].expire_session(&one.session(1));
    let lost = soon(lost).await;
    assert!(lost.reason != LossReason::Released && !guard.is_held());
    assert!(stop.is_cancelled());
    let told: Vec<_> = lost.members.iter().map(|member| (&*member.label, member.is_held)).collect();
    assert_eq!(told, [("1", false), ("2", false), ("3", true)]);
    assert!(lost.to_string().starts_with("1 of 3 members are left; member \"1\": "), "{lost}");
    let error = guard.while_held(async { panic!("no work is begun after a loss") }).await.unwrap_err();
    assert_eq!((error.kind(), error.loss_reason()), (ErrorKind::Lost, Some(lost.reason)), "{error}");
    // The majority is another's now; the third member is still this one's.
    let next = soon(other.lock.lock()).await.unwrap();
    everything_settles().await;
    assert_eq!(held(&next), [true, true, false]);
    assert_eq!(members.entries()[2], 2);
    let error = guard.release().await.unwrap_err();
    assert!(error.is_lost() && error.failures().len() == 0, "{error}");
    everything_settles().await;
    assert_eq!(held(&next), [true; 3]);
    next.release().await.unwrap();
    members.nothing_is_left().await;
}

#[tokio::test(start_paused = true)]
async fn work_is_dropped_with_the_majority() {
    let members = Members::paused(5);
    let one = members.contender().await;
    let lock = one.lock.clone();
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let working = tokio::spawn(async move {
        lock.with(|held| async move {
            begun.send(held).unwrap();
            std::future::pending::<()>().await;
        })
        .await
    });
    let work = beginning.await.unwrap();
    everything_settles().await;
    for at in 0..2 {
        members.0[at].pause();
    }
    sleep(TTL).await;
    assert!(work.is_held() && !working.is_finished(), "a minority is lost");
    assert_eq!(losses(&work)[2..], [None; 3]);
    members.0[4].expire_session(&one.session(4));
    let error = soon(working).await.unwrap().unwrap_err();
    assert_eq!((error.kind(), error.name()), (ErrorKind::Lost, Some("x")), "{error}");
    members.0.iter().for_each(MemoryService::resume);
    members.nothing_is_left().await;
}

/// The runtime that keeps it is gone: it says so, and stays silent about nothing.
#[test]
fn a_keeper_that_is_gone_is_a_loss() {
    let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let members = Members::real(3);
    let (guard, contender) = runtime.block_on(async {
        let contender = members.contender().await;
        (contender.lock.lock().await.unwrap(), contender)
    });
    runtime.shutdown_timeout(Duration::from_secs(10));
    assert!(!guard.is_held());
    assert!(guard.cancellation_token().is_cancelled());
    let error = leasehold::blocking::wait(guard.release()).unwrap_err();
    assert!(error.is_lost(), "{error}");
    drop(contender);
}

/// A member whose runtime is gone is one that is lost, also if acquisitions are made on it.
#[test]
fn a_member_whose_runtime_is_gone() {
    let runtime = |_| Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut runtimes: Vec<_> = (0..3).map(runtime).collect();
    let members = Members::real(3);
    let nodes: Vec<_> = (members.0.iter().zip(&runtimes))
        .map(|(service, runtime)| runtime.block_on(Members(vec![service.clone()]).nodes(TTL)).remove(0))
        .collect();
    let contender = Contender::over(nodes);
    // No runtime at all is needed to wait.
    let lock = || leasehold::blocking::wait(contender.lock.lock());
    runtimes.remove(0).shutdown_timeout(Duration::from_secs(10));
    let guard = lock().unwrap();
    assert_eq!(held(&guard), [false, true, true]);
    leasehold::blocking::wait(guard.release()).unwrap();
    runtimes.remove(1).shutdown_timeout(Duration::from_secs(10));
    assert_eq!(lock().unwrap_err().kind(), ErrorKind::DriverGone);
    runtimes.remove(0).shutdown_timeout(Duration::from_secs(10));
    assert_eq!(lock().unwrap_err().kind(), ErrorKind::DriverGone);
}
