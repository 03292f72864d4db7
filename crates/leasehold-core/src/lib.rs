//! The contract, the contention engine and the recipes of leasehold.
//!
//! Applications use the crate `leasehold`, which re-exports what they need. This crate is for writers of backends.

mod acquisition;
mod attempt;
mod backend;
mod backend_error;
mod backoff;
mod builder;
mod capabilities;
mod clock;
mod contenders;
mod coordinator;
mod double_barrier;
mod driver;
mod engine;
mod entry_value;
mod error;
mod group;
mod guard;
mod held;
mod hold;
mod holder;
mod liveness;
mod mode;
mod mutex;
mod name;
mod named;
mod observation;
mod own_entry;
mod partition;
mod requests;
mod rule;
mod rw_lock;
mod session_keeper;
mod status;
mod token;

pub use attempt::{AttemptId, AttemptIds, ParseAttemptIdError};
pub use backend::{
    Certainty, Credentials, Enqueued, Entry, Interest, LockBackend, Look, NewEntry, OpenSession, Publish,
    Published, Queue, RegisterWrite, RegisterWritten, Session, Versioned, Withdrawn,
};
pub use backend_error::{BackendError, BackendErrorKind};
pub use backoff::Backoff;
pub use builder::{CoordinatorBuilder, DEFAULT_TTL};
pub use capabilities::Capabilities;
pub use clock::{Clock, ManualClock, Timestamp};
pub use contenders::{Contender, Contenders};
pub use coordinator::{Coordinator, ShutdownError};
pub use double_barrier::{DoubleBarrier, Inside};
pub use error::{Error, ErrorKind, ReleaseError};
pub use group::{Group, GroupEvent, Member, MemberEvents, MemberId, MemberStream, Membership, Staying};
pub use held::Held;
pub use holder::HolderInfo;
pub use liveness::{Liveness, LivenessCell, LossReason, local_deadline};
pub use mode::{Mode, ParseModeError};
pub use mutex::{Mutex, MutexGuard};
pub use name::{KeyPath, Kind, MAX_NAME_BYTES, NameError, Namespace};
pub use partition::{OwnedItem, Partition};
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use status::{State, Status};
pub use token::{FencingToken, ParseTokenError};
