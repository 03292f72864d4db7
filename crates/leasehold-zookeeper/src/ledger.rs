//! What a session knows of its own attempts.
//!
//! # Implementation
//!
//! A record lives from the first enqueue of an attempt to its withdrawal, and says whether an entry was confirmed or a
//! creation is *in doubt*: sent, and not answered. The client crate does not take a request back when its future is
//! dropped, so doubt is written down **before** a creation is handed to the client, under the ledger's lock and in one
//! step with it; whoever looks later finds it, however the enqueue ended. The same lock orders
//! enqueues against withdrawals and against the end of the session: after either, no creation is handed over.
//!
//! A creation that was handed over earlier is ahead of anything that this session sends later: the client keeps the order
//! of its requests, also of those that wait for a connection, and fails those that a broken connection left
//! unanswered. What an old connection may still carry is either applied before the session is confirmed on the new one
//! (a server closes its old connection of a session that reconnects to it; a leader takes a follower's requests in
//! order), or refused after, because the session belongs to another server by then (`SessionMovedException`). So
//! `sync` and then a listing shows every creation that can ever be applied.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use leasehold_core::{AttemptId, BackendError, BackendErrorKind};

use crate::layout::{Directory, NodeName};

/// How many withdrawals are remembered. It bounds the memory, and is far more than there can be enqueues under way
/// whose attempts were withdrawn meanwhile.
const REMEMBERED_WITHDRAWALS: usize = 1 << 16;

/// What is known of an attempt's entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Trace {
    /// A creation was sent and not answered.
    InDoubt,
    /// The entry was created.
    Placed {
        /// Its node.
        name: NodeName,
        /// Its order.
        order: u64,
    },
}

/// One turn at a time: two enqueues of one attempt must not both create.
pub(crate) type Turn = Arc<tokio::sync::Mutex<()>>;

#[derive(Debug)]
struct Record {
    directory: Directory,
    turn: Turn,
    trace: Option<Trace>,
}

#[derive(Debug, Default)]
struct Books {
    records: HashMap<AttemptId, Record>,
    withdrawn: HashSet<AttemptId>,
    withdrawn_in_order: VecDeque<AttemptId>,
    closed: bool,
}

impl Books {
    fn admit(&self, attempt: AttemptId) -> Result<(), BackendError> {
        if self.withdrawn.contains(&attempt) {
            let message = format!("the attempt {attempt} was withdrawn");
            return Err(BackendError::new(BackendErrorKind::Withdrawn, message));
        }
        if self.closed {
            return Err(BackendError::new(BackendErrorKind::SessionLost, "the session has ended"));
        }
        Ok(())
    }
}

/// The attempts of one session.
#[derive(Debug, Default)]
pub(crate) struct Ledger {
    books: Mutex<Books>,
}

impl Ledger {
    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens the record of an attempt.
    pub(crate) fn turn(&self, attempt: AttemptId, directory: &Directory) -> Result<Turn, BackendError> {
        let mut books = self.books();
        books.admit(attempt)?;
        let record = books.records.entry(attempt).or_insert_with(|| Record {
            directory: directory.clone(),
            turn: Turn::default(),
            trace: None,
        });
        Ok(record.turn.clone())
    }

    /// Notes that an earlier incarnation of the session may have made an entry of the attempt, which is to be looked for.
    pub(crate) fn inherit(&self, attempt: AttemptId, directory: Directory) {
        let record = Record { directory, turn: Turn::default(), trace: Some(Trace::InDoubt) };
        self.books().records.insert(attempt, record);
    }

    pub(crate) fn trace(&self, attempt: AttemptId) -> Option<Trace> {
        self.books().records.get(&attempt)?.trace
    }

    /// Notes that a creation is in doubt and calls `send`, which hands it to the client.
    pub(crate) fn send<T>(&self, attempt: AttemptId, send: impl FnOnce() -> T) -> Result<T, BackendError> {
        let mut books = self.books();
        books.admit(attempt)?;
        if let Some(record) = books.records.get_mut(&attempt) {
            record.trace = Some(Trace::InDoubt);
        }
        Ok(send())
    }

    /// Notes that nothing of the attempt exists or is under way.
    pub(crate) fn settle(&self, attempt: AttemptId) {
        if let Some(record) = self.books().records.get_mut(&attempt) {
            record.trace = None;
        }
    }

    /// Notes where the entry is.
    ///
    /// # Errors
    /// `Withdrawn` if the attempt was withdrawn meanwhile; the withdrawal has removed the entry or is about to.
    pub(crate) fn placed(&self, name: NodeName, order: u64) -> Result<(), BackendError> {
        let mut books = self.books();
        books.admit(name.attempt)?;
        if let Some(record) = books.records.get_mut(&name.attempt) {
            record.trace = Some(Trace::Placed { name, order });
        }
        Ok(())
    }

    /// Notes that the entry's node is another now, if the entry is one of this session's and not withdrawn.
    pub(crate) fn replaced(&self, name: NodeName, order: u64) {
        let mut books = self.books();
        if let Some(record) = books.records.get_mut(&name.attempt) {
            record.trace = Some(Trace::Placed { name, order });
        }
    }

    /// Closes the record of an attempt that has no entry and never will.
    pub(crate) fn forget(&self, attempt: AttemptId) {
        self.books().records.remove(&attempt);
    }

    /// Closes the record of an attempt unless there is a trace of an entry.
    pub(crate) fn forget_untraced(&self, attempt: AttemptId) {
        let mut books = self.books();
        if books.records.get(&attempt).is_some_and(|record| record.trace.is_none()) {
            books.records.remove(&attempt);
        }
    }

    /// Bars an attempt: no creation of it is sent any more.
    pub(crate) fn withdraw(&self, attempt: AttemptId) {
        let mut books = self.books();
        if books.withdrawn.insert(attempt) {
            books.withdrawn_in_order.push_back(attempt);
            if books.withdrawn_in_order.len() > REMEMBERED_WITHDRAWALS
                && let Some(oldest) = books.withdrawn_in_order.pop_front()
            {
                books.withdrawn.remove(&oldest);
            }
        }
    }

    /// Bars all attempts, and answers those that may have an entry, each with its queue's directory.
    pub(crate) fn close(&self) -> Vec<(Directory, AttemptId, Trace)> {
        let mut books = self.books();
        books.closed = true;
        let records = std::mem::take(&mut books.records);
        let traced = |(attempt, record): (_, Record)| Some((record.directory, attempt, record.trace?));
        records.into_iter().filter_map(traced).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::Layout;
    use leasehold_core::{AttemptIds, Mode};

    fn directory() -> Directory {
        Directory { path: "/q".into(), layout: Layout::Own }
    }

    #[test]
    fn doubt_is_noted_before_the_request_is_sent() {
        let ledger = Ledger::default();
        let attempt = AttemptIds::new().unwrap().next();
        ledger.turn(attempt, &directory()).unwrap();
        assert_eq!(ledger.trace(attempt), None);
        ledger.send(attempt, || ()).unwrap();
        assert_eq!(ledger.trace(attempt), Some(Trace::InDoubt));
        let name = NodeName { attempt, mode: Mode::Exclusive, origin: None, sequence: 7 };
        ledger.placed(name, 99).unwrap();
        assert_eq!(ledger.trace(attempt), Some(Trace::Placed { name, order: 99 }));
        assert_eq!(ledger.close().len(), 1);
        assert_eq!(ledger.send(attempt, || ()).unwrap_err().kind(), BackendErrorKind::SessionLost);
    }

    #[test]
    fn a_withdrawn_attempt_stays_withdrawn() {
        let ledger = Ledger::default();
        let attempt = AttemptIds::new().unwrap().next();
        ledger.turn(attempt, &directory()).unwrap();
        ledger.send(attempt, || ()).unwrap();
        ledger.withdraw(attempt);
        let mut sent = false;
        assert_eq!(ledger.send(attempt, || sent = true).unwrap_err().kind(), BackendErrorKind::Withdrawn);
        assert!(!sent);
        let name = NodeName { attempt, mode: Mode::Exclusive, origin: None, sequence: 7 };
        assert_eq!(ledger.placed(name, 1).unwrap_err().kind(), BackendErrorKind::Withdrawn);
        assert_eq!(ledger.trace(attempt), Some(Trace::InDoubt), "until the withdrawal is through");
        ledger.forget(attempt);
        assert_eq!(ledger.turn(attempt, &directory()).unwrap_err().kind(), BackendErrorKind::Withdrawn);
    }

    #[test]
    fn the_memory_of_withdrawals_is_bounded() {
        let (ledger, ids) = (Ledger::default(), AttemptIds::new().unwrap());
        for _ in 0..REMEMBERED_WITHDRAWALS + 10 {
            ledger.withdraw(ids.next());
        }
        let books = ledger.books();
        assert_eq!(books.withdrawn.len(), REMEMBERED_WITHDRAWALS);
        assert_eq!(books.withdrawn_in_order.len(), REMEMBERED_WITHDRAWALS);
    }
}
