//! Fencing tokens.

use std::fmt;
use std::str::FromStr;

/// A number that strictly increases over all grants of one name, in grant order.
///
/// The holder hands it to the resource that the lock protects; the resource durably keeps the highest token
/// it has seen and rejects lower ones, on reads as well as on writes. That is what keeps a
/// paused or partitioned former holder from doing harm; no lease-based lock can promise it without
/// (Kleppmann, "How to do distributed locking", 2016). How resources do it: [`fencing`](crate::fencing).
///
/// It has 128 bits: an epoch of 32 (set by the operator, raised when the service's own order restarts: a
/// migration to another service, a restored backup), the backend's order of 64, and a sub-order of 32
/// (handovers that the service does not see). Text and bytes have a fixed width and sort like the token.
///
/// ```
/// use leasehold_core::FencingToken;
/// let token = FencingToken::new(0, 4711, 0);
/// assert_eq!(token.to_string(), "00000000000000000000126700000000");
/// assert_eq!(token.to_string().parse(), Ok(token));
/// assert!(token < FencingToken::new(1, 1, 0), "a raised epoch beats every older order");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FencingToken(u128);

impl FencingToken {
    /// Composes a token.
    pub const fn new(epoch: u32, order: u64, sub_order: u32) -> Self {
        Self((epoch as u128) << 96 | (order as u128) << 32 | sub_order as u128)
    }

    /// The operator's epoch.
    pub fn epoch(self) -> u32 {
        (self.0 >> 96) as u32
    }

    /// The backend's order: a revision of etcd, a transaction id of ZooKeeper.
    pub fn order(self) -> u64 {
        (self.0 >> 32) as u64
    }

    /// The sub-order within one entry of the service.
    pub fn sub_order(self) -> u32 {
        self.0 as u32
    }

    /// The order alone, for a resource that has only 64-bit columns: `Some` while epoch and sub-order are
    /// both 0 and the order fits a signed 64-bit number.
    ///
    /// Tokens that answer `Some` compare like their numbers.
    pub fn as_i64(self) -> Option<i64> {
        if self.epoch() == 0 && self.sub_order() == 0 { i64::try_from(self.order()).ok() } else { None }
    }

    /// 16 bytes, big-endian: they sort like the token.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Reads [`FencingToken::to_bytes`] back.
    pub fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(u128::from_be_bytes(bytes))
    }
}

impl fmt::Display for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for FencingToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FencingToken({}.{}.{})", self.epoch(), self.order(), self.sub_order())
    }
}

/// The text is not that of a [`FencingToken`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fencing token is 32 lower-case hexadecimal digits")]
pub struct ParseTokenError;

impl FromStr for FencingToken {
    type Err = ParseTokenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let token = u128::from_str_radix(text, 16).map(Self).map_err(|_| ParseTokenError)?;
        if token.to_string() == text { Ok(token) } else { Err(ParseTokenError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bytes_sort_like_the_token() {
        let parts = [0, 1, 9, 10, 255, u32::MAX];
        let mut tokens = Vec::new();
        for epoch in parts {
            for order in [0, 1, 99, 100, u64::from(u32::MAX), u64::MAX] {
                tokens.extend(parts.map(|sub| FencingToken::new(epoch, order, sub)));
            }
        }
        assert!(tokens.is_sorted());
        for pair in tokens.windows(2) {
            assert!(pair[0].to_string() < pair[1].to_string());
            assert!(pair[0].to_bytes() < pair[1].to_bytes());
        }
        for token in tokens {
            assert_eq!(FencingToken::new(token.epoch(), token.order(), token.sub_order()), token);
            assert_eq!(token.to_string().parse(), Ok(token));
            assert_eq!(FencingToken::from_bytes(token.to_bytes()), token);
        }
    }

    #[test]
    fn i64_only_where_it_fits() {
        assert_eq!(FencingToken::new(0, 7, 0).as_i64(), Some(7));
        assert_eq!(FencingToken::new(0, u64::MAX, 0).as_i64(), None);
        assert_eq!(FencingToken::new(1, 7, 0).as_i64(), None);
        assert_eq!(FencingToken::new(0, 7, 1).as_i64(), None);
    }

    #[test]
    fn other_text_is_refused() {
        for bad in ["", "7", "+0000000000000000000126700000000", &"A".repeat(32), &"0".repeat(33)] {
            assert_eq!(bad.parse::<FencingToken>(), Err(ParseTokenError), "{bad}");
        }
    }
}
