//! A node that is a process: this program, started once more, and talked to by lines.

use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::lines::{Line, Said, Say};

/// A process of this program, which ends with this.
pub struct ChildProcess {
    child: Child,
    tell: ChildStdin,
}

impl ChildProcess {
    /// Starts it, as number `by`, with these arguments. What it says, the judge hears; after the last line, `failed its process has ended`.
    ///
    /// Call it on the main thread: see [`ChildProcess::line`].
    ///
    /// # Errors
    /// If it cannot be started.
    pub fn start(by: usize, arguments: &[String], judge: UnboundedSender<Said>) -> io::Result<Self> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(tell), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err(io::Error::other("a process without its pipes"));
        };
        let process = Self { child, tell };
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            // The last counts only if the process has not said before how it ended.
            for line in lines.chain(["failed its process has ended".into()]) {
                let _ = judge.send(Said { by, at: Instant::now(), line });
            }
        });
        Ok(process)
    }

    /// For the process that was started: its line to the judge. It ends with the judge, whatever it is doing.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn line() -> io::Result<Line> {
        // A stopped process does not see its input end when the judge dies. (The signal comes when the thread ends that started this
        // process, which was the judge's main thread.)
        #[cfg(target_os = "linux")]
        rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
        let (tell, heard) = unbounded_channel();
        std::thread::spawn(move || {
            for line in io::stdin().lines().map_while(Result::ok) {
                let _ = tell.send(line);
            }
            std::process::exit(1);
        });
        let say: Say = Arc::new(|line| {
            if writeln!(io::stdout(), "{line}").is_err() {
                std::process::exit(1);
            }
        });
        Ok(Line { say, heard })
    }

    /// Tells it a line.
    ///
    /// # Errors
    /// If it does not listen any more.
    pub fn tell(&mut self, line: &str) -> io::Result<()> {
        writeln!(self.tell, "{line}")
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Stops it with SIGSTOP; returns when it stands still.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn stop(&mut self) -> io::Result<()> {
        self.signal(Signal::STOP)?;
        // The signal takes effect some time later; this waits until the last thread stands.
        waitid(WaitId::Pid(Pid::from_child(&self.child)), WaitIdOptions::STOPPED)?;
        Ok(())
    }

    /// Lets it run again, with SIGCONT.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn resume(&mut self) -> io::Result<()> {
        self.signal(Signal::CONT)
    }

    /// Asks it to end, with SIGTERM.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn terminate(&mut self) -> io::Result<()> {
        self.signal(Signal::TERM)
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn kill(&mut self) -> io::Result<()> {
        self.child.kill()
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// If the kernel refuses.
    pub fn wait(&mut self) -> io::Result<ExitStatus> {
        self.child.wait()
    }

    /// It has not been waited for, so its id is not another's.
    fn signal(&self, signal: Signal) -> io::Result<()> {
        Ok(kill_process(Pid::from_child(&self.child), signal)?)
    }
}

/// Resolves when this process is asked to end, by SIGTERM, which ends it no longer by itself.
///
/// # Errors
/// If the kernel refuses; and without a feature that brings a service which processes can share, since nothing else here takes signals.
pub fn terminated() -> io::Result<impl Future> {
    #[cfg(any(feature = "etcd", feature = "zookeeper", feature = "redis"))]
    {
        use tokio::signal::unix::{SignalKind, signal};
        let mut signals = signal(SignalKind::terminate())?;
        Ok(async move { signals.recv().await })
    }
    #[cfg(not(any(feature = "etcd", feature = "zookeeper", feature = "redis")))]
    Err::<std::future::Pending<()>, _>(io::ErrorKind::Unsupported.into())
}

impl Drop for ChildProcess {
    fn drop(&mut self) {
        // SIGKILL reaches a stopped process as well. Neither fails but on one that was collected before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
