//! What is written down of a run.

use serde::{Deserialize, Serialize};

use super::as_text;
use super::call::{Call, Outcome};
use leasehold_core::Mode;

/// One line of a history: what happened, when, and to whom.
///
/// As JSON it is one flat object: `{"at":1200,"process":"a","event":"ok","op":3,"outcome":"granted","token":"…"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Event {
    /// Nanoseconds on a clock that never steps and that all processes of the history share.
    pub at: u64,
    /// The process that it happened in, real or simulated. A tap, a proxy and the harness have names of their own.
    pub process: String,
    /// What happened.
    #[serde(flatten)]
    pub what: What,
}

/// The number of an operation, unique within its process.
pub type OpId = u64;

/// What happened.
///
/// An operation begins with [`Invoke`](What::Invoke), which is written down before anything is asked for, and ends with one of
/// [`Ok`](What::Ok), [`Fail`](What::Fail) and [`Info`](What::Info), written down after the answer. One that ends with `Info` or with nothing may take effect
/// at any time after its beginning, at most once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum What {
    /// An operation begins.
    Invoke {
        /// Its number.
        op: OpId,
        /// What is asked for.
        #[serde(flatten)]
        call: Call,
    },
    /// It was done.
    Ok {
        /// Its number.
        op: OpId,
        /// What came of it.
        #[serde(flatten)]
        outcome: Outcome,
    },
    /// It was certainly not done.
    Fail {
        /// Its number.
        op: OpId,
        /// Why: the name of the [`ErrorKind`](leasehold_core::ErrorKind), or [`STALE`](super::STALE) from a fenced resource.
        error: String,
    },
    /// Nobody can tell whether it was done, or will be: a time-out, a lost reply, a caller that gave it up.
    Info {
        /// Its number.
        op: OpId,
        /// Why: the name of the [`ErrorKind`](leasehold_core::ErrorKind), or [`CANCELLED`](super::CANCELLED).
        error: String,
    },
    /// The holder was told that it does not hold any more, without having released.
    Lost {
        /// The operation that acquired it.
        hold: OpId,
        /// The name of the [`LossReason`](leasehold_core::LossReason).
        reason: String,
    },
    /// The process's session lives, as it may believe: it was opened or renewed.
    SessionLive {
        /// What the service calls it.
        session: String,
        /// The local deadline: until then what the session holds is believed to be held.
        until: u64,
    },
    /// The process was told that its session is over.
    SessionLost {
        /// What the service calls it.
        session: String,
        /// The name of the [`LossReason`](leasehold_core::LossReason).
        reason: String,
    },
    /// Something panicked.
    Panicked {
        /// What it said.
        message: String,
    },
    /// A process was stopped, as by SIGSTOP: it does not act until it is resumed.
    Paused {
        /// Which.
        whom: String,
    },
    /// A process goes on.
    Resumed {
        /// Which.
        whom: String,
    },
    /// A process is dead: what it had begun ends here, if it ever does.
    Killed {
        /// Which.
        whom: String,
    },
    /// Something else is disturbed: a connection, a server, a clock.
    Fault {
        /// Its number, unique among faults.
        id: u64,
        /// Of what kind, a word: `partition`, `restart`, `lost_reply`.
        kind: String,
        /// To what.
        target: String,
        /// Whether it goes on until it is [healed](What::Healed); otherwise it is over at once.
        lasting: bool,
    },
    /// A lasting fault is over.
    Healed {
        /// Its number.
        id: u64,
    },
    /// The service's own word: an entry was created.
    EntryCreated {
        /// The queue.
        lock: String,
        /// Whose entry: the text of the [`AttemptId`](leasehold_core::AttemptId), or the service's own name for it.
        entry: String,
        /// The order in its fencing token.
        order: u64,
        /// The place in the queue: entries with smaller numbers are ahead. On most services it is `order`.
        position: u64,
        /// What it asks for.
        #[serde(with = "as_text")]
        mode: Mode,
    },
    /// The service's own word: an entry has another mode.
    EntryChanged {
        /// The queue.
        lock: String,
        /// Whose entry.
        entry: String,
        /// What it asks for now.
        #[serde(with = "as_text")]
        mode: Mode,
    },
    /// The service's own word: an entry is gone.
    EntryRemoved {
        /// The queue.
        lock: String,
        /// Whose entry.
        entry: String,
        /// What removed it, where that is known.
        why: Removal,
    },
    /// A fenced resource as a judge saw it, without a token, once everybody was done with it.
    Verdict {
        /// Which.
        resource: String,
        /// How many writes it has accepted.
        version: u64,
        /// Its value.
        value: u64,
    },
    /// Everybody has let go: nothing may be left of what was held or awaited.
    Quiescent {
        /// What is left all the same, as the service or a client shows it: entries, leases, watches, nodes.
        left: Vec<String>,
    },
}

/// What removed an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Removal {
    /// Its owner released or withdrew it.
    Withdrawn,
    /// Its session ran out.
    Expired,
    /// Somebody else: an administrator, a fault.
    Forced,
    /// The tap cannot tell.
    Unknown,
}
