//! The command that runs under the lock.
//!
//! # Implementation
//!
//! The child is a process group of its own, so that what it starts is ended with it. Who has the terminal, the [terminal](terminal) says:
//! where it is the child's group, Ctrl-C and Ctrl-Z go there and to nobody else. Whatever we are sent is passed on to the group by us;
//! either way, each of its processes gets a signal once. A child that is stopped by Ctrl-Z stops us too, so that the shell
//! takes over, and is continued with us, unless the lock is gone by then. What the terminal did to the child's group is done to
//! ours, which would have had the terminal without us: a script around us stops and ends with the command.
//!
//! Its end is looked for at each SIGCHLD, and seen before it is collected: until then its id, and so the
//! group's, cannot become another's. The [leash](leash) ends the group should we be killed; the [launch](launch), should that happen
//! before the leash knows the group.

mod launch;
mod leash;
mod terminal;

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::time::Duration;

use rustix::process::{
    Pid, Signal, WaitId, WaitIdOptions, kill_process_group, test_kill_process_group, waitid,
};
use tokio::signal::unix::{self, SignalKind, signal};
use tokio::time::{Instant, sleep, timeout_at};

pub(crate) use launch::launch;
use leash::Leash;
pub(crate) use leash::hold as hold_leash;
use terminal::Terminal;

use crate::exit::{End, Failure};
use crate::signals::{is_orphaned, share_with_our_group, stop_our_group, stop_ourselves};

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
    /// Whether it has stopped because it lacks the terminal.
    lacks_terminal: bool,
    leash: Leash,
}

/// What became of it.
pub(crate) enum Event {
    /// It has ended, and so should we.
    Ended(End),
    /// It has stopped as we are to: [`Child::stop_with_it`], and [`Child::resume`] after that.
    Stopped {
        /// Because we have told it to, as we were told.
        told: bool,
    },
}

impl Child {
    /// Starts a command with more variables in its environment, and without those that have no value.
    pub(crate) fn start(
        command: &[OsString],
        environment: &[(&str, Option<String>)],
    ) -> Result<Self, Failure> {
        let deaths = signal(SignalKind::child())
            .map_err(|error| Failure::os("cannot listen for the end of the command", error))?;
        let leash = Leash::make()?;
        let terminal = Terminal::of_ours();
        let cannot_start = |error| Failure::os("cannot start the command", error);
        let mut command = launch::command(command).map_err(cannot_start)?;
        command.process_group(0);
        for (name, value) in environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = command.spawn().map_err(cannot_start)?;
        let group = Pid::from_child(&child);
        let mut child = Self { group, deaths, terminal, told_to_stop: false, lacks_terminal: false, leash };
        let bound = child.leash.bind(group);
        if let Err(error) = bound {
            child.send(Signal::KILL);
            child.bury(true);
            return Err(Failure::os("cannot bind the command to this process", error));
        }
        // It may have been stopped for reading before it had the terminal.
        child.resume();
        Ok(child)
    }

    /// Waits for what becomes of it next.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub(crate) async fn event(&mut self) -> Result<Event, Failure> {
        loop {
            if let Some(end) = self.look(WaitIdOptions::EXITED | WaitIdOptions::NOWAIT)? {
                return Ok(Event::Ended(match (end.exit_status(), end.terminating_signal()) {
                    (Some(status), _) => End::Status(u8::try_from(status).unwrap_or(u8::MAX)),
                    (None, Some(signal)) => End::of_signal(signal),
                    (None, None) => End::Status(u8::MAX),
                }));
            }
            if let Some(stop) = self.look(WaitIdOptions::STOPPED)? {
                let signal = stop.stopping_signal().and_then(Signal::from_named_raw);
                let told = std::mem::take(&mut self.told_to_stop);
                if self.is_ours_to_follow(signal, told) {
                    return Ok(Event::Stopped { told });
                }
                continue;
            }
            self.deaths.recv().await;
        }
    }

    /// Stops us; returns when we are continued.
    pub(crate) fn stop_with_it(&mut self) {
        let lacked_it = std::mem::take(&mut self.lacks_terminal);
        let had_it = self.terminal.as_ref().is_some_and(|terminal| terminal.take_back_from(self.group));
        if had_it || lacked_it { stop_our_group() } else { stop_ourselves() }
    }

    /// Lets it go on, with the terminal if it is to have it and we have it.
    pub(crate) fn resume(&mut self) {
        self.told_to_stop = false;
        if let Some(terminal) = self.terminal.as_ref().filter(|terminal| terminal.is_wanted()) {
            terminal.give_to(self.group);
        }
        self.send(Signal::CONT);
    }

    /// Passes a signal on to all of its processes.
    pub(crate) fn pass_on(&mut self, signal: Signal) {
        self.told_to_stop |= signal == Signal::TSTP;
        self.send(signal);
    }

    /// Ends it: asks first where there is a grace, and ends by force whatever of the group is left after that.
    pub(crate) async fn end(mut self, grace: Option<Duration>) -> Result<(), Failure> {
        // A grace that no clock reaches is as good as a year's.
        let limit = |grace| Instant::now().checked_add(grace);
        let deadline = grace.map(|grace| limit(grace).or_else(|| limit(Duration::from_secs(31_536_000))));
        if let Some(Some(deadline)) = deadline {
            self.send(Signal::TERM);
            // Whoever is stopped hears nothing.
            self.send(Signal::CONT);
            if timeout_at(deadline, self.ended()).await.is_ok() {
                self.bury(true);
                while test_kill_process_group(self.group).is_ok() && Instant::now() < deadline {
                    sleep(LOOK).await;
                }
                self.send(Signal::KILL);
                return Ok(());
            }
        }
        self.send(Signal::KILL);
        self.ended().await?;
        self.bury(true);
        Ok(())
    }

    /// It has ended by itself, in that way; what it has left behind goes on.
    pub(crate) fn collect(&self, end: End) {
        let had_terminal = self.bury(!matches!(end, End::Status(0..128)));
        if let End::Signal(signal @ (Signal::INT | Signal::QUIT)) = end
            && had_terminal
        {
            share_with_our_group(signal);
        }
    }

    /// Nobody else collects it. `forcibly` if it could not tidy up. Whether it had the terminal.
    fn bury(&self, forcibly: bool) -> bool {
        let _ = waitid(WaitId::Pid(self.group), WaitIdOptions::EXITED);
        let Some(terminal) = &self.terminal else { return false };
        let had_it = terminal.take_back_from(self.group);
        if forcibly {
            terminal.restore();
        }
        had_it
    }

    /// Waits for its end, and lets it stop no more.
    async fn ended(&mut self) -> Result<(), Failure> {
        while let Event::Stopped { .. } = self.event().await? {
            self.send(Signal::CONT);
        }
        Ok(())
    }

    /// Whether we are to stop as it did; if not, what is to be done is done.
    fn is_ours_to_follow(&mut self, signal: Option<Signal>, told: bool) -> bool {
        let asks_for_terminal = matches!(signal, Some(Signal::TTIN | Signal::TTOU));
        let Some(terminal) = &mut self.terminal else { return told };
        if asks_for_terminal {
            terminal.want();
            if terminal.give_to(self.group) {
                self.send(Signal::CONT);
                return false;
            }
            // It is asked for where only a shell could give it. Without one it never comes.
            if is_orphaned() {
                self.send(Signal::HUP);
                self.send(Signal::CONT);
                return false;
            }
            self.lacks_terminal = true;
            return true;
        }
        // Where it has the terminal, that is the terminal's Ctrl-Z; elsewhere somebody has stopped it who will continue it.
        told || terminal.is_wanted()
    }

    fn look(&self, at: WaitIdOptions) -> Result<Option<rustix::process::WaitIdStatus>, Failure> {
        waitid(WaitId::Pid(self.group), at | WaitIdOptions::NOHANG)
            .map_err(|error| Failure::os("cannot look for the end of the command", error))
    }

    fn send(&self, signal: Signal) {
        // There may be nobody left.
        let _ = kill_process_group(self.group, signal);
    }
}
