//! The operations of a history.

use leasehold_core::{FencingToken, Mode};
use serde::{Deserialize, Serialize};

use super::as_text;
use super::event::OpId;

/// The error of a fenced resource that has seen a higher token.
pub const STALE: &str = "Stale";

/// The error of an operation that its caller gave up: a future that was dropped, a time-out of the caller's.
pub const CANCELLED: &str = "Cancelled";

/// What an operation asks for.
///
/// A lock, a resource and a register are known by a text that tells them from all others, such as the whole path. What kind of
/// lock it is follows from the modes: a mutex and an election are held exclusively, a semaphore in permits.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "snake_case")]
pub enum Call {
    /// To hold a lock, a leadership, a number of permits.
    Acquire {
        /// Which.
        lock: String,
        /// How.
        #[serde(with = "as_text")]
        mode: Mode,
        /// Whether only at once: a `try_lock`, which waits for nobody.
        only_if_free: bool,
    },
    /// To let go.
    Release {
        /// The operation that acquired it.
        hold: OpId,
    },
    /// To go on as a reader.
    Downgrade {
        /// The operation that acquired it.
        hold: OpId,
    },
    /// To read a resource that a lock protects.
    Read {
        /// Which.
        resource: String,
        /// The token of the hold.
        #[serde(with = "as_text")]
        token: FencingToken,
        /// Whether the hold is shared with others.
        shared: bool,
    },
    /// To replace the value of a resource that a lock protects.
    Write {
        /// Which.
        resource: String,
        /// The token of the hold.
        #[serde(with = "as_text")]
        token: FencingToken,
        /// The version that was read under the hold, or written under it before.
        based_on: u64,
        /// The new value.
        value: u64,
    },
    /// To read a versioned register.
    RegisterRead {
        /// Which.
        register: String,
    },
    /// To write a versioned register.
    RegisterWrite {
        /// Which.
        register: String,
        /// The new value.
        value: String,
        /// Only if the version is this one; 0 means "only if it is absent".
        #[serde(skip_serializing_if = "Option::is_none", default)]
        if_version: Option<u64>,
    },
}

impl Call {
    /// A word for it.
    pub fn name(&self) -> &'static str {
        match self {
            Call::Acquire { only_if_free: false, .. } => "acquire",
            Call::Acquire { only_if_free: true, .. } => "try",
            Call::Release { .. } => "release",
            Call::Downgrade { .. } => "downgrade",
            Call::Read { .. } => "read",
            Call::Write { .. } => "write",
            Call::RegisterRead { .. } => "register_read",
            Call::RegisterWrite { .. } => "register_write",
        }
    }
}

/// What came of an operation that was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Outcome {
    /// It is held.
    Granted {
        /// The fencing token; a semaphore's is none to fence with, and is checked all the same.
        #[serde(with = "as_text")]
        token: FencingToken,
        /// The session that holds it, where that is known: its deadlines are the hold's.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        session: Option<String>,
    },
    /// Somebody else holds it, and a try waits for nobody.
    Busy,
    /// There is nothing to say but that it was done: a release, a downgrade.
    Done,
    /// A resource accepted a read.
    Value {
        /// How many writes the resource had accepted.
        version: u64,
        /// The value.
        value: u64,
    },
    /// A resource accepted a write, or a register was written.
    Written {
        /// The version that the write made.
        version: u64,
    },
    /// A register was read.
    Register {
        /// The version, 0 while it is absent.
        version: u64,
        /// The value; none while it is absent.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        value: Option<String>,
    },
    /// A register was not written: its version is another.
    VersionDiffers,
}
