//! The command that runs under the lock.
//!
//! # Implementation
//!
//! The child is a process group of its own, so that what it starts is ended with it. Where the standard input is a terminal and we have it, the
//! group gets the terminal: Ctrl-C and Ctrl-Z go to the group and to nobody else. Everything else that we are sent is passed on to the group by us;
//! either way, each of its processes gets a signal once. A child that is stopped by Ctrl-Z stops us too, so that the shell
//! takes over, and is continued with us.
//!
//! Its end is looked for at each SIGCHLD, and seen before it is collected: until then its id, and so the
//! group's, cannot become another's. The [leash](leash) ends the group should we be killed.

mod leash;
mod terminal;

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};

use leash::Leash;
pub(crate) use leash::hold as hold_leash;
use terminal::Terminal;

use crate::exit::{Failure, NOT_EXECUTABLE, NOT_FOUND};
use crate::signals::{status_of, stop_ourselves};

/// How long those that a child has left behind may take to end once they were told to, between two looks. Nobody is told of the end of
/// a process that is not its child.
const LOOK: Duration = Duration::from_millis(20);

/// A command that was started.
pub(crate) struct Child {
    group: Pid,
    deaths: unix::Signal,
    terminal: Option<Terminal>,
    /// Whether we have asked it to stop.
    told_to_stop: bool,
    leash: Leash,
}

impl Child {
    /// Starts a command with more variables in its environment.
    pub(crate) fn start(command: &[OsString], environment: &[(&str, String)]) -> Result<Self, Failure> {
        let (program, arguments) =
            command.split_first().ok_or_else(|| Failure::usage("no command is given"))?;
        let deaths = signal(SignalKind::child())
            .map_err(|error| Failure::os("cannot listen for the end of the command", error))?;
        let leash = Leash::make()?;
        let terminal = Terminal::of_ours();
        let child = Command::new(program)
            .args(arguments)
            .envs(environment.iter().map(|(name, value)| (name, value)))
            .process_group(0)
            .spawn()
            .map_err(|error| {
                let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
                Failure::new(status, format!("cannot run {}: {error}", program.display()))
            })?;
        let group = Pid::from_child(&child);
        let mut child = Self { group, deaths, terminal, told_to_stop: false, leash };
        let bound = child.leash.bind(group);
        if let Err(error) = bound {
            child.send(Signal::KILL);
            child.collect();
            return Err(Failure::os("cannot bind the command to this process", error));
        }
        child.take_the_stage();
        Ok(child)
    }

    /// Waits for its end and answers the exit status that we end with.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub(crate) async fn ended(&mut self) -> Result<u8, Failure> {
        loop {
            let found = |error| Failure::os("cannot look for the end of the command", error);
            let watched = WaitId::Pid(self.group);
            let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
            if let Some(end) = waitid(watched.clone(), look).map_err(found)? {
                let status = match (end.exit_status(), end.terminating_signal()) {
                    (Some(status), _) => u8::try_from(status).unwrap_or(u8::MAX),
                    (None, Some(signal)) => status_of(signal),
                    (None, None) => u8::MAX,
                };
                return Ok(status);
            }
            if waitid(watched, WaitIdOptions::STOPPED | WaitIdOptions::NOHANG).map_err(found)?.is_some()
                && (self.terminal.is_some() || self.told_to_stop)
            {
                self.stop_with_it();
                continue;
            }
            self.deaths.recv().await;
        }
    }

    /// Passes a signal on to all of its processes.
    pub(crate) fn pass_on(&mut self, signal: Signal) {
        self.told_to_stop |= signal == Signal::TSTP;
        self.send(signal);
    }

    /// Ends it: asks first where there is a grace, and ends by force whatever of the group is left after that.
    pub(crate) async fn end(mut self, grace: Option<Duration>) -> Result<(), Failure> {
        if let Some(grace) = grace {
            let deadline = Instant::now() + grace;
            self.send(Signal::TERM);
            // Whoever is stopped hears nothing.
            self.send(Signal::CONT);
            if timeout_at(deadline, self.ended()).await.is_ok() {
                self.collect();
                while test_kill_process_group(self.group).is_ok() && Instant::now() < deadline {
                    sleep(LOOK).await;
                }
                self.send(Signal::KILL);
                return Ok(());
            }
        }
        self.send(Signal::KILL);
        self.ended().await?;
        self.collect();
        Ok(())
    }

    /// It has [ended](Self::ended) by itself; what it has left behind goes on.
    pub(crate) fn collect(&self) {
        // Nobody else collects it.
        let _ = waitid(WaitId::Pid(self.group), WaitIdOptions::EXITED);
        if let Some(terminal) = &self.terminal {
            terminal.take_back_from(self.group);
        }
    }

    fn send(&self, signal: Signal) {
        // There may be nobody left.
        let _ = kill_process_group(self.group, signal);
    }

    /// Gives it the terminal, if we have it.
    fn take_the_stage(&self) {
        if let Some(terminal) = &self.terminal {
            terminal.give_to(self.group);
            // It may have been stopped for reading before it had it.
            self.send(Signal::CONT);
        }
    }

    fn stop_with_it(&mut self) {
        if let Some(terminal) = &self.terminal {
            terminal.take_back_from(self.group);
        }
        stop_ourselves();
        self.told_to_stop = false;
        self.take_the_stage();
        self.send(Signal::CONT);
    }
}
