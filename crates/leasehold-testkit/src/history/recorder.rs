//! Writes a history down while it happens.
//!
//! # Implementation
//!
//! The clock is read under the lock of the sink, so the events of one sink are in the order of their times, and of two with the same time (which paused clocks give)
//! the order still tells which came first. An invocation is recorded before its operation is sent and the end after its answer came, so an operation took
//! effect between the two. In a file each event is one write of one line, which the kernel keeps when the process is killed
//! right after it; a line that was torn by the kill is the last one, and is left out by the reader.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use leasehold_core::{Clock, Liveness, LivenessCell, Timestamp};

use super::call::{Call, Outcome};
use super::event::{Event, OpId, What};

/// Records what one process does; cheap to clone, and shared by any tasks and threads.
#[derive(Debug, Clone)]
pub struct Recorder {
    process: Arc<str>,
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    clock: Clock,
    last: AtomicU64,
    sink: Mutex<Sink>,
}

#[derive(Debug)]
enum Sink {
    Memory(Vec<Event>),
    File(File),
}

impl Recorder {
    /// Keeps the events in memory. The clock is the one of the deadlines: that of the backend.
    pub fn in_memory(process: &str, clock: Clock) -> Self {
        Self::with(process, clock, Sink::Memory(Vec::new()))
    }

    /// Appends the events to a file, as JSON lines. Processes of one host that count on [`Clock::system`] have one clock, so
    /// their files make one history.
    ///
    /// # Errors
    /// Those of the file system.
    pub fn to_file(process: &str, clock: Clock, path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::with(process, clock, Sink::File(file)))
    }

    fn with(process: &str, clock: Clock, sink: Sink) -> Self {
        let shared = Shared { clock, last: AtomicU64::new(0), sink: Mutex::new(sink) };
        Self { process: process.into(), shared: Arc::new(shared) }
    }

    /// Records in the name of another process, into the same history.
    pub fn process(&self, process: &str) -> Self {
        Self { process: process.into(), shared: Arc::clone(&self.shared) }
    }

    /// Records something that happens now.
    ///
    /// # Panics
    /// If the file cannot be written: a history with holes proves nothing.
    pub fn record(&self, what: What) {
        let mut sink = self.shared.sink.lock().unwrap_or_else(PoisonError::into_inner);
        let at = self.nanos(self.shared.clock.now());
        let event = Event { at, process: self.process.to_string(), what };
        match &mut *sink {
            Sink::Memory(events) => events.push(event),
            Sink::File(file) => file.write_all(event.to_line().as_bytes()).expect("the history is written"),
        }
    }

    /// Records that an operation begins, and numbers it. Ask for it afterwards.
    pub fn invoke(&self, call: Call) -> OpId {
        let op = self.number();
        self.record(What::Invoke { op, call });
        op
    }

    /// Records that an operation was done.
    pub fn ok(&self, op: OpId, outcome: Outcome) {
        self.record(What::Ok { op, outcome });
    }

    /// Records that an operation was certainly not done.
    pub fn fail(&self, op: OpId, error: impl ToString) {
        self.record(What::Fail { op, error: error.to_string() });
    }

    /// Records that nobody can tell whether an operation was done.
    pub fn info(&self, op: OpId, error: impl ToString) {
        self.record(What::Info { op, error: error.to_string() });
    }

    /// Records what is believed of a session, until it is over or nobody has it any more. It only looks: it is not the one that notices a
    /// deadline.
    pub async fn follow(self, session: String, cell: Arc<LivenessCell>) {
        let mut states = cell.subscribe();
        drop(cell);
        let mut written = None;
        loop {
            match *states.borrow_and_update() {
                Liveness::Live { until } | Liveness::Suspect { until } => {
                    if written != Some(until) {
                        written = Some(until);
                        let until = self.nanos(until);
                        self.record(What::SessionLive { session: session.clone(), until });
                    }
                }
                Liveness::Lost(reason) => {
                    let reason = format!("{reason:?}");
                    return self.record(What::SessionLost { session, reason });
                }
            }
            if states.changed().await.is_err() {
                return;
            }
        }
    }

    /// A number that this recorder has not given before: for operations and faults.
    pub fn number(&self) -> u64 {
        self.shared.last.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A time of the recorder's clock as the history has it: for deadlines.
    pub fn nanos(&self, time: Timestamp) -> u64 {
        u64::try_from(time.since_origin().as_nanos()).unwrap_or(u64::MAX)
    }

    /// The events so far, of all processes that share them; none if they go into a file.
    pub fn events(&self) -> Vec<Event> {
        match &*self.shared.sink.lock().unwrap_or_else(PoisonError::into_inner) {
            Sink::Memory(events) => events.clone(),
            Sink::File(_) => Vec::new(),
        }
    }
}
