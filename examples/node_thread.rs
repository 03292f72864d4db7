//! A node that is a thread with a runtime of its own.

use std::io;
use std::sync::mpsc::{Sender, channel};

use tokio::runtime::{Builder, Handle};

/// All of the node, the drivers of its sessions included, runs on one thread, so that what blocks that thread stops it whole.
pub struct NodeThread {
    runtime: Handle,
    /// Dropping it ends the stop.
    stopped: Option<Sender<()>>,
}

impl NodeThread {
    /// Starts it. `work` is given the runtime, for [`runtime`](leasehold::CoordinatorBuilder::runtime).
    ///
    /// # Errors
    /// If the thread or its runtime cannot be made.
    pub fn start<W>(name: String, work: W) -> io::Result<Self>
    where
        W: AsyncFnOnce(Handle) + Send + 'static,
    {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new().name(name).spawn(move || {
            let work = work(runtime.handle().clone());
            runtime.block_on(work);
        })?;
        Ok(Self { runtime: handle, stopped: None })
    }

    /// Stops it; returns when it stands still.
    ///
    /// # Errors
    /// If it has ended.
    pub fn stop(&mut self) -> io::Result<()> {
        let (release, released) = channel::<()>();
        let (stands, standing) = channel();
        self.runtime.spawn(async move {
            let _ = stands.send(());
            // Blocks the runtime's only thread, on purpose.
            let _ = released.recv();
        });
        standing.recv().map_err(|_| io::Error::other("the node has ended"))?;
        self.stopped = Some(release);
        Ok(())
    }

    /// Lets it run again.
    pub fn resume(&mut self) {
        self.stopped = None;
    }

    /// Stops it for ever. Like a process that was killed it has no chance to say goodbye, to the service or to anybody.
    ///
    /// # Errors
    /// If it has ended.
    pub fn kill(mut self) -> io::Result<()> {
        self.stop()?;
        std::mem::forget(self.stopped.take());
        Ok(())
    }
}
