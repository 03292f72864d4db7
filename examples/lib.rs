//! What the examples share.

mod one_service;

use std::sync::{Mutex, PoisonError};

use leasehold::FencingToken;

pub use one_service::{fresh_name, url};

/// A resource that a lock protects: it remembers the highest fencing token it has seen and rejects lower ones, on
/// reads as well as on writes. A database column or an object's metadata does the same (`UPDATE … WHERE token <= ?`).
#[derive(Debug, Default)]
pub struct FencedStore {
    inside: Mutex<(Option<FencingToken>, u64)>,
}

/// The operation came with a token lower than one that was seen before.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stale {
    /// The token of the operation.
    pub token: FencingToken,
    /// The highest token seen.
    pub highest: FencingToken,
}

impl std::fmt::Display for Stale {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "token {:?} is older than {:?}", self.token, self.highest)
    }
}

impl std::error::Error for Stale {}

impl FencedStore {
    /// The value.
    ///
    /// # Errors
    /// [`Stale`]
    pub fn read(&self, token: FencingToken) -> Result<u64, Stale> {
        self.check(token, |value| *value)
    }

    /// Replaces the value.
    ///
    /// # Errors
    /// [`Stale`]; the value stays as it is.
    pub fn write(&self, token: FencingToken, new: u64) -> Result<(), Stale> {
        self.check(token, |value| *value = new)
    }

    fn check<T>(&self, token: FencingToken, operation: impl FnOnce(&mut u64) -> T) -> Result<T, Stale> {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        match inside.0 {
            Some(highest) if token < highest => Err(Stale { token, highest }),
            _ => {
                inside.0 = Some(token);
                Ok(operation(&mut inside.1))
            }
        }
    }
}
