//! The files of a transaction log (`FileTxnLog`, `SerializeUtils` and `zookeeper.jute`).
//!
//! A file is a header of 16 bytes and then transactions: an Adler-32 checksum in 8 bytes, the length in 4, the bytes, and a `B`. Room is made ahead of
//! time, and is zero. What is not whole is being written, and is read the next time.

use std::collections::HashSet;
use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

const HEADER: u64 = 16;

const CREATE: i32 = 1;
const DELETE: i32 = 2;
const MULTI: i32 = 14;
const CREATE2: i32 = 15;
const CREATE_CONTAINER: i32 = 19;
const DELETE_CONTAINER: i32 = 20;
const CLOSE_SESSION: i32 = -11;

/// One transaction, as far as it matters to entries and sessions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Transaction {
    pub(super) zxid: i64,
    /// Who asked for it.
    pub(super) session: i64,
    /// Whether it was a client that asked; a session that expires is closed by a server.
    pub(super) by_client: bool,
    pub(super) changes: Vec<Change>,
}

/// What it did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Change {
    Created { path: String, ephemeral: bool },
    Deleted { path: String },
    SessionClosed,
}

/// Reads the log of one server while it is written.
#[derive(Debug)]
pub(super) struct LogReader {
    directory: PathBuf,
    /// The file that is read, by the number in its name, and how far.
    at: Option<(i64, u64)>,
    /// The transactions of that file.
    seen: Vec<i64>,
}

/// What a look at a log has found.
#[derive(Debug, Default)]
pub(super) struct Looked {
    /// What is new.
    pub(super) transactions: Vec<Transaction>,
    /// What was there and is not any more.
    pub(super) cut_off: Vec<i64>,
}

impl LogReader {
    pub(super) fn new(directory: PathBuf) -> Self {
        Self { directory, at: None, seen: Vec::new() }
    }

    /// What has come since the last look.
    pub(super) fn look(&mut self) -> Looked {
        let mut looked = Looked::default();
        loop {
            // Whoever begins another file has ended this one.
            let files = self.files();
            self.read_on(&mut looked);
            let next = files.into_iter().find(|number| self.at.is_none_or(|(at, _)| *number > at));
            let Some(next) = next else { return looked };
            if let Some((at, _)) = self.at {
                let mut again =
                    Self { directory: self.directory.clone(), at: Some((at, HEADER)), seen: Vec::new() };
                again.read_on(&mut Looked::default());
                // There are tens of thousands: they are not looked through for each.
                let kept: HashSet<i64> = again.seen.into_iter().collect();
                looked.cut_off.extend(self.seen.iter().filter(|zxid| !kept.contains(zxid)));
            }
            (self.at, self.seen) = (Some((next, HEADER)), Vec::new());
        }
    }

    /// The numbers of the files, in order.
    fn files(&self) -> Vec<i64> {
        let names = fs::read_dir(&self.directory).into_iter().flatten().flatten();
        let mut numbers: Vec<i64> = names
            .filter_map(|file| i64::from_str_radix(file.file_name().to_str()?.strip_prefix("log.")?, 16).ok())
            .collect();
        numbers.sort_unstable();
        numbers
    }

    fn read_on(&mut self, looked: &mut Looked) {
        let Some((number, offset)) = &mut self.at else { return };
        let Ok(file) = File::open(self.directory.join(format!("log.{number:x}"))) else { return };
        while let Some((bytes, length)) = whole(&file, *offset) {
            *offset += length;
            if let Some(transaction) = transaction(&bytes) {
                self.seen.push(transaction.zxid);
                looked.transactions.push(transaction);
            }
        }
    }
}

/// The bytes of the transaction at this place, if it is whole, and the room that it takes.
fn whole(file: &File, offset: u64) -> Option<(Vec<u8>, u64)> {
    let mut head = [0; 12];
    file.read_exact_at(&mut head, offset).ok()?;
    let (checksum, length) = head.split_at(8);
    let checksum = u64::from_be_bytes(checksum.try_into().ok()?);
    let length = u32::from_be_bytes(length.try_into().ok()?);
    if length == 0 || length > 64 << 20 {
        return None;
    }
    let mut bytes = vec![0; length as usize + 1];
    file.read_exact_at(&mut bytes, offset + 12).ok()?;
    (bytes.pop() == Some(b'B') && adler32(&bytes) == checksum).then_some((bytes, 13 + u64::from(length)))
}

fn adler32(bytes: &[u8]) -> u64 {
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in bytes {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    u64::from(high << 16 | low)
}

fn transaction(bytes: &[u8]) -> Option<Transaction> {
    let mut rest = Fields(bytes);
    let (session, cxid, zxid, _time, kind) =
        (rest.long()?, rest.int()?, rest.long()?, rest.long()?, rest.int()?);
    let mut changes = Vec::new();
    change(kind, &mut rest, &mut changes);
    Some(Transaction { zxid, session, by_client: cxid != 0, changes })
}

/// Adds what a record of this kind did. One that cannot be read, or does not matter, did nothing.
fn change(kind: i32, record: &mut Fields<'_>, changes: &mut Vec<Change>) -> Option<()> {
    match kind {
        CREATE | CREATE2 => {
            let path = record.text()?;
            record.bytes()?;
            for _ in 0..record.int()?.max(0) {
                record.int()?;
                record.text()?;
                record.text()?;
            }
            let ephemeral = record.byte()? != 0;
            changes.push(Change::Created { path, ephemeral });
        }
        CREATE_CONTAINER => changes.push(Change::Created { path: record.text()?, ephemeral: false }),
        DELETE | DELETE_CONTAINER => changes.push(Change::Deleted { path: record.text()? }),
        CLOSE_SESSION => changes.push(Change::SessionClosed),
        MULTI => {
            for _ in 0..record.int()?.max(0) {
                let kind = record.int()?;
                change(kind, &mut Fields(record.bytes()?), changes);
            }
        }
        _ => {}
    }
    Some(())
}

/// What is left of a record.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn byte(&mut self) -> Option<u8> {
        self.take(1).map(|byte| byte[0])
    }

    fn int(&mut self) -> Option<i32> {
        Some(i32::from_be_bytes(self.take(4)?.try_into().ok()?))
    }

    fn long(&mut self) -> Option<i64> {
        Some(i64::from_be_bytes(self.take(8)?.try_into().ok()?))
    }

    /// None at all has the length -1.
    fn bytes(&mut self) -> Option<&'a [u8]> {
        let length = self.int()?.max(0);
        self.take(usize::try_from(length).ok()?)
    }

    fn text(&mut self) -> Option<String> {
        String::from_utf8(self.bytes()?.to_vec()).ok()
    }
}
