//! The marks that a resource keeps.

use std::fmt;
use std::str::FromStr;

use crate::token::FencingToken;

/// What a protected resource remembers of the tokens it has seen, and the decision which ones pass.
///
/// It has two marks, the highest exclusive and the highest shared token that passed:
///
/// - A token of an exclusive hold (a mutex, a writer, a leader) passes unless it is lower than either.
/// - A token of a shared hold (a reader) passes unless it is lower than the exclusive one. Readers do not shut each other out.
///
/// A token that passes raises its mark; one that does not changes nothing. What counts is how the lock is *held*, not what the
/// access does: a writer that reads checks [exclusively](Fence::check_exclusive). A hold that was downgraded keeps
/// its token and checks as [shared](Fence::check_shared) from then on.
///
/// The resource keeps the fence as durably as its data and changes both in one atomic step, before it answers: the check of a
/// read is a change too, as long as it raises a mark. See the [module](crate::fencing) for how databases and
/// object stores do that, and for what a fence does not do.
///
/// Text and bytes have a fixed width. Each mark only ever rises, and text and bytes of a later state sort after those of an earlier one.
///
/// ```
/// # extern crate leasehold_core as leasehold;
/// use leasehold::FencingToken;
/// use leasehold::fencing::Fence;
///
/// let [reader, other_reader, writer] = [5, 6, 7].map(|order| FencingToken::new(0, order, 0));
/// let mut fence = Fence::new();
/// fence.check_shared(other_reader)?;
/// fence.check_shared(reader)?; // lower, and a live reader all the same
/// fence.check_exclusive(writer)?;
/// assert!(fence.check_shared(reader).is_err(), "the writer is there only if the readers are gone");
///
/// let stored = fence.to_string();
/// assert_eq!(stored.parse(), Ok(fence));
/// # Ok::<(), leasehold::fencing::Stale>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fence {
    exclusive: FencingToken,
    shared: FencingToken,
}

/// No token is lower.
const LOWEST: FencingToken = FencingToken::new(0, 0, 0);

impl Fence {
    /// The length of the text: two tokens and a hyphen.
    pub const TEXT_LEN: usize = 65;

    /// The fence of a resource that has seen no token: every token passes.
    ///
    /// Not to be used where there should be a fence and there is none, or one that cannot be read: that would let in what the
    /// lost one kept out.
    pub const fn new() -> Self {
        Self { exclusive: LOWEST, shared: LOWEST }
    }

    /// Lets an access under an exclusive hold pass, or rejects it.
    ///
    /// # Errors
    /// [`Stale`] if a higher token, exclusive or shared, has passed before.
    pub fn check_exclusive(&mut self, token: FencingToken) -> Result<(), Stale> {
        admit(token, self.exclusive.max(self.shared))?;
        self.exclusive = token;
        Ok(())
    }

    /// Lets an access under a shared hold pass, or rejects it.
    ///
    /// # Errors
    /// [`Stale`] if a higher exclusive token has passed before.
    pub fn check_shared(&mut self, token: FencingToken) -> Result<(), Stale> {
        admit(token, self.exclusive)?;
        self.shared = self.shared.max(token);
        Ok(())
    }

    /// Passes from one lock to another, under an exclusive hold of both: checks `from`, the token of the lock that has protected the resource so far,
    /// and raises the exclusive mark to `to`, the token of the one that does from now on. That one's epoch is the higher one, so that
    /// nothing of the first lock's passes any more.
    ///
    /// # Errors
    /// [`Stale`] if a higher token than `from`, or than `to`, has passed before; then nothing is changed.
    pub fn hand_over(&mut self, from: FencingToken, to: FencingToken) -> Result<(), Stale> {
        admit(from, self.exclusive.max(self.shared))?;
        self.check_exclusive(to)
    }

    /// The highest exclusive token that passed; all zeros if none did.
    pub fn exclusive(self) -> FencingToken {
        self.exclusive
    }

    /// The highest shared token that passed; all zeros if none did.
    pub fn shared(self) -> FencingToken {
        self.shared
    }

    /// 32 bytes: the exclusive mark, then the shared one.
    pub fn to_bytes(self) -> [u8; 32] {
        let mut bytes = [0; 32];
        let (exclusive, shared) = bytes.split_at_mut(16);
        exclusive.copy_from_slice(&self.exclusive.to_bytes());
        shared.copy_from_slice(&self.shared.to_bytes());
        bytes
    }

    /// Reads [`Fence::to_bytes`] back.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        let [mut exclusive, mut shared] = [[0; 16]; 2];
        exclusive.copy_from_slice(&bytes[..16]);
        shared.copy_from_slice(&bytes[16..]);
        Self { exclusive: FencingToken::from_bytes(exclusive), shared: FencingToken::from_bytes(shared) }
    }
}

fn admit(token: FencingToken, highest: FencingToken) -> Result<(), Stale> {
    if token < highest { Err(Stale { token, highest }) } else { Ok(()) }
}

impl Default for Fence {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Display for Fence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}", self.exclusive, self.shared)
    }
}

/// The text or the bytes are not those of a [`Fence`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "a fence is two fencing tokens of 32 lower-case hexadecimal digits with a hyphen between, or 32 bytes"
)]
pub struct ParseFenceError;

impl FromStr for Fence {
    type Err = ParseFenceError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (exclusive, shared) = text.split_once('-').ok_or(ParseFenceError)?;
        let token = |text: &str| text.parse().map_err(|_| ParseFenceError);
        Ok(Self { exclusive: token(exclusive)?, shared: token(shared)? })
    }
}

/// Bytes as a column or a file gives them.
impl TryFrom<&[u8]> for Fence {
    type Error = ParseFenceError;

    fn try_from(bytes: &[u8]) -> Result<Self, Self::Error> {
        bytes.try_into().map(Self::from_bytes).map_err(|_| ParseFenceError)
    }
}

/// An access was rejected: the resource has seen a higher token, so the lock was lost and has had another holder since.
///
/// It is final: this token will not pass again. Stop, or lock anew and begin with a read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("stale fencing token: {token} is lower than {highest}, which the resource has seen")]
pub struct Stale {
    /// The token of the access.
    pub token: FencingToken,
    /// The highest token that the resource has seen, of those that shut this one out.
    pub highest: FencingToken,
}

#[cfg(test)]
mod tests;
