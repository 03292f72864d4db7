//! Following the members of a group: as states, and as the differences between them.
//!
//! # Implementation
//!
//! A [`MemberStream`] is the receiving end of an [observation](crate::observation): states may be skipped, the
//! newest never is. Nothing runs here but in the polls of the streams; dropping one ends the observation.
//!
//! *The sum of the events is the state.* [`MemberEvents`] keeps the last state that it took and hands out the
//! difference to the next one before it takes another; so after the last event of a difference the sum of all is
//! exactly that state. A member's id is never used again, so no event is ever taken back by a later one of the same
//! difference.

use std::collections::VecDeque;
use std::fmt;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use futures_util::stream::{Stream, StreamExt};

use super::member::{Member, members};
use crate::error::Error;
use crate::named::Named;
use crate::observation::{Focus, States, observe};

/// The members of a group as they are, again after every change; see [`Group::watch`](crate::Group::watch).
///
/// It ends when its coordinator shuts down, and never before: while the service is not reached it is silent.
#[must_use = "a stream does nothing unless it is polled"]
pub struct MemberStream {
    states: States,
    /// Keeps the session alive, and says which group it is.
    named: Named,
    /// What was delivered last.
    last: Option<Vec<Member>>,
}

impl MemberStream {
    pub(super) fn new(named: Named, operation: &'static str) -> Result<Self, Error> {
        let path = named.path(operation)?;
        let states = observe(named.coordinator().engine(), path, Focus::All);
        Ok(Self { states, named, last: None })
    }

    /// The name of the group, as it was given.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// The newest state, once there is one that was not seen yet; `None` when the coordinator is shut down.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<Vec<Member>> {
        StreamExt::next(self).await
    }
}

impl Stream for MemberStream {
    type Item = Vec<Member>;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Vec<Member>>> {
        loop {
            let Some(entries) = ready!(self.states.poll_next(context)) else { return Poll::Ready(None) };
            let state = members(&entries, self.named.coordinator().engine().epoch);
            // What changed may be nothing of a member's.
            if self.last.as_ref() != Some(&state) {
                self.last = Some(state.clone());
                return Poll::Ready(Some(state));
            }
        }
    }
}

impl fmt::Debug for MemberStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemberStream").field("group", &self.named).finish_non_exhaustive()
    }
}

/// What happened in a group.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum GroupEvent {
    /// A member is there that was not.
    Joined(Member),
    /// A member publishes another value; this is how it is now.
    Changed(Member),
    /// A member is gone: it left, or its session ended. This is how it was last seen.
    Left(Member),
}

/// What happens in a group; see [`Group::events`](crate::Group::events).
///
/// It ends when its coordinator shuts down, and never before.
#[derive(Debug)]
#[must_use = "a stream does nothing unless it is polled"]
pub struct MemberEvents {
    states: MemberStream,
    known: Vec<Member>,
    pending: VecDeque<GroupEvent>,
}

impl MemberEvents {
    pub(super) fn new(states: MemberStream) -> Self {
        Self { states, known: Vec::new(), pending: VecDeque::new() }
    }

    /// The name of the group, as it was given.
    pub fn name(&self) -> &str {
        self.states.name()
    }

    /// The next event; `None` when the coordinator is shut down.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub async fn next(&mut self) -> Option<GroupEvent> {
        StreamExt::next(self).await
    }
}

impl Stream for MemberEvents {
    type Item = GroupEvent;

    fn poll_next(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<GroupEvent>> {
        loop {
            if let Some(event) = self.pending.pop_front() {
                return Poll::Ready(Some(event));
            }
            let Some(state) = ready!(self.states.poll_next_unpin(context)) else { return Poll::Ready(None) };
            self.pending = difference(&self.known, &state);
            self.known = state;
        }
    }
}

/// The events that lead from one state to another: first who left, then who changed, then who joined, each in the
/// order of joining.
fn difference(before: &[Member], after: &[Member]) -> VecDeque<GroupEvent> {
    let find = |members: &[Member], member: &Member| members.iter().find(|m| m.id == member.id).cloned();
    let left = before.iter().filter(|member| find(after, member).is_none()).cloned().map(GroupEvent::Left);
    let changed = after
        .iter()
        .filter(|member| find(before, member).is_some_and(|was| was != **member))
        .cloned()
        .map(GroupEvent::Changed);
    let joined =
        after.iter().filter(|member| find(before, member).is_none()).cloned().map(GroupEvent::Joined);
    left.chain(changed).chain(joined).collect()
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use super::super::member::MemberId;
    use super::*;
    use crate::attempt::AttemptIds;
    use crate::holder::HolderInfo;
    use crate::token::FencingToken;

    #[test]
    fn a_difference_leads_from_one_state_to_the_other() {
        let ids = AttemptIds::new().unwrap();
        let member = |order: u64| Member {
            id: MemberId::of(ids.next()),
            value: "a".into(),
            holder: HolderInfo::this_process(),
            since: UNIX_EPOCH,
            token: FencingToken::new(0, order, 0),
            takes_items: false,
        };
        let [a, b, c, d] = [member(1), member(2), member(3), member(4)];
        let changed = Member { value: "b".into(), ..b.clone() };
        assert_eq!(
            difference(&[a.clone(), b.clone(), c.clone()], &[changed.clone(), c.clone(), d.clone()]),
            [GroupEvent::Left(a.clone()), GroupEvent::Changed(changed), GroupEvent::Joined(d)]
        );
        assert_eq!(difference(&[], &[a.clone(), b.clone()]), [a.clone(), b].map(GroupEvent::Joined));
        let unchanged = [a];
        assert_eq!(difference(&unchanged, &unchanged), []);
    }
}
