//! The copy of one register's version.
//!
//! # Implementation
//!
//! It is only for waiting: a read asks the service. Its state is one `watch` channel, so that a waiter that is dropped
//! leaves nothing behind.

use tokio::sync::watch;

use super::source::Replica;
use crate::backend_error::BackendError;

/// The version of a register, and how to wait for another one.
#[derive(Debug)]
pub struct RegisterReplica(watch::Sender<State>);

/// What a register was found to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RegisterState {
    /// Its version; 0 while it is absent.
    pub version: u64,
    /// Changes up to this revision are part of it.
    pub revision: u64,
}

#[derive(Debug)]
enum State {
    Opening,
    Known(RegisterState),
    Failed(BackendError),
}

impl Default for RegisterReplica {
    fn default() -> Self {
        Self(watch::Sender::new(State::Opening))
    }
}

impl RegisterReplica {
    /// Resolves once the version is another one than `seen`, with that.
    ///
    /// # Errors
    /// Waiting is in vain: the session is over, or the service refused the watch.
    ///
    /// # Cancel safety
    /// Dropping the future leaves nothing behind.
    pub async fn changed(&self, seen: u64) -> Result<u64, BackendError> {
        // Without it, whoever looks in a loop at what is there already would keep the feed from being read.
        tokio::task::coop::consume_budget().await;
        let mut states = self.0.subscribe();
        loop {
            match &*states.borrow_and_update() {
                State::Failed(failure) => return Err(failure.duplicate()),
                // The copy may be older than what was seen: versions rise, or the register is gone.
                State::Known(RegisterState { version, revision })
                    if *version != seen && (*version > seen || *version == 0 && *revision >= seen) =>
                {
                    return Ok(*version);
                }
                State::Known(_) | State::Opening => {}
            }
            // The sender is in `self`, so the channel cannot close meanwhile.
            let _ = states.changed().await;
        }
    }

    /// Takes over what a look at the service has shown, unless something newer is known: for changes that the service
    /// does not tell.
    pub fn refresh(&self, found: RegisterState) {
        self.advance(|known| found.revision >= known.revision, found);
    }

    fn advance(&self, is_newer: impl FnOnce(&RegisterState) -> bool, found: RegisterState) {
        self.0.send_if_modified(|state| match state {
            State::Known(known) if is_newer(known) => {
                let differs = known.version != found.version;
                *known = found;
                differs
            }
            _ => false,
        });
    }
}

impl Replica for RegisterReplica {
    type Snapshot = RegisterState;
    type Change = Vec<RegisterState>;

    fn begin(&self) {
        self.0.send_replace(State::Opening);
    }

    fn known(&self) -> u64 {
        0
    }

    fn load(&self, _known: u64, snapshot: RegisterState) {
        self.0.send_replace(State::Known(snapshot));
    }

    fn apply(&self, change: Vec<RegisterState>) {
        for found in change {
            self.advance(|known| found.revision > known.revision, found);
        }
    }

    fn fail(&self, error: &BackendError) {
        self.0.send_replace(State::Failed(error.duplicate()));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::poll;
    use super::*;
    use crate::backend_error::BackendErrorKind;
    use std::pin::pin;
    use std::task::Poll;

    fn at(version: u64, revision: u64) -> RegisterState {
        RegisterState { version, revision }
    }

    #[test]
    fn a_version_differs_once_it_is_newer_or_the_register_is_gone() {
        let register = RegisterReplica::default();
        let mut waiting = pin!(register.changed(5));
        assert!(poll(waiting.as_mut()).is_pending(), "it is not open");
        register.load(0, at(3, 4));
        assert!(poll(waiting.as_mut()).is_pending(), "it is older than what was seen");
        register.apply(vec![at(3, 4)]);
        register.load(0, at(0, 4));
        assert!(poll(waiting.as_mut()).is_pending(), "it was absent before that");
        register.apply(vec![at(5, 5)]);
        assert!(poll(waiting.as_mut()).is_pending(), "it is what was seen");
        register.apply(vec![at(0, 7)]);
        assert!(matches!(poll(waiting), Poll::Ready(Ok(0))));
        register.apply(vec![at(9, 9), at(8, 8)]);
        assert!(matches!(poll(pin!(register.changed(0))), Poll::Ready(Ok(9))), "8 is older");
    }

    #[test]
    fn a_look_counts_unless_it_is_older() {
        let register = RegisterReplica::default();
        register.refresh(at(7, 7));
        assert!(poll(pin!(register.changed(0))).is_pending(), "nothing follows it");
        register.load(0, at(5, 6));
        register.refresh(at(4, 5));
        assert!(poll(pin!(register.changed(5))).is_pending());
        register.refresh(at(0, 6));
        assert!(matches!(poll(pin!(register.changed(5))), Poll::Ready(Ok(0))));
    }

    #[test]
    fn a_failure_is_told_to_everybody_until_it_is_opened_again() {
        let register = RegisterReplica::default();
        let (mut one, mut other) = (pin!(register.changed(0)), pin!(register.changed(1)));
        assert!(poll(one.as_mut()).is_pending() && poll(other.as_mut()).is_pending());
        register.fail(&BackendError::new(BackendErrorKind::PermissionDenied, "no"));
        for waiting in [poll(one), poll(other)] {
            match waiting {
                Poll::Ready(Err(error)) => assert_eq!(error.kind(), BackendErrorKind::PermissionDenied),
                told => panic!("{told:?}"),
            }
        }
        register.begin();
        assert!(poll(pin!(register.changed(0))).is_pending());
    }
}
