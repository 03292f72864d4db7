//! A server whose syncs to its disk are slow, or fail.
//!
//! # Implementation
//!
//! strace is attached to the running server, all its threads, and tampers with `fsync` and `fdatasync`. Every other call stops for it as well, so
//! that the server is slower in all it does. It writes down each call that it tampered with, which is how a test knows that the fault
//! took place. It detaches when this is dropped, and ends by itself when the server does, which a watchdog sees to. When both
//! happen at once it may wait for ever: told to detach, it waits for the process, which is not over before the threads are
//! that it has not waited for yet (strace 6.1). Nothing is left to detach from then, and it is killed.

use std::fs;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::error::StartError;
use super::server::{Package, Server, Service};
use crate::signals;

const STRACE: Package = Package { what: "strace", package: "strace", variable: "LEASEHOLD_STRACE_BIN" };

/// How long it may take to attach to all threads of a busy server.
const LONGEST_ATTACH: Duration = Duration::from_secs(10);

/// Syncs are tampered with until this is dropped, or the server ends.
#[derive(Debug)]
#[must_use = "dropped, it ends"]
pub struct SyncFault {
    target: u32,
    strace: Child,
    log: PathBuf,
}

impl SyncFault {
    /// Each sync to the disk by this process takes so much longer from now on. Returns when it is in force.
    ///
    /// # Panics
    /// If strace is not installed or may not attach, and if the process does not run.
    pub async fn slow(pid: u32, by: Duration) -> Self {
        Self::attach(pid, &format!("delay_enter={}", by.as_micros()))
            .await
            .unwrap_or_else(|error| error.panic())
    }

    /// Each sync to the disk by this process fails from now on, with EIO, and does nothing. Returns when it is in force.
    ///
    /// # Panics
    /// As [`slow`](Self::slow).
    pub async fn failing(pid: u32) -> Self {
        Self::attach(pid, "error=EIO").await.unwrap_or_else(|error| error.panic())
    }

    async fn attach(pid: u32, how: &str) -> Result<Self, StartError> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let what = || StartError::io(format!("cannot attach strace to process {pid}"));
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let log = std::env::temp_dir().join(format!("leasehold-syncs-{}-{number}", std::process::id()));
        let strace = Command::new(STRACE.program(None, "strace")?)
            .args(["-f", "-q", "-e", "trace=fsync,fdatasync", "-e", "signal=none", "-e"])
            .arg(format!("inject=fsync,fdatasync:{how}"))
            .arg("-o")
            .arg(&log)
            .arg("-p")
            .arg(pid.to_string())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(what())?;
        let mut fault = Self { target: pid, strace, log };
        let deadline = Instant::now() + LONGEST_ATTACH;
        while !is_traced(pid, fault.strace.id()) {
            if fault.strace.try_wait().map_err(what())?.is_some() {
                let mut said = String::new();
                if let Some(mut errors) = fault.strace.stderr.take() {
                    let _ = errors.read_to_string(&mut said);
                }
                return Err(what()(io::Error::other(said.trim().to_owned())));
            }
            if Instant::now() > deadline {
                return Err(what()(io::ErrorKind::TimedOut.into()));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(fault)
    }

    /// How many syncs it has tampered with so far.
    pub fn hits(&self) -> usize {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        log.lines().filter(|line| line.contains("(DELAYED)") || line.contains("(INJECTED)")).count()
    }
}

impl<S: Service> Server<S> {
    /// Each sync to the disk takes so much longer from now on.
    ///
    /// # Panics
    /// As [`SyncFault::slow`].
    pub async fn slow_syncs(&self, by: Duration) -> SyncFault {
        SyncFault::slow(self.traceable(), by).await
    }

    /// Each sync to the disk fails from now on, with EIO.
    ///
    /// # Panics
    /// As [`SyncFault::slow`].
    pub async fn failing_syncs(&self) -> SyncFault {
        SyncFault::failing(self.traceable()).await
    }

    fn traceable(&self) -> u32 {
        self.pid().unwrap_or_else(|| panic!("{} was killed: nothing to attach to", self.what()))
    }
}

/// Whether all threads of a process are traced by another.
fn is_traced(pid: u32, by: u32) -> bool {
    let line = format!("TracerPid:\t{by}");
    let tasks = fs::read_dir(Path::new("/proc").join(pid.to_string()).join("task"));
    let mut tasks = tasks.into_iter().flatten().flatten().peekable();
    tasks.peek().is_some()
        && tasks.all(|task| {
            let status = fs::read_to_string(task.path().join("status")).unwrap_or_default();
            status.is_empty() || status.lines().any(|found| found == line)
        })
}

impl Drop for SyncFault {
    fn drop(&mut self) {
        let _ = signals::send(self.strace.id(), Signal::TERM);
        while let Ok(None) = self.strace.try_wait() {
            if !signals::runs(self.target) {
                let _ = self.strace.kill();
            }
            std::thread::sleep(Duration::from_millis(1));
        }
        let _ = fs::remove_file(&self.log);
    }
}
