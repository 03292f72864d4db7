//! Who is inside, as the kernel sees it.
//!
//! # Implementation
//!
//! `flock` belongs to an open file: two openings exclude each other in one process and in two, and the kernel lets go of what a
//! process had the moment it dies. So between processes that are neither paused nor late, a lock of the service that
//! excludes leaves the kernel's lock free for whoever is granted; the witness does not wait for it.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use leasehold::FencingToken;
use rustix::fs::{FlockOperation, flock};
use rustix::io::Errno;

/// Sees whether a lock of several processes excludes, and whether its tokens rise.
#[derive(Debug, Clone)]
pub struct Witness {
    path: PathBuf,
}

/// To be inside; dropping it is to be outside again.
#[derive(Debug)]
#[must_use = "dropped at once, it is outside at once"]
pub struct Witnessed {
    _locked: File,
}

impl Witness {
    /// The witness of one lock; its file is made when it is needed.
    pub fn new(dir: &Path, name: &str) -> Self {
        Self { path: dir.join(name) }
    }

    /// Goes in, alone.
    ///
    /// # Errors
    /// Those of the file system; of kind `Other` if somebody is inside, or if the token is not greater than that of everybody who
    /// was inside alone before.
    pub fn alone(&self, token: FencingToken) -> io::Result<Witnessed> {
        let mut file = self.enter(FlockOperation::NonBlockingLockExclusive)?;
        check(&mut file, token)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(token.to_string().as_bytes())?;
        Ok(Witnessed { _locked: file })
    }

    /// Goes in, beside others of the same kind.
    ///
    /// # Errors
    /// As [`Witness::alone`], where somebody is inside alone.
    pub fn beside_others(&self, token: FencingToken) -> io::Result<Witnessed> {
        let mut file = self.enter(FlockOperation::NonBlockingLockShared)?;
        check(&mut file, token)?;
        Ok(Witnessed { _locked: file })
    }

    fn enter(&self, how: FlockOperation) -> io::Result<File> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&self.path)?;
        match flock(&file, how) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => {
                Err(io::Error::other(format!("somebody is inside of {}", self.path.display())))
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Tokens have a fixed width, so the file holds the newest and nothing else.
fn check(file: &mut File, token: FencingToken) -> io::Result<()> {
    let mut text = String::new();
    file.read_to_string(&mut text)?;
    if text.is_empty() {
        return Ok(());
    }
    let last: FencingToken = text.parse().map_err(io::Error::other)?;
    if token > last {
        return Ok(());
    }
    Err(io::Error::other(format!("{token} comes after {last}")))
}

/// Counts how much is inside. What a killed process counted stays.
#[derive(Debug, Clone)]
pub struct Gauge {
    path: PathBuf,
}

impl Gauge {
    /// The gauge in a file, which is made when it is needed.
    pub fn new(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// Goes in with a weight; what is inside now.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn enter(&self, weight: u32) -> io::Result<u32> {
        self.change(i64::from(weight))
    }

    /// Goes out.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn leave(&self, weight: u32) -> io::Result<u32> {
        self.change(-i64::from(weight))
    }

    fn change(&self, by: i64) -> io::Result<u32> {
        let mut file =
            OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&self.path)?;
        flock(&file, FlockOperation::LockExclusive)?;
        let mut text = String::new();
        file.read_to_string(&mut text)?;
        let before: u32 = if text.is_empty() { 0 } else { text.parse().map_err(io::Error::other)? };
        let now = u32::try_from(i64::from(before) + by).map_err(io::Error::other)?;
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        file.write_all(now.to_string().as_bytes())?;
        Ok(now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_witness_sees_overlaps_and_tokens_that_do_not_rise() {
        let dir = tempfile::tempdir().unwrap();
        let witness = Witness::new(dir.path(), "lock");
        let token = |order| FencingToken::new(0, order, 0);
        let one = witness.beside_others(token(1)).unwrap();
        let other = witness.beside_others(token(1)).unwrap();
        witness.alone(token(2)).unwrap_err();
        drop((one, other));
        let alone = witness.alone(token(2)).unwrap();
        witness.alone(token(3)).unwrap_err();
        witness.beside_others(token(3)).unwrap_err();
        drop(alone);
        witness.alone(token(2)).unwrap_err();
        witness.beside_others(token(2)).unwrap_err();
        drop(witness.beside_others(token(3)).unwrap());
        drop(witness.alone(token(10)).unwrap());
        witness.alone(token(9)).unwrap_err();
        drop(Witness::new(dir.path(), "another").alone(token(1)).unwrap());
    }

    #[test]
    fn a_gauge_counts() {
        let dir = tempfile::tempdir().unwrap();
        let gauge = Gauge::new(&dir.path().join("gauge"));
        assert_eq!([gauge.enter(9).unwrap(), gauge.enter(2).unwrap()], [9, 11]);
        assert_eq!([gauge.leave(9).unwrap(), gauge.leave(2).unwrap()], [2, 0]);
        gauge.leave(1).unwrap_err();
    }
}
