//! redis-py, in a Python of the project's own environment.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::process::Worker;

use super::{Client, Peer};
use crate::Failure;
use crate::measure::{Contended, Took};

pub(crate) struct RedisPy {
    python: Worker,
}

impl RedisPy {
    /// Starts the program; an error says what this machine lacks.
    pub(crate) async fn start(endpoint: &str) -> Result<Self, Failure> {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        let made = Command::new(here.join("../../ci/python-venv.sh")).output()?;
        if !made.status.success() {
            return Err(String::from_utf8_lossy(&made.stderr).trim().into());
        }
        let interpreter = String::from_utf8(made.stdout)?;
        let (_, port) = endpoint.rsplit_once(':').ok_or("an endpoint has a port")?;
        let program = here.join("src/peers/redis_py.py");
        let mut python = Worker::start(interpreter.trim(), [program.as_os_str(), port.as_ref()]);
        python.expect("ready").await;
        Ok(Self { python })
    }

    /// The numbers that the program answers.
    async fn ask(&mut self, line: &str) -> Result<Vec<u64>, Failure> {
        let answer = self.python.ask(line, "done").await;
        Ok(answer.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }
}

#[async_trait]
impl Client for RedisPy {
    fn name(&self) -> &'static str {
        "redis-py"
    }

    fn commands(&self) -> &'static [&'static str] {
        &["set", "evalsha", "eval"]
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        match self.ask(&format!("uncontended {rounds}")).await?.as_slice() {
            [nanos, wake_ups] => Ok(Took { time: Duration::from_nanos(*nanos), wake_ups: *wake_ups }),
            answer => Err(format!("redis-py answered {answer:?}").into()),
        }
    }
}

#[async_trait]
impl Peer for RedisPy {
    async fn contend(&mut self, contenders: usize, time: Duration) -> Result<Contended, Failure> {
        match self.ask(&format!("contend {contenders} {}", time.as_secs_f64())).await?.as_slice() {
            [nanos, changes, acquisitions, wake_ups, grants @ ..] => Ok(Contended {
                grants: grants.to_vec(),
                changes: *changes,
                took: Duration::from_nanos(*nanos),
                acquisitions: *acquisitions,
                wake_ups: *wake_ups,
            }),
            answer => Err(format!("redis-py answered {answer:?}").into()),
        }
    }
}
