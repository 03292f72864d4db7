//! Who leads and who stands, as anybody can see it.
//!
//! # Implementation
//!
//! [`Election::leader`] and [`Election::candidates`] are single requests. A [`LeaderStream`] is the receiving end of an
//! observation (see [`crate::observation`]), whose task reads and waits; the stream takes the newest state from its channel
//! and leaves out what would show the same leader again. Dropping the stream ends the task; the end of the task, by a shutdown or with
//! its runtime, ends the stream. The stream keeps the coordinator, so that the session lives as long as somebody watches.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::{SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::Stream;

use super::Election;
use crate::backend::Entry;
use crate::coordinator::Coordinator;
use crate::entry_value::{EntryValue, ValueForm};
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::holder::HolderInfo;
use crate::observation::{Focus, States, observe};
use crate::token::FencingToken;

/// Somebody who stands for election.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    value: Bytes,
    token: FencingToken,
    holder: HolderInfo,
    since: SystemTime,
}

/// The candidate that is first, and so leads.
pub type Leader = Candidate;

impl Candidate {
    fn new(form: ValueForm, epoch: u32, entry: &Entry) -> Self {
        let value = form.decode(&entry.value).unwrap_or_else(|| {
            // Another program's: all that is known of it is what it wrote.
            let nobody = HolderInfo { host: String::new(), pid: 0, purpose: String::new() };
            EntryValue::new(nobody, UNIX_EPOCH, entry.value.clone())
        });
        let token = FencingToken::new(epoch, entry.order, value.turn);
        Self { value: value.payload, token, holder: value.holder, since: value.since }
    }

    /// The value that it proclaims.
    pub fn value(&self) -> &[u8] {
        &self.value
    }

    /// The fencing token that it has when it leads, with the epoch of the coordinator that looks.
    pub fn fencing_token(&self) -> FencingToken {
        self.token
    }

    /// What process it is; without host and process id if the entry was written by another program, or for one.
    pub fn holder(&self) -> &HolderInfo {
        &self.holder
    }

    /// Since when it has stood for election, by the wall clock of its host: for people, not for deadlines.
    pub fn since(&self) -> SystemTime {
        self.since
    }
}

impl Election {
    /// Who leads, in one look; `None` if nobody stands for election.
    ///
    /// It is at least as new as everything that this coordinator has done. Of others it may lag.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]; [`ErrorKind::Closed`]; [`ErrorKind::Unavailable`] if the service did not answer within the
    /// request time-out; [`ErrorKind::PermissionDenied`], … if it refuses.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn leader(&self) -> Result<Option<Leader>, Error> {
        const OPERATION: &str = "leader";
        let path = self.named.path(OPERATION)?;
        let form = ValueForm::of(&path);
        let first = self.named.ask(OPERATION, move |live| {
            let queue = live.session.queue(&path);
            async move {
                let mut first = None;
                queue.contenders(&mut |contenders| first = contenders.first()).await?;
                let Some(first) = first else { return Ok(None) };
                match queue.entry(first.attempt).await? {
                    Some(entry) => Ok(Some(entry)),
                    // It went between the two looks, and the first one may be old; the list comes from the service.
                    None => Ok(queue.entries().await?.into_iter().next()),
                }
            }
        });
        let epoch = self.named.coordinator().engine().epoch;
        Ok(first.await?.map(|entry| Leader::new(form, epoch, &entry)))
    }

    /// Everybody who stands for election, in order: the first leads.
    ///
    /// It may cost a request a candidate.
    ///
    /// # Errors
    /// As [`Election::leader`].
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn candidates(&self) -> Result<Vec<Candidate>, Error> {
        const OPERATION: &str = "candidates";
        let path = self.named.path(OPERATION)?;
        let form = ValueForm::of(&path);
        let entries = self.named.ask(OPERATION, move |live| {
            let queue = live.session.queue(&path);
            async move { queue.entries().await }
        });
        let epoch = self.named.coordinator().engine().epoch;
        Ok(entries.await?.iter().map(|entry| Candidate::new(form, epoch, entry)).collect())
    }

    /// Follows who leads and with which value: the state of now first, then every change; `None` while nobody leads, so that an
    /// election that nobody has entered begins with a `None`.
    ///
    /// The newest state is always delivered in the end. States in between may be skipped, if they follow each other faster
    /// than they are read here or taken from the stream; two equal ones never follow each other. Lost connections, lost
    /// sessions and histories that the service has compacted are waited out, and while the service refuses, it is asked
    /// again; nothing is delivered meanwhile. The stream ends when the coordinator is shut down.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`].
    pub fn observe(&self) -> Result<LeaderStream, Error> {
        let path = self.named.path("observe")?;
        let form = ValueForm::of(&path);
        let coordinator = self.named.coordinator().clone();
        let states = observe(coordinator.engine(), path, Focus::First);
        let name = self.named.name().clone();
        Ok(LeaderStream { name, form, coordinator, states, last: None })
    }
}

/// Who leads, from now on; see [`Election::observe`].
#[must_use = "a stream does nothing unless it is polled"]
pub struct LeaderStream {
    name: Arc<str>,
    form: ValueForm,
    coordinator: Coordinator,
    states: States,
    /// What was delivered last.
    last: Option<Option<Leader>>,
}

impl LeaderStream {
    /// The name of the election, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next state, as [`Election::observe`] describes it; `None` when the coordinator has been shut down.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: what it would have answered is the next one's.
    pub async fn next(&mut self) -> Option<Option<Leader>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for LeaderStream {
    type Item = Option<Leader>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Option<Leader>>> {
        let this = self.get_mut();
        loop {
            let Some(entries) = ready!(this.states.poll_next(context)) else { return Poll::Ready(None) };
            let epoch = this.coordinator.engine().epoch;
            let leader = entries.first().map(|entry| Leader::new(this.form, epoch, entry));
            if this.last.as_ref() != Some(&leader) {
                this.last = Some(leader.clone());
                return Poll::Ready(Some(leader));
            }
        }
    }
}

impl fmt::Debug for LeaderStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LeaderStream").field("name", &self.name).finish_non_exhaustive()
    }
}
