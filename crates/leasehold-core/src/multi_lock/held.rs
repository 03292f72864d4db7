//! What the holder of a multi-lock knows of its holds.
//!
//! # Implementation
//!
//! The members' own states are the truth; what is shared here is which loss was the first, which whoever notices one first
//! decides for everybody. Nothing needs to be told of a loss but [`MultiHeld::cancellation_token`]: one task, which ends with the first hold that
//! does, and whose drop, with its runtime, cancels the token as well.

use std::fmt;
use std::future::Future;
use std::ops::Deref;
use std::sync::{Arc, OnceLock};

use futures_util::future::{FutureExt, select_all};
use tokio_util::sync::CancellationToken;

use crate::coordinator::Coordinator;
use crate::error::Error;
use crate::held::Held;
use crate::liveness::LossReason;
use crate::name::Namespace;
use crate::token::FencingToken;

/// One held member of a multi-lock. What is known of its hold are the methods of [`Held`].
#[derive(Debug, Clone)]
pub struct MemberHeld {
    label: Arc<str>,
    namespace: Namespace,
    held: Held,
}

impl MemberHeld {
    pub(super) fn new(label: Arc<str>, namespace: Namespace, held: Held) -> Self {
        Self { label, namespace, held }
    }

    /// The label that the member was given.
    pub fn label(&self) -> &str {
        &self.label
    }

    /// The namespace of its name.
    pub fn namespace(&self) -> &Namespace {
        &self.namespace
    }

    /// The fact of holding this one.
    pub fn held(&self) -> Held {
        self.held.clone()
    }
}

impl Deref for MemberHeld {
    type Target = Held;

    fn deref(&self) -> &Held {
        &self.held
    }
}

/// The member of a multi-lock that was lost first.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemberLost {
    /// The member's label.
    pub label: String,
    /// The namespace of its name.
    pub namespace: Namespace,
    /// Its name.
    pub name: String,
    /// Why it is held no longer.
    pub reason: LossReason,
}

impl fmt::Display for MemberLost {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "member {:?}, lock {:?}: {}", self.label, self.name, self.reason)
    }
}

/// The fact of holding all members of a [`MultiLock`](crate::MultiLock): owned, `'static`, cheap to clone.
///
/// It keeps nothing locked: the guard does. Once one member is not held any more, the whole is not, and never is again.
#[derive(Clone)]
pub struct MultiHeld {
    state: Arc<State>,
}

struct State {
    members: Box<[MemberHeld]>,
    loss: OnceLock<MemberLost>,
    stop: CancellationToken,
}

impl MultiHeld {
    /// Of members that are held. The coordinator is that of one of them.
    pub(super) fn new(members: Vec<MemberHeld>, coordinator: &Coordinator) -> Self {
        let stop = CancellationToken::new();
        let stops: Vec<_> =
            members.iter().map(|member| member.cancellation_token().cancelled_owned().boxed()).collect();
        let cancel_when_dropped = stop.clone().drop_guard();
        coordinator.engine().driver.spawn(async move {
            select_all(stops).await;
            drop(cancel_when_dropped);
        });
        Self { state: Arc::new(State { members: members.into(), loss: OnceLock::new(), stop }) }
    }

    /// The members, in the order in which they were locked.
    pub fn members(&self) -> &[MemberHeld] {
        &self.state.members
    }

    /// One member; `None` if there is none of that label and name, or several in different namespaces.
    pub fn member(&self, label: &str, name: &str) -> Option<&MemberHeld> {
        let mut found =
            self.members().iter().filter(|member| member.label() == label && member.name() == name);
        let first = found.next();
        if found.next().is_some() { None } else { first }
    }

    /// The fencing token of one member; see [`MultiHeld::member`].
    pub fn token(&self, label: &str, name: &str) -> Option<FencingToken> {
        self.member(label, name).map(|member| member.fencing_token())
    }

    /// The fencing tokens, one a member, in the order of [`MultiHeld::members`]. Tokens of different members do not compare.
    pub fn tokens(&self) -> Vec<FencingToken> {
        self.members().iter().map(|member| member.fencing_token()).collect()
    }

    /// Whether all are held; what that means and what it cannot promise, see [`Held::is_held`].
    pub fn is_held(&self) -> bool {
        self.loss().is_none()
    }

    /// Which member was lost first, if one was.
    pub fn loss(&self) -> Option<&MemberLost> {
        if let Some(loss) = self.state.loss.get() {
            return Some(loss);
        }
        let ended = |member: &MemberHeld| member.state().ended().map(|reason| lost(member, reason));
        let loss = self.members().iter().find_map(ended)?;
        Some(self.state.loss.get_or_init(|| loss))
    }

    /// Resolves when the first member is held no longer, with which one and why; with [`LossReason::Released`], and any of the members, when
    /// the guard gave them up. Everybody is told the same.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub fn lost(&self) -> impl Future<Output = MemberLost> + Send + 'static {
        let held = self.clone();
        async move {
            let ends = held.members().iter().map(|member| member.held.lost().boxed());
            let (reason, at, _) = select_all(ends).await;
            held.state.loss.get_or_init(|| lost(&held.members()[at], reason)).clone()
        }
    }

    /// Cancelled when the work should stop: the first member is held no longer, or a member's coordinator is shutting down.
    /// See [`Held::cancellation_token`].
    pub fn cancellation_token(&self) -> CancellationToken {
        self.state.stop.clone()
    }

    /// Makes the work and runs it for as long as all members are held. It is not even made if one is not.
    pub(super) async fn work<F, W>(&self, work: F) -> Result<W::Output, Error>
    where
        F: FnOnce(MultiHeld) -> W,
        W: Future,
    {
        self.while_held(async { work(self.clone()).await }).await
    }

    /// Runs `work` for as long as all members are held.
    ///
    /// # Errors
    /// [`ErrorKind::Lost`](crate::ErrorKind::Lost), naming the member, if one was lost before `work` had ended; then `work` was dropped
    /// at the await it was at. What it had sent away by then still happens: fence it.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`.
    pub async fn while_held<F: Future>(&self, work: F) -> Result<F::Output, Error> {
        if let Some(loss) = self.loss() {
            return Err(self.error(loss));
        }
        tokio::select! {
            biased;
            loss = self.lost() => Err(self.error(&loss)),
            output = work => match self.loss() {
                None => Ok(output),
                Some(loss) => Err(self.error(loss)),
            },
        }
    }

    fn error(&self, loss: &MemberLost) -> Error {
        let is_it = |member: &&MemberHeld| {
            (member.label(), member.namespace(), member.name()) == (&loss.label, &loss.namespace, &loss.name)
        };
        let error = match self.members().iter().find(is_it) {
            Some(member) => member.state().error("hold", loss.reason),
            None => Error::lost("hold", loss.reason),
        };
        error.of_member(&loss.label)
    }
}

fn lost(member: &MemberHeld, reason: LossReason) -> MemberLost {
    let (label, name) = (member.label().to_owned(), member.name().to_owned());
    MemberLost { label, namespace: member.namespace.clone(), name, reason }
}

impl fmt::Debug for MultiHeld {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MultiHeld").field("members", &self.members()).field("loss", &self.loss()).finish()
    }
}
