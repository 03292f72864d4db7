//! Who is granted what, with members that are busy, hung, dead or refuse.

use std::sync::Arc;
use std::time::Duration;

use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{Coordinator, ErrorKind, QuorumLock};
use leasehold_core::{BackendError, Capabilities, Clock, LockBackend, OpenSession, Session};
use tokio::time::Instant;

use crate::fixture::{
    ANSWER, Contender, Members, REQUEST_TIMEOUT, SLACK, TTL, everything_settles, held, soon,
};

#[tokio::test(start_paused = true)]
async fn bad_sets_are_refused() {
    let members = Members::paused(4);
    let nodes = members.nodes(TTL).await;
    let set = |labels: [&'static str; 3], nodes: [&Coordinator; 3]| {
        QuorumLock::new(labels.into_iter().zip(nodes.map(Clone::clone)), "x")
    };
    let [a, b, c] = [&nodes[0], &nodes[1], &nodes[2]];
    let sibling = a.session().connect().await.unwrap();
    let bad = [
        (QuorumLock::new([("a", a.clone()), ("b", b.clone())], "x"), "at least 3"),
        (QuorumLock::new(Vec::<(&str, Coordinator)>::new(), "x"), "0 members"),
        (set(["a", "b", "a"], [a, b, c]), "two members have the label \"a\""),
        (set(["a", "b", "c"], [a, b, a]), "members \"a\" and \"c\" are one service"),
        (set(["a", "b", "c"], [a, b, &sibling]), "members \"a\" and \"c\" are one service"),
    ];
    for (set, says) in bad {
        let error = set.unwrap_err();
        assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidArgument, Some("x")), "{error}");
        assert!(error.to_string().contains(says), "{error}");
    }
    let error = QuorumLock::new(["a", "b", "c"].into_iter().zip(nodes.clone()), "a\0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidName, "{error}");
    let lock = QuorumLock::new(["d", "c", "b", "a"].into_iter().zip(nodes), "x").unwrap();
    assert_eq!((lock.majority(), lock.labels().collect::<Vec<_>>()), (3, vec!["a", "b", "c", "d"]));
}

/// A backend that promises less.
#[derive(Debug)]
struct Unsafe(MemoryService);

#[async_trait::async_trait]
impl LockBackend for Unsafe {
    fn name(&self) -> &'static str {
        "unsafe"
    }

    fn endpoint(&self) -> String {
        self.0.backend().endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        let mut promised = self.0.backend().capabilities();
        promised.safe_deadline = false;
        promised.min_ttl = Duration::from_secs(1);
        promised
    }

    fn clock(&self) -> Clock {
        self.0.backend().clock()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        self.0.backend().open_session(options).await
    }
}

/// Of n members of which so many have no safe deadline, whether the whole has one.
#[tokio::test(start_paused = true)]
async fn the_deadline_is_safe_if_a_shared_member_has_a_safe_one() {
    for (members, unsafe_members, is_safe) in
        [(3, 0, true), (3, 1, false), (4, 1, true), (4, 2, false), (5, 0, true), (5, 1, false)]
    {
        let mut nodes = Vec::new();
        for at in 0..members {
            let service = MemoryService::with_tokio_time();
            let builder = if at < unsafe_members {
                Coordinator::builder(Unsafe(service))
            } else {
                Coordinator::builder(service.backend())
            };
            nodes.push(builder.runtime(tokio::runtime::Handle::current()).connect().await.unwrap());
        }
        let promised = Contender::over(nodes).lock.capabilities();
        assert_eq!(promised.safe_deadline, is_safe, "{unsafe_members} of {members}");
        assert!(!promised.durable_tokens && !promised.fifo && !promised.conditional_writes);
        assert_eq!(promised.min_ttl >= Duration::from_secs(1), unsafe_members > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn one_holder_of_all_members_and_nothing_afterwards() {
    for count in [3, 4, 5] {
        let members = Members::paused(count);
        let [one, other] = [members.contender().await, members.contender().await];
        let guard = one.lock.lock().await.unwrap();
        everything_settles().await;
        assert_eq!(held(&guard), vec![true; count], "it goes on to take those that it does not need");
        assert!(guard.is_held() && guard.loss().is_none());
        assert!(other.lock.try_lock().await.unwrap().is_none());
        let (patience, start) = (Duration::from_millis(1234), Instant::now());
        assert!(other.lock.try_lock_for(patience).await.unwrap().is_none());
        assert!(start.elapsed() >= patience && start.elapsed() <= patience + SLACK);
        guard.release().await.unwrap();
        members.nothing_is_left().await;
        let sum = other.lock.with(|held| async move { u32::from(held.is_held()) + 1 }).await.unwrap();
        assert_eq!(sum, 2);
        members.nothing_is_left().await;
    }
}

/// A minority that says nothing costs no time at all while the lock is free, and its time-out once while it is not.
#[tokio::test(start_paused = true)]
async fn a_hung_minority_is_given_up_on() {
    for (count, hung) in [(3, vec![0]), (3, vec![2]), (5, vec![0, 1]), (5, vec![1, 4])] {
        let members = Members::paused(count);
        let [one, other] = [members.contender().await, members.contender().await];
        hung.iter().for_each(|at| members.0[*at].pause());
        let start = Instant::now();
        let guard = one.lock.lock().await.unwrap();
        assert!(start.elapsed() <= SLACK, "{hung:?} of {count}: {:?}", start.elapsed());
        let alive: Vec<_> = (0..count).map(|at| !hung.contains(&at)).collect();
        assert_eq!(held(&guard), alive);
        // All that are alive are held, which is all that it takes to know.
        assert!(other.lock.try_lock().await.unwrap().is_none());
        assert!(start.elapsed() <= SLACK, "{hung:?} of {count}: {:?}", start.elapsed());
        let waiting = tokio::spawn(async move { other.lock.lock().await });
        tokio::time::sleep(ANSWER * 2).await;
        let start = Instant::now();
        guard.release().await.unwrap();
        assert!(start.elapsed() <= ANSWER + SLACK, "the hung ones are waited for: {:?}", start.elapsed());
        let guard = soon(waiting).await.unwrap().unwrap();
        assert!(start.elapsed() <= ANSWER + SLACK, "{hung:?} of {count}: {:?}", start.elapsed());
        // They come back, and what has asked there meanwhile is either held or gone.
        hung.iter().for_each(|at| members.0[*at].resume());
        members.until_entries(&vec![1; count]).await;
        everything_settles().await;
        assert_eq!(held(&guard), vec![true; count]);
        guard.release().await.unwrap();
        members.nothing_is_left().await;
    }
}

/// Without a majority that answers there is no lock; what was taken is given back when the call returns.
#[tokio::test(start_paused = true)]
async fn a_hung_majority_is_no_contention() {
    for (count, hung) in [(3, 2), (4, 2), (5, 3), (3, 3)] {
        let members = Members::paused(count);
        let one = members.contender().await;
        members.0.iter().take(hung).for_each(MemoryService::pause);
        let start = Instant::now();
        let error = one.lock.try_lock().await.unwrap_err();
        assert_eq!((error.kind(), error.name()), (ErrorKind::Unavailable, Some("x")), "{error}");
        assert!(error.to_string().contains("member \"1\" did not answer in time"), "{error}");
        assert!(start.elapsed() <= ANSWER * 2 + SLACK, "{:?}", start.elapsed());
        assert_eq!(members.entries(), vec![0; count], "given back before it returned");

        let (patience, start) = (Duration::from_millis(3210), Instant::now());
        let error = one.lock.try_lock_for(patience).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(start.elapsed() <= patience + SLACK, "one budget: {:?}", start.elapsed());
        members.nothing_is_left().await;

        // Whoever has the time waits for them.
        let lock = one.lock.clone();
        let waiting = tokio::spawn(async move { lock.lock().await });
        tokio::time::sleep(TTL * 2).await;
        assert!(!waiting.is_finished());
        members.0.iter().for_each(MemoryService::resume);
        let guard = soon(waiting).await.unwrap().unwrap();
        guard.release().await.unwrap();
        members.nothing_is_left().await;
    }
}

/// The slowest members are not waited for, and join when they have answered.
#[tokio::test(start_paused = true)]
async fn a_slow_member_joins_later() {
    let members = Members::paused(3);
    let one = members.contender().await;
    let slow = Duration::from_millis(1500);
    members.0[1].on_call(move |call| match call.operation {
        Operation::Enqueue => Fault::Delay(slow),
        _ => Fault::None,
    });
    let start = Instant::now();
    let guard = one.lock.lock().await.unwrap();
    assert!(start.elapsed() <= SLACK, "{:?}", start.elapsed());
    assert_eq!(held(&guard), [true, false, true]);
    tokio::time::sleep(slow + SLACK).await;
    assert_eq!(held(&guard), [true; 3], "the question that it was late to answer still counts");
    guard.release().await.unwrap();
    members.nothing_is_left().await;
}

/// Members that refuse for good are not waited for, if they are so many that the others are no majority.
#[tokio::test(start_paused = true)]
async fn members_that_are_closed_do_not_count() {
    let members = Members::paused(3);
    let one = members.contender().await;
    one.nodes[0].shutdown(Duration::ZERO).await.unwrap();
    let guard = one.lock.lock().await.unwrap();
    everything_settles().await;
    assert_eq!(held(&guard), [false, true, true]);
    guard.release().await.unwrap();
    one.nodes[2].shutdown(Duration::ZERO).await.unwrap();
    for error in [one.lock.lock().await.unwrap_err(), one.lock.try_lock().await.unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
        assert!(error.to_string().contains("member \"1\""), "{error}");
    }
    members.nothing_is_left().await;
}

/// What is lost between its grant and that of the last member that it takes does not count.
#[tokio::test(start_paused = true)]
async fn a_grant_counts_only_while_it_is_held() {
    let members = Members::paused(3);
    let one = members.contender().await;
    let session = one.session(0);
    let first = members.0[0].clone();
    members.0[2].pause();
    members.0[1].on_call(move |call| {
        if call.operation == Operation::Enqueue {
            // By now the first member has granted; it takes it back before the second one does.
            first.expire_session(&session);
            return Fault::DelayReply(Duration::from_millis(100));
        }
        Fault::None
    });
    let tried = one.lock.try_lock().await;
    let error = tried.expect_err("one member is left");
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    members.0[1].clear_on_call();
    members.0[2].resume();
    let guard = soon(one.lock.lock()).await.unwrap();
    assert!(guard.is_held());
    guard.release().await.unwrap();
    members.nothing_is_left().await;
}

/// A release that enough members confirm is one; one that too few confirm is reported, by member.
#[tokio::test(start_paused = true)]
async fn a_release_is_reported_by_member() {
    let members = Members::paused(3);
    let one = members.contender().await;
    let guard = one.lock.lock().await.unwrap();
    everything_settles().await;
    members.0[1].pause();
    let start = Instant::now();
    guard.release().await.unwrap();
    assert!(start.elapsed() <= ANSWER + SLACK, "{:?}", start.elapsed());
    assert_eq!(members.entries(), [0, 1, 0], "at the hung one when it answers again");
    members.0[1].resume();
    members.nothing_is_left().await;

    let guard = one.lock.lock().await.unwrap();
    everything_settles().await;
    let held = guard.held();
    members.0[0].pause();
    members.0[2].pause();
    let start = Instant::now();
    let error = guard.release().await.unwrap_err();
    assert!(start.elapsed() <= REQUEST_TIMEOUT + SLACK, "{:?}", start.elapsed());
    let failures: Vec<_> = error.failures().map(|(label, error)| (label, error.is_lost())).collect();
    assert_eq!(failures, [("1", false), ("3", false)], "{error}");
    assert!(!error.is_lost() && !held.is_held());
    assert_eq!(leasehold::Error::from(error).kind(), ErrorKind::Unavailable);
    members.0[0].resume();
    members.0[2].resume();
    members.nothing_is_left().await;
}
