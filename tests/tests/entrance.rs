//! Another client's semaphore, whose permits are taken under a lock, over the memory service on paused time: every moment between the
//! two steps.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{Capabilities, Coordinator, ErrorKind, Semaphore, WireProfile};
use leasehold_core::{
    BackendError, Clock, KeyPath, Kind, LockBackend, Namespace, OpenSession, Session, WireLayout,
};
use leasehold_testkit::polls::drop_at_every_poll;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};

const TTL: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const PATH: &str = "/app/permits";

/// The memory service, which keeps the queues of whatever path, as one that speaks of a semaphore of Curator's.
#[derive(Debug)]
struct Speaking(Arc<dyn LockBackend>);

#[async_trait]
impl LockBackend for Speaking {
    fn name(&self) -> &'static str {
        self.0.name()
    }

    fn endpoint(&self) -> String {
        self.0.endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.0.capabilities();
        capabilities.wire = &[(WireProfile::Curator, Kind::Semaphore)];
        capabilities
    }

    fn clock(&self) -> Clock {
        self.0.clock()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        self.0.open_session(options).await
    }
}

async fn node(service: &MemoryService) -> Coordinator {
    let backend = Speaking(Arc::new(service.backend()));
    let builder = Coordinator::builder(backend).ttl(TTL).request_timeout(REQUEST_TIMEOUT);
    builder.runtime(Handle::current()).connect().await.unwrap()
}

fn semaphore(node: &Coordinator, limit: u32) -> Semaphore {
    node.at(WireProfile::Curator, PATH).semaphore(limit).unwrap()
}

/// How many entries there are at the entrance and among the permits.
fn entries(service: &MemoryService, limit: u32) -> (usize, usize) {
    let layout = WireLayout::new(WireProfile::Curator, Kind::Semaphore);
    let at = |layout| service.entries(&KeyPath::verbatim(&Namespace::default(), layout, PATH).unwrap()).len();
    (at(layout.at_entrance()), at(layout.with_limit(limit)))
}

fn millis(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

/// On paused time a sleep ends when everything else is idle.
async fn everything_settles() {
    sleep(millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn the_limit_is_kept_and_reached_whoever_gives_up() {
    const LIMIT: u32 = 2;
    let service = MemoryService::with_tokio_time();
    let (held, most, granted) =
        (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for session in 0..3 {
        let node = node(&service).await;
        for task in 0..5_u64 {
            let (semaphore, held, most, granted) =
                (semaphore(&node, LIMIT), held.clone(), most.clone(), granted.clone());
            tasks.spawn(async move {
                for turn in 0..40 {
                    // Some never give up, some are dropped in the midst, some run out of time.
                    let patience = millis((session * 7 + task * 13 + turn * 5) % 60);
                    let permit = match task {
                        0 | 1 => Some(semaphore.acquire().await.unwrap()),
                        2 => semaphore.try_acquire_for(patience).await.unwrap(),
                        3 => timeout(patience, semaphore.acquire()).await.ok().map(Result::unwrap),
                        _ => semaphore.try_acquire().await.unwrap(),
                    };
                    if let Some(permit) = permit {
                        assert!(permit.is_held());
                        most.fetch_max(held.fetch_add(1, Ordering::SeqCst) + 1, Ordering::SeqCst);
                        granted.fetch_add(1, Ordering::SeqCst);
                        sleep(millis(turn % 4)).await;
                        held.fetch_sub(1, Ordering::SeqCst);
                        if turn % 3 > 0 {
                            permit.release().await.unwrap();
                        }
                    }
                }
            });
        }
    }
    timeout(Duration::from_secs(600), tasks.join_all()).await.expect("they stand still");
    assert_eq!(most.load(Ordering::SeqCst), LIMIT as usize);
    assert!(granted.load(Ordering::SeqCst) >= 240);
    everything_settles().await;
    assert_eq!(entries(&service, LIMIT), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn dropped_at_any_poll_it_leaves_nothing() {
    let service = MemoryService::with_tokio_time();
    let (holder, node) = (node(&service).await, node(&service).await);
    let semaphore = semaphore(&node, 1);
    // Free, and with somebody in the way for a while.
    let permit = drop_at_every_poll(
        millis(50),
        || semaphore.acquire(),
        async |polls| {
            everything_settles().await;
            assert_eq!(entries(&service, 1), (0, 0), "dropped at poll {polls}");
        },
    )
    .await;
    permit.unwrap().release().await.unwrap();
    let theirs = self::semaphore(&holder, 1);
    let permit = drop_at_every_poll(
        millis(50),
        async || {
            let held = theirs.acquire().await.unwrap();
            let waiting = semaphore.acquire();
            tokio::pin!(waiting);
            assert!(timeout(millis(120), &mut waiting).await.is_err());
            assert_eq!(entries(&service, 1), (1, 1), "it waits at the entrance");
            drop(held);
            waiting.await
        },
        async |polls| {
            everything_settles().await;
            assert_eq!(entries(&service, 1), (0, 0), "dropped at poll {polls}");
        },
    )
    .await;
    permit.unwrap().release().await.unwrap();
    assert_eq!(entries(&service, 1), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn one_budget_covers_both_steps() {
    let service = MemoryService::with_tokio_time();
    let (holder, first, second) = (node(&service).await, node(&service).await, node(&service).await);
    let held = semaphore(&holder, 1).acquire().await.unwrap();
    let patience = millis(1234);
    // One is first in line, one stands behind it.
    for in_line in [false, true] {
        let waiting = in_line.then(|| {
            let semaphore = semaphore(&first, 1);
            tokio::spawn(async move { semaphore.acquire().await.unwrap() })
        });
        everything_settles().await;
        let start = Instant::now();
        let semaphore = semaphore(&second, 1);
        assert!(semaphore.try_acquire_for(patience).await.unwrap().is_none());
        let took = start.elapsed();
        assert!(took >= patience && took <= patience + millis(1), "{took:?}");
        everything_settles().await;
        assert_eq!(entries(&service, 1), (usize::from(in_line), 1));
        let start = Instant::now();
        assert!(semaphore.try_acquire().await.unwrap().is_none());
        assert!(start.elapsed() < millis(5), "a try waits for nobody");
        assert_eq!(entries(&service, 1), (usize::from(in_line), 1));
        let stats = semaphore.stats();
        assert_eq!((stats.timed_out, stats.contended, stats.acquisitions()), (1, 1, 0));
        if let Some(waiting) = waiting {
            waiting.abort();
        }
        everything_settles().await;
    }
    assert!(held.is_held());
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_lost_in_either_step_leads_back_to_the_lines_end() {
    let service = MemoryService::with_tokio_time();
    let (holder, first, second) = (node(&service).await, node(&service).await, node(&service).await);
    let held = semaphore(&holder, 1).acquire().await.unwrap();
    let waiting = |node: &Coordinator| {
        let semaphore = semaphore(node, 1);
        tokio::spawn(async move { semaphore.acquire().await.unwrap() })
    };
    let expire = |node: &Coordinator| {
        let session = node.status().borrow().session.clone().unwrap();
        assert!(service.expire_session(&session));
    };
    let (mut one, mut two) = (waiting(&first), waiting(&second));
    sleep(millis(100)).await;
    // The one that waits for a permit; then it waits in line, and loses its session there.
    expire(&first);
    sleep(TTL).await;
    expire(&first);
    sleep(TTL).await;
    assert_eq!(entries(&service, 1), (2, 1));
    assert!(held.is_held() && !one.is_finished());
    held.release().await.unwrap();
    let permit = (&mut two).await.unwrap();
    everything_settles().await;
    assert!(!one.is_finished());
    // One that is granted loses its permit, and nobody waits longer for it.
    expire(&second);
    assert!(!permit.is_held() || permit.lost().await == leasehold::LossReason::SessionEnded);
    (&mut one).await.unwrap().release().await.unwrap();
    assert_eq!(entries(&service, 1), (0, 0));
}

/// Whichever request goes wrong, and however: there is a permit in the end, and afterwards nothing.
#[tokio::test(start_paused = true)]
async fn every_request_may_go_wrong_once() {
    let faults = || [Fault::Refuse, Fault::LoseRequest, Fault::LoseReply, Fault::DeliverLate(millis(700))];
    for kind in 0..faults().len() {
        for at in 0..12 {
            let service = MemoryService::with_tokio_time();
            let (holder, node) = (node(&service).await, node(&service).await);
            let held = semaphore(&holder, 1).acquire().await.unwrap();
            let calls = Arc::new(AtomicUsize::new(0));
            let session = node.status().borrow().session.clone().unwrap();
            service.on_call({
                let calls = calls.clone();
                move |call| {
                    let concerned = call.session.as_deref() == Some(session.as_str())
                        && !matches!(call.operation, Operation::Renew | Operation::OpenSession);
                    if concerned && calls.fetch_add(1, Ordering::SeqCst) == at {
                        return faults()[kind];
                    }
                    Fault::None
                }
            });
            let semaphore = semaphore(&node, 1);
            let waiting = tokio::spawn({
                let semaphore = semaphore.clone();
                async move { semaphore.acquire().await.unwrap() }
            });
            sleep(millis(5_000)).await;
            assert!(!waiting.is_finished());
            held.release().await.unwrap();
            let permit = timeout(TTL * 3, waiting).await.expect("it stands still").unwrap();
            assert!(permit.is_held());
            let _ = permit.release().await;
            sleep(TTL).await;
            assert_eq!(entries(&service, 1), (0, 0), "fault {kind} at {at}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn refusals_and_the_end_of_the_coordinator_are_told_in_either_step() {
    let service = MemoryService::with_tokio_time();
    let (holder, first, second) = (node(&service).await, node(&service).await, node(&service).await);
    let held = semaphore(&holder, 1).acquire().await.unwrap();
    let waiting = |node: &Coordinator| {
        let semaphore = semaphore(node, 1);
        tokio::spawn(async move { semaphore.acquire().await.map(drop).unwrap_err() })
    };
    let (one, two) = (waiting(&first), waiting(&second));
    everything_settles().await;
    assert_eq!(entries(&service, 1), (2, 1));
    let start = Instant::now();
    tokio::join!(first.shutdown(TTL), second.shutdown(TTL)).0.unwrap();
    for closed in [one, two] {
        let error = closed.await.unwrap();
        assert_eq!((error.kind(), error.name()), (ErrorKind::Closed, Some(PATH)), "{error:?}");
    }
    assert!(start.elapsed() < Duration::from_secs(1));
    assert_eq!(entries(&service, 1), (0, 1));
    drop(held);

    let node = node(&service).await;
    let enqueues = AtomicUsize::new(0);
    service.on_call(move |call| match call.operation {
        Operation::Enqueue if !enqueues.fetch_add(1, Ordering::SeqCst).is_multiple_of(3) => Fault::Deny,
        _ => Fault::None,
    });
    // The second step is refused, and then the first.
    for _ in 0..2 {
        let error = semaphore(&node, 1).acquire().await.map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error:?}");
        everything_settles().await;
        assert_eq!(entries(&service, 1), (0, 0));
    }
}
