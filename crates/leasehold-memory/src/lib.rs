//! The in-memory backend of leasehold: the embedded default, and the twin of real services in tests.
//!
//! A [`MemoryService`] coordinates tasks and threads of one process with the same sessions, queues and registers that a
//! server would give. It needs no server and no configuration, and what it holds ends with the process.
//!
//! # What it promises
//!
//! - Mutual exclusion, order and expiry are exact: there is one service, one clock and no network.
//! - A queue is first come, first served. A change wakes exactly those who wait for it, and a handoff costs
//!   O(log n) in a queue of n.
//! - Fencing tokens rise as long as the service lives, also across queues that empty or are removed. They begin anew with the
//!   process, so a resource that outlives the process needs another backend, or an epoch that is raised at each start.
//!
//! # Tests of applications
//!
//! The same service shows an application what real ones do on a bad day. [`MemoryService::on_call`] lets a test decide
//! about each request: [refused](Fault::Refuse), [late](Fault::Delay), [lost](Fault::LoseRequest), applied with
//! the [reply lost](Fault::LoseReply), or [applied long after](Fault::DeliverLate) everybody gave it up. Sessions can be
//! [expired](MemoryService::expire_session), entries [removed](MemoryService::remove_entry), the whole service
//! [stopped](MemoryService::pause) and one coordinator's connection [cut](MemoryBackend::cut).
//!
//! On paused tokio time ([`MemoryService::with_tokio_time`]) such a test takes no time and goes the same way each
//! time:
//!
//! ```
//! use std::time::Duration;
//!
//! use leasehold_core::{Certainty, Kind, LockBackend, Mode, Namespace};
//! use leasehold_core::{AttemptIds, BackendErrorKind, KeyPath, NewEntry, OpenSession};
//! use leasehold_memory::{Fault, MemoryService, Operation};
//!
//! # #[tokio::main(flavor = "current_thread", start_paused = true)]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let service = MemoryService::with_tokio_time();
//! service.on_call(|call| match call.operation {
//!     Operation::Enqueue => Fault::DeliverLate(Duration::from_secs(3)),
//!     _ => Fault::None,
//! });
//!
//! let backend = service.backend();
//! let namespace = Namespace::default();
//! let queue = KeyPath::new(&namespace, Kind::Lock, "cache/users")?;
//! let session = backend
//!     .open_session(OpenSession {
//!         namespace,
//!         ttl: Duration::from_secs(10),
//!         connect_timeout: Duration::from_secs(5),
//!         request_timeout: Duration::from_secs(5),
//!         clock: backend.clock(),
//!         resume: None,
//!     })
//!     .await?;
//!
//! let attempt = AttemptIds::new()?.next();
//! let entry = NewEntry { attempt, mode: Mode::Exclusive, value: "me".into(), only_if_free: false };
//! let error = session.queue(&queue).enqueue(entry).await.unwrap_err();
//! assert_eq!(error.kind(), BackendErrorKind::Indeterminate);
//!
//! // It is given up, and what arrives afterwards leaves nothing.
//! session.queue(&queue).withdraw(attempt, Certainty::Ambiguous).await?;
//! tokio::time::sleep(Duration::from_secs(5)).await;
//! assert!(service.entries(&queue).is_empty());
//! # Ok(())
//! # }
//! ```

mod backend;
mod change;
mod client;
mod error;
mod fault;
mod link;
mod memory_service;
mod past;
mod queue;
mod queue_table;
mod register_table;
mod scheme;
mod service;
mod session;
mod state;

pub use backend::MemoryBackend;
pub use change::{Change, Changed, Removal};
pub use fault::{Call, Fault, Operation};
pub use memory_service::MemoryService;
pub use scheme::MemoryScheme;
