//! The count-down latch.
//!
//! # Implementation
//!
//! A register that says `round=<r>&count=<n>&left=<k>`; one that was never written is round 1 with everything left. Counting down is a
//! change of it ([`crate::commit`]), applied once on the version that was read. A wait looks at the register, and again after each of
//! its changes ([`crate::requests`]): it ends at a look that shows nothing left, or a later round than the one it first saw.
//!
//! *Why a reset misses nobody.* Only a latch with nothing left is reset, and a reset begins the next round. So a waiter that first saw round `r` and now
//! sees a later one knows that `r` was counted down, although it may never have seen it at zero.
//!
//! Dropped futures are treated in the two files named.

use std::fmt;
use std::time::Duration;

use crate::acquisition::Patience;
use crate::backend::Versioned;
use crate::commit::Amendment;
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::name::Kind;
use crate::named::Named;
use crate::record::Record;

/// Lets everybody who waits go on when a given number of things are done.
///
/// Whoever uses the name first creates the latch with the count; who comes with another count gets [`ErrorKind::Mismatch`]. It stays when the
/// processes that used it are gone: something that was counted down is done, whatever becomes of who did it. What it leaves at the service is
/// one small register for each name; [`CountDownLatch::reset`] uses a name again.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let loaded = coordinator.latch("shards loaded", 2);
/// assert_eq!(loaded.count_down().await?, 1);
/// assert_eq!(loaded.count_down().await?, 0);
/// loaded.wait().await?; // at once
/// # Ok(()) }
/// ```
///
/// # What it promises, and what it cannot
///
/// A [`CountDownLatch::count_down`] that answers was counted once, however many count at the same time and whatever answers of the service are
/// lost. One that ends in [`ErrorKind::Indeterminate`] was counted once or not at all. A participant that dies before it has counted is waited
/// for all the same; where participants may die, use a lock or a group.
#[derive(Clone)]
pub struct CountDownLatch {
    named: Named,
    count: u32,
}

/// What the register says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Round {
    number: u64,
    count: u32,
    left: u32,
}

/// What a wait has found.
enum Found {
    Over,
    Objection(Objection),
}

/// Why a register is not this latch's.
enum Objection {
    Foreign,
    OtherCount(u32),
}

impl CountDownLatch {
    pub(crate) fn new(coordinator: Coordinator, name: &str, count: u32) -> Self {
        Self { named: Named::new(coordinator, Kind::Latch, name), count }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// How much is left to count down. One that nobody has used yet has everything left, and is not created by this.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if this latch has the count 0; [`ErrorKind::Mismatch`] if others use the name with
    /// another count; as [`Register::read`](crate::Register::read).
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn count(&self) -> Result<u32, Error> {
        const OPERATION: &str = "count";
        self.check(OPERATION)?;
        let record = self.named.load(OPERATION).await?;
        Ok(self.round(OPERATION, &record)?.left)
    }

    /// Counts one down, and answers what is left. At zero it stays at zero.
    ///
    /// # Errors
    /// As [`CountDownLatch::count`] and [`Register::update`](crate::Register::update); with [`ErrorKind::Indeterminate`] it was counted
    /// or not, with all others it was not.
    ///
    /// # Cancel safety
    /// Once polled, it may be counted, whether or not the future is polled again; at most once.
    pub async fn count_down(&self) -> Result<u32, Error> {
        const OPERATION: &str = "count_down";
        self.check(OPERATION)?;
        self.named
            .amend_patiently(OPERATION, None, |record| {
                let round = self.round(OPERATION, record)?;
                let Some(left) = round.left.checked_sub(1) else { return Ok(Amendment::Keep(0)) };
                Ok(Amendment::Write(Round { left, ..round }.encode().into(), left))
            })
            .await
    }

    /// Waits until nothing is left; at once if nothing is. It creates the latch if it is the first to use the name.
    ///
    /// It outlasts disconnections, restarts of the service and the loss of the session.
    ///
    /// # Errors
    /// As [`CountDownLatch::count_down`], for as long as the latch is looked up; then as [`Register::changed`](crate::Register::changed).
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing, but that the latch may have been created.
    pub async fn wait(&self) -> Result<(), Error> {
        self.until_over("wait", Patience::Forever).await.map(drop)
    }

    /// As [`CountDownLatch::wait`], for at most `patience` once the latch was looked up; whether nothing was left. No patience at all is one look.
    ///
    /// # Errors
    /// As [`CountDownLatch::wait`], and [`ErrorKind::Unavailable`] if the service did not answer within `patience`.
    ///
    /// # Cancel safety
    /// As [`CountDownLatch::wait`].
    pub async fn wait_for(&self, patience: Duration) -> Result<bool, Error> {
        self.until_over("wait_for", patience.into()).await
    }

    /// Begins anew with the whole count, if nothing is left; whether it did.
    ///
    /// Everybody who waited for the round that is over goes on, also who has not looked yet. Who begins to wait, or counts, from now on does so in
    /// the new round. That goes for a participant too many as well, who would have counted below zero in the old one.
    ///
    /// # Errors
    /// As [`CountDownLatch::count_down`].
    ///
    /// # Cancel safety
    /// Once polled, it may be done, whether or not the future is polled again.
    pub async fn reset(&self) -> Result<bool, Error> {
        const OPERATION: &str = "reset";
        self.check(OPERATION)?;
        self.named
            .amend_patiently(OPERATION, None, |record| {
                let round = self.round(OPERATION, record)?;
                if round.left > 0 {
                    return Ok(Amendment::Keep(false));
                }
                let next = Round { number: round.number + 1, count: self.count, left: self.count };
                Ok(Amendment::Write(next.encode().into(), true))
            })
            .await
    }

    async fn until_over(&self, operation: &'static str, patience: Patience) -> Result<bool, Error> {
        self.check(operation)?;
        let path = self.named.path(operation)?;
        let begun = self
            .named
            .amend_patiently(operation, None, |record| {
                let round = self.round(operation, record)?;
                Ok(match record.value {
                    Some(_) => Amendment::Keep(round),
                    None => Amendment::Write(round.encode().into(), round),
                })
            })
            .await?;
        if begun.left == 0 {
            return Ok(true);
        }
        let count = self.count;
        let look = move |register: Option<&Versioned>| {
            let round =
                Record::read(register).ok_or(Objection::Foreign).and_then(|record| Round::of(&record, count));
            match round {
                Ok(round) if round.left == 0 || round.number > begun.number => Some(Found::Over),
                Ok(_) => None,
                Err(objection) => Some(Found::Objection(objection)),
            }
        };
        match self.named.until_register_within(operation, &path, patience, look).await? {
            Some(Found::Over) => Ok(true),
            Some(Found::Objection(objection)) => Err(self.error(operation, objection)),
            None => Ok(false),
        }
    }

    fn check(&self, operation: &'static str) -> Result<(), Error> {
        if self.count > 0 {
            return Ok(());
        }
        Err(self.named.error(ErrorKind::InvalidArgument, operation, "a latch counts down from 1 at least"))
    }

    fn round(&self, operation: &'static str, record: &Record) -> Result<Round, Error> {
        Round::of(record, self.count).map_err(|objection| self.error(operation, objection))
    }

    fn error(&self, operation: &'static str, objection: Objection) -> Error {
        match objection {
            Objection::Foreign => self.named.foreign(operation),
            Objection::OtherCount(theirs) => {
                let detail = format!("others count down from {theirs}, this one from {}", self.count);
                self.named.error(ErrorKind::Mismatch, operation, &detail)
            }
        }
    }
}

impl Round {
    /// What the register says of a latch with this count.
    fn of(record: &Record, count: u32) -> Result<Self, Objection> {
        match &record.value {
            None => Ok(Self { number: 1, count, left: count }),
            Some(value) => match Self::decode(value) {
                Some(round) if round.count == count => Ok(round),
                Some(round) => Err(Objection::OtherCount(round.count)),
                None => Err(Objection::Foreign),
            },
        }
    }

    fn encode(self) -> String {
        format!("round={}&count={}&left={}", self.number, self.count, self.left)
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let mut fields = std::str::from_utf8(value).ok()?.split('&');
        let mut field = |name: &str| fields.next()?.strip_prefix(name)?.strip_prefix('=');
        // None of ours has a number that no other can follow.
        let number = field("round")?.parse().ok().filter(|number| *number < u64::MAX)?;
        let count = field("count")?.parse().ok()?;
        let left = field("left")?.parse().ok()?;
        (left <= count && count > 0).then_some(Self { number, count, left })
    }
}

impl fmt::Debug for CountDownLatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CountDownLatch")
            .field("name", &self.named)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

/// A round that is read is one that a latch can be in, and is written, and read again, as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub fn check_latch(bytes: &[u8]) -> bool {
    let Some(round) = Round::decode(bytes) else { return false };
    assert!(round.left <= round.count && round.number < u64::MAX);
    assert_eq!(Round::decode(round.encode().as_bytes()), Some(round));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_read_back_and_nothing_else_is_accepted() {
        for round in
            [Round { number: 1, count: 3, left: 3 }, Round { number: u64::MAX - 1, count: u32::MAX, left: 0 }]
        {
            assert_eq!(Round::decode(round.encode().as_bytes()), Some(round));
        }
        for foreign in [
            "",
            "3",
            "round=1&count=3",
            "round=1&count=3&left=4",
            "round=1&count=0&left=0",
            "count=3&left=1",
            "round=1&count=3&left=-1",
            "round=18446744073709551615&count=3&left=3",
        ] {
            assert_eq!(Round::decode(foreign.as_bytes()), None, "{foreign}");
        }
    }
}
