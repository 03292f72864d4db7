//! A terminal: what is typed, and what is seen.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcgetpgrp, tcsetwinsize};

use crate::support::{BINARY, PATIENCE};

pub(crate) const CTRL_C: &str = "\x03";
pub(crate) const CTRL_Z: &str = "\x1a";

/// A shell with job control on a terminal of its own, which echoes nothing. It ends with this.
pub(crate) struct Shell {
    terminal: File,
    shell: Child,
    seen: Arc<(Mutex<String>, Condvar)>,
    /// How much of it was looked at.
    at: usize,
}

impl Shell {
    /// Bash, with `leasehold` in the search path and this URL in its environment.
    pub(crate) fn start(url: &str) -> Self {
        let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC).unwrap();
        grantpt(&terminal).unwrap();
        unlockpt(&terminal).unwrap();
        tcsetwinsize(&terminal, Winsize { ws_row: 24, ws_col: 100, ws_xpixel: 0, ws_ypixel: 0 }).unwrap();
        let name = ptsname(&terminal, Vec::new()).unwrap();
        let end =
            rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty()).unwrap();
        let stdio = |end: &OwnedFd| Stdio::from(end.try_clone().unwrap());
        let directory = std::path::Path::new(BINARY).parent().unwrap().display();
        // Whoever runs the tests in the background has them ignore what is typed, and a shell keeps to that.
        let shell = Command::new("env")
            .args(["--default-signal", "setsid", "--ctty"])
            .args(["bash", "--norc", "--noprofile", "--noediting", "-i"])
            .env("LEASEHOLD_URL", url)
            .env("PATH", format!("{directory}:{}", std::env::var("PATH").unwrap_or_default()))
            .env("PS1", "$ ")
            .stdin(stdio(&end))
            .stdout(stdio(&end))
            .stderr(stdio(&end))
            .spawn()
            .expect("setsid (Debian package util-linux) and bash are there");
        let terminal = File::from(terminal);
        let seen = Arc::<(Mutex<String>, Condvar)>::default();
        let (mut reader, writer) = (terminal.try_clone().unwrap(), seen.clone());
        std::thread::spawn(move || {
            let mut bytes = [0; 4096];
            // The other end is closed by the last who has it open.
            while let Ok(count @ 1..) = reader.read(&mut bytes) {
                writer.0.lock().unwrap().push_str(&String::from_utf8_lossy(&bytes[..count]));
                writer.1.notify_all();
            }
        });
        let mut shell = Self { terminal, shell, seen, at: 0 };
        shell.type_line("stty -echo; echo quiet-$((1+1))");
        shell.expect("quiet-2");
        shell
    }

    pub(crate) fn type_text(&mut self, text: &str) {
        self.terminal.write_all(text.as_bytes()).unwrap();
    }

    pub(crate) fn type_line(&mut self, line: &str) {
        self.type_text(&format!("{line}\n"));
    }

    /// Ctrl-C, until the shell asks for the next line: what is typed together with it is the terminal's to drop. Answers what was seen
    /// until then.
    pub(crate) fn interrupt(&mut self) -> String {
        self.type_text(CTRL_C);
        self.expect("$ ")
    }

    /// Waits until this is seen, after what was looked at before; answers what stands before it.
    pub(crate) fn expect(&mut self, text: &str) -> String {
        let deadline = Instant::now() + PATIENCE;
        let mut seen = self.seen.0.lock().unwrap();
        loop {
            if let Some(found) = seen[self.at..].find(text) {
                let before = seen[self.at..self.at + found].to_owned();
                self.at += found + text.len();
                return before;
            }
            let left = deadline.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "{text:?} is never seen, but {:?}", &seen[self.at..]);
            seen = self.seen.1.wait_timeout(seen, left.min(Duration::from_secs(1))).unwrap().0;
        }
    }

    /// Waits until this process reads from the terminal and whoever has given it that waits for it. A Ctrl-Z before that may meet it while it is
    /// stopped for want of the terminal: to be continued undoes a stop that was sent meanwhile, as it does in every shell.
    pub(crate) fn until_it_reads(&self, process: i32) {
        let deadline = Instant::now() + PATIENCE;
        let reads = || {
            let foreground = tcgetpgrp(&self.terminal).is_ok_and(|group| group.as_raw_pid() == process);
            let (sleeps, parent) = state(process)?;
            Some(foreground && sleeps && state(parent)?.0)
        };
        while reads() != Some(true) {
            assert!(Instant::now() < deadline, "process {process} does not read");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// The status of what has just ended, and what was seen until then.
    pub(crate) fn status(&mut self) -> (i32, String) {
        self.type_line("echo status:$?:");
        let before = self.expect("status:");
        (self.expect(":").parse().unwrap(), before)
    }
}

/// Whether a process sleeps, and its parent.
fn state(process: i32) -> Option<(bool, i32)> {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).ok()?;
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split(' ');
    Some((fields.next()? == "S", fields.next()?.parse().ok()?))
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Of what it has started, all that has the terminal is told that the terminal is gone as its end closes.
        let _ = self.shell.kill();
        let _ = self.shell.wait();
    }
}
