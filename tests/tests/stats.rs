//! What the handles count, recipe by recipe, on paused time. What each count means is tested with the mutex, in `holds`.

use std::future::pending;
use std::time::Duration;

use leasehold::memory::MemoryService;
use leasehold::{Coordinator, CoordinatorBuilder, Stats};
use tokio::runtime::Handle;
use tokio::task::yield_now;
use tokio::time::{sleep, timeout};

/// What timers and yields may add on paused time.
const TICK: Duration = Duration::from_millis(2);

fn builder(service: &MemoryService) -> CoordinatorBuilder {
    Coordinator::builder(service.backend()).runtime(Handle::current())
}

async fn node(service: &MemoryService) -> Coordinator {
    builder(service).connect().await.unwrap()
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

#[track_caller]
fn about(took: Duration, expected: Duration) {
    assert!(took >= expected && took <= expected + TICK, "{took:?} instead of {expected:?}");
}

/// Acquisitions that were granted, holds that have ended, and losses among them.
fn holds(stats: &Stats) -> (u64, u64, u64) {
    (stats.acquisitions(), stats.holds.count(), stats.losses)
}

/// Acquisitions that were not granted.
fn refusals(stats: &Stats) -> (u64, u64, u64, u64) {
    (stats.contended, stats.timed_out, stats.cancelled, stats.failed)
}

fn expire(service: &MemoryService, node: &Coordinator) {
    let session = node.status().borrow().session.clone().unwrap();
    assert!(service.expire_session(&session));
}

#[tokio::test(start_paused = true)]
async fn a_semaphore_counts_acquisitions_not_permits() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let semaphore = node.semaphore("one", 3);
    let clone = semaphore.clone();
    let (two, one) = (clone.acquire_many(2).await.unwrap(), semaphore.acquire().await.unwrap());
    assert_eq!(holds(&semaphore.stats()), (2, 0, 0));
    assert!(semaphore.try_acquire().await.unwrap().is_none());
    assert!(semaphore.try_acquire_many_for(2, secs(3)).await.unwrap().is_none());
    assert!(timeout(secs(2), semaphore.acquire()).await.is_err());
    semaphore.acquire_many(4).await.unwrap_err();
    node.semaphore("one", 2).acquire().await.unwrap_err();
    two.release().await.unwrap();
    expire(&service, &node);
    one.lost().await;
    let stats = semaphore.stats();
    assert_eq!(holds(&stats), (2, 2, 1));
    assert_eq!(refusals(&stats), (1, 1, 1, 0), "what was never asked of the service is not counted");
    about(stats.holds.max(), secs(5));
    assert_eq!(holds(&node.semaphore("one", 3).stats()), (0, 0, 0), "another handle");
}

#[tokio::test(start_paused = true)]
async fn an_election_counts_candidacies() {
    let service = MemoryService::with_tokio_time();
    let (node, other) = (node(&service).await, node(&service).await);
    let (election, rival) = (node.election("one"), other.election("one"));
    let leadership = election.campaign("a").await.unwrap();
    assert!(rival.try_campaign("b").await.unwrap().is_none());
    assert!(rival.try_campaign_for("b", secs(3)).await.unwrap().is_none());
    sleep(secs(4)).await;
    leadership.resign().await.unwrap();
    let lost = rival.campaign("b").await.unwrap();
    expire(&service, &other);
    lost.lost().await;
    assert_eq!(
        rival.lead(pending::<()>(), |_held| async { 7 }).await.unwrap(),
        Some(7),
        "a candidacy like any other"
    );
    let stats = election.stats();
    assert_eq!((holds(&stats), refusals(&stats)), ((1, 1, 0), (0, 0, 0, 0)));
    about(stats.holds.max(), secs(7));
    let stats = rival.stats();
    assert_eq!((holds(&stats), refusals(&stats)), ((2, 2, 1), (1, 1, 0, 0)));

    // A leadership that is resumed was acquired elsewhere.
    let own = other.session().connect().await.unwrap();
    let earlier = own.election("two").campaign("a").await.unwrap();
    let ticket = earlier.ticket().unwrap();
    let next = builder(&service).resume(ticket.credentials().clone()).connect().await.unwrap();
    let election = next.election("two");
    election.resume(&ticket).await.unwrap().resign().await.unwrap();
    assert_eq!(holds(&election.stats()), (0, 1, 0));
}

#[tokio::test(start_paused = true)]
async fn a_group_counts_memberships() {
    let service = MemoryService::with_tokio_time();
    let node = node(&service).await;
    let group = node.group("one");
    let membership = group.join("a").await.unwrap();
    let staying = group.clone().stay("b").await.unwrap();
    assert_eq!(holds(&group.stats()), (2, 0, 0));
    sleep(secs(3)).await;
    membership.release().await.unwrap();
    assert_eq!(holds(&group.stats()), (2, 1, 0));
    let first = staying.id();
    expire(&service, &node);
    while staying.id().is_none() || staying.id() == first {
        sleep(TICK).await;
    }
    assert_eq!(holds(&group.stats()), (3, 2, 1), "taken again");
    staying.leave().await.unwrap();
    let stats = group.stats();
    assert_eq!((holds(&stats), refusals(&stats)), ((3, 3, 1), (0, 0, 0, 0)));
    about(stats.waits.max(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn once_counts_places_in_line() {
    let service = MemoryService::with_tokio_time();
    let (one, other) = (node(&service).await.once("one"), node(&service).await.once("one"));
    let running = tokio::spawn({
        let one = one.clone();
        async move {
            let work = |_held| async {
                sleep(secs(5)).await;
                Ok::<_, ()>("done")
            };
            one.run(work).await.unwrap().unwrap()
        }
    });
    while one.stats().acquisitions() == 0 {
        yield_now().await;
    }
    assert!(other.try_run(|_held| async { Ok::<_, ()>("not done") }).await.unwrap().is_none());
    assert_eq!(refusals(&other.stats()), (1, 0, 0, 0));
    let seen = other.run(|_held| async { Ok::<_, ()>("not done") }).await.unwrap().unwrap();
    assert_eq!((seen.result(), running.await.unwrap().ran_here()), (&"done".into(), true));
    let stats = one.stats();
    assert_eq!((holds(&stats), refusals(&stats)), ((1, 1, 0), (0, 0, 0, 0)));
    about(stats.holds.max(), secs(5));
    sleep(secs(1)).await;
    let stats = other.stats();
    assert_eq!(stats.contended, 2, "and then it waited");
    assert_eq!(stats.cancelled + stats.acquisitions(), 1, "until it was done, or its turn had come");

    other.run(|_held| async { Ok::<_, ()>("again") }).await.unwrap().unwrap();
    assert_eq!(refusals(&other.stats()), refusals(&stats), "what is done needs no place");
    let occurrence = other.occurrence("today");
    occurrence.run(|_held| async { Ok::<_, ()>("today") }).await.unwrap().unwrap();
    assert_eq!((holds(&occurrence.stats()), other.stats().acquisitions()), ((1, 1, 0), stats.acquisitions()));
}
