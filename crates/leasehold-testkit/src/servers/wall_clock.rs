//! A wall clock that is set while servers run by it, and nobody else's.
//!
//! # Implementation
//!
//! `wall_clock.c` is loaded into the server before its own libraries; what it adds to the time stands in a file that the server has mapped. It
//! is compiled when it is first wanted, by `cc`. (What is packaged for this, libfaketime, asks for the time before it is ready when Redis's
//! allocator starts, and Redis does not start then.)

use std::ffi::OsString;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use super::error::StartError;

/// A wall clock, right at first. Cheap to clone; its files go with the last handle, of which the options of the servers that go by it have one.
///
/// Redis and ZooKeeper can go by it. etcd, like other programs in Go, asks the kernel for the time by itself, past every library: neither
/// this nor libfaketime does anything to it.
#[derive(Debug, Clone)]
pub struct WallClock {
    dir: Arc<Dir>,
}

/// Which way a clock is set.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Set {
    /// Later than it is.
    Forward(Duration),
    /// Earlier than it is.
    Back(Duration),
    /// As it is.
    Right,
}

impl WallClock {
    /// Makes a clock.
    ///
    /// # Panics
    /// If there is no C compiler, or no room for its files.
    pub fn start() -> Self {
        Self::try_start().unwrap_or_else(|error| error.panic())
    }

    /// As [`start`](Self::start), without panicking.
    ///
    /// # Errors
    /// See [`StartError`].
    pub fn try_start() -> Result<Self, StartError> {
        let clock = Self { dir: Arc::new(Dir::create()?) };
        let cannot = || StartError::io("cannot write a wall clock's files");
        fs::write(clock.offset(), 0_i64.to_ne_bytes()).map_err(cannot())?;
        let source = clock.dir.0.join("wall_clock.c");
        fs::write(&source, include_str!("wall_clock.c")).map_err(cannot())?;
        let mut compiler = Command::new("cc");
        compiler
            .args(["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"])
            .arg(clock.library())
            .arg(&source);
        let output = compiler
            .output()
            .map_err(StartError::io("cannot run `cc` (Debian packages `gcc` and `libc6-dev`)"))?;
        if output.status.success() {
            return Ok(clock);
        }
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        Err(StartError::io("`cc` does not compile wall_clock.c")(io::Error::other(said)))
    }

    /// Sets it, compared with the right time.
    ///
    /// # Panics
    /// If its file is gone.
    pub fn set(&self, to: Set) {
        let micros = |by: Duration| i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let offset = match to {
            Set::Forward(by) => micros(by),
            Set::Back(by) => -micros(by),
            Set::Right => 0,
        };
        // In place: the servers have the file mapped.
        let file = OpenOptions::new().write(true).open(self.offset());
        if let Err(error) = file.and_then(|mut file| file.write_all(&offset.to_ne_bytes())) {
            panic!("cannot set a wall clock: {error}");
        }
    }

    pub(super) fn env(&self) -> [(OsString, OsString); 2] {
        [("LD_PRELOAD".into(), self.library().into()), ("WALL_CLOCK_OFFSET".into(), self.offset().into())]
    }

    fn library(&self) -> PathBuf {
        self.dir.0.join("wall_clock.so")
    }

    fn offset(&self) -> PathBuf {
        self.dir.0.join("offset")
    }
}

#[derive(Debug)]
struct Dir(PathBuf);

impl Dir {
    fn create() -> Result<Self, StartError> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let dir = std::env::temp_dir().join(format!("leasehold-clock-{}-{number}", std::process::id()));
            match fs::create_dir(&dir) {
                Ok(()) => return Ok(Self(dir)),
                // A leftover of a process that had this id and was killed.
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
                Err(error) => return Err(StartError::io(format!("cannot create {}", dir.display()))(error)),
            }
        }
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(Path::new(&self.0));
    }
}
