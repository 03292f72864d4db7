//! Worker processes that are stopped, for longer than their TTL as a rule, and worker processes that die.
//!
//! These make the expiries of a run: a process is not let go on before the service has ended its sessions.

use std::time::Duration;

use async_trait::async_trait;

use super::fault::{Aim, Arena, Class, Excuses, Fault};
use crate::crew::{Member, Reserved};
use crate::dice::Dice;

/// Beyond this the service is too disturbed to end anything.
const LONGEST_PAUSE: Duration = Duration::from_secs(12);

/// SIGSTOP, and SIGCONT after the sessions have expired; sometimes earlier. Most often to a process that holds, so that it has something stale to
/// send when it goes on.
#[derive(Debug, Default)]
pub(super) struct Pause {
    whom: Option<Reserved>,
    /// How long it goes on after the sessions have expired, or in all.
    time: Duration,
    until_expired: bool,
}

#[async_trait]
impl Fault for Pause {
    fn name(&self) -> &'static str {
        "pause"
    }

    fn class(&self) -> Class {
        Class::Client
    }

    fn excuses(&self) -> Excuses {
        Excuses { only_the_fence: true, ..Excuses::default() }
    }

    fn is_written_down(&self) -> bool {
        true
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let firsts = arena.tap.first_sessions();
        let holds = |member: &Member| {
            let sessions = member.sessions();
            firsts.iter().filter(|first| sessions.contains(first)).count()
        };
        let whom = if dice.percent(25) {
            arena.crew.reserve(dice)?
        } else {
            let whom = arena.crew.reserve_by(dice, holds)?;
            // While nobody gets anything, it waits until somebody does.
            (holds(&arena.crew.members()[whom.member]) > 0).then_some(whom)?
        };
        self.until_expired = dice.percent(80);
        self.time = if self.until_expired {
            dice.millis(20..=900)
        } else {
            // Around the deadline.
            let ttl = u64::try_from(arena.ttl.as_millis()).unwrap_or(u64::MAX);
            dice.millis(ttl / 2..=ttl * 5 / 4)
        };
        let target = format!("process {}", whom.member);
        self.whom = Some(whom);
        Some(Aim { target, lasts: Duration::ZERO })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        let Some(whom) = self.whom.take() else { return };
        arena.crew.pause(whom.member).await;
        if self.until_expired {
            // Those that it opens are none of the ones that it has to lose.
            let sessions = arena.crew.members()[whom.member].sessions();
            arena.tap.until_over(&sessions, LONGEST_PAUSE).await;
        }
        tokio::time::sleep(self.time).await;
        arena.crew.resume(whom.member).await;
    }
}

/// SIGKILL, and another life some time later.
#[derive(Debug, Default)]
pub(super) struct Kill {
    whom: Option<Reserved>,
}

#[async_trait]
impl Fault for Kill {
    fn name(&self) -> &'static str {
        "kill-worker"
    }

    fn class(&self) -> Class {
        Class::Client
    }

    fn is_written_down(&self) -> bool {
        true
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let whom = arena.crew.reserve(dice)?;
        let target = format!("process {}", whom.member);
        self.whom = Some(whom);
        Some(Aim { target, lasts: dice.millis(100..=4000) })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        if let Some(whom) = &self.whom {
            arena.crew.kill(whom.member).await;
        }
    }

    async fn heal(&mut self, arena: &Arena) {
        if let Some(whom) = self.whom.take() {
            arena.crew.revive(whom.member).await;
        }
    }
}
