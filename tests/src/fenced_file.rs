//! A resource that several processes work on: a fenced register in a file.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use leasehold::FencingToken;
use leasehold::fencing::{Fence, Stale};
use rustix::fs::{FlockOperation, flock};

/// A register in a file, with its [`Fence`] beside it: reads are checked too. Each operation is atomic, as a database's would be, whatever happens to the process in its midst; a read and a later write
/// together are not: that is what the lock is for.
#[derive(Debug, Clone)]
pub struct FencedFile {
    path: PathBuf,
}

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    /// The tokens seen.
    pub fence: Fence,
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
        register.store(&Record { fence: Fence::new(), value: 0, writes: vec![0; workers] })?;
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
        let fence = words.next().and_then(|word| word.parse().ok()).ok_or_else(broken)?;
        let mut numbers = words.map(|word| word.parse().map_err(|_| broken()));
        let value = numbers.next().ok_or_else(broken)??;
        Ok(Record { fence, value, writes: numbers.collect::<io::Result<_>>()? })
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
        if let Err(stale) = record.fence.check_exclusive(token) {
            return Ok(Err(stale));
        }
        let output = operation(&mut record);
        self.store(&record)?;
        Ok(Ok(output))
    }

    fn store(&self, record: &Record) -> io::Result<()> {
        let writes: Vec<_> = record.writes.iter().map(u64::to_string).collect();
        let new = self.path.with_extension("new");
        fs::write(&new, format!("{} {} {}\n", record.fence, record.value, writes.join(" ")))?;
        fs::rename(new, &self.path)
    }
}
