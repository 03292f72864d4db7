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
//! dropped futures has no meaning here. Sessions are renewed on the library's own thread, so a thread that blocks, here or
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
//! # What is not here
//!
//! [`wait`] runs any of this crate's futures, so that a method that has no twin here is called as `wait(handle.as_async().method())`.

mod barrier;
mod coordinator;
mod counter;
mod latch;
mod multi_lock;
mod mutex;
mod once;
mod register;
mod rw_lock;
mod semaphore;
mod twin;
mod wait;

pub use barrier::Barrier;
pub use coordinator::{Coordinator, connect, connect_lazy};
pub use counter::Counter;
pub use latch::CountDownLatch;
pub use multi_lock::{MultiLock, MultiLockGuard};
pub use mutex::{Mutex, MutexGuard};
pub use once::Once;
pub use register::Register;
pub use rw_lock::{RwLock, RwLockReadGuard, RwLockWriteGuard};
pub use semaphore::{Semaphore, SemaphorePermit};
pub use wait::wait;
