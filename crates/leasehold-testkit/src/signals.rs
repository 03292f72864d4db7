//! Signals to processes that this process owns.

use std::fs;
use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

/// What the kernel may take to stop the last thread of a busy process.
const LONGEST_STOP: Duration = Duration::from_secs(5);

pub(crate) fn pid(number: u32) -> io::Result<Pid> {
    i32::try_from(number)
        .ok()
        .and_then(Pid::from_raw)
        .ok_or_else(|| io::Error::other(format!("{number} is no process id")))
}

pub(crate) fn send(number: u32, signal: Signal) -> io::Result<()> {
    Ok(kill_process(pid(number)?, signal)?)
}

/// Stops a process and returns when it has stopped: the signal alone takes effect some time later.
pub(crate) fn stop(number: u32) -> io::Result<()> {
    send(number, Signal::STOP)?;
    let deadline = Instant::now() + LONGEST_STOP;
    while !matches!(state(number), Some('T' | 't' | 'Z' | 'X') | None) {
        if Instant::now() > deadline {
            return Err(io::Error::new(io::ErrorKind::TimedOut, format!("process {number} does not stop")));
        }
        thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

/// Whether a process runs (or is stopped), rather than being gone or about to be collected.
pub(crate) fn runs(number: u32) -> bool {
    !matches!(state(number), None | Some('Z' | 'X'))
}

/// The state letter of `/proc/<pid>/stat`: the field after the name, which is in parentheses and may contain any.
fn state(number: u32) -> Option<char> {
    let stat = fs::read_to_string(format!("/proc/{number}/stat")).ok()?;
    stat.rsplit_once(") ")?.1.chars().next()
}
