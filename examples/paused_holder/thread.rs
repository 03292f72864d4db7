//! A holder that is a thread with a runtime of its own.

use std::error::Error;
use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;

use tokio::runtime::{Builder, Handle};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::judge::Holder;
use crate::lines::{Line, Said, Say};
use crate::worker::{self, Job};

/// All of the holder, its session's driver included, runs on one thread, so that what blocks that thread stops it whole.
pub(crate) struct Thread {
    runtime: Handle,
    tell: UnboundedSender<String>,
    /// Dropping it ends the stop.
    stopped: Option<Sender<()>>,
}

impl Thread {
    pub(crate) fn start(
        holder: usize,
        job: Job,
        judge: UnboundedSender<Said>,
    ) -> Result<Self, Box<dyn Error>> {
        let runtime = Builder::new_current_thread().enable_time().build()?;
        let handle = runtime.handle().clone();
        let builder = job.builder()?.runtime(handle.clone());
        let (tell, heard) = unbounded_channel();
        let say: Say = Arc::new(move |line| {
            // The judge has gone if a run is given up.
            let _ = judge.send(Said { holder, at: Instant::now(), line });
        });
        std::thread::Builder::new()
            .name(format!("holder-{holder}"))
            .spawn(move || runtime.block_on(worker::work(job, builder, Line { say, heard })))?;
        Ok(Self { runtime: handle, tell, stopped: None })
    }
}

impl Holder for Thread {
    fn tell(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        Ok(self.tell.send(line.into())?)
    }

    fn stop(&mut self) -> Result<&'static str, Box<dyn Error>> {
        let (release, released) = channel::<()>();
        let (stands, standing) = channel();
        self.runtime.spawn(async move {
            let _ = stands.send(());
            // Blocks the runtime's only thread, on purpose.
            let _ = released.recv();
        });
        standing.recv()?;
        self.stopped = Some(release);
        Ok("its thread is blocked")
    }

    fn resume(&mut self) -> Result<(), Box<dyn Error>> {
        self.stopped = None;
        Ok(())
    }
}
