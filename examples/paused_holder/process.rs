//! A holder that is a process: this program, started once more.

use std::error::Error;
use std::io::{self, BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::time::Instant;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::mpsc::{UnboundedSender, unbounded_channel};

use crate::judge::Holder;
use crate::lines::{Line, Said, Say};
use crate::worker::{self, Job};

/// A holder in a process of its own, which ends with this.
pub(crate) struct Process {
    child: Child,
    tell: ChildStdin,
}

impl Process {
    pub(crate) fn start(
        holder: usize,
        job: &Job,
        judge: UnboundedSender<Said>,
    ) -> Result<Self, Box<dyn Error>> {
        let mut child = Command::new(std::env::current_exe()?)
            .args(["--url", &job.url, "--ttl", &job.ttl.as_secs().to_string()])
            .args(["--worker", &job.lock, &job.rounds.to_string(), &job.pauses.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let (Some(tell), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            return Err("a process without its pipes".into());
        };
        let process = Self { child, tell };
        std::thread::spawn(move || {
            let lines = BufReader::new(output).lines().map_while(Result::ok);
            // The last counts only if the process has not said before how it ended.
            for line in lines.chain(["failed its process has ended".into()]) {
                let _ = judge.send(Said { holder, at: Instant::now(), line });
            }
        });
        Ok(process)
    }
}

impl Holder for Process {
    fn tell(&mut self, line: &str) -> Result<(), Box<dyn Error>> {
        Ok(writeln!(self.tell, "{line}")?)
    }

    fn stop(&mut self) -> Result<&'static str, Box<dyn Error>> {
        let pid = Pid::from_child(&self.child);
        kill_process(pid, Signal::STOP)?;
        // The signal takes effect some time later; this waits until the last thread stands.
        waitid(WaitId::Pid(pid), WaitIdOptions::STOPPED)?;
        Ok("its process got SIGSTOP")
    }

    fn resume(&mut self) -> Result<(), Box<dyn Error>> {
        Ok(kill_process(Pid::from_child(&self.child), Signal::CONT)?)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // SIGKILL reaches a stopped process as well. Neither fails but on one that was collected before.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The holder's own `main`.
pub(crate) async fn work(job: Job) -> Result<(), Box<dyn Error>> {
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
    let builder = job.builder()?;
    worker::work(job, builder, Line { say, heard }).await;
    Ok(())
}
