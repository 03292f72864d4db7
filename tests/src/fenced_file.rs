//! A resource that several processes work on: a fenced register in a file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use leasehold::FencingToken;
use rustix::fs::{FlockOperation, flock};

/// A register in a file that remembers the highest fencing token and rejects lower ones, on reads too. Each operation
/// is atomic, as a database's would be, whatever happens to the process in its midst; a read and a later write
/// together are not: that is what the lock is for.
#[derive(Debug, Clone)]
pub struct FencedFile {
    path: PathBuf,
}

/// The operation came with a token lower than one that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The highest token seen.
    pub highest: FencingToken,
    /// The register.
    pub value: u64,
    /// How many writes each worker has made.
    pub writes: Vec<u64>,
}

impl FencedFile {
    /// Makes the file.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn create(path: &Path, workers: usize) -> io::Result<Self> {
        let register = Self { path: path.to_owned() };
        register.store(&Record {
            highest: FencingToken::new(0, 0, 0),
            value: 0,
            writes: vec![0; workers],
        })?;
        Ok(register)
    }

    /// Opens a file that [`FencedFile::create`] made.
    pub fn open(path: &Path) -> Self {
        Self { path: path.to_owned() }
    }

    /// What the file holds, without a token: for the judge at the end.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn inspect(&self) -> io::Result<Record> {
        let text = fs::read_to_string(&self.path)?;
        let mut words = text.split_whitespace();
        let broken = || io::Error::new(io::ErrorKind::InvalidData, format!("not a register: {text:?}"));
        let highest = words.next().and_then(|word| word.parse().ok()).ok_or_else(broken)?;
        let mut numbers = words.map(|word| word.parse().map_err(|_| broken()));
        let value = numbers.next().ok_or_else(broken)??;
        Ok(Record { highest, value, writes: numbers.collect::<io::Result<_>>()? })
    }

    /// The value.
    ///
    /// # Errors
    /// Those of the file system, and inside [`Stale`].
    pub fn read(&self, token: FencingToken) -> io::Result<Result<u64, Stale>> {
        self.operate(token, |record| record.value)
    }

    /// Replaces the value, in the name of a worker.
    ///
    /// # Errors
    /// Those of the file system, and inside [`Stale`].
    pub fn write(&self, token: FencingToken, worker: usize, value: u64) -> io::Result<Result<(), Stale>> {
        self.operate(token, |record| {
            record.value = value;
            record.writes[worker] += 1;
        })
    }

    fn operate<T>(
        &self,
        token: FencingToken,
        operation: impl FnOnce(&mut Record) -> T,
    ) -> io::Result<Result<T, Stale>> {
        let guard = File::create(self.path.with_extension("guard"))?;
        flock(&guard, FlockOperation::LockExclusive)?;
        let mut record = self.inspect()?;
        if token < record.highest {
            return Ok(Err(Stale));
        }
        record.highest = token;
        let output = operation(&mut record);
        self.store(&record)?;
        Ok(Ok(output))
    }

    fn store(&self, record: &Record) -> io::Result<()> {
        let writes: Vec<_> = record.writes.iter().map(u64::to_string).collect();
        let new = self.path.with_extension("new");
        fs::write(&new, format!("{} {} {}\n", record.highest, record.value, writes.join(" ")))?;
        fs::rename(new, &self.path)
    }
}
