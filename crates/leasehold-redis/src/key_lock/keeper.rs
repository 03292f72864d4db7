//! One acquisition of a key, from the call to the end of the hold.
//!
//! # Implementation
//!
//! It is one task on the driver, which alone talks to the server: it takes the key, keeps it and gives it up. The caller's
//! future owns the receiving end of a channel, the guard the sending end of another; whatever of them is dropped, at whatever
//! await, is a closed channel here, and the task gives the key up. The guard travels through the channel: one that nobody
//! receives is dropped, and with it the hold.
//!
//! **Taking** is idempotent by the token, which nobody else has: a request that went unanswered is repeated, or undone by the
//! release. It is never dropped in flight. One that arrives after the release of its own token (over a connection that was given up) takes a
//! key that nobody knows to have: it expires within the TTL. A tombstone that would keep it out has no place in the
//! layout that is shared.
//!
//! **Holding.** The deadline counts from before the request was sent that the server granted last, and its margin is that of sessions. A
//! renewal is asked for each third of the TTL and, if it fails, again with a backoff. The server's word that the key is
//! not ours any more ends the hold at once, the deadline ends it without a word. A release drops a renewal in flight: it compares the token,
//! so a late one extends nothing that is not ours.
//!
//! **Releasing** goes on until the server has answered or the deadline has passed; after that the key expires by itself.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Backoff, Error, ErrorKind, LivenessCell, LossReason};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, sleep_until};

use super::{KeyLockGuard, Shared};
use crate::error::{Effect, corrupt};
use crate::identity::random_hex;
use crate::link::{Call, Reply};
use crate::scripts;

type Answer = Result<Option<KeyLockGuard>, Error>;

/// What a release is answered.
pub(super) type Released = Result<(), LossReason>;

/// What the server says of the key.
enum Taken {
    Ours,
    /// Somebody has it, and for so long at the most.
    Busy(Option<Duration>),
}

pub(super) struct Acquisition {
    shared: Arc<Shared>,
    token: String,
    deadline: Option<Instant>,
    /// Asks once.
    tries: bool,
}

impl Acquisition {
    pub(super) fn new(shared: Arc<Shared>, patience: Option<Duration>) -> Result<Self, Error> {
        let token = random_hex(16).map_err(|error| failure(&shared, error))?;
        let deadline = patience.and_then(|patience| Instant::now().checked_add(patience));
        Ok(Self { shared, token, deadline, tries: patience == Some(Duration::ZERO) })
    }

    pub(super) async fn run(self, mut reply: oneshot::Sender<Answer>) {
        let mut backoff = backoff();
        // A request that was not answered may have taken the key.
        let mut ambiguous = false;
        loop {
            let sent_at = self.shared.clock.now();
            let taken = self.take().await;
            let pause = match taken {
                Ok(Taken::Ours) => {
                    let liveness = LivenessCell::new(self.shared.clock.clone(), sent_at, self.shared.ttl);
                    // One that was born stale is taken anew: the same token extends it.
                    if reply.is_closed() || !liveness.is_alive() {
                        self.give_up(&reply).await;
                        if reply.is_closed() {
                            return;
                        }
                        continue;
                    }
                    return self.hold(Arc::new(liveness), reply).await;
                }
                Ok(Taken::Busy(_)) if self.tries => return answer(reply, Ok(None)),
                Ok(Taken::Busy(left)) => {
                    backoff = self::backoff();
                    ambiguous = false;
                    let poll = Backoff::new(self.shared.poll, self.shared.poll).next_delay();
                    left.map_or(poll, |left| left.min(poll))
                }
                Err(error) => {
                    ambiguous |= error.kind() == BackendErrorKind::Indeterminate;
                    let out_of_time = self.tries || self.deadline.is_some_and(|at| at <= Instant::now());
                    if !error.is_transient() || out_of_time {
                        if ambiguous {
                            self.give_up(&reply).await;
                        }
                        return answer(reply, Err(failure(&self.shared, error)));
                    }
                    backoff.next_delay()
                }
            };
            let out_of_time = async {
                match self.deadline {
                    Some(deadline) => sleep_until(deadline).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                () = reply.closed() => {}
                () = out_of_time => {}
                () = sleep(pause) => continue,
            }
            if ambiguous {
                self.give_up(&reply).await;
                return answer(reply, Err(silent(&self.shared)));
            }
            return answer(reply, Ok(None));
        }
    }

    async fn take(&self) -> Result<Taken, BackendError> {
        let what = "taking the key";
        let reply =
            self.run_script(what, Effect::Write, &scripts::TAKE_KEY, &[&self.token, &self.millis()]).await?;
        match reply.first().map(Vec::as_slice) {
            Some(b"taken") => Ok(Taken::Ours),
            Some(b"busy") => {
                let left = reply.get(1).and_then(|left| std::str::from_utf8(left).ok()?.parse::<i64>().ok());
                let left = left.ok_or_else(|| corrupt(what))?;
                // It is negative where the key does not expire at all, or is gone just now.
                Ok(Taken::Busy(u64::try_from(left).ok().map(|left| Duration::from_millis(left + 1))))
            }
            _ => Err(corrupt(what)),
        }
    }

    async fn hold(&self, liveness: Arc<LivenessCell>, reply: oneshot::Sender<Answer>) {
        let (release, mut released) = oneshot::channel();
        answer(reply, Ok(Some(KeyLockGuard::new(self.shared.key.clone(), liveness.clone(), release))));
        let confirm: Option<oneshot::Sender<Released>> = tokio::select! {
            biased;
            asked = &mut released => asked.ok(),
            _ = liveness.lost() => return,
            () = self.keep(&liveness) => return,
        };
        let outcome = tokio::select! {
            biased;
            outcome = self.release() => outcome,
            reason = liveness.lost() => Err(reason),
        };
        liveness.end(LossReason::Released);
        if let Some(confirm) = confirm {
            // Who asked may be gone.
            let _ = confirm.send(outcome);
        }
    }

    /// Renews until the key is not ours any more.
    async fn keep(&self, liveness: &LivenessCell) {
        let period = self.shared.ttl / 3;
        let new_backoff =
            || Backoff::new(Duration::from_millis(20), (period / 2).max(Duration::from_millis(20)));
        let (mut backoff, mut due) = (new_backoff(), Instant::now() + period);
        loop {
            sleep_until(due).await;
            let (sent_at, asked) = (self.shared.clock.now(), Instant::now());
            let arguments = [self.token.as_str(), &self.millis()];
            let extended =
                self.run_script("extending the key", Effect::Read, &scripts::EXTEND_KEY, &arguments).await;
            due = match extended.as_ref().map(|reply| reply.first().map(Vec::as_slice)) {
                Ok(Some(b"ok")) => {
                    liveness.renewed(sent_at, self.shared.ttl);
                    backoff = new_backoff();
                    asked + period
                }
                Ok(_) => return liveness.end(LossReason::EntryRemoved),
                Err(_) => {
                    liveness.suspect();
                    Instant::now() + backoff.next_delay()
                }
            };
        }
    }

    /// Gives up what may have been taken, as long as the key can be there.
    async fn give_up(&self, reply: &oneshot::Sender<Answer>) {
        let patience = match self.deadline {
            // Whoever waits for the answer is not kept longer than a request takes.
            Some(_) if !reply.is_closed() => self.shared.link.request_timeout().min(self.shared.ttl),
            _ => self.shared.ttl,
        };
        // After the TTL the key has expired.
        let _ = tokio::time::timeout(patience, self.release()).await;
    }

    async fn release(&self) -> Released {
        let mut backoff = backoff();
        let mut unanswered = false;
        loop {
            let arguments = [self.token.as_str()];
            let released =
                self.run_script("giving the key up", Effect::Write, &scripts::RELEASE_KEY, &arguments).await;
            match released {
                Ok(reply) if reply.first().is_some_and(|word| word == b"ok") => return Ok(()),
                // The one that went unanswered was carried out.
                Ok(_) if unanswered => return Ok(()),
                Ok(_) => return Err(LossReason::EntryRemoved),
                Err(error) => unanswered |= error.kind() == BackendErrorKind::Indeterminate,
            }
            sleep(backoff.next_delay()).await;
        }
    }

    fn millis(&self) -> String {
        self.shared.ttl.as_millis().to_string()
    }

    async fn run_script(
        &self,
        what: &'static str,
        effect: Effect,
        script: &redis::Script,
        arguments: &[&str],
    ) -> Result<Reply, BackendError> {
        let arguments: Vec<_> = arguments.iter().map(|argument| argument.as_bytes()).collect();
        self.shared.link.run(&Call { what, effect, script, keys: &[&self.shared.key], args: &arguments }).await
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(10), Duration::from_secs(1))
}

fn answer(reply: oneshot::Sender<Answer>, answer: Answer) {
    // A guard that nobody receives is dropped here, which gives its hold up.
    let _ = reply.send(answer);
}

fn failure(shared: &Shared, error: BackendError) -> Error {
    Error::from_backend("lock", Arc::new(error)).with_name(shared.key.clone()).with_backend("redis")
}

fn silent(shared: &Shared) -> Error {
    Error::new(ErrorKind::Unavailable, "lock", "the server did not answer in time")
        .with_name(shared.key.clone())
        .with_backend("redis")
}
