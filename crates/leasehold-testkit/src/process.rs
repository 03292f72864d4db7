//! Worker processes: a client that is killed in the middle, or stopped for longer than its TTL.
//!
//! A test starts its worker binary and talks to it by lines. In the worker:
//!
//! ```no_run
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! let mut commands = leasehold_testkit::process::commands();
//! while let Some(command) = commands.recv().await {
//!     println!("did {command}");
//! }
//! # }
//! ```
//!
//! # Implementation
//!
//! A worker has two ends. When its standard input ends, [`commands`] ends the process: the test closed it, or died.
//! A worker that is stopped (SIGSTOP) or stuck cannot see that; so a shell beside it holds the other end of a second pipe and
//! kills it when that pipe ends, which the kernel sees to if the test process dies of anything. [`Worker`]'s drop kills the
//! worker first and dismisses the shell after, so that the shell never kills by an id that has become another's.

use std::ffi::OsStr;
use std::io::{self, BufRead};
use std::path::Path;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::Signal;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use tokio::sync::mpsc;

use crate::signals;

/// Argument: the worker's process id.
const LEASH: &str = r#"read -r _; kill -9 "$1""#;

/// How long a worker may take to say a line that a test waits for.
const PATIENCE: Duration = Duration::from_secs(60);

/// Whether a process of this number runs, or is stopped; one that has ended and was not collected yet does not.
pub fn runs(pid: u32) -> bool {
    signals::runs(pid)
}

/// A child process that a test talks with and does violence to. It is killed when this is dropped and when the test
/// process dies; it must [exit](commands) when its standard input ends.
///
/// Its methods panic when the machine fails them: they are steps of a test.
#[derive(Debug)]
pub struct Worker {
    child: Child,
    commands: Option<ChildStdin>,
    lines: Lines<BufReader<ChildStdout>>,
    leash: std::process::Child,
    program: String,
}

impl Worker {
    /// Starts a program with arguments. Its standard error goes where the test's goes.
    pub fn start<A: AsRef<OsStr>>(program: impl AsRef<Path>, args: impl IntoIterator<Item = A>) -> Self {
        let mut command = Command::new(program.as_ref());
        command.args(args);
        Self::spawn(command)
    }

    /// Starts a command; its standard input and output are the worker's own.
    pub fn spawn(mut command: Command) -> Self {
        let program = command.as_std().get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true).spawn();
        let mut child = child.unwrap_or_else(|error| panic!("cannot start {program}: {error}"));
        let (Some(commands), Some(output), Some(pid)) = (child.stdin.take(), child.stdout.take(), child.id())
        else {
            panic!("{program} was started without its pipes");
        };
        let leash = std::process::Command::new("setsid")
            .args(["sh", "-c", LEASH, "leasehold-leash", &pid.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap_or_else(|error| panic!("cannot run `setsid sh` (Debian package `util-linux`): {error}"));
        Self { child, commands: Some(commands), lines: BufReader::new(output).lines(), leash, program }
    }

    /// The process id; `None` once its end was [waited for](Self::wait).
    pub fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Sends a line.
    ///
    /// # Panics
    /// If the worker has ended or its input was [closed](Self::close_input).
    pub async fn send(&mut self, line: &str) {
        let line = format!("{line}\n");
        let sent = match &mut self.commands {
            Some(commands) => commands.write_all(line.as_bytes()).await,
            None => Err(io::ErrorKind::BrokenPipe.into()),
        };
        if let Err(error) = sent {
            panic!("{} does not take {line:?}: {error}", self.program);
        }
    }

    /// The next line that it says; `None` after the last.
    ///
    /// # Panics
    /// If there is none within a minute.
    ///
    /// # Cancel safety
    /// Dropping it loses no line.
    pub async fn line(&mut self) -> Option<String> {
        match tokio::time::timeout(PATIENCE, self.lines.next_line()).await {
            Ok(Ok(line)) => line,
            Ok(Err(error)) => panic!("cannot read from {}: {error}", self.program),
            Err(_) => panic!("{} said nothing for {PATIENCE:?}", self.program),
        }
    }

    /// Waits for a line that starts so, passing over others, and answers the rest of it.
    ///
    /// # Panics
    /// If the worker ends or falls silent for a minute before.
    pub async fn expect(&mut self, prefix: &str) -> String {
        let mut others = Vec::new();
        while let Some(line) = self.line().await {
            if let Some(rest) = line.strip_prefix(prefix) {
                return rest.trim().to_owned();
            }
            others.push(line);
        }
        panic!("{} ended without saying {prefix:?}, but {others:?}", self.program)
    }

    /// Sends a line and waits for the answer that starts with another: see [`expect`](Self::expect).
    pub async fn ask(&mut self, line: &str, prefix: &str) -> String {
        self.send(line).await;
        self.expect(prefix).await
    }

    /// Closes its standard input: the orderly way to end it.
    pub fn close_input(&mut self) {
        self.commands = None;
    }

    /// Kills it with SIGKILL and waits for its end.
    pub async fn kill(&mut self) -> ExitStatus {
        if let Err(error) = self.child.start_kill() {
            panic!("cannot kill {}: {error}", self.program);
        }
        self.wait().await
    }

    /// Asks it to end, with SIGTERM.
    pub fn terminate(&self) {
        self.signal("terminate", |pid| signals::send(pid, Signal::TERM));
    }

    /// Stops it with SIGSTOP; returns when it has stopped.
    pub fn pause(&self) {
        self.signal("stop", signals::stop);
    }

    /// Lets it run again.
    pub fn resume(&self) {
        self.signal("resume", |pid| signals::send(pid, Signal::CONT));
    }

    /// Waits for its end. What it said before can still be read.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn wait(&mut self) -> ExitStatus {
        // Waiting collects the process, after which its id may become another's.
        let status = self.child.wait().await;
        self.dismiss_leash();
        status.unwrap_or_else(|error| panic!("cannot wait for {}: {error}", self.program))
    }

    fn signal(&self, what: &str, send: impl FnOnce(u32) -> io::Result<()>) {
        let Some(pid) = self.pid() else { panic!("{} has ended: nothing to {what}", self.program) };
        if let Err(error) = send(pid) {
            panic!("cannot {what} {}: {error}", self.program);
        }
    }

    fn dismiss_leash(&mut self) {
        // Neither fails but on a shell that was collected before.
        let _ = self.leash.kill();
        let _ = self.leash.wait();
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // The runtime collects it later; until then it keeps its id.
        let _ = self.child.start_kill();
        self.dismiss_leash();
    }
}

/// For the worker: the lines that the test sends. When there are no more, because the test closed the input or died,
/// it ends the process with status 0, whatever the process is doing.
///
/// Call it once: it reads the standard input on a thread of its own.
pub fn commands() -> mpsc::UnboundedReceiver<String> {
    let (sender, receiver) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            // A worker that takes no more commands still ends with its input.
            let _ = sender.send(line);
        }
        std::process::exit(0);
    });
    receiver
}
