//! The counter.
//!
//! # Implementation
//!
//! A register whose value is a decimal number. An increment is a change of it ([`crate::commit`]): computed from the number that was read, and
//! applied only on the version that it was read with, once. Dropped futures are treated there.

use std::fmt;

use crate::commit::Amendment;
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::name::Kind;
use crate::named::Named;
use crate::record::Record;

/// A whole number that all nodes share, and add to.
///
/// It is a [`Register`](crate::Register) of the same name whose value is the number as text; nothing written is 0.
///
/// # What it promises, and what it cannot
///
/// It is exact: each [`Counter::add`] that answers a number was applied once, however many nodes add at the same time and whatever answers of the
/// service are lost. One that ends in [`ErrorKind::Indeterminate`] was applied once or not at all. It is made for numbers that must be
/// right, not for the fastest ones: every increment is a read and a write, and of those who add at the same time one wins at a time.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), leasehold_core::Error> {
/// let tickets = coordinator.counter("tickets sold");
/// assert_eq!(tickets.add(3).await?, 3);
/// assert_eq!(tickets.add(-1).await?, 2);
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct Counter {
    named: Named,
}

impl Counter {
    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self { named: Named::new(coordinator, Kind::Register, name) }
    }

    /// The name, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// The number.
    ///
    /// # Errors
    /// As [`Register::read`](crate::Register::read); [`ErrorKind::Corrupt`] also if the register holds no number.
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn get(&self) -> Result<i64, Error> {
        let record = self.named.load("get").await?;
        self.number("get", &record)
    }

    /// Adds `amount`, which may be negative, and answers the sum.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidArgument`] if the sum is no 64-bit number: nothing was added. As [`Counter::get`] and
    /// [`Register::update`](crate::Register::update); with [`ErrorKind::Indeterminate`] it was added or not, with all others it was not.
    ///
    /// # Cancel safety
    /// Once polled, it may be added, whether or not the future is polled again; at most once.
    pub async fn add(&self, amount: i64) -> Result<i64, Error> {
        const OPERATION: &str = "add";
        self.named
            .amend_patiently(OPERATION, None, |record| {
                let number = self.number(OPERATION, record)?;
                let sum = number.checked_add(amount).ok_or_else(|| {
                    let detail = format!("{number} + {amount} is no 64-bit number");
                    self.named.error(ErrorKind::InvalidArgument, OPERATION, &detail)
                })?;
                Ok(if sum == number {
                    Amendment::Keep(sum)
                } else {
                    Amendment::Write(sum.to_string().into(), sum)
                })
            })
            .await
    }

    /// Replaces the number by `new` if it is `expected`; whether it was.
    ///
    /// # Errors
    /// As [`Counter::add`].
    ///
    /// # Cancel safety
    /// As [`Counter::add`].
    pub async fn compare_and_set(&self, expected: i64, new: i64) -> Result<bool, Error> {
        const OPERATION: &str = "compare_and_set";
        self.named
            .amend_patiently(OPERATION, None, |record| {
                let number = self.number(OPERATION, record)?;
                Ok(match number == expected {
                    false => Amendment::Keep(false),
                    true if new == number => Amendment::Keep(true),
                    true => Amendment::Write(new.to_string().into(), true),
                })
            })
            .await
    }

    fn number(&self, operation: &'static str, record: &Record) -> Result<i64, Error> {
        let Some(value) = &record.value else { return Ok(0) };
        let number = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
        number.ok_or_else(|| self.named.error(ErrorKind::Corrupt, operation, "the register holds no number"))
    }
}

impl fmt::Debug for Counter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Counter").field("name", &self.named).finish_non_exhaustive()
    }
}
