//! Holds: what is told of them, and what can be done under them.

use std::pin::pin;

use leasehold::{
    Error, Held, Leadership, Membership, MutexGuard, ReleaseError, RwLockReadGuard, RwLockWriteGuard,
    SemaphorePermit,
};

use crate::actor::Actor;

/// The guard of any recipe.
pub(crate) enum Place {
    Mutex(MutexGuard),
    Reader(RwLockReadGuard),
    Writer(RwLockWriteGuard),
    Permit(SemaphorePermit),
    Leader(Leadership),
    Member(Membership),
}

impl Place {
    fn held(&self) -> Held {
        match self {
            Place::Mutex(guard) => guard.held(),
            Place::Reader(guard) => guard.held(),
            Place::Writer(guard) => guard.held(),
            Place::Permit(permit) => permit.held(),
            Place::Leader(leadership) => leadership.held(),
            Place::Member(membership) => membership.held(),
        }
    }

    async fn release(self) -> Result<(), ReleaseError> {
        match self {
            Place::Mutex(guard) => guard.release().await,
            Place::Reader(guard) => guard.release().await,
            Place::Writer(guard) => guard.release().await,
            Place::Permit(permit) => permit.release().await,
            Place::Leader(leadership) => leadership.resign().await,
            Place::Member(membership) => membership.release().await,
        }
    }
}

impl Actor {
    /// What came of an acquisition that does not wait.
    pub(crate) async fn hold_if(&mut self, place: Option<Place>) -> Result<(), Error> {
        match place {
            Some(place) => self.hold(place).await,
            None => {
                self.say("busy");
                Ok(())
            }
        }
    }

    /// Holds until it is told to release.
    pub(crate) async fn hold(&mut self, mut place: Place) -> Result<(), Error> {
        let held = place.held();
        self.say(format_args!("granted {}", held.fencing_token()));
        let (mut lost, mut asked) = (pin!(held.lost()), pin!(held.asked_to_release()));
        let (mut is_lost, mut is_asked) = (false, false);
        loop {
            let command = tokio::select! {
                reason = &mut lost, if !is_lost => {
                    is_lost = true;
                    self.say(format_args!("lost {reason:?}"));
                    continue;
                }
                who = &mut asked, if !is_asked => {
                    is_asked = true;
                    self.say(format_args!("asked {who}"));
                    continue;
                }
                command = self.next() => command,
            };
            let Some(command) = command else { return Ok(()) };
            let words: Vec<&str> = command.split_whitespace().collect();
            place = match (words.as_slice(), place) {
                (["release"], place) => {
                    place.release().await.map_err(Error::from)?;
                    self.say("released");
                    return Ok(());
                }
                (["downgrade"], Place::Writer(guard)) => {
                    let reader = guard.downgrade().await?;
                    self.say("downgraded");
                    Place::Reader(reader)
                }
                (words, place) => {
                    match self.act(&held, &place, words).await {
                        Ok(outcome) => self.say(outcome),
                        Err(error) => self.say_error(&error),
                    }
                    place
                }
            };
        }
    }

    /// What leaves the hold as it is.
    async fn act(&self, held: &Held, place: &Place, words: &[&str]) -> Result<String, Error> {
        match (words, place) {
            (["write", register, value], _) => {
                let version =
                    self.coordinator.register(register).write_held(held, (*value).to_owned()).await?;
                Ok(format!("version {version}"))
            }
            (["proclaim", value], Place::Leader(leadership)) => {
                leadership.proclaim((*value).to_owned()).await?;
                Ok("proclaimed".into())
            }
            (["set_value", value], Place::Member(membership)) => {
                membership.set_value((*value).to_owned()).await?;
                Ok("value set".into())
            }
            (["ticket"], Place::Leader(leadership)) => {
                let ticket = leadership.ticket()?.to_bytes();
                let hex: String = ticket.iter().map(|byte| format!("{byte:02x}")).collect();
                Ok(format!("ticket {hex}"))
            }
            _ => self.misunderstood(),
        }
    }
}
