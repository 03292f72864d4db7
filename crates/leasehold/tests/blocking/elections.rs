//! Threads that lead, and threads that watch who does.

use std::future::{pending, ready};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use leasehold::blocking::{Coordinator, wait};
use leasehold::memory::MemoryService;
use leasehold::{Candidate, ErrorKind, LeadershipTicket, LossReason};
use tokio::sync::oneshot;

use crate::{BRIEFLY, PATIENCE, expire, nothing_is_left, open};

fn values(candidates: &[Candidate]) -> Vec<&[u8]> {
    candidates.iter().map(Candidate::value).collect()
}

#[test]
fn one_leads_and_the_next_one_follows() {
    let service = MemoryService::new();
    let (one, two) = (open(&service).election("one"), open(&service).election("one"));
    assert_eq!(one.leader().unwrap(), None);
    let first = one.campaign("first").unwrap();
    assert!(two.try_campaign("second").unwrap().is_none());
    assert!(two.try_campaign_for("second", BRIEFLY).unwrap().is_none());
    let standing = thread::spawn({
        let two = two.clone();
        move || two.campaign("second").unwrap()
    });
    while values(&one.candidates().unwrap()) != [&b"first"[..], b"second"] {
        thread::yield_now();
    }
    first.proclaim("still the first").unwrap();
    let leader = two.leader().unwrap().unwrap();
    assert_eq!((leader.value(), leader.fencing_token()), (&b"still the first"[..], first.fencing_token()));
    let token = first.fencing_token();
    first.resign().unwrap();
    let second = standing.join().unwrap();
    assert!(second.is_held() && second.fencing_token() > token);
    second.release().unwrap();
    nothing_is_left(&service);
    let leadership = one.try_campaign_for("again", PATIENCE).unwrap().unwrap();
    drop(leadership);
    nothing_is_left(&service);
    let stats = two.stats();
    assert_eq!((stats.acquisitions(), stats.contended, stats.timed_out), (1, 1, 1));
    assert_eq!(open(&service).election("\0").campaign("").unwrap_err().kind(), ErrorKind::InvalidName);
}

#[test]
fn who_leads_is_followed_until_the_shutdown() {
    let service = MemoryService::new();
    let (watching, candidate) = (open(&service), open(&service).election("one"));
    let mut leaders = watching.election("one").observe().unwrap();
    assert_eq!(leaders.name(), "one");
    assert_eq!(leaders.next(), Some(None), "nobody yet");
    assert_eq!(leaders.next_for(BRIEFLY).unwrap(), None, "nothing has changed");
    assert_eq!(leaders.next_for(Duration::ZERO).unwrap(), None);
    let leadership = candidate.campaign("a").unwrap();
    let leader = leaders.next_for(PATIENCE).unwrap().expect("in time").expect("a leader");
    assert_eq!((leader.value(), leader.fencing_token()), (&b"a"[..], leadership.fencing_token()));
    leadership.proclaim("b").unwrap();
    assert_eq!(leaders.next().unwrap().unwrap().value(), b"b");

    let rest = thread::spawn(move || (leaders.by_ref().collect::<Vec<_>>(), leaders));
    leadership.resign().unwrap();
    // The end is seen by the other thread, which may not have seen the resignation by then.
    watching.shutdown(PATIENCE).unwrap();
    let (seen, mut leaders) = rest.join().unwrap();
    assert!(seen.is_empty() || seen == [None], "{seen:?}");
    assert_eq!(leaders.next(), None, "it stays so");
    let error = leaders.next_for(PATIENCE).unwrap_err();
    assert_eq!((error.kind(), error.name()), (ErrorKind::Closed, Some("one")));
    assert_eq!(watching.election("\0").observe().unwrap_err().kind(), ErrorKind::InvalidName);
}

/// What was lost is led again, by the same closure; what returns is not.
#[test]
fn leading_goes_on_over_a_loss() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let election = coordinator.election("one").proclaiming("me");
    let mut tokens = Vec::new();
    let led = election.lead(pending::<()>(), |held| {
        assert_eq!(election.leader().unwrap().unwrap().value(), b"me");
        tokens.push(held.fencing_token());
        if tokens.len() < 3 {
            expire(&service, &coordinator);
            wait(held.cancellation_token().cancelled());
            assert!(!held.is_held());
        }
        tokens.len()
    });
    assert_eq!(led.unwrap(), Some(3), "what was answered after a loss is dropped");
    assert!(tokens.windows(2).all(|pair| pair[0] < pair[1]), "{tokens:?}");
    assert!(service.keys("").is_empty(), "resigned");
    assert_eq!(election.stats().losses, 2);

    let panicked =
        catch_unwind(AssertUnwindSafe(|| election.lead(pending::<()>(), |_| panic!("on purpose"))));
    assert!(panicked.is_err());
    nothing_is_left(&service);
}

#[test]
fn standing_ends_with_the_shutdown_that_was_given() {
    let service = MemoryService::new();
    let (leader, standing) = (open(&service).election("one"), open(&service));
    let leadership = leader.campaign("leader").unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let led = thread::spawn({
        let election = standing.election("one");
        move || election.lead(stopped, |_| unreachable!("another one leads"))
    });
    while leader.candidates().unwrap().len() < 2 {
        thread::yield_now();
    }
    stop.send(()).unwrap();
    assert_eq!(led.join().unwrap().unwrap(), None::<()>);
    assert_eq!(standing.election("one").lead(ready(()), |_| ()).unwrap(), None, "it had not even begun");

    // The coordinator's own shutdown is told to who works, and ends the wait of who stands.
    let (working, works) = mpsc::channel();
    let standing_too = thread::spawn({
        let election = standing.election("one");
        move || {
            election.lead(pending::<()>(), |held| {
                working.send(()).unwrap();
                wait(held.cancellation_token().cancelled());
                held.is_held()
            })
        }
    });
    leadership.resign().unwrap();
    works.recv_timeout(PATIENCE).unwrap();
    standing.shutdown(PATIENCE).unwrap();
    assert_eq!(standing_too.join().unwrap().unwrap(), Some(true), "kept until the work had ended");
    let closed = standing.election("one").lead(pending::<()>(), |_| ());
    assert_eq!(closed.unwrap_err().kind(), ErrorKind::Closed);
}

#[test]
fn a_leadership_is_resumed() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let own = Coordinator::open(coordinator.session()).unwrap();
    let earlier = own.election("one").campaign("me").unwrap();
    let ticket = LeadershipTicket::from_bytes(&earlier.ticket().unwrap().to_bytes()).unwrap();
    assert_eq!(own.credentials().as_ref(), Some(ticket.credentials()));
    let next = Coordinator::open(coordinator.session().resume(ticket.credentials().clone())).unwrap();
    let election = next.election("one");
    let resumed = election.resume(&ticket).unwrap();
    assert!(resumed.fencing_token() > earlier.fencing_token());
    assert_eq!(election.leader().unwrap().unwrap().value(), b"me");
    assert_eq!(wait(earlier.lost()), LossReason::Superseded);
    assert_eq!(election.resume(&ticket).unwrap_err().kind(), ErrorKind::InvalidArgument);
    resumed.resign().unwrap();
    assert_eq!((election.stats().acquisitions(), election.stats().holds.count()), (0, 1));
}
