//! The wall clock of the servers is set while locks are held.

use std::ops::RangeInclusive;
use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::servers::{ServerOptions, Set, WallClock};
use tokio::sync::OwnedMutexGuard;

use super::fault::{Aim, Arena, Class, Excuses, Fault};
use crate::dice::Dice;
use crate::service::ServiceKind;

/// Forward, in milliseconds: past every TTL.
const FORWARD: RangeInclusive<u64> = 10_000..=15_000;

/// By so much later may be free, or gone, what was written by the clock that was wrong: of one that was set forward when the clock is right
/// again, of one that was set back at once.
const LATER: Duration = Duration::from_millis(*FORWARD.end());

/// Forward past every TTL, or back by some seconds; all servers of the service go by one clock. Redis counts its expiries on it, so two may believe
/// there and the fence has to save the resource; ZooKeeper counts on another. etcd cannot be given a clock: it asks the kernel by itself.
#[derive(Debug, Default)]
pub(super) struct ClockJump {
    clock: OnceLock<WallClock>,
    to: Option<Set>,
    reserved: Option<OwnedMutexGuard<()>>,
}

#[async_trait]
impl Fault for ClockJump {
    fn name(&self) -> &'static str {
        "clock-jump"
    }

    fn class(&self) -> Class {
        Class::Server
    }

    fn services(&self) -> &'static [ServiceKind] {
        &[ServiceKind::ZooKeeper, ServiceKind::Redis]
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("cc", "gcc")]
    }

    fn prepare(&self, options: ServerOptions) -> ServerOptions {
        let clock = options.by_clock().cloned().unwrap_or_else(WallClock::start);
        let options = options.wall_clock(&clock);
        let _ = self.clock.set(clock);
        options
    }

    fn excuses(&self) -> Excuses {
        Excuses { only_the_fence: true, recovery: LATER, ..Excuses::default() }
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        self.reserved = Some(arena.reserve_servers()?);
        let to = if dice.percent(60) {
            Set::Forward(dice.millis(FORWARD))
        } else {
            Set::Back(dice.millis(500..=5_000))
        };
        self.to = Some(to);
        Some(Aim { target: format!("{to:?}"), lasts: dice.millis(500..=4_000) })
    }

    async fn inject(&mut self, _arena: &Arena, _dice: &mut Dice) {
        if let (Some(clock), Some(to)) = (self.clock.get(), self.to) {
            clock.set(to);
        }
    }

    async fn heal(&mut self, _arena: &Arena) {
        if let Some(clock) = self.clock.get() {
            clock.set(Set::Right);
        }
        self.reserved = None;
    }
}
