//! Fencing: how a resource rejects what comes from a holder that has lost its lock.
//!
//! A lease-based lock cannot stop a process that was paused right after it looked whether it holds: it wakes, and writes.
//! Only the resource can refuse that write. So every grant has a [`FencingToken`](crate::FencingToken) that is higher than
//! those of all grants of that name before it; the holder sends it along, and the resource keeps the highest that it has
//! seen and rejects lower ones. [`Fence`] is that memory and that decision; [`FencedRegister`] is a value of a service's own
//! behind one. Below is how a database, an object store and an HTTP service do it.
//!
//! # From first touch
//!
//! A resource that has never seen the newer token cannot reject the older one. So **every** access carries its token, reads
//! included, and the check of a read raises the mark like that of a write. With tokens on writes only, an
//! update is lost all the same:
//!
//! | | old holder, token 1 | new holder, token 2 | mark, reads unchecked | mark, reads checked |
//! |---|---|---|---|---|
//! | 1 | reads 10, is paused | | – | 1 |
//! | 2 | | reads 10 | – | **2** |
//! | 3 | wakes, writes 11 | | 1: accepted | 2: **rejected** |
//! | 4 | | writes 11: one of two increments is lost | 2 | 2 |
//!
//! What the old holder does *before* the new one's first touch is accepted, and does no harm: the new one finds it done. It follows
//! that a holder touches everything that it is going to rely on before it relies on it: two resources are two fences,
//! and the touch of one says nothing to the other.
//!
//! # What a fence does not do
//!
//! - It orders accesses to one resource, under *one* lock: tokens of different names do not compare.
//! - It makes no two accesses atomic, and undoes nothing. A new holder may find a job half done.
//! - It is as durable as the place where it is kept. Keep it with the data that it protects, and change both in one atomic step. A
//!   fence that was lost, or deleted with its row, lets any token in until the next touch.
//! - It cannot guard what checks no token: a mail, a device, an API that takes none.
//! - Holders of a semaphore with more than one permit overlap by design, and the token of one says nothing of another's right
//!   to be there: **a semaphore of n > 1 gives no fence**. With one permit it is a mutex.
//!
//! # Shared holders
//!
//! Readers of a read-write lock hold side by side, so a resource keeps two marks, or it rejects the live reader 5 once the
//! live reader 6 was there: see [`Fence`].
//!
#![doc = include_str!("fencing/sql.md")]
//!
#![doc = include_str!("fencing/object_store.md")]
//!
#![doc = include_str!("fencing/http.md")]

mod fence;
mod register;

pub use fence::{Fence, ParseFenceError, Stale};
pub use register::FencedRegister;
