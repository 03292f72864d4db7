//! What is done under a hold.

use std::time::Duration;

use leasehold_core::{Held, Mode};
use leasehold_testkit::history::{Call, OpId, Outcome, STALE};
use tokio::time::sleep;

use super::Io;
use super::holder::{Actor, Place};
use crate::resource::{Answer, Request};

/// What a register holds, as it was seen.
#[derive(Debug, Clone, Copy)]
struct Content {
    version: u64,
}

impl Actor {
    /// Reads the resource behind the lock and adds to it, once or twice. Some holders look whether they still hold before each
    /// access, and some never do: to keep those out is the business of the fence.
    pub(super) async fn work(&mut self, held: &Held, place: &Place) -> Io<()> {
        let careful = self.dice.percent(25);
        if !place.guards {
            self.rest().await;
            return Ok(());
        }
        let Some(mut content) = self.read(held, place).await? else { return Ok(()) };
        for _ in 0..1 + self.dice.below(2) {
            self.rest().await;
            if careful && !held.is_held() {
                return Ok(());
            }
            let next = if place.mode == Mode::Exclusive {
                self.write(held, place, content).await?
            } else {
                self.read(held, place).await?
            };
            let Some(next) = next else { return Ok(()) };
            content = next;
        }
        Ok(())
    }

    async fn rest(&mut self) {
        let longest = self.plan.longest_rest_ms;
        let time = self.dice.millis(0..=longest);
        if time > Duration::ZERO {
            sleep(time).await;
        }
    }

    async fn read(&mut self, held: &Held, place: &Place) -> Io<Option<Content>> {
        let (token, shared) = (held.fencing_token(), place.mode == Mode::Shared);
        let op = self.recorder.invoke(Call::Read { resource: place.path.clone(), token, shared });
        let register = place.path.clone();
        let answer = self.resource.ask(&Request::Read { register, token: token.to_string(), shared }).await?;
        self.answered(op, answer, |version, value| Outcome::Value { version, value })
    }

    async fn write(&mut self, held: &Held, place: &Place, seen: Content) -> Io<Option<Content>> {
        let (token, based_on) = (held.fencing_token(), seen.version);
        // Another one each time, so that it tells which write was seen.
        let value = self.dice.number();
        let resource = place.path.clone();
        let op = self.recorder.invoke(Call::Write { resource, token, based_on, value });
        let register = place.path.clone();
        let answer = self.resource.ask(&Request::Write { register, token: token.to_string(), value }).await?;
        self.answered(op, answer, |version, _| Outcome::Written { version })
    }

    fn answered(
        &self,
        op: OpId,
        answer: Answer,
        outcome: impl FnOnce(u64, u64) -> Outcome,
    ) -> Io<Option<Content>> {
        match answer {
            Answer::Accepted { version, value } => {
                self.recorder.ok(op, outcome(version, value));
                Ok(Some(Content { version }))
            }
            Answer::Stale { .. } => {
                self.recorder.fail(op, STALE);
                Ok(None)
            }
            other => Err(std::io::Error::other(format!("{other:?} answers no access"))),
        }
    }
}
