//! A library of another language, in a program that does what its lines say: a line in, a line out.
//!
//! | line | answer |
//! |---|---|
//! | | `ready` and the library's version, once it is connected and warm |
//! | `uncontended ROUNDS` | `done`, the nanoseconds, the wake-ups |
//! | `prepare CONTENDERS` | `done` |
//! | `contend CONTENDERS SECONDS` | `done`, the nanoseconds, the owner changes, all acquisitions, the wake-ups, the median and the 99th percentile of the nanoseconds waited, and how often each contender got the lock |

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::process::Worker;

use super::Peer;
use crate::Failure;
use crate::measure::{Contended, Took, Waits};

/// Where the project is.
const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../..");

pub(crate) struct Program {
    name: String,
    commands: &'static [&'static str],
    worker: Worker,
}

impl Program {
    /// redis-py's lock.
    pub(crate) async fn redis_py(endpoint: &str) -> Result<Self, Failure> {
        let own = Self::python("redis-py", "redis_py.py", endpoint).await?;
        Ok(Self { commands: &["set", "evalsha", "eval"], ..own })
    }

    /// kazoo's lock.
    pub(crate) async fn kazoo(endpoint: &str) -> Result<Self, Failure> {
        Self::python("kazoo", "kazoo_lock.py", endpoint).await
    }

    /// The mutex of etcd's own client in Go.
    pub(crate) async fn go(endpoint: &str) -> Result<Self, Failure> {
        let program = made_by("crates/leasehold-bench/programs/go-mutex.sh")?;
        Self::start("Go's concurrency.Mutex", vec![program, endpoint.to_owned()]).await
    }

    /// Curator's mutex.
    pub(crate) async fn curator(endpoint: &str) -> Result<Self, Failure> {
        let class_path = made_by("crates/leasehold-bench/programs/curator-mutex.sh")?;
        let java = std::env::var("LEASEHOLD_JAVA_BIN").unwrap_or_else(|_| "java".into());
        let line = [&java, "-Xmx256m", "-XX:+UseSerialGC", "-cp", &class_path, "CuratorMutex", endpoint];
        Self::start("Curator", line.map(str::to_owned).to_vec()).await
    }

    async fn python(name: &str, program: &str, endpoint: &str) -> Result<Self, Failure> {
        let interpreter = made_by("ci/python-venv.sh")?;
        let program = Path::new(ROOT).join("crates/leasehold-bench/programs").join(program);
        // Nothing is compiled into the source directory.
        let line = vec![interpreter, "-B".into(), program.display().to_string(), endpoint.to_owned()];
        Self::start(name, line).await
    }

    async fn start(name: &str, line: Vec<String>) -> Result<Self, Failure> {
        let mut worker = Worker::start(&line[0], &line[1..]);
        let version = worker.expect("ready").await;
        let name = [name, &version].join(" ").trim_end().to_owned();
        Ok(Self { name, commands: &[], worker })
    }

    /// The numbers that the program answers.
    async fn ask(&mut self, line: &str) -> Result<Vec<u64>, Failure> {
        let answer = self.worker.ask(line, "done").await;
        Ok(answer.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }

    fn misunderstood(&self, answer: &[u64]) -> Failure {
        format!("{} answered {answer:?}", self.name).into()
    }
}

#[async_trait]
impl Peer for Program {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn commands(&self) -> &'static [&'static str] {
        self.commands
    }

    fn pid(&self) -> Option<u32> {
        self.worker.pid()
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        match self.ask(&format!("uncontended {rounds}")).await?.as_slice() {
            [nanos, wake_ups] => Ok(Took { time: Duration::from_nanos(*nanos), wake_ups: *wake_ups }),
            answer => Err(self.misunderstood(answer)),
        }
    }

    async fn prepare(&mut self, contenders: usize) -> Result<(), Failure> {
        self.ask(&format!("prepare {contenders}")).await.map(drop)
    }

    async fn contend(&mut self, contenders: usize, time: Duration) -> Result<Contended, Failure> {
        match self.ask(&format!("contend {contenders} {}", time.as_secs_f64())).await?.as_slice() {
            [nanos, changes, acquisitions, wake_ups, median, p99, grants @ ..] => Ok(Contended {
                grants: grants.to_vec(),
                changes: *changes,
                took: Duration::from_nanos(*nanos),
                acquisitions: *acquisitions,
                wake_ups: *wake_ups,
                waits: Waits { median: Duration::from_nanos(*median), p99: Duration::from_nanos(*p99) },
            }),
            answer => Err(self.misunderstood(answer)),
        }
    }
}

/// What a script makes, or finds; an error says what this machine lacks.
fn made_by(script: &str) -> Result<String, Failure> {
    let script: PathBuf = Path::new(ROOT).join(script);
    let made = Command::new(&script).output().map_err(|error| format!("{}: {error}", script.display()))?;
    if !made.status.success() {
        return Err(String::from_utf8_lossy(&made.stderr).trim().into());
    }
    Ok(String::from_utf8(made.stdout)?.trim().to_owned())
}
