//! A server process that does not outlive its test.
//!
//! # Implementation
//!
//! A shell in a session of its own stands between the test process and the server. It reads commands from a pipe whose
//! only other end is held here: `start` runs the server and answers its process id, `kill` kills it and answers
//! once it was collected. At the pipe's end, it kills the server, removes the data directory and exits. The end comes with
//! [`Watchdog`]'s drop, which waits for the shell, and as well when the test process dies of anything, SIGKILL included:
//! the kernel closes the pipe. The standard library opens pipes close-on-exec, so that no other child of the test process
//! keeps it open. The parent-death signal of Linux would not do: it follows the thread that spawned the child.
//!
//! `setsid` keeps terminal signals (Ctrl-C) from the shell and the server: they end when the test process has ended.
//! A server that dies by itself stays a zombie until the shell collects it, so its id means no other process until
//! `kill` or the next `start`.

use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use crate::network::Network;

/// Arguments: the data directory, the signal that ends the server, then its command line. A server that was stopped hears of no signal but
/// KILL before it goes on, and one that does not end at another signal is killed after ten seconds.
const SCRIPT: &str = r#"
dir=$1
signal=$2
shift 2
pid=
end() {
    if [ -n "$pid" ]; then
        kill -"$signal" "$pid" 2>/dev/null
        kill -CONT "$pid" 2>/dev/null
        ( sleep 10; kill -9 "$pid" ) >/dev/null 2>&1 &
        later=$!
        wait "$pid" 2>/dev/null
        kill "$later" 2>/dev/null
        pid=
    fi
}
while read -r command; do
    case $command in
    start)
        end
        "$@" </dev/null >>"$dir/log" 2>&1 &
        pid=$!
        echo "$pid"
        ;;
    kill)
        end
        echo killed
        ;;
    esac
done
end
[ -e "$dir/small" ] && umount -l "$dir/data"
rm -rf "$dir"
"#;

/// What to run.
#[derive(Debug, Clone)]
pub(super) struct CommandLine {
    pub(super) program: PathBuf,
    pub(super) args: Vec<OsString>,
    pub(super) env: Vec<(OsString, OsString)>,
    /// Variables that would change the server's settings begin so; they are kept from it.
    pub(super) foreign_env_prefix: Option<&'static str>,
    /// What ends it: a signal's name.
    pub(super) stop_signal: &'static str,
    /// The network that it runs in, if that is not the host's.
    pub(super) network: Option<Network>,
}

#[derive(Debug)]
pub(super) struct Watchdog {
    shell: Child,
    /// `None` once dropped.
    pipes: Option<Mutex<Pipes>>,
    /// Outlives the server.
    _network: Option<Network>,
}

#[derive(Debug)]
struct Pipes {
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
    server: Option<u32>,
}

impl Watchdog {
    /// Takes charge of `dir`; nothing runs yet.
    pub(super) fn new(dir: &Path, line: CommandLine) -> io::Result<Self> {
        let mut command = Command::new("setsid");
        command.args(["sh", "-c", SCRIPT, "leasehold-watchdog"]).arg(dir).arg(line.stop_signal);
        command.arg(&line.program).args(&line.args);
        for (name, _) in std::env::vars_os() {
            if line.foreign_env_prefix.is_some_and(|prefix| name.to_string_lossy().starts_with(prefix)) {
                command.env_remove(name);
            }
        }
        command.envs(line.env).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut shell = command.spawn()?;
        let pipes = shell.stdin.take().zip(shell.stdout.take()).map(|(commands, answers)| {
            Mutex::new(Pipes { commands, answers: BufReader::new(answers), server: None })
        });
        Ok(Self { shell, pipes, _network: line.network })
    }

    /// Starts the server, after killing one that runs.
    pub(super) async fn start(self: &Arc<Self>) -> io::Result<()> {
        self.blocking(|pipes| {
            pipes.server = None;
            let answer = pipes.ask("start")?;
            pipes.server = Some(answer.parse().map_err(io::Error::other)?);
            Ok(())
        })
        .await
    }

    /// Ends the server with its signal, SIGKILL as a rule, and returns when it is gone.
    pub(super) async fn kill(self: &Arc<Self>) -> io::Result<()> {
        self.blocking(|pipes| {
            pipes.server = None;
            pipes.ask("kill").map(drop)
        })
        .await
    }

    /// The server's process id, unless it was killed.
    pub(super) fn server(&self) -> Option<u32> {
        let pipes = self.pipes.as_ref()?;
        pipes.lock().unwrap_or_else(PoisonError::into_inner).server
    }

    /// The shell answers in milliseconds, but for the kernel's time to take a process apart.
    async fn blocking(
        self: &Arc<Self>,
        job: impl FnOnce(&mut Pipes) -> io::Result<()> + Send + 'static,
    ) -> io::Result<()> {
        let this = Arc::clone(self);
        let done = tokio::task::spawn_blocking(move || match &this.pipes {
            Some(pipes) => job(&mut pipes.lock().unwrap_or_else(PoisonError::into_inner)),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        });
        done.await.map_err(io::Error::other)?
    }
}

impl Pipes {
    fn ask(&mut self, command: &str) -> io::Result<String> {
        self.commands.write_all(format!("{command}\n").as_bytes())?;
        let mut answer = String::new();
        if self.answers.read_line(&mut answer)? == 0 {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, "the server's watchdog is gone"));
        }
        Ok(answer.trim().to_owned())
    }
}

impl Drop for Watchdog {
    fn drop(&mut self) {
        self.pipes = None;
        // Nobody could be told of a failure, and there is none but having been collected before.
        let _ = self.shell.wait();
    }
}
