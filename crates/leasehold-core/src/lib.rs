//! The contract, the contention engine and the recipes of leasehold.
//!
//! Applications use the crate `leasehold`, which re-exports what they need. This crate is for writers of backends.

mod acquisition;
mod admin;
mod attempt;
mod backend;
mod backend_error;
mod backoff;
mod barrier;
mod budget;
mod builder;
mod capabilities;
mod clock;
mod commit;
mod completions;
mod contenders;
mod coordinator;
mod counter;
mod double_barrier;
mod driver;
mod election;
mod engine;
mod entrance;
mod entropy;
mod entry_value;
mod errand;
mod error;
mod examination;
#[cfg(test)]
mod fake;
pub mod fencing;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod gate;
mod group;
mod guard;
mod held;
mod histogram;
mod hold;
mod holder;
mod latch;
mod liveness;
pub mod mirror;
mod mode;
mod multi_lock;
mod mutex;
mod name;
mod named;
mod observation;
pub mod observe;
mod once;
mod own_entry;
mod partition;
mod quorum_lock;
mod record;
mod register;
mod requests;
mod rule;
#[cfg(test)]
mod rule_model;
mod rw_lock;
mod scheme;
mod secret;
mod semaphore;
mod service_url;
mod session_keeper;
mod shared_guard;
mod stats;
mod status;
mod token;
mod wire;
mod wire_path;

pub use admin::{
    Admin, ContenderInfo, EntryDetails, EntryId, ParseEntryIdError, QueueStream, Recipe, Released, Standing,
};
pub use attempt::{AttemptId, AttemptIds, ParseAttemptIdError};
pub use backend::{
    Certainty, Credentials, Enqueued, Entry, Interest, LockBackend, Look, NewEntry, OpenSession, Publish,
    Published, Queue, RegisterWrite, RegisterWritten, Session, Versioned, Withdrawn,
};
pub use backend_error::{BackendError, BackendErrorKind};
pub use backoff::Backoff;
pub use barrier::Barrier;
pub use builder::{CoordinatorBuilder, DEFAULT_TTL};
pub use capabilities::Capabilities;
pub use clock::{Clock, ManualClock, Timestamp};
pub use contenders::{Contender, Contenders};
pub use coordinator::{Coordinator, ShutdownError};
pub use counter::Counter;
pub use double_barrier::{DoubleBarrier, Inside};
pub use driver::driver_runtime;
pub use election::{
    Candidate, Election, Leader, LeaderStream, Leadership, LeadershipTicket, ParseTicketError,
};
pub use entropy::Entropy;
pub use error::{Error, ErrorKind, ReleaseError};
pub use examination::{Finding, ServerReport, Severity, WallClock};
pub use gate::Gate;
pub use group::{Group, GroupEvent, Member, MemberEvents, MemberId, MemberStream, Membership, Staying};
pub use held::Held;
pub use histogram::{Bucket, Histogram};
pub use holder::HolderInfo;
pub use latch::CountDownLatch;
pub use liveness::{Liveness, LivenessCell, LossReason, local_deadline};
pub use mode::{Mode, ParseModeError};
pub use multi_lock::{MemberHeld, MemberLost, MultiHeld, MultiLock, MultiLockGuard, MultiReleaseError};
pub use mutex::{Mutex, MutexGuard};
pub use name::{KeyPath, Kind, MAX_NAME_BYTES, NameError, Namespace};
pub use once::{Completion, Once};
pub use partition::{OwnedItem, Partition};
pub use quorum_lock::{QuorumGuard, QuorumHeld, QuorumLock, QuorumLost, QuorumMember, QuorumReleaseError};
pub use register::{Register, Updated};
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use scheme::Scheme;
pub use secret::Secret;
pub use semaphore::{Semaphore, SemaphorePermit};
pub use service_url::ServiceUrl;
pub use shared_guard::{Guard, SharedGuard};
pub use stats::Stats;
pub use status::{State, Status};
pub use token::{FencingToken, ParseTokenError};
pub use wire::{ParseWireProfileError, WireLayout, WireProfile};
pub use wire_path::WirePath;
