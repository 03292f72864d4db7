//! The identity of one acquisition attempt.

use std::fmt;
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering};

use siphasher::sip::SipHasher24;

use crate::entropy::Entropy;

/// Identifies one acquisition attempt, and so one entry of a queue.
///
/// It is the nonce of the session that makes the attempt and a number within that session; no two attempts
/// share one, and it is never used again after its entry was withdrawn. Its text is 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct AttemptId {
    session_nonce: u64,
    number: u64,
}

impl AttemptId {
    /// The nonce of the session that made the attempt.
    pub fn session_nonce(self) -> u64 {
        self.session_nonce
    }

    /// What stands for the attempt behind another program's entry, in a queue in that program's [layout](crate::WireLayout): always
    /// the same for the entry that `key` was when it was created with this `order`, and never that of another one.
    pub fn of_stranger(key: &[u8], order: u64) -> Self {
        Self { session_nonce: SipHasher24::new_with_keys(0, 0).hash(key), number: order }
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}{:016x}", self.session_nonce, self.number)
    }
}

impl fmt::Debug for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{self}")
    }
}

/// The text is not that of an [`AttemptId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an attempt id is 32 lower-case hexadecimal digits")]
pub struct ParseAttemptIdError;

impl FromStr for AttemptId {
    type Err = ParseAttemptIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let canonical = text.len() == 32 && text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
        if !canonical {
            return Err(ParseAttemptIdError);
        }
        let half = |part: &str| u64::from_str_radix(part, 16).map_err(|_| ParseAttemptIdError);
        Ok(Self { session_nonce: half(&text[..16])?, number: half(&text[16..])? })
    }
}

/// Makes the attempt ids of one session.
#[derive(Debug)]
pub struct AttemptIds {
    session_nonce: u64,
    next: AtomicU64,
}

impl AttemptIds {
    /// Starts with a fresh random nonce.
    ///
    /// # Errors
    /// When the operating system has no randomness to give.
    pub fn new() -> std::io::Result<Self> {
        Self::with_entropy(&Entropy::system())
    }

    /// The same, with a nonce of that source.
    ///
    /// # Errors
    /// As [`AttemptIds::new`].
    pub fn with_entropy(entropy: &Entropy) -> std::io::Result<Self> {
        Ok(Self { session_nonce: entropy.draw()?, next: AtomicU64::new(1) })
    }

    /// The nonce of all of them.
    pub fn session_nonce(&self) -> u64 {
        self.session_nonce
    }

    /// An id that was never given before.
    pub fn next(&self) -> AttemptId {
        AttemptId { session_nonce: self.session_nonce, number: self.next.fetch_add(1, Ordering::Relaxed) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stranger_is_known_by_its_key_and_its_order() {
        let stranger = AttemptId::of_stranger;
        assert_eq!(stranger(b"/a/1", 7), stranger(b"/a/1", 7));
        assert_ne!(stranger(b"/a/1", 7), stranger(b"/a/1", 8), "the key was created again");
        assert_ne!(stranger(b"/a/1", 7), stranger(b"/a/2", 7), "by one transaction");
        let known = stranger(b"/a/1", 7);
        assert_eq!(known.to_string(), "cc61805e9606c4920000000000000007", "in every process and version");
    }

    #[test]
    fn text_reads_back_and_nothing_else_is_accepted() {
        let ids = AttemptIds::new().unwrap();
        let (a, b) = (ids.next(), ids.next());
        assert_ne!(a, b);
        assert_eq!(a.session_nonce(), b.session_nonce());
        assert_eq!(a.to_string().parse(), Ok(a));
        for bad in
            ["", "0", &"0".repeat(31), &"0".repeat(33), &"A".repeat(32), &"+".repeat(32), &"é".repeat(16)]
        {
            assert_eq!(bad.parse::<AttemptId>(), Err(ParseAttemptIdError), "{bad}");
        }
    }
}
