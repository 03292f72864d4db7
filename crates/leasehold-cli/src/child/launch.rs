//! What the command is before it is the command: a process of our own program, which becomes it.
//!
//! # Implementation
//!
//! The [leash](super::leash) can be told of the command's group only once that is there, and we may be killed before it was told. So the process
//! that is to become the command first asks the kernel to be killed with its parent, which holds across `exec`; and since the
//! parent may have ended before it asked, it looks afterwards whether that is still its parent. What the command starts is the leash's
//! to end. The kernel counts the end of the thread that has started us as the end of the parent: that is the main thread.
//!
//! Elsewhere than on Linux the command may go on when we are killed in that moment.

use std::ffi::OsString;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::Command;

use crate::args::LAUNCH;
use crate::exit::{End, Failure, NOT_EXECUTABLE, NOT_FOUND, Outcome};

/// The command, to be started.
pub(super) fn command(command: &[OsString]) -> io::Result<Command> {
    let mut launch = Command::new(std::env::current_exe()?);
    launch.arg(LAUNCH).arg(std::process::id().to_string()).args(command);
    Ok(launch)
}

/// The other process: becomes the command that stands in its arguments behind the id of its parent.
pub(crate) fn launch(mut arguments: impl Iterator<Item = OsString>) -> Outcome {
    let parent = arguments.next();
    let program = arguments.next().ok_or_else(|| Failure::usage("no command is given"))?;
    if !ends_with(parent.as_deref().and_then(|id| id.to_str()?.parse().ok()))? {
        return Ok(End::DONE);
    }
    let error = Command::new(&program).args(arguments).exec();
    let status = if error.kind() == io::ErrorKind::NotFound { NOT_FOUND } else { NOT_EXECUTABLE };
    Err(Failure::new(status, format!("cannot run {}: {error}", program.display())))
}

/// From now on this process ends with its parent; `false` if that has ended already.
#[cfg(target_os = "linux")]
fn ends_with(parent: Option<i32>) -> Result<bool, Failure> {
    use rustix::process::{Pid, Signal, getppid, set_parent_process_death_signal};
    set_parent_process_death_signal(Some(Signal::KILL))
        .map_err(|error| Failure::os("cannot bind the command to this process", error))?;
    Ok(getppid().map(Pid::as_raw_pid) == parent)
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "as on Linux")]
fn ends_with(_parent: Option<i32>) -> Result<bool, Failure> {
    Ok(true)
}
