//! What ends the command should we be killed.
//!
//! # Implementation
//!
//! A process of our own program holds the reading end of a pipe whose other end is ours alone. When we end, of whatever, the pipe ends,
//! and it kills the group that it was told. It is a process group of its own, so that nothing that is meant for us or for the
//! command reaches it. When the command has ended first, it is killed itself. It knows no group until the command has
//! been started; what happens when we are killed before, the [launch](super::launch) says.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::args::LEASH;
use crate::exit::{End, Failure, Outcome};

/// Our end.
pub(super) struct Leash {
    process: Child,
}

impl Leash {
    /// It holds nothing yet.
    pub(super) fn make() -> Result<Self, Failure> {
        let process = std::env::current_exe().and_then(|program| {
            Command::new(program)
                .arg(LEASH)
                .process_group(0)
                .stdin(Stdio::piped())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
        });
        let process = process.map_err(|error| Failure::os("cannot start a second process of ours", error))?;
        Ok(Self { process })
    }

    /// From now on this group ends with us.
    pub(super) fn bind(&mut self, group: Pid) -> io::Result<()> {
        match &mut self.process.stdin {
            Some(pipe) => writeln!(pipe, "{}", group.as_raw_nonzero()),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }
}

impl Drop for Leash {
    fn drop(&mut self) {
        // Before the pipe ends, so that it kills nobody. It fails only on one that has ended.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The other process: waits for the end of its input and kills the group that stands there.
pub(crate) fn hold() -> Outcome {
    let mut input = String::new();
    io::stdin()
        .read_to_string(&mut input)
        .map_err(|error| Failure::os("cannot read the standard input", error))?;
    if let Some(group) = input.trim().parse().ok().and_then(Pid::from_raw) {
        // It may have ended just before.
        let _ = kill_process_group(group, Signal::KILL);
    }
    Ok(End::DONE)
}
