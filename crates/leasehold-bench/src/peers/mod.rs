//! Who is measured.

mod leasehold;
mod redis_py;
mod rslock;

use std::time::Duration;

use async_trait::async_trait;

pub(crate) use self::leasehold::Leasehold;
pub(crate) use self::redis_py::RedisPy;
pub(crate) use self::rslock::Rslock;
use crate::Failure;
use crate::measure::{Contended, Took};

/// Whoever locks and unlocks.
#[async_trait]
pub(crate) trait Client {
    fn name(&self) -> &'static str;

    /// What its clients send while they lock and unlock, by the server's name for it; what scripts call inside does not
    /// count.
    fn commands(&self) -> &'static [&'static str];

    /// What so many locks and unlocks of one client take.
    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure>;
}

/// A library, against one server.
#[async_trait]
pub(crate) trait Peer: Client {
    /// Lets that many clients contend for one lock, each with a connection of its own.
    async fn contend(&mut self, contenders: usize, time: Duration) -> Result<Contended, Failure>;
}
