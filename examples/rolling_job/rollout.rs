//! The workers as the judge has them: started, heard, answered, and ended in one way or the other.

use std::collections::BTreeMap;
use std::error::Error;
use std::io;
use std::time::{Duration, Instant};

use leasehold::{Admin, Coordinator, FencingToken, Recipe};
use leasehold_examples::child_process::ChildProcess;
use leasehold_examples::lines::{Line, Said};
use leasehold_examples::node_thread::NodeThread;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::log::TickLog;
use crate::worker::{self, Job};

/// Between two looks at the queue.
const LOOK: Duration = Duration::from_millis(10);

/// A worker's process, or its thread where processes cannot share the service.
enum Body {
    Process(ChildProcess),
    Thread { node: NodeThread, tell: UnboundedSender<String>, stop: Option<oneshot::Sender<()>> },
}

pub(crate) struct Worker {
    pub(crate) name: String,
    body: Option<Body>,
    /// The tick that it works on.
    pub(crate) in_hand: Option<u64>,
    /// The last tick that it has done, and when the log heard of it.
    pub(crate) done: Option<(u64, Instant)>,
}

impl Worker {
    /// Whether it has ended, or was killed.
    pub(crate) fn is_gone(&self) -> bool {
        self.body.is_none()
    }
}

pub(crate) struct Rollout {
    job: Job,
    admin: Admin,
    judge: UnboundedSender<Said>,
    said: UnboundedReceiver<Said>,
    pub(crate) workers: Vec<Worker>,
    /// Who leads, and since when.
    pub(crate) leader: Option<(usize, Instant)>,
    pub(crate) log: TickLog,
    /// How many times each tick was begun.
    pub(crate) begun: BTreeMap<u64, u32>,
}

impl Rollout {
    pub(crate) fn new(job: Job, coordinator: &Coordinator) -> Self {
        let (judge, said) = unbounded_channel();
        let (admin, log) = (coordinator.admin(), TickLog::new());
        Self { job, admin, judge, said, workers: Vec::new(), leader: None, log, begun: BTreeMap::new() }
    }

    /// Starts a worker and answers its number when it stands for election.
    pub(crate) async fn start(&mut self, name: &str) -> Result<usize, Box<dyn Error>> {
        let (number, job, judge) = (self.workers.len(), self.job.clone(), self.judge.clone());
        let (name, body) = if job.url.starts_with("memory:") {
            let (tell, line) = Line::within(number, judge);
            let (stop, stopped) = oneshot::channel();
            let builder = job.builder()?;
            let node = NodeThread::start(format!("worker-{number}"), async move |runtime| {
                worker::work(job, builder.runtime(runtime), stopped, line).await;
            })?;
            (format!("worker {name} (a thread)"), Body::Thread { node, tell, stop: Some(stop) })
        } else {
            let process = ChildProcess::start(number, &job.arguments(), judge)?;
            (format!("worker {name} (process {})", process.id()), Body::Process(process))
        };
        self.workers.push(Worker { name, body: Some(body), in_hand: None, done: None });
        let wanted = self.workers.iter().filter(|worker| !worker.is_gone()).count();
        while self.admin.contenders(Recipe::Election, &self.job.election).await?.len() != wanted {
            if let Ok(heard) = timeout(LOOK, self.until(|_| false)).await {
                heard?;
            }
        }
        Ok(number)
    }

    /// Hears the workers, and answers them for the log, until something is so.
    pub(crate) async fn until(&mut self, so: impl Fn(&Self) -> bool) -> Result<(), Box<dyn Error>> {
        while !so(self) {
            let said = self.said.recv().await.ok_or("nobody is there any more")?;
            self.hear(said)?;
        }
        Ok(())
    }

    fn hear(&mut self, Said { by, at, line }: Said) -> Result<(), Box<dyn Error>> {
        let worker = &mut self.workers[by];
        // What a worker had said when it was killed, and what has not arrived by then, never does.
        let Some(body) = &mut worker.body else { return Ok(()) };
        let words: Vec<_> = line.split(' ').collect();
        match words.as_slice() {
            ["leads", _] => self.leader = Some((by, at)),
            ["begins", tick] => {
                let tick = tick.parse()?;
                worker.in_hand = Some(tick);
                *self.begun.entry(tick).or_default() += 1;
            }
            ["next", token] => match self.log.next(token.parse()?) {
                Ok((tick, due)) => body.tell(format!("{token} {tick} {}", due.as_millis()))?,
                Err(_stale) => body.tell(format!("{token} stale"))?,
            },
            ["done", token, tick] => {
                let (number, tick): (FencingToken, u64) = (token.parse()?, tick.parse()?);
                worker.in_hand = None;
                match self.log.done(number, tick) {
                    Ok(()) => {
                        worker.done = Some((tick, Instant::now()));
                        body.tell(format!("{token} logged"))?;
                    }
                    Err(_stale) => body.tell(format!("{token} stale"))?,
                }
            }
            ["ended"] => {
                body.join()?;
                worker.body = None;
            }
            _ => return Err(format!("{} says {line:?}", worker.name).into()),
        }
        Ok(())
    }

    /// Asks a worker to end.
    pub(crate) fn terminate(&mut self, worker: usize) -> io::Result<()> {
        match &mut self.workers[worker].body {
            Some(Body::Process(process)) => process.terminate(),
            Some(Body::Thread { stop, .. }) => {
                let gone = || io::Error::other("it does not listen any more");
                stop.take().ok_or_else(gone)?.send(()).map_err(|()| gone())
            }
            None => Ok(()),
        }
    }

    /// Ends a worker without asking, as `kill -9` does.
    pub(crate) fn kill(&mut self, worker: usize) -> io::Result<()> {
        match self.workers[worker].body.take() {
            Some(Body::Process(mut process)) => {
                process.kill()?;
                process.wait().map(drop)
            }
            Some(Body::Thread { node, .. }) => node.kill(),
            None => Ok(()),
        }
    }
}

impl Body {
    fn tell(&mut self, line: String) -> io::Result<()> {
        match self {
            Body::Process(process) => process.tell(&line),
            Body::Thread { tell, .. } => tell.send(line).map_err(io::Error::other),
        }
    }

    /// Collects one that has said that it is at its end.
    fn join(&mut self) -> io::Result<()> {
        let Body::Process(process) = self else { return Ok(()) };
        let status = process.wait()?;
        if status.success() { Ok(()) } else { Err(io::Error::other(status.to_string())) }
    }
}
