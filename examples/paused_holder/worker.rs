//! What a holder does, be it a thread or a process.

use std::error::Error;
use std::time::Duration;

use leasehold::{CoordinatorBuilder, LossReason, Mutex, MutexGuard, ReleaseError};
use leasehold_examples::lines::Line;
use tokio::runtime::Handle;

/// What a holder is to do.
#[derive(Clone)]
pub(crate) struct Job {
    pub(crate) url: String,
    pub(crate) ttl: Duration,
    pub(crate) lock: String,
    /// How many times it adds 1 to both stores.
    pub(crate) rounds: u32,
    /// Whether it stops to think between reading and writing.
    pub(crate) pauses: bool,
}

impl Job {
    /// What a process is started with to do it: what [`Options`](crate::options::Options) reads.
    pub(crate) fn arguments(&self) -> Vec<String> {
        let (ttl, rounds) = (self.ttl.as_secs().to_string(), self.rounds.to_string());
        let words =
            ["--url", &self.url, "--ttl", &ttl, "--worker", &self.lock, &rounds, &self.pauses.to_string()];
        words.map(str::to_owned).into()
    }

    pub(crate) fn builder(&self) -> Result<CoordinatorBuilder, leasehold::Error> {
        Ok(leasehold::builder(&self.url)?.ttl(self.ttl))
    }
}

/// Does the job, over a session that is driven on `runtime` if one is given, and says how it ended.
pub(crate) async fn work(job: Job, runtime: Option<Handle>, mut line: Line) {
    match rounds(job, runtime, &mut line).await {
        Ok(()) => line.say("done"),
        Err(error) => line.say(format!("failed {error}")),
    }
}

async fn rounds(job: Job, runtime: Option<Handle>, line: &mut Line) -> Result<(), Box<dyn Error>> {
    let mut builder = job.builder()?;
    if let Some(runtime) = runtime {
        builder = builder.runtime(runtime);
    }
    let coordinator = builder.connect().await?;
    let mutex = coordinator.mutex(&job.lock);
    line.wait("connected", "start").await?;
    for _ in 0..job.rounds {
        add_one(&mutex, job.pauses, line).await?;
    }
    coordinator.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// Adds 1 to both stores under the lock; and once more to the fenced one, under the lock once more, if that has rejected it.
async fn add_one(mutex: &Mutex, pauses: bool, line: &mut Line) -> Result<(), Box<dyn Error>> {
    let guard = lock(mutex, line).await?;
    let (told, say) = (guard.lost(), line.say.clone());
    let told = tokio::spawn(async move {
        match told.await {
            LossReason::Released => {}
            reason => say(format!("lost {reason}")),
        }
    });
    let unfenced = number(&line.ask("unfenced read".into()).await?)?;
    let fenced = read_fenced(&guard, line).await?;
    if pauses {
        line.wait("thinking", "go on").await?;
        line.say(format!("awake {}", guard.is_held()));
    }
    // Whoever looks at the guard here can be stopped just after it looked. So this one does not even look.
    line.ask(format!("unfenced write {}", unfenced + 1)).await?;
    let rejected = !write_fenced(&guard, fenced + 1, line).await?;
    let released = guard.release().await;
    told.await?;
    match released {
        // What a stopped holder must expect.
        Err(ReleaseError::Lost(_)) if pauses => {}
        released => released?,
    }
    if rejected {
        let guard = lock(mutex, line).await?;
        let fenced = read_fenced(&guard, line).await?;
        if !write_fenced(&guard, fenced + 1, line).await? {
            return Err("rejected once more".into());
        }
        guard.release().await?;
    }
    Ok(())
}

async fn lock(mutex: &Mutex, line: &Line) -> Result<MutexGuard, Box<dyn Error>> {
    let guard = mutex.lock().await?;
    line.say(format!("granted {}", guard.fencing_token()));
    Ok(guard)
}

async fn read_fenced(guard: &MutexGuard, line: &mut Line) -> Result<u64, Box<dyn Error>> {
    number(&line.ask(format!("fenced read {}", guard.fencing_token())).await?)
}

/// Whether the store took it.
async fn write_fenced(guard: &MutexGuard, value: u64, line: &mut Line) -> Result<bool, Box<dyn Error>> {
    Ok(line.ask(format!("fenced write {} {value}", guard.fencing_token())).await? != "stale")
}

fn number(answer: &str) -> Result<u64, Box<dyn Error>> {
    answer.parse().map_err(|_| format!("the store answers {answer:?} to a read").into())
}
