//! A holder as the judge has it: a process, or a thread where processes cannot share the service.

use std::error::Error;

use leasehold_examples::child_process::ChildProcess;
use leasehold_examples::lines::{Line, Said};
use leasehold_examples::node_thread::NodeThread;
use tokio::sync::mpsc::UnboundedSender;

use crate::worker::{self, Job};

pub(crate) trait Holder {
    fn tell(&mut self, line: &str) -> Result<(), Box<dyn Error>>;
    /// Returns when it stands still, and tells by what means.
    fn stop(&mut self) -> Result<&'static str, Box<dyn Error>>;
    fn resume(&mut self) -> Result<(), Box<dyn Error>>;
}

impl Holder for ChildProcess {
    fn tell(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        Ok(self.tell(line)?)
    }

    fn stop(&mut self) -> Result<&'static str, Box<dyn Error>> {
        self.stop()?;
        Ok("its process got SIGSTOP")
    }

    fn resume(&mut self) -> Result<(), Box<dyn Error>> {
        Ok(self.resume()?)
    }
}

/// The `main` of a holder that is a process.
pub(crate) async fn work(job: Job) -> Result<(), Box<dyn Error>> {
    worker::work(job, None, ChildProcess::line()?).await;
    Ok(())
}

pub(crate) struct Thread {
    node: NodeThread,
    tell: UnboundedSender<String>,
}

impl Thread {
    pub(crate) fn start(by: usize, job: Job, judge: UnboundedSender<Said>) -> Result<Self, Box<dyn Error>> {
        let (tell, line) = Line::within(by, judge);
        let node = NodeThread::start(format!("holder-{by}"), async move |runtime| {
            worker::work(job, Some(runtime), line).await;
        })?;
        Ok(Self { node, tell })
    }
}

impl Holder for Thread {
    fn tell(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        Ok(self.tell.send(line.into())?)
    }

    fn stop(&mut self) -> Result<&'static str, Box<dyn Error>> {
        self.node.stop()?;
        Ok("its thread is blocked")
    }

    fn resume(&mut self) -> Result<(), Box<dyn Error>> {
        self.node.resume();
        Ok(())
    }
}
