//! A line on the terminal that is written over and over.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write, stderr};

use rustix::process::getpgrp;
use rustix::termios::{tcgetpgrp, tcgetwinsize};

/// A line at the foot of the terminal, where the standard error is one; otherwise nothing. It is gone when this is dropped.
pub(crate) struct StatusLine {
    shown: Cell<bool>,
}

impl StatusLine {
    pub(crate) fn new() -> Self {
        Self { shown: Cell::new(false) }
    }

    /// Whether anybody would see it.
    pub(crate) fn is_seen(&self) -> bool {
        stderr().is_terminal()
    }

    /// Writes it anew; not while the shell has put us into the background, where it would be written into what is typed.
    pub(crate) fn show(&self, text: &str) {
        if !self.is_seen() || tcgetpgrp(stderr()).is_ok_and(|foreground| foreground != getpgrp()) {
            return;
        }
        let text = fitted(text, tcgetwinsize(stderr()).map_or(0, |size| size.ws_col));
        // Back to the margin, the text, and nothing behind it.
        let _ = write_now(&format!("\r{text}\x1b[K"));
        self.shown.set(true);
    }

    /// Takes it away, until it is shown again.
    pub(crate) fn clear(&self) {
        if self.shown.take() {
            let _ = write_now("\r\x1b[K");
        }
    }
}

impl Drop for StatusLine {
    fn drop(&mut self) {
        self.clear();
    }
}

fn write_now(text: &str) -> io::Result<()> {
    let mut terminal = stderr().lock();
    terminal.write_all(text.as_bytes())?;
    terminal.flush()
}

/// As much as fits: a line that is broken could not be taken back. A terminal of no width does not tell it.
pub(crate) fn fitted(text: &str, columns: u16) -> String {
    match usize::from(columns).checked_sub(1) {
        Some(room) if text.chars().count() > room => {
            text.chars().take(room.saturating_sub(1)).chain(['\u{2026}']).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_is_too_long_is_cut() {
        assert_eq!(fitted("abcdef", 7), "abcdef");
        assert_eq!(fitted("abcdef", 6), "abcd\u{2026}");
        assert_eq!(fitted("abcdef", 0), "abcdef");
        assert_eq!(fitted("\u{e4}\u{e4}", 3), "\u{e4}\u{e4}");
    }
}
