//! The services, and the processes over them, as the scripts of these tests use them.

use std::collections::VecDeque;
use std::time::Duration;

use leasehold::FencingToken;
use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::{EtcdServer, RedisServer, ServerOptions, ZooKeeperServer};
use tokio::time::{Instant, timeout};

/// The TTL, in seconds, of processes that are killed or stopped.
pub(crate) const MORTAL: u64 = 3;

/// The TTL, in seconds, of those that have no need of a short one.
pub(crate) const LASTING: u64 = 15;

/// How long something is watched that must not happen.
pub(crate) const QUIET: Duration = Duration::from_millis(300);

/// How long a queue may take to become what it is to become.
const PATIENCE: Duration = Duration::from_secs(30);

/// A service, for as long as this lives.
pub(crate) struct Service {
    /// Without the TTL.
    url: String,
    _server: Running,
}

enum Running {
    Etcd { _server: EtcdServer },
    ZooKeeper { _server: ZooKeeperServer },
    Redis { _server: RedisServer },
}

impl Service {
    pub(crate) async fn etcd() -> Self {
        let server = EtcdServer::start(ServerOptions::default()).await;
        let url = format!("etcd://{}?", server.endpoint());
        Self { url, _server: Running::Etcd { _server: server } }
    }

    pub(crate) async fn zookeeper() -> Self {
        let server = ZooKeeperServer::start(ServerOptions::default()).await;
        let url = format!("zookeeper://{}?tick=500ms&", server.endpoint());
        Self { url, _server: Running::ZooKeeper { _server: server } }
    }

    pub(crate) async fn redis() -> Self {
        let server = RedisServer::start(ServerOptions::default()).await;
        let url = format!("redis://{}?", server.endpoint());
        Self { url, _server: Running::Redis { _server: server } }
    }

    /// The URL with a TTL of so many seconds.
    pub(crate) fn url(&self, ttl: u64) -> String {
        format!("{}ttl={ttl}s", self.url)
    }

    /// A process that is connected, with a TTL of so many seconds.
    pub(crate) async fn process(&self, ttl: u64) -> Process {
        let worker = env!("CARGO_BIN_EXE_leasehold-test-recipe-worker");
        let mut worker = Worker::start(worker, [self.url(ttl)]);
        worker.expect("ready").await;
        let pid = worker.pid().expect("it runs");
        Process { worker, pid, said: VecDeque::new() }
    }

    /// Several of them.
    pub(crate) async fn processes<const N: usize>(&self, ttl: u64) -> [Process; N] {
        let mut processes = Vec::with_capacity(N);
        for _ in 0..N {
            processes.push(self.process(ttl).await);
        }
        processes.try_into().unwrap_or_else(|_| unreachable!("there are N"))
    }
}

/// A worker, and what it has said that nobody has listened to yet.
pub(crate) struct Process {
    worker: Worker,
    pid: u32,
    said: VecDeque<String>,
}

impl Process {
    /// Sends a line, `ID COMMAND`.
    pub(crate) async fn tell(&mut self, line: &str) {
        self.worker.send(line).await;
    }

    /// The next outcome of an ID; those of others are kept.
    pub(crate) async fn hear(&mut self, id: &str) -> String {
        let mut from = 0;
        loop {
            for at in from..self.said.len() {
                if let Some(outcome) = of(&self.said[at], id) {
                    let outcome = outcome.to_owned();
                    self.said.remove(at);
                    return outcome;
                }
            }
            from = self.said.len();
            let line = self.worker.line().await;
            let line = line.unwrap_or_else(|| panic!("it ended while {id} was listened to"));
            self.said.push_back(line);
        }
    }

    /// Sends a line, and answers the next outcome of its ID.
    pub(crate) async fn ask(&mut self, line: &str) -> String {
        self.tell(line).await;
        let id = line.split_whitespace().next().expect("a line has an ID");
        self.hear(id).await
    }

    /// Sends a line whose outcome is this.
    pub(crate) async fn does(&mut self, line: &str, outcome: &str) {
        assert_eq!(self.ask(line).await, outcome, "{line}");
    }

    /// Sends a line whose outcome is an error of that kind.
    pub(crate) async fn fails(&mut self, line: &str, kind: &str) {
        let outcome = self.ask(line).await;
        assert!(outcome.starts_with(&format!("error {kind} ")), "{line}: {outcome}");
    }

    /// Sends a line whose outcome is a grant.
    pub(crate) async fn is_granted(&mut self, line: &str) -> FencingToken {
        granted(&self.ask(line).await)
    }

    /// The next outcome of that ID is a grant.
    pub(crate) async fn gets(&mut self, id: &str) -> FencingToken {
        granted(&self.hear(id).await)
    }

    /// The next two outcomes of that ID: that the hold is lost, and what came of the last command. Either may come first.
    pub(crate) async fn hears_of_its_loss(&mut self, id: &str) -> (String, String) {
        let (one, other) = (self.hear(id).await, self.hear(id).await);
        if one.starts_with("lost ") { (one, other) } else { (other, one) }
    }

    /// Nothing is said of that ID, neither until now nor for so long.
    pub(crate) async fn is_silent(&mut self, id: &str, time: Duration) {
        if let Ok(outcome) = timeout(time, self.hear(id)).await {
            panic!("{id} was to be silent: {outcome}");
        }
    }

    /// Looks until the queue is this, as `holds:` and `waits:` with the processes.
    pub(crate) async fn sees(&mut self, recipe: &str, name: &str, queue: &[String]) {
        let expected = format!("contenders {}", queue.join(" "));
        let until = Instant::now() + PATIENCE;
        loop {
            // Each look is a round trip of two processes and the service: that paces it.
            let seen = self.ask(&format!("look admin contenders {recipe} {name}")).await;
            if seen == expected {
                return;
            }
            assert!(Instant::now() < until, "{expected:?} did not become of {seen:?}");
        }
    }

    /// How it is shown in a queue where it holds.
    pub(crate) fn holds(&self) -> String {
        format!("holds:{}", self.pid)
    }

    /// How it is shown in a queue where it waits.
    pub(crate) fn waits(&self) -> String {
        format!("waits:{}", self.pid)
    }

    /// Kills it with SIGKILL.
    pub(crate) async fn kill(mut self) {
        self.worker.kill().await;
    }

    /// Stops it with SIGSTOP.
    pub(crate) fn pause(&self) {
        self.worker.pause();
    }

    /// Lets it run again.
    pub(crate) fn resume(&self) {
        self.worker.resume();
    }
}

/// The outcome, if the line is that ID's.
fn of<'a>(line: &'a str, id: &str) -> Option<&'a str> {
    line.strip_prefix(id)?.strip_prefix(' ')
}

fn granted(outcome: &str) -> FencingToken {
    let token = outcome.strip_prefix("granted ").and_then(|token| token.parse().ok());
    token.unwrap_or_else(|| panic!("no grant: {outcome}"))
}

/// Whether that is the loss of a session that nobody renewed, by whichever it is noticed.
pub(crate) fn is_expiry(outcome: &str) -> bool {
    matches!(outcome, "lost DeadlinePassed" | "lost SessionEnded")
}

/// Makes a test of each case on each service; each test has a server of its own.
macro_rules! on_every_service {
    ($($case:ident),+ $(,)?) => {
        mod etcd {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case($crate::process::Service::etcd().await).await;
                }
            )+
        }

        mod zookeeper {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case($crate::process::Service::zookeeper().await).await;
                }
            )+
        }

        mod redis {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case($crate::process::Service::redis().await).await;
                }
            )+
        }
    };
}

pub(crate) use on_every_service;
