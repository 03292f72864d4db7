//! The tap of ZooKeeper: the transaction logs of its servers.
//!
//! # Implementation
//!
//! A server writes a transaction to its log before it acknowledges it, so a log may hold one that no quorum has and that is cut off again. A
//! transaction counts once two of the three logs hold it; then so does everything before it in those logs. What a server cut off from its log, when it was
//! restarted, is taken back: that has happened before it begins its next file.
//!
//! Within a transaction what is created comes before what is deleted: a change of mode replaces an entry's node by another in one.

mod log;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::time::Duration;

use leasehold_core::{AttemptId, Mode};
use tokio::time::sleep;

use super::{Tap, TappedEntry};
use log::{Change, LogReader, Transaction};

/// Between two looks at the logs.
const PACE: Duration = Duration::from_millis(20);

/// How many logs make a quorum of three.
const QUORUM: u32 = 2;

/// Starts to read the logs in these directories.
pub(crate) fn start(directories: Vec<PathBuf>, tap: &Tap) {
    let logs = directories.into_iter().map(LogReader::new).collect();
    let mut reader =
        Reader { logs, tap: tap.clone(), pending: BTreeMap::new(), newest: 0, nodes: HashMap::new() };
    tap.reader(tokio::spawn(async move {
        loop {
            reader.look();
            sleep(PACE).await;
        }
    }));
}

struct Reader {
    logs: Vec<LogReader>,
    tap: Tap,
    /// By zxid: what is not known to be committed, and which logs hold it.
    pending: BTreeMap<i64, (u32, Transaction)>,
    /// The newest transaction that was written down.
    newest: i64,
    /// By path: the entries that are there.
    nodes: HashMap<String, (String, String)>,
}

impl Reader {
    fn look(&mut self) {
        for number in 0..self.logs.len() {
            let (bit, look) = (1 << number, self.logs[number].look());
            for gone in look.cut_off {
                if let Some((votes, _)) = self.pending.get_mut(&gone) {
                    *votes &= !bit;
                }
            }
            for transaction in look.transactions {
                if transaction.zxid > self.newest {
                    let zxid = transaction.zxid;
                    self.pending.entry(zxid).or_insert((0, transaction)).0 |= bit;
                }
            }
        }
        let committed = self.pending.iter().rev().find(|(_, (votes, _))| votes.count_ones() >= QUORUM);
        let Some((&zxid, &(by, _))) = committed else { return };
        let later = self.pending.split_off(&(zxid + 1));
        for (_, (votes, transaction)) in std::mem::replace(&mut self.pending, later) {
            if votes & by != 0 {
                self.committed(transaction);
            }
        }
        self.newest = zxid;
    }

    fn committed(&mut self, transaction: Transaction) {
        let Transaction { zxid, session, by_client, changes } = transaction;
        for change in &changes {
            if let Change::Created { path, ephemeral: true } = change {
                self.created(path, zxid, session);
            }
        }
        for change in changes {
            match change {
                Change::Created { .. } => {}
                Change::Deleted { path } => self.deleted(&path),
                Change::SessionClosed => self.tap.session_ended(&format!("{session:#x}"), by_client),
            }
        }
    }

    fn created(&mut self, path: &str, zxid: i64, session: i64) {
        let prefix = format!("/{}/", self.tap.namespace());
        let Some((lock, name)) = path.strip_prefix('/').and_then(|path| path.rsplit_once('/')) else {
            return;
        };
        let Some(name) = Name::read(name).filter(|_| path.starts_with(&prefix)) else { return };
        let (lock, attempt) = (lock.to_owned(), name.attempt.to_string());
        if name.origin.is_some() {
            // The same entry in another mode: the node of the last mode goes in the same transaction.
            self.nodes.retain(|_, known| known.0 != lock || known.1 != attempt);
            self.nodes.insert(path.to_owned(), (lock.clone(), attempt.clone()));
            self.tap.replaced(&lock, &attempt, path, name.mode);
            return;
        }
        let taken = self.nodes.values().any(|known| known.0 == lock && known.1 == attempt);
        // A second node of one attempt is a ghost, which has to go by itself.
        let entry = if taken { format!("{attempt}-{}", name.sequence) } else { attempt };
        self.nodes.insert(path.to_owned(), (lock.clone(), entry.clone()));
        self.tap.created(TappedEntry {
            lock,
            entry,
            key: path.to_owned(),
            session: format!("{session:#x}"),
            order: zxid.unsigned_abs(),
            position: u64::from(name.sequence),
            mode: name.mode,
        });
    }

    fn deleted(&mut self, path: &str) {
        if let Some((lock, entry)) = self.nodes.remove(path) {
            self.tap.removed(&lock, &entry);
        }
    }
}

/// What the name of an entry's node says: `<attempt>-<mode>-<sequence>`, with the zxid of the first node before the sequence if this is a later one.
struct Name {
    attempt: AttemptId,
    mode: Mode,
    origin: Option<i64>,
    sequence: u32,
}

impl Name {
    fn read(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('-').collect();
        let (attempt, mode, origin, sequence) = match parts[..] {
            [attempt, mode, sequence] => (attempt, mode, None, sequence),
            [attempt, mode, origin, sequence] => {
                (attempt, mode, Some(i64::from_str_radix(origin, 16).ok()?), sequence)
            }
            _ => return None,
        };
        Some(Self {
            attempt: attempt.parse().ok()?,
            mode: mode.parse().ok()?,
            origin,
            sequence: sequence.parse().ok()?,
        })
    }
}
