//! What a worker does, be it a process or a thread.
//!
//! It says `leads TOKEN`, `begins TICK`, and in the end `ended` or `failed WHY`. It asks the log `next TOKEN`, which is answered by `TOKEN TICK
//! MILLISECONDS`: which tick is next and in how long it is due; and tells it `done TOKEN TICK`, which is answered by `TOKEN logged`. To a stale token the
//! log answers `TOKEN stale`.

use std::error::Error;
use std::future::Future;
use std::time::Duration;

use leasehold::{CoordinatorBuilder, FencingToken, Held};
use leasehold_examples::child_process::{self, ChildProcess};
use leasehold_examples::lines::Line;
use tokio::sync::Mutex;
use tokio::time::sleep;

/// The TTL that all ask for.
pub(crate) const TTL: Duration = Duration::from_secs(3);

/// How long the work of a tick takes.
const WORK: Duration = Duration::from_millis(30);

/// What a worker is to do.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) url: String,
    pub(crate) election: String,
}

impl Job {
    /// What a process is started with to do it.
    pub(crate) fn arguments(&self) -> Vec<String> {
        ["--url", &self.url, "--worker", &self.election].map(str::to_owned).into()
    }

    pub(crate) fn builder(&self) -> Result<CoordinatorBuilder, leasehold::Error> {
        Ok(leasehold::builder(&self.url)?.ttl(TTL))
    }
}

/// The `main` of a worker that is a process.
pub(crate) async fn main(job: Job) -> Result<(), Box<dyn Error>> {
    let terminated = child_process::terminated()?;
    let builder = job.builder()?;
    work(job, builder, terminated, ChildProcess::line()?).await;
    Ok(())
}

/// Does the job until `stop` resolves, and says how it ended.
pub(crate) async fn work(job: Job, builder: CoordinatorBuilder, stop: impl Future, line: Line) {
    let say = line.say.clone();
    match campaign(job, builder, stop, line).await {
        Ok(()) => say("ended".into()),
        Err(error) => say(format!("failed {error}")),
    }
}

async fn campaign(
    job: Job,
    builder: CoordinatorBuilder,
    stop: impl Future,
    line: Line,
) -> Result<(), Box<dyn Error>> {
    let coordinator = builder.connect().await?;
    let election = coordinator.election(&job.election).proclaiming(std::process::id().to_string());
    let line = Mutex::new(line);
    // Stands again if the leadership is lost; asks the ticks to end, and waits for that, when it shall stop.
    if let Some(ticks) = election.lead(stop, |held| ticks(held, &line)).await? {
        ticks?;
    }
    Ok(coordinator.shutdown(Duration::from_secs(5)).await?)
}

/// One leadership.
async fn ticks(held: Held, line: &Mutex<Line>) -> Result<(), Box<dyn Error>> {
    let (line, token, stop) = (&mut *line.lock().await, held.fencing_token(), held.cancellation_token());
    line.say(format!("leads {token}"));
    while !stop.is_cancelled() {
        let next = ask(line, token, format!("next {token}")).await?;
        let Some((tick, due)) = next.split_once(' ') else {
            // Stale: another one leads, and this one will hear of it.
            held.lost().await;
            break;
        };
        tokio::select! {
            () = sleep(Duration::from_millis(due.parse()?)) => {}
            () = stop.cancelled() => break,
        }
        // The work of a tick is not given up in the middle, unless the leadership is lost.
        line.say(format!("begins {tick}"));
        sleep(WORK).await;
        ask(line, token, format!("done {token} {tick}")).await?;
    }
    Ok(())
}

/// The log's answer to this leadership. What an earlier one had asked may be answered late.
async fn ask(line: &mut Line, token: FencingToken, question: String) -> Result<String, Box<dyn Error>> {
    let mut answer = line.ask(question).await?;
    loop {
        match answer.split_once(' ') {
            Some((to, answer)) if to == token.to_string() => return Ok(answer.into()),
            _ => answer = line.hear().await?,
        }
    }
}
