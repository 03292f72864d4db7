//! The contract between the engine and a coordination service.
//!
//! A backend is these three traits and nothing else: [`LockBackend`] opens [`Session`]s, a session opens [`Queue`]s and
//! reads and writes registers. A backend holds no recipe; a recipe names no backend.
//!
//! # How the recipes stand on it
//!
//! | recipe | from the contract |
//! |---|---|
//! | mutex | [`Mode::Exclusive`]; granted when first; waits for the entry next ahead |
//! | read/write lock | readers wait for the nearest exclusive entry ahead; downgrade = `publish` with another mode |
//! | semaphore | prefix sum of the weights (`p<count>of<limit>`, so that disagreeing limits show); the first in line watches the queue, the others their neighbour, which publishes its grant in its mode |
//! | election | the mutex, with values: `publish` proclaims, `Interest::Entry` with the version and `entries` observe |
//! | resume after a restart | `credentials` and `OpenSession::resume`; the entry is found again by its attempt id |
//! | barrier, latch | a register, compare-and-set and `register_changed` |
//! | once | the mutex's queue, and a register that is written on condition of the place in it (`if_held`) |
//! | double barrier | a group and a register; `left` is published before the entry is withdrawn, so that leaving differs from dying |
//! | group, partitioner | a queue that nobody waits in: `entries`, `Interest::Queue` |
//! | versioned register, counter | `read`, `write` with `if_version`; with `if_held` on condition of a lock |
//! | multi-lock | several queues in one order; each member has its own token |
//! | administration | `queues`, `entries`; breaking a lock = `withdraw` of another's attempt, asking = `publish` into its entry |

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;

use crate::attempt::AttemptId;
use crate::backend_error::BackendError;
use crate::capabilities::Capabilities;
use crate::clock::Clock;
use crate::contenders::Contenders;
use crate::examination::ServerReport;
use crate::liveness::LivenessCell;
use crate::mode::Mode;
use crate::name::{KeyPath, Kind, Namespace};

/// A way to a coordination service.
///
/// # Contract
///
/// 1. All its methods, and those of its sessions and queues, are called on the runtime of the session's driver; they
///    may spawn tasks there with `tokio::spawn`. Nothing else of the caller's is assumed.
/// 2. `open_session` returns within the connect time-out, and leaves nothing behind when it fails or is dropped,
///    but for what the service removes by itself within a TTL.
/// 3. Every operation ends within the request time-out as done, as certainly not applied, or as
///    [`Indeterminate`](crate::BackendErrorKind::Indeterminate). Only `changed` and `register_changed` wait longer.
/// 4. Neither `Debug` nor an error shows a secret.
#[async_trait]
pub trait LockBackend: Send + Sync + std::fmt::Debug + 'static {
    /// What the service is called in errors: `memory`, `etcd`, `zookeeper`, …
    fn name(&self) -> &'static str;

    /// Where the service is, for errors and status, without secrets.
    fn endpoint(&self) -> String;

    /// What it promises.
    fn capabilities(&self) -> Capabilities;

    /// The clock of the deadlines; tests of a backend may count on another one.
    fn clock(&self) -> Clock {
        Clock::system()
    }

    /// Asks the servers what they are, within `limit`, for people who look for what is wrong: see [`Coordinator::examine`](crate::Coordinator::examine).
    /// A server that does not answer is reported with a finding. A backend that cannot ask answers nothing.
    ///
    /// # Errors
    /// As [`LockBackend::open_session`].
    async fn examine(&self, _limit: Duration) -> Result<Vec<ServerReport>, BackendError> {
        Ok(Vec::new())
    }

    /// Opens a session, over a connection that is known to work.
    ///
    /// # Errors
    /// `Unavailable` (nobody answers), `Unauthenticated`, `PermissionDenied`, `InvalidConfig`; and to resume, `SessionLost` (it
    /// is gone) and `Unsupported`.
    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError>;
}

/// What a session is opened with.
#[derive(Debug, Clone)]
pub struct OpenSession {
    /// Where everything of the session goes. No key outside it is ever written, but for entries at a path in another client's
    /// [layout](crate::WireLayout).
    pub namespace: Namespace,
    /// The TTL to ask for. What was granted is [`Session::ttl`].
    pub ttl: Duration,
    /// How long opening may take.
    pub connect_timeout: Duration,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// The clock of the deadlines.
    pub clock: Clock,
    /// The session to take over instead of opening a fresh one.
    pub resume: Option<Credentials>,
}

/// What it takes to resume a session after a restart of the process. A secret: whoever has it can take the session with
/// all its entries, and end it.
///
/// Their bytes can be kept in a file, one that only the application can read. They stay the same as long as the session lives,
/// also when it is resumed, and are worth nothing afterwards.
///
/// ```
/// use leasehold_core::Credentials;
///
/// let kept = Credentials::from_bytes(*b"as they were kept");
/// assert_eq!(Credentials::from_bytes(kept.as_bytes().to_vec()), kept);
/// assert_eq!(format!("{kept:?}"), "Credentials(…)");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials(Bytes);

impl Credentials {
    /// From bytes that [`Credentials::as_bytes`] gave. Whether they are of any use shows when a session is resumed.
    pub fn from_bytes(bytes: impl Into<Vec<u8>>) -> Self {
        Self(Bytes::from(bytes.into()))
    }

    /// The secret itself, to be kept.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Credentials(…)")
    }
}

/// The unit of liveness at the service: an etcd lease, a ZooKeeper session.
///
/// # Contract
///
/// 1. Every entry is tied to its session: when the session ends, the service removes the entry.
/// 2. The session renews itself until it is closed or dropped, and reports to its [`LivenessCell`]: each acknowledged
///    renewal with the time *before it was sent*, trouble as suspect at once, the service's word that it is over as
///    [`SessionEnded`](crate::LossReason::SessionEnded).
/// 3. One session uses one connection (and one watch stream where there are such) for any number of queues and waiters.
/// 4. When `close` returns, everything of the session is gone from the service, or the service was not
///    reached and removes it within the TTL. A session that is dropped stops renewing; it may end at once.
/// 5. A register's version is 0 while it is absent and never returns to an earlier value while it exists. What a `read` shows is at least
///    as new as all that any session was told before it was asked.
/// 6. `write` decides its conditions and writes in one transaction of the service. A write whose reply was lost is
///    `Indeterminate` and is never repeated by the backend.
/// 7. Who opens a session with [`OpenSession::resume`] takes it over, where the service can: entries, their order, tombstones
///    and the TTL stay, and entries of the earlier incarnation are this one's to publish into, withdraw and enqueue again, with the
///    same place as the answer. The service decides by a compare-and-set, and the last to resume wins: from that transaction on no write, withdrawal or renewal of an earlier incarnation, nor
///    its close or drop, has an effect on the session, also if it was on its way; the earlier one is told
///    [`Superseded`](crate::LossReason::Superseded) by the service as soon as it reaches it, and its own deadline is never
///    extended by what it sends after that transaction. What the new incarnation believes counts from a renewal of its own. Refused
///    are, without any effect: bytes that are no credentials of such a service (`InvalidConfig`), a secret that is not the session's
///    (`Unauthenticated`), a session that is gone (`SessionLost`). A resumption that fails otherwise (`Unavailable`) may have
///    superseded the earlier incarnation; the credentials stay good as long as the session lives.
#[async_trait]
pub trait Session: Send + Sync + 'static {
    /// What the service calls the session, for people and administrators' tools.
    fn id(&self) -> String;

    /// The granted TTL.
    fn ttl(&self) -> Duration;

    /// Whether the session lives.
    fn liveness(&self) -> &Arc<LivenessCell>;

    /// What resumes the session elsewhere, where the service can. It stays the same as long as the session lives.
    fn credentials(&self) -> Option<Credentials>;

    /// The handle of a queue. It costs no request; handles of one path share what they learn of the queue, also for some
    /// seconds after the last one is dropped.
    fn queue(&self, path: &KeyPath) -> Arc<dyn Queue>;

    /// The paths of one kind in the session's namespace whose queues have contenders, in the order of their text.
    async fn queues(&self, kind: Kind) -> Result<Vec<KeyPath>, BackendError>;

    /// The value of a register, at least as new as all that any session was told before, of registers and of queues. Recipes decide by it
    /// that there is nothing to write.
    async fn read(&self, register: &KeyPath) -> Result<Option<Versioned>, BackendError>;

    /// Writes a register, if the conditions are met.
    async fn write(&self, register: &KeyPath, write: RegisterWrite) -> Result<RegisterWritten, BackendError>;

    /// Resolves once the register's version differs from `seen` (0 = absent). It survives disconnections.
    async fn register_changed(&self, register: &KeyPath, seen: u64) -> Result<(), BackendError>;

    /// Ends the session.
    async fn close(&self);
}

/// The value of a register and its version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned {
    /// The value.
    pub value: Bytes,
    /// The version; greater than 0.
    pub version: u64,
}

/// A conditional write of a register.
#[derive(Debug, Clone)]
pub struct RegisterWrite {
    /// The new value.
    pub value: Bytes,
    /// Only if the version is this one; 0 means "only if it is absent".
    pub if_version: Option<u64>,
    /// Only if this attempt still has its entry in this queue. An entry is known by its attempt: one that an administrator removed, and that an enqueue
    /// which went unanswered brought back afterwards, satisfies it until its owner has noticed that and removed it.
    pub if_held: Option<(KeyPath, AttemptId)>,
}

/// What came of a conditional write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RegisterWritten {
    /// It was written and has this version now.
    Written {
        /// The new version.
        version: u64,
    },
    /// Nothing was written: the version is another.
    VersionDiffers,
    /// Nothing was written: the attempt has no entry any more.
    NotHeld,
}

/// The ordered contenders for one name, as one session sees them.
///
/// # Contract
///
/// 1. `enqueue` creates the entry at the queue's end, tied to the session, atomically and in one round trip
///    where the service can. It is idempotent by attempt id: repeated, it answers the same place. `order` is greater than 0 and grows with
///    every entry of the queue, whatever happened to earlier ones, also those of the same attempt.
/// 2. `enqueue` with `only_if_free` answers [`Enqueued::Busy`] and leaves nothing unless the mode
///    [is admitted](Mode::is_admitted_behind) behind everybody who is there. Where the service can decide it in a transaction, a busy queue is not written to.
///    To a mode of permits that answer comes with the contenders that were met: they show whether all agree on the limit.
/// 3. `contenders` shows a state at least as new as every `enqueue`, `withdraw` and `publish` of this session that has
///    returned and every `changed` that has resolved. It costs no request where a [mirror](crate::mirror) of the queue is kept.
/// 4. `changed` never misses a change (it registers, then checks), may resolve early, survives disconnections,
///    compaction and one-shot watches, and fails only when waiting on is in vain. A change wakes only those who are
///    interested in it, and costs the service O(1) events a process. `near` and `near_changed` promise the same of what they show.
/// 5. `withdraw` removes exactly that attempt's entry, of whatever session. Withdrawn is final: with
///    [`Certainty::Ambiguous`], no enqueue of the attempt that is still on its way can create the entry afterwards.
/// 6. `publish` changes mode or value in place: neither the position nor the token's order changes. The version of an entry is
///    its order when it is created, and grows with every change. Into another session's entry the value is published, with the mode that it
///    has; a service may refuse to change the mode too (`Unsupported`).
/// 7. Foreign data beside the entries (keys or nodes that are not of our form) is ignored. At a path in another client's
///    [layout](crate::WireLayout) it is not: whatever that client counts as a contender is one, with an attempt that
///    [stands for it](AttemptId::of_stranger) and the mode that it has by that client's rules, and what the client would not take for
///    sound is refused. An entry's value there is that of [`NewEntry`] and nothing else.
/// 8. Dropping the future of an operation never leaves more behind than an ambiguous request.
#[async_trait]
pub trait Queue: Send + Sync + 'static {
    /// Creates the entry of an attempt.
    ///
    /// # Errors
    /// `Withdrawn` if the attempt was withdrawn, `SessionLost` if the session has ended, and the general ones.
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError>;

    /// Shows the contenders to `look`, exactly once if it answers `Ok`.
    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError>;

    /// Resolves once what the caller is interested in is no longer as it saw it.
    async fn changed(&self, interest: Interest) -> Result<(), BackendError>;

    /// As [`Queue::contenders`], for whoever minds of all that are ahead only the one next ahead: every entry of this session is shown, and
    /// the one next ahead of each; others may be missing. A service that tells each session only what concerns its own entries
    /// has less to say by it than by a copy of the whole queue in each.
    async fn near(&self, look: Look<'_>) -> Result<(), BackendError> {
        self.contenders(look).await
    }

    /// As [`Queue::changed`], for an entry that [`Queue::near`] shows; of one that is not this session's it tells the end only.
    async fn near_changed(&self, interest: Interest) -> Result<(), BackendError> {
        self.changed(interest).await
    }

    /// Removes the entry of an attempt.
    async fn withdraw(&self, attempt: AttemptId, certainty: Certainty) -> Result<Withdrawn, BackendError>;

    /// Changes an entry that exists.
    ///
    /// # Errors
    /// `NoEntry` if it does not exist, and the general ones.
    async fn publish(&self, change: Publish) -> Result<Published, BackendError>;

    /// One entry with its value, at least as new as everything that this session was told of it; `None` if there is none.
    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError>;

    /// The entries with their values, in order. For people and for recipes with values: it may cost a request an entry.
    async fn entries(&self) -> Result<Vec<Entry>, BackendError>;
}

/// Looks at the contenders; called under a lock of the backend, so it neither waits nor computes at length.
pub type Look<'a> = &'a mut (dyn FnMut(&Contenders) + Send);

/// An entry to create.
#[derive(Debug, Clone)]
pub struct NewEntry {
    /// Whose entry.
    pub attempt: AttemptId,
    /// What it asks for.
    pub mode: Mode,
    /// A small value that others can read: who holds it, what a candidate proclaims.
    pub value: Bytes,
    /// Only if it would be granted at once.
    pub only_if_free: bool,
}

/// What came of an enqueue.
#[derive(Debug)]
pub enum Enqueued {
    /// The entry exists.
    Placed {
        /// The order of the entry, for its fencing token.
        order: u64,
        /// The contenders as of the enqueue or later, where they came with the answer.
        contenders: Option<Contenders>,
    },
    /// Somebody is there, nothing was left.
    Busy {
        /// The contenders that were met, where they came with the answer; it does for permits.
        contenders: Option<Contenders>,
    },
}

/// What a waiter wants to hear of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interest {
    /// That the entry is gone, or has another mode than this, or (where a version is given) another version.
    Entry {
        /// Whose entry.
        attempt: AttemptId,
        /// The mode that was seen.
        mode: Mode,
        /// The version of the value that was seen, where the value matters.
        version: Option<u64>,
    },
    /// That membership or modes of the queue differ from the state with this [`Contenders::revision`].
    Queue {
        /// The revision that was seen.
        revision: u64,
    },
}

/// Whether anything of an attempt may still be on its way to the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Certainty {
    /// Every enqueue of the attempt was answered.
    Placed,
    /// An enqueue of the attempt went unanswered and may be applied later.
    Ambiguous,
}

/// What a withdrawal found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Withdrawn {
    /// The entry was there and is gone.
    Removed,
    /// There was no entry.
    WasGone,
}

/// A change of an entry.
#[derive(Debug, Clone)]
pub struct Publish {
    /// Whose entry.
    pub attempt: AttemptId,
    /// The mode it shall have.
    pub mode: Mode,
    /// The value it shall have.
    pub value: Bytes,
    /// Only if its version is this one.
    pub if_version: Option<u64>,
}

/// What came of a change of an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Published {
    /// It was changed and has this version now.
    Done {
        /// The new version.
        version: u64,
    },
    /// Nothing was changed: the version is another.
    VersionDiffers,
}

/// One entry with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Whose entry.
    pub attempt: AttemptId,
    /// Its order, as in its fencing token.
    pub order: u64,
    /// What it asks for.
    pub mode: Mode,
    /// Its value.
    pub value: Bytes,
    /// The version of mode and value: its order as long as nothing has changed it, and it grows with every change.
    pub version: u64,
}

#[async_trait]
impl<B: LockBackend + ?Sized> LockBackend for Arc<B> {
    fn name(&self) -> &'static str {
        (**self).name()
    }

    fn endpoint(&self) -> String {
        (**self).endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        (**self).capabilities()
    }

    fn clock(&self) -> Clock {
        (**self).clock()
    }

    async fn examine(&self, limit: Duration) -> Result<Vec<ServerReport>, BackendError> {
        (**self).examine(limit).await
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        (**self).open_session(options).await
    }
}
