//! The same for programs without async: every call blocks its thread until it is done.
//!
//! ```
//! use leasehold::blocking;
//! use std::time::Duration;
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let coordinator = blocking::connect("memory://")?;
//! coordinator.mutex("cache/users").with(|held| {
//!     println!("alone, with token {}", held.fencing_token());
//! })?; // an error if the lock went away meanwhile
//!
//! if let Some(guard) = coordinator.mutex("cache/users").try_lock_for(Duration::from_secs(3))? {
//!     assert!(guard.is_held()); // ask before what must not be done without the lock
//!     guard.release()?;
//! }
//! coordinator.shutdown(Duration::from_secs(10))?;
//! # Ok(()) }
//! ```
//!
//! Names, guarantees and errors are those of the types that it wraps; what their documentation says of cancel safety and of
//! dropped futures concerns [`wait_for`] alone. Sessions are renewed on the library's own thread, so a thread that blocks, here or
//! anywhere, loses no lock for it.
//!
//! What cannot be the same: nobody stops a closure. [`Mutex::with`] tells that the lock was lost when the work is done, and
//! work that takes long asks [`Held::is_held`](crate::Held::is_held), or `is_cancelled` of its
//! cancellation token, now and then.
//!
//! # Panics
//!
//! Every method that waits panics when it is called from asynchronous code of Tokio, as those of Tokio do
//! (`blocking_lock`): it would stop the runtime's thread, and with it perhaps what it waits for. Call the asynchronous types there, or
//! use `tokio::task::spawn_blocking`, where waiting is fine. Methods that do not wait, and dropping guards, are fine anywhere.
//!
//! A coordinator that is driven on a runtime of the application's ([`runtime`](crate::CoordinatorBuilder::runtime)) can be waited for only while
//! that runtime runs on another thread.
//!
//! # What is here
//!
//! Every recipe but one, under its own name, with its guards: [`Mutex`], [`RwLock`], [`Semaphore`], [`MultiLock`], [`QuorumLock`], [`Election`], [`Group`],
//! [`Register`], [`Counter`], [`Barrier`], [`DoubleBarrier`], [`CountDownLatch`] and [`Once`]; and [`Admin`]. With the feature `redis` so is the lock that is one key of Redis, from `SharedKeys`. Streams are iterators with a
//! `next_for` beside `next`. Values, events and errors are the same types in both worlds, and so is [`fencing`](crate::fencing), which waits for nothing.
//!
//! # What is not here
//!
//! [`wait`] runs any of this crate's futures, so that a method that has no twin here is called as `wait(handle.as_async().method())`, and
//! [`wait_for`] does so with a time-out. So it is with
//!
//! * [`Partition`](crate::Partition), which works on many items at once: a closure that blocks has no place there. Its `work` hands each
//!   item to a thread and waits for that one's word:
//!
//!   ```
//!   use leasehold::blocking::{self, wait};
//!   use tokio::sync::oneshot; // needs no runtime
//!
//!   # fn main() -> Result<(), leasehold::Error> {
//!   let coordinator = blocking::connect("memory://")?;
//!   let partition = coordinator.group("indexers").as_async().partition(["shard-0", "shard-1"])?;
//!   let shutdown = async { /* such as the other end of a channel */ };
//!   wait(partition.run(shutdown, |item| async move {
//!       let (done, ended) = oneshot::channel::<()>();
//!       std::thread::spawn(move || {
//!           while !item.cancellation_token().is_cancelled() {
//!               // One step of the work, under item.held().fencing_token().
//!           }
//!           drop(done);
//!       });
//!       let _ = ended.await; // the item is kept until then, or lost
//!   }))?;
//!   # Ok(()) }
//!   ```
//!
//! * [`Register::watch`](crate::Register::watch): [`Register::changed`] waits for one change after another.
//! * `release` of a [shared guard](crate::SharedGuard), and what a [`Held`](crate::Held) tells: `wait(held.lost())`.

mod admin;
mod barrier;
mod coordinator;
mod counter;
mod double_barrier;
mod election;
mod group;
mod latch;
mod multi_lock;
mod mutex;
mod once;
mod quorum_lock;
mod register;
mod rw_lock;
mod semaphore;
#[cfg(feature = "redis")]
mod shared_key;
mod twin;
mod wait;

pub use admin::Admin;
pub use barrier::Barrier;
pub use coordinator::{Coordinator, connect, connect_lazy};
pub use counter::Counter;
pub use double_barrier::{DoubleBarrier, Inside};
pub use election::{Election, LeaderStream, Leadership};
pub use group::{Group, MemberEvents, MemberStream, Membership, Staying};
pub use latch::CountDownLatch;
pub use multi_lock::{MultiLock, MultiLockGuard};
pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use quorum_lock::{QuorumGuard, QuorumLock};
pub use register::Register;
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Semaphore, SemaphorePermit};
#[cfg(feature = "redis")]
pub use shared_key::{SharedKeyGuard, SharedKeyLock, SharedKeys};
pub use wait::{wait, wait_for};
