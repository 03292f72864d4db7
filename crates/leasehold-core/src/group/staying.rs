//! Staying a member, whatever happens to the session.
//!
//! # Implementation
//!
//! One task, on the driver, owns the membership of the moment. States:
//!
//! ```text
//! member → (lost) → between → (joined again) → member …
//!    └────────────────┴→ ended: left, coordinator draining, or refused for good
//! ```
//!
//! It publishes them in a `watch` channel and is its only writer. It is woken by the loss of the membership, by a
//! new value, by the drain, and by its [`Staying`]: a request to leave travels in a channel, whose closing is the
//! drop of the handle. In every state it listens to that one first, so a handle that is dropped while it joins again
//! drops the join, which leaves nothing.
//!
//! *Values.* The newest value stands in a `watch` channel; each new membership begins with it, and a change is
//! marked as seen before it is published, so that one that comes meanwhile is published after it.
//!
//! The task is dropped only with its runtime, and with it the membership; the service removes the entry with the
//! session.

use std::fmt;
use std::future::Future;

use bytes::Bytes;
use tokio::sync::{oneshot, watch};

use super::member::MemberId;
use super::{Group, Membership};
use crate::error::{Error, ErrorKind, ReleaseError};
use crate::liveness::LossReason;
use crate::mode::Mode;

/// A place in a group that is taken again whenever it is lost; see [`Group::stay`].
///
/// Dropping it leaves the group, in the background. Each time the place is taken again it is another
/// [membership](MemberId), at the end of the order, and in between it is none: the group sees that it was away.
#[must_use = "dropping it leaves the group"]
pub struct Staying {
    group: Group,
    value: watch::Sender<Bytes>,
    standing: watch::Receiver<Standing>,
    leave: oneshot::Sender<Leave>,
}

type Leave = oneshot::Sender<Result<(), ReleaseError>>;

/// How it stands with the membership.
#[derive(Clone)]
pub(crate) enum Standing {
    Member(MemberId),
    Between,
    Ended(Error),
}

impl Standing {
    pub(crate) fn id(&self) -> Option<MemberId> {
        match self {
            Standing::Member(id) => Some(*id),
            Standing::Between | Standing::Ended(_) => None,
        }
    }
}

impl Staying {
    /// Joins, and stays from then on.
    pub(super) async fn begin(
        group: &Group,
        operation: &'static str,
        mode: Mode,
        value: Bytes,
    ) -> Result<Self, Error> {
        let membership = group.join_as(operation, mode, value.clone()).await?;
        let (value, values) = watch::channel(value);
        let (leave, asked) = oneshot::channel();
        let (sender, standing) = watch::channel(Standing::Member(membership.id()));
        let stay = Stay { group: group.clone(), operation, mode, values, standing: sender };
        group.named.coordinator().engine().driver.spawn(stay.run(membership, asked));
        Ok(Self { group: group.clone(), value, standing, leave })
    }

    /// The membership of the moment; `None` while it is lost and not yet taken again.
    pub fn id(&self) -> Option<MemberId> {
        self.standing.borrow().id()
    }

    /// Publishes another value, as soon as the service is reached; also in every later membership. One that the service
    /// refuses, since it is too large, [ends](Staying::ended) the stay.
    pub fn set_value(&self, value: impl Into<Bytes>) {
        self.value.send_replace(value.into());
    }

    /// Resolves when the place is given up for good: it was left or dropped ([`ErrorKind::Lost`] by
    /// [`Released`](LossReason::Released)), the coordinator was shut down ([`ErrorKind::Closed`]), or the service refuses the
    /// value or the place.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub fn ended(&self) -> impl Future<Output = Error> + Send + 'static {
        let (group, mut standing) = (self.group.clone(), self.standing.clone());
        async move {
            match standing.wait_for(|standing| matches!(standing, Standing::Ended(_))).await.as_deref() {
                Ok(Standing::Ended(error)) => error.clone(),
                _ => gone(&group),
            }
        }
    }

    /// Leaves the group, and waits for the service to confirm that. To have been away at that moment is no error.
    ///
    /// # Errors
    /// As [`Membership::release`].
    ///
    /// # Cancel safety
    /// Once polled, it goes on whether or not the future is.
    pub async fn leave(self) -> Result<(), ReleaseError> {
        let (reply, outcome) = oneshot::channel();
        let left = if self.leave.send(reply).is_ok() { outcome.await.ok() } else { None };
        match left {
            Some(left) => left,
            // It was given up before, which the standing told.
            None if matches!(*self.standing.borrow(), Standing::Ended(_)) => Ok(()),
            None => Err(ReleaseError::Unknown(gone(&self.group))),
        }
    }

    pub(crate) fn standing(&self) -> watch::Receiver<Standing> {
        self.standing.clone()
    }
}

impl fmt::Debug for Staying {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Staying").field("group", &self.group).field("id", &self.id()).finish()
    }
}

/// The error of one whose task is gone with its runtime.
fn gone(group: &Group) -> Error {
    group.named.error(ErrorKind::DriverGone, "stay", &LossReason::DriverGone.to_string())
}

/// The task's side.
struct Stay {
    group: Group,
    operation: &'static str,
    mode: Mode,
    values: watch::Receiver<Bytes>,
    standing: watch::Sender<Standing>,
}

/// How a membership ended.
enum End {
    Lost,
    /// Asked to leave, or nobody is left to ask.
    Leave(Option<Leave>),
    Error(Error),
}

impl Stay {
    async fn run(mut self, mut membership: Membership, mut asked: oneshot::Receiver<Leave>) {
        loop {
            self.standing.send_replace(Standing::Member(membership.id()));
            match self.keep(&membership, &mut asked).await {
                End::Lost => {}
                End::Leave(reply) => {
                    let left = membership.release().await;
                    return self.left(reply, left);
                }
                End::Error(error) => return self.end(error),
            }
            self.standing.send_replace(Standing::Between);
            let value = self.values.borrow_and_update().clone();
            let joined = tokio::select! {
                biased;
                reply = &mut asked => return self.left(reply.ok(), Ok(())),
                joined = self.group.join_as(self.operation, self.mode, value) => joined,
            };
            membership = match joined {
                Ok(membership) => membership,
                Err(error) => return self.end(error),
            };
        }
    }

    /// Keeps a membership up to date until it ends.
    async fn keep(&mut self, membership: &Membership, asked: &mut oneshot::Receiver<Leave>) -> End {
        let engine = self.group.named.coordinator().engine().clone();
        let mut change = None;
        loop {
            let publish = async {
                match &change {
                    Some(value) => membership.set_value(Bytes::clone(value)).await,
                    None => std::future::pending().await,
                }
            };
            tokio::select! {
                biased;
                reply = &mut *asked => return End::Leave(reply.ok()),
                _ = membership.lost() => return End::Lost,
                () = engine.draining.cancelled() => {
                    let closed = self.group.named.error(ErrorKind::Closed, "stay", "the coordinator is shut down");
                    return End::Error(closed);
                }
                published = publish => match published {
                    Ok(()) => change = None,
                    Err(error) if error.kind() == ErrorKind::Lost => return End::Lost,
                    Err(error) => return End::Error(error),
                },
                // The sender goes with the handle, which `asked` tells first.
                Ok(()) = self.values.changed() => change = Some(self.values.borrow_and_update().clone()),
            }
        }
    }

    /// Tells those who listen, and then the one who asked for it, if somebody did.
    fn left(&self, reply: Option<Leave>, outcome: Result<(), ReleaseError>) {
        self.end(self.group.named.with_name(Error::lost("stay", LossReason::Released)));
        if let Some(reply) = reply {
            // Whoever asked may be gone.
            let _ = reply.send(outcome);
        }
    }

    fn end(&self, error: Error) {
        self.standing.send_replace(Standing::Ended(error));
    }
}
