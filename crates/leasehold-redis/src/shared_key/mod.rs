//! A lock that is one key, shared with programs in Python that use redis-py's `Lock`.
//!
//! # Implementation
//!
//! There is no session and no queue: the key *is* the lock, and its value, a token of one acquisition, says whose it is. So none of
//! the engine's rules apply, and these take their place:
//!
//! * An [acquisition](acquisition) is a task on the library's own thread. It asks for the key again and again, each time
//!   with a token of its own ([`Claim`](claim::Claim)). A claim whose answer was lost is undone by its token, by a task
//!   that goes on when nobody waits for it any more.
//! * A [hold](hold) is the same task later: it renews the key, and removes it when the guard is given up. The
//!   [`LivenessCell`](leasehold_core::LivenessCell) of the hold is all that guard and task share beside one channel. It
//!   ends once, with the first reason: the guard writes `Released`, the renewals the service's word, the clock the
//!   deadline.
//!
//! Everything that changes the key compares the token in the same script, so it is ours or untouched.

mod acquisition;
mod claim;
mod guard;
mod hold;
mod holder;
mod keys;
mod lock;

pub use guard::SharedKeyGuard;
pub use holder::SharedKeyHolder;
pub use keys::{SharedKeys, SharedKeysBuilder};
pub use lock::SharedKeyLock;
