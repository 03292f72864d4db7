//! Who has the terminal.

use std::io::{IsTerminal, stdin};

use nix::sys::signal::{SigSet, Signal};
use rustix::process::{Pid, getpgrp};
use rustix::termios::{tcgetpgrp, tcsetpgrp};

/// The terminal at our standard input, which we had when we started.
pub(super) struct Terminal {
    ours: Pid,
}

impl Terminal {
    /// `None` if there is no terminal, or others have it.
    pub(super) fn of_ours() -> Option<Self> {
        let terminal = Self { ours: getpgrp() };
        (stdin().is_terminal() && terminal.is_ours()).then_some(terminal)
    }

    fn is_ours(&self) -> bool {
        tcgetpgrp(stdin()).is_ok_and(|foreground| foreground == self.ours)
    }

    /// Hands it over, if it is ours.
    pub(super) fn give_to(&self, group: Pid) {
        if self.is_ours() {
            // Without it, the group is stopped when it reads, and we with it.
            let _ = tcsetpgrp(stdin(), group);
        }
    }

    /// Takes it back, if that group has it: by now it may be the shell's.
    pub(super) fn take_back_from(&self, group: Pid) {
        if !tcgetpgrp(stdin()).is_ok_and(|foreground| foreground == group) {
            return;
        }
        // Who takes it from the background is stopped by SIGTTOU, if that is not blocked.
        let mut output = SigSet::empty();
        output.add(Signal::SIGTTOU);
        if output.thread_block().is_ok() {
            let _ = tcsetpgrp(stdin(), self.ours);
            let _ = output.thread_unblock();
        }
    }
}
