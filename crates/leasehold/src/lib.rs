//! Distributed locks for Tokio over pluggable coordination services: etcd, ZooKeeper, Redis, or this process alone.
//!
//! ```
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let coordinator = leasehold::connect("memory://").await?; // or etcd://host:2379, zookeeper://host:2181
//! coordinator.mutex("cache/users").with(|held| async move {
//!     // Alone here. Hand held.fencing_token() to whatever the lock protects.
//!     println!("token {}", held.fencing_token());
//! }).await?; // an error if the lock went away
//!
//! let guard = coordinator.mutex("cache/users").lock().await?; // or the guard, by hand
//! guard.while_held(async { /* dropped if the lock is lost */ }).await?;
//! guard.release().await?;
//!
//! coordinator.shutdown(std::time::Duration::from_secs(10)).await?;
//! # Ok(()) }
//! # tokio::runtime::Runtime::new().unwrap().block_on(example()).unwrap();
//! ```
//!
//! A lock alone cannot stop a holder that was paused and does not know that it has lost it; the resource can, by the
//! holder's token. How, in a database, an object store or a service: [`fencing`].
//!
//! What to know before a lock goes into production stands in the [`guide`]: choosing a service, time-outs, fencing, Kubernetes, each error.
//!
//! A program without async uses [`blocking`]. A service that is none of these takes a backend and a [`Connector`].
//!
//! # Features
//!
//! | feature | brings | takes |
//! |---|---|---|
//! | `memory` (default) | `memory://`, [`memory`] | nothing |
//! | `etcd` | `etcd://`, [`etcd`] | `protoc` to build |
//! | `etcd-tls` | `etcds://` too | `protoc` and a C compiler to build |
//! | `zookeeper` | `zookeeper://`, [`zookeeper`] | nothing |
//! | `zookeeper-sasl` | users of SASL there (`auth=sasl`) | nothing |
//! | `zookeeper-tls` | `zookeepers://` too | a C compiler to build |
//! | `redis` | `redis://`, [`redis`] | nothing |
//! | `redis-tls` | `rediss://` too | a C compiler to build |
//! | `tracing`, `metrics` | spans and events, metrics: [`observe`] | nothing |

pub mod blocking;
mod connect;
mod connector;
pub mod guide;

pub use connect::{builder, connect, connect_lazy};
pub use connector::Connector;
#[doc(inline)]
pub use leasehold_core::fencing;
#[doc(inline)]
pub use leasehold_core::observe;
pub use leasehold_core::{
    Admin, Bucket, Candidate, Capabilities, ContenderInfo, Coordinator, CoordinatorBuilder, Credentials,
    DEFAULT_TTL, DoubleBarrier, Election, EntryDetails, EntryId, Error, ErrorKind, FencingToken, Finding,
    Group, GroupEvent, Guard, Held, Histogram, HolderInfo, Inside, Leader, LeaderStream, Leadership,
    LeadershipTicket, LossReason, MAX_NAME_BYTES, Member, MemberEvents, MemberHeld, MemberId, MemberLost,
    MemberStream, Membership, Mode, MultiHeld, MultiLock, MultiLockGuard, MultiReleaseError, Mutex,
    MutexGuard, NameError, Namespace, OwnedItem, ParseEntryIdError, ParseModeError, ParseTicketError,
    ParseTokenError, ParseWireProfileError, Partition, QueueStream, QuorumGuard, QuorumHeld, QuorumLock,
    QuorumLost, QuorumMember, QuorumReleaseError, Recipe, ReleaseError, Released, RwLock, RwLockReadGuard,
    RwLockWriteGuard, Secret, Semaphore, SemaphorePermit, ServerReport, Severity, SharedGuard, ShutdownError,
    Standing, State, Stats, Status, Staying, WallClock, WirePath, WireProfile,
};
pub use leasehold_core::{Barrier, Completion, CountDownLatch, Counter, Once, Register, Updated, Versioned};

/// How servers are known, and we to them, by TLS: one type for all services; see [`connect`] for the options of URLs.
#[cfg(any(feature = "etcd-tls", feature = "redis-tls", feature = "zookeeper-tls"))]
pub mod tls {
    pub use leasehold_tls::{Tls, TlsFault};
}

/// The embedded backend: [`MemoryService`](memory::MemoryService) for tests of applications.
#[cfg(feature = "memory")]
pub mod memory {
    pub use leasehold_memory::{Call, Fault, MemoryBackend, MemoryService, Operation};
}

/// The etcd backend, for applications that build it themselves or bring a live client.
#[cfg(feature = "etcd")]
pub mod etcd {
    pub use leasehold_etcd::{EtcdBackend, EtcdConfig};
}

/// The ZooKeeper backend, for applications that build it themselves or bring a live client.
#[cfg(feature = "zookeeper")]
pub mod zookeeper {
    pub use leasehold_zookeeper::{ZooKeeperBackend, ZooKeeperConfig};
}

/// The Redis backend, for applications that build it themselves, ask the server what it promises, or share a
/// [key](redis::SharedKeyLock) with programs in Python.
#[cfg(feature = "redis")]
pub mod redis {
    pub use leasehold_redis::{
        RedisBackend, RedisConfig, RedisReport, SharedKeyGuard, SharedKeyHolder, SharedKeyLock, SharedKeys,
        SharedKeysBuilder,
    };
}
