//! Who has the terminal.
//!
//! # Implementation
//!
//! The command's group gets the terminal at once where nobody else of our group could want it: a shell has started us as a job by
//! ourselves, and we read from the terminal and write to it. In a script or a pipeline the terminal stays with our group, where Ctrl-C and
//! Ctrl-Z also reach the others, and the command gets it when it asks for it: whoever reads from the terminal, or sets it up, without having
//! it is stopped by SIGTTIN or SIGTTOU. It keeps it then until it stops or ends.

use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, stdin, stdout};

use nix::sys::signal::{SigSet, Signal};
use rustix::process::{Pid, getpgrp, getpid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetpgrp, tcsetattr, tcsetpgrp};

/// The terminal that our session has.
pub(super) struct Terminal {
    terminal: File,
    ours: Pid,
    /// How it was set up when we started.
    modes: Option<Termios>,
    /// Whether the command is to have it whenever we could have it.
    wanted: bool,
}

impl Terminal {
    /// `None` if there is no terminal.
    pub(super) fn of_ours() -> Option<Self> {
        let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty").ok()?;
        let modes = tcgetattr(&terminal).ok();
        let alone = getpgrp() == getpid() && stdin().is_terminal() && stdout().is_terminal();
        Some(Self { terminal, ours: getpgrp(), modes, wanted: alone })
    }

    /// Whether the command is to have it whenever we could have it.
    pub(super) fn is_wanted(&self) -> bool {
        self.wanted
    }

    /// From now on it is.
    pub(super) fn want(&mut self) {
        self.wanted = true;
    }

    fn is_with(&self, group: Pid) -> bool {
        tcgetpgrp(&self.terminal).is_ok_and(|foreground| foreground == group)
    }

    /// Hands it over, if it is ours; whether the group has it now.
    pub(super) fn give_to(&self, group: Pid) -> bool {
        if self.is_with(self.ours) {
            // Without it, the group is stopped when it reads, and we with it.
            let _ = tcsetpgrp(&self.terminal, group);
        }
        self.is_with(group)
    }

    /// Takes it back, if that group has it: by now it may be the shell's. Whether it had it.
    pub(super) fn take_back_from(&self, group: Pid) -> bool {
        let had = self.is_with(group);
        if had {
            in_the_background(|| tcsetpgrp(&self.terminal, self.ours));
        }
        had
    }

    /// Sets it up as it was, after a command that could not do so itself.
    pub(super) fn restore(&self) {
        if let Some(modes) = self.modes.as_ref().filter(|_| self.is_with(self.ours)) {
            in_the_background(|| tcsetattr(&self.terminal, OptionalActions::Now, modes));
        }
    }
}

/// Who does such a thing from the background is stopped by SIGTTOU, if that is not blocked.
fn in_the_background(work: impl FnOnce() -> rustix::io::Result<()>) {
    let mut output = SigSet::empty();
    output.add(Signal::SIGTTOU);
    if output.thread_block().is_ok() {
        let _ = work();
        let _ = output.thread_unblock();
    }
}
