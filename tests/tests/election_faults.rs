//! The election on paused time, over the memory service with injected faults.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{
    Coordinator, CoordinatorBuilder, ErrorKind, Leadership, LeadershipTicket, LossReason, Recipe,
};
use leasehold_core::{KeyPath, Kind, Namespace};
use tokio::runtime::Handle;
use tokio::time::{Instant, sleep, timeout};

const TTL: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

fn builder(service: &MemoryService) -> CoordinatorBuilder {
    Coordinator::builder(service.backend())
        .ttl(TTL)
        .request_timeout(REQUEST_TIMEOUT)
        .runtime(Handle::current())
}

async fn node(service: &MemoryService) -> Coordinator {
    builder(service).connect().await.unwrap()
}

fn entries(service: &MemoryService) -> usize {
    service.entries(&KeyPath::new(&Namespace::default(), Kind::Election, "one").unwrap()).len()
}

/// A leader, its ticket, and the coordinator of its next incarnation.
async fn restarted(service: &MemoryService) -> (Coordinator, Leadership, LeadershipTicket, Coordinator) {
    let older = node(service).await;
    let leads = older.election("one").campaign("leader").await.unwrap();
    let ticket = leads.ticket().unwrap();
    let newer = builder(service).resume(ticket.credentials().clone()).connect().await.unwrap();
    (older, leads, ticket, newer)
}

/// Each call of a resumption is disturbed once, one by one, until one needs no more calls than were disturbed.
#[tokio::test(start_paused = true)]
async fn every_lost_reply_of_a_resumption_is_made_good() {
    for disturb in
        [Fault::LoseReply, Fault::LoseRequest, Fault::Refuse, Fault::DeliverLate(Duration::from_secs(1))]
    {
        for nth in 1.. {
            let service = MemoryService::with_tokio_time();
            let (_older, leads, ticket, newer) = restarted(&service).await;
            let (disturbed, published) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
            service.on_call({
                let (disturbed, published) = (disturbed.clone(), published.clone());
                let calls = AtomicU64::new(0);
                move |call| {
                    if matches!(call.operation, Operation::Renew | Operation::Changed) {
                        return Fault::None;
                    }
                    let is_nth = calls.fetch_add(1, Ordering::SeqCst) + 1 == nth;
                    if call.operation == Operation::Publish {
                        published.fetch_add(1, Ordering::SeqCst);
                    }
                    if is_nth {
                        disturbed.fetch_add(1, Ordering::SeqCst);
                        disturb
                    } else {
                        Fault::None
                    }
                }
            });
            let resumed = newer.election("one").resume(&ticket).await.unwrap();
            let (token, first) = (resumed.fencing_token(), leads.fencing_token());
            assert!(token > first && token.order() == first.order() && token.sub_order() >= 1);
            // A token is one that the service has confirmed, not one that was found.
            let leader = newer.election("one").leader().await.unwrap().unwrap();
            assert!(leader.fencing_token() >= token);
            // What arrives late does not disturb it.
            assert!(timeout(TTL, resumed.lost()).await.is_err(), "{disturb:?} of call {nth}");
            let leader = newer.election("one").leader().await.unwrap().unwrap();
            assert_eq!((leader.fencing_token(), leader.value()), (token, &b"leader"[..]));
            resumed.resign().await.unwrap();
            assert_eq!(entries(&service), 0);
            if disturbed.load(Ordering::SeqCst) == 0 {
                assert!(nth > 3, "reads, writes and looks were disturbed");
                assert_eq!(published.load(Ordering::SeqCst), 1);
                break;
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_turn_is_confirmed_before_it_becomes_a_token() {
    let service = MemoryService::with_tokio_time();
    let (_older, _leads, ticket, newer) = restarted(&service).await;
    let once = AtomicBool::new(true);
    service.on_call(move |call| match call.operation {
        Operation::Publish if once.swap(false, Ordering::SeqCst) => Fault::LoseReply,
        _ => Fault::None,
    });
    let resumed = newer.election("one").resume(&ticket).await.unwrap();
    assert_eq!(resumed.fencing_token().sub_order(), 2, "the first one may be somebody else's");
}

/// Who leads is found out by two looks. Between them the leader goes: then it is the next one that leads, or nobody.
#[tokio::test(start_paused = true)]
async fn a_leader_that_vanishes_between_two_looks_is_no_error() {
    for followed in [true, false] {
        let service = MemoryService::with_tokio_time();
        let (leader, next, reader) = (node(&service).await, node(&service).await, node(&service).await);
        let leads = leader.election("one").campaign("first").await.unwrap();
        let standing = followed
            .then(|| tokio::spawn(async move { next.election("one").campaign("second").await.unwrap() }));
        sleep(Duration::from_secs(1)).await;
        let (session, reads) = (reader.status().borrow().session.clone(), AtomicU64::new(0));
        service.on_call(move |call| match call.operation {
            Operation::Entries if call.session == session && reads.fetch_add(1, Ordering::SeqCst) == 0 => {
                Fault::Delay(Duration::from_secs(1))
            }
            _ => Fault::None,
        });
        let election = reader.election("one");
        let reading = tokio::spawn(async move { election.leader().await });
        sleep(Duration::from_millis(500)).await;
        leads.resign().await.unwrap();
        let seen = reading.await.unwrap().unwrap();
        assert_eq!(seen.map(|leader| leader.value().to_vec()), followed.then(|| b"second".to_vec()));
        if let Some(standing) = standing {
            standing.await.unwrap().resign().await.unwrap();
        }
    }
}

/// Somebody asks the leader to give up between the look of a resumption and its write: that is not written over.
#[tokio::test(start_paused = true)]
async fn a_resumption_overwrites_nobody() {
    let service = MemoryService::with_tokio_time();
    let (_older, _leads, ticket, newer) = restarted(&service).await;
    let admin = node(&service).await;
    let session = newer.status().borrow().session.clone();
    let publications = AtomicU64::new(0);
    service.on_call(move |call| match call.operation {
        Operation::Publish if call.session == session && publications.fetch_add(1, Ordering::SeqCst) == 0 => {
            Fault::Delay(Duration::from_secs(1))
        }
        _ => Fault::None,
    });
    let resuming = tokio::spawn(async move { newer.election("one").resume(&ticket).await.unwrap() });
    sleep(Duration::from_millis(500)).await;
    assert!(admin.admin().ask_to_release(Recipe::Election, "one", "a test").await.unwrap() > 0);
    let resumed = resuming.await.unwrap();
    let asked = timeout(Duration::from_secs(1), resumed.asked_to_release()).await;
    assert_eq!(asked.as_deref(), Ok("a test"));
    assert!(resumed.is_held());
}

/// A caller that is gone leaves no entry without an owner, wherever the resumption stands.
#[tokio::test(start_paused = true)]
async fn a_resumption_that_nobody_awaits_resigns() {
    for operation in [Operation::Entries, Operation::Publish, Operation::Contenders] {
        let service = MemoryService::with_tokio_time();
        let (_older, _leads, ticket, newer) = restarted(&service).await;
        service.on_call(move |call| match call.operation {
            of if of == operation => Fault::Delay(Duration::from_secs(1)),
            _ => Fault::None,
        });
        let election = newer.election("one");
        assert!(timeout(Duration::from_millis(500), election.resume(&ticket)).await.is_err());
        sleep(Duration::from_secs(3)).await;
        assert_eq!(entries(&service), 0, "dropped during {operation}");
        let error = election.resume(&ticket).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
    }
}

#[tokio::test(start_paused = true)]
async fn a_resumption_that_is_refused_can_be_made_again() {
    let service = MemoryService::with_tokio_time();
    let older = node(&service).await;
    let max = older.capabilities().max_value_bytes;
    let leads = older.election("one").campaign(vec![b'x'; max - 200]).await.unwrap();
    let ticket = leads.ticket().unwrap();
    let talkative = leasehold::HolderInfo::this_process().with_purpose("p".repeat(400));
    let resume = |holder| builder(&service).resume(ticket.credentials().clone()).holder(holder).connect();
    let newer = resume(talkative).await.unwrap();
    for _ in 0..2 {
        let error = newer.election("one").resume(&ticket).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::TooLarge, "{error}");
    }
    assert_eq!(entries(&service), 1);
    let newest = resume(leasehold::HolderInfo::this_process()).await.unwrap();
    let resumed = newest.election("one").resume(&ticket).await.unwrap();
    assert_eq!(resumed.fencing_token().sub_order(), 1);
}

/// A change that is under way when its guard is given up does not hold the release up, and comes to nothing.
#[tokio::test(start_paused = true)]
async fn a_resignation_does_not_wait_for_a_proclamation() {
    let service = MemoryService::with_tokio_time();
    let (node, other) = (node(&service).await, node(&service).await);
    let leads = node.election("one").campaign("first").await.unwrap();
    service.on_call(|call| match call.operation {
        Operation::Publish => Fault::DeliverLate(Duration::from_secs(1)),
        _ => Fault::None,
    });
    let hung = timeout(Duration::from_millis(100), leads.proclaim("late")).await;
    assert!(hung.is_err(), "{hung:?}");
    let start = Instant::now();
    leads.resign().await.unwrap();
    assert!(start.elapsed() <= Duration::from_millis(1), "{:?}", start.elapsed());
    let next = other.election("one").campaign("next").await.unwrap();
    sleep(Duration::from_secs(2)).await;
    let leader = other.election("one").leader().await.unwrap().unwrap();
    assert_eq!((leader.value(), leader.fencing_token()), (&b"next"[..], next.fencing_token()));
}

/// The older incarnation changes its entry in the same moments in which the newer one raises its turn.
#[tokio::test(start_paused = true)]
async fn proclamations_race_a_resumption() {
    for delay in 0..20 {
        let service = MemoryService::with_tokio_time();
        let older = node(&service).await;
        let leads = older.election("one").campaign("leader").await.unwrap();
        let ticket = leads.ticket().unwrap();
        service.on_call(move |call| match call.operation {
            Operation::Publish => Fault::Delay(Duration::from_millis(call.nth % 7)),
            Operation::OpenSession => Fault::Delay(Duration::from_millis(delay)),
            _ => Fault::None,
        });
        let proclaiming = tokio::spawn(async move {
            let mut last = 0;
            loop {
                match leads.proclaim((last + 1).to_string()).await {
                    Ok(()) => last += 1,
                    Err(error) => return (last, error),
                }
            }
        });
        sleep(Duration::from_millis(3)).await;
        let newer = builder(&service).resume(ticket.credentials().clone()).connect().await.unwrap();
        let resumed = newer.election("one").resume(&ticket).await.unwrap();
        let (last, error) = proclaiming.await.unwrap();
        assert_eq!(error.loss_reason(), Some(LossReason::Superseded));
        let leader = newer.election("one").leader().await.unwrap().unwrap();
        assert_eq!(leader.fencing_token(), resumed.fencing_token());
        // The one that failed may have been published in the last moments.
        let value: u32 = String::from_utf8_lossy(leader.value()).parse().unwrap_or(0);
        assert!(value == last || value == last + 1, "{value} after {last}");
        assert!(timeout(TTL, resumed.lost()).await.is_err());
    }
}
