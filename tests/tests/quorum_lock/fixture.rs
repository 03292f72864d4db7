//! Members, contenders over them, and a record of who holds.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold::memory::MemoryService;
use leasehold::{Coordinator, LossReason, QuorumHeld, QuorumLock};
use leasehold_core::{KeyPath, Kind, Namespace};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

pub(crate) const TTL: Duration = Duration::from_secs(10);
pub(crate) const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// What a member may take to answer.
pub(crate) const ANSWER: Duration = Duration::from_millis(500);
/// What the timers of paused time may add to an exact time.
pub(crate) const SLACK: Duration = Duration::from_millis(10);

const NAME: &str = "x";

pub(crate) async fn soon<T>(happens: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(60), happens).await.expect("in time")
}

/// On paused time a sleep ends when everything else is idle.
pub(crate) async fn everything_settles() {
    sleep(Duration::from_millis(1)).await;
}

/// The services of a quorum.
#[derive(Clone)]
pub(crate) struct Members(pub(crate) Vec<MemoryService>);

impl Members {
    /// On the time of the test's runtime.
    pub(crate) fn paused(count: usize) -> Self {
        Self((0..count).map(|_| MemoryService::with_tokio_time()).collect())
    }

    /// On real time.
    pub(crate) fn real(count: usize) -> Self {
        Self((0..count).map(|_| MemoryService::new()).collect())
    }

    pub(crate) async fn nodes(&self, ttl: Duration) -> Vec<Coordinator> {
        let mut nodes = Vec::new();
        for service in &self.0 {
            let builder = Coordinator::builder(service.backend()).ttl(ttl).request_timeout(REQUEST_TIMEOUT);
            nodes.push(builder.runtime(Handle::current()).connect().await.unwrap());
        }
        nodes
    }

    /// A contender with sessions of its own.
    pub(crate) async fn contender(&self) -> Contender {
        Contender::over(self.nodes(TTL).await)
    }

    pub(crate) async fn contenders(&self, count: usize) -> Vec<Contender> {
        let mut contenders = Vec::new();
        for _ in 0..count {
            contenders.push(self.contender().await);
        }
        contenders
    }

    /// How many entries the lock has at each member.
    pub(crate) fn entries(&self) -> Vec<usize> {
        let path = KeyPath::new(&Namespace::default(), Kind::Lock, NAME).unwrap();
        self.0.iter().map(|service| service.entries(&path).len()).collect()
    }

    pub(crate) async fn until_entries(&self, entries: &[usize]) {
        let there = async {
            while self.entries() != entries {
                sleep(Duration::from_millis(1)).await;
            }
        };
        if timeout(Duration::from_secs(60), there).await.is_err() {
            panic!("{:?}, and not {entries:?}", self.entries());
        }
    }

    pub(crate) async fn nothing_is_left(&self) {
        self.until_entries(&vec![0; self.0.len()]).await;
    }
}

/// One that wants the lock, like a process.
pub(crate) struct Contender {
    pub(crate) lock: QuorumLock,
    pub(crate) nodes: Vec<Coordinator>,
}

impl Contender {
    pub(crate) fn over(nodes: Vec<Coordinator>) -> Self {
        let labels = (1..).map(|at: usize| at.to_string());
        Self { lock: QuorumLock::new(labels.zip(nodes.clone()), NAME).unwrap(), nodes }
    }

    /// Its session at each member.
    pub(crate) fn session(&self, at: usize) -> String {
        self.nodes[at].status().borrow().session.clone().expect("a session")
    }
}

/// Which members are held.
pub(crate) fn held(held: &QuorumHeld) -> Vec<bool> {
    held.members().iter().map(|member| member.is_held).collect()
}

/// Why each member is not held.
pub(crate) fn losses(held: &QuorumHeld) -> Vec<Option<LossReason>> {
    held.members().iter().map(|member| member.loss).collect()
}

/// Fails as soon as somebody is granted while another one still believes to hold.
#[derive(Clone, Default)]
pub(crate) struct Record {
    last: Arc<Mutex<Option<QuorumHeld>>>,
    tenures: Arc<AtomicUsize>,
}

impl Record {
    /// Is inside for that long, or as long as it is held.
    pub(crate) async fn tenure(&self, held: &QuorumHeld, time: Duration) {
        let before = self.last.lock().unwrap().replace(held.clone());
        assert!(before.is_none_or(|before| !before.is_held()), "two hold at once");
        self.tenures.fetch_add(1, Ordering::SeqCst);
        // The end by a loss is as good as the other one.
        let _ = held.while_held(sleep(time)).await;
    }

    pub(crate) fn tenures(&self) -> usize {
        self.tenures.load(Ordering::SeqCst)
    }
}
