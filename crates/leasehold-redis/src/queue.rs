//! A queue: the entries of its name in the index of its shard.

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Certainty, Contenders, Enqueued, Entry, Interest, KeyPath,
    Look, NewEntry, Publish, Published, Queue, Withdrawn,
};
use redis::Script;
use tokio::time::timeout;

use crate::error::{Effect, corrupt};
use crate::keys::{self, Place};
use crate::link::{Call, Reply};
use crate::mirror::{Copies, Means, QueueMirror, View};
use crate::records;
use crate::scripts;
use crate::session::Core;

/// How many entries with values are asked for at once.
const PAGE: &str = "64";

pub(crate) struct RedisQueue {
    core: Arc<Core>,
    means: Arc<Means>,
    copies: Arc<Copies>,
    path: KeyPath,
    place: Place,
}

impl RedisQueue {
    pub(crate) fn new(means: Arc<Means>, copies: Arc<Copies>, path: KeyPath) -> Self {
        let (core, place) = (means.core.clone(), means.core.keyspace.place(&path));
        Self { core, means, copies, path, place }
    }

    fn copy(&self, view: View) -> Arc<QueueMirror> {
        self.copies.get(&self.means, &self.path, view)
    }

    /// No copy is older than that from now on. The near one hears only of what concerns the session's own entries.
    fn at_least(&self, revision: u64, is_own: bool) {
        let views = [(View::Whole, true), (View::Near, is_own)].into_iter().filter(|(_, hears)| *hears);
        for mirror in views.filter_map(|(view, _)| self.copies.find(&self.path, view)) {
            mirror.replica().at_least(revision);
        }
    }

    /// The near copy is told by its channel alone, and by the watchman: it must not lose an entry without learning who is ahead then.
    fn is_gone(&self, attempt: AttemptId) {
        if let Some(mirror) = self.copies.find(&self.path, View::Whole) {
            mirror.replica().is_gone(attempt);
        }
    }

    async fn look(&self, view: View, look: Look<'_>) -> Result<(), BackendError> {
        let limit = self.core.link.request_timeout();
        timeout(limit, self.copy(view).using().look(look)).await.unwrap_or_else(|_| {
            let endpoint = self.core.link.endpoint();
            let message = format!("look at a queue: Redis at {endpoint} did not show it within {limit:?}");
            Err(BackendError::new(BackendErrorKind::Unavailable, message))
        })
    }

    /// Runs a script over the queue's shard; its first argument is the queue.
    async fn run(
        &self,
        what: &'static str,
        effect: Effect,
        script: &Script,
        more: &[&[u8]],
    ) -> Result<Reply, BackendError> {
        let place = &self.place;
        let keys = self.core.keyspace.shard(place.shard);
        let mut args = self.core.args(&[place.name.as_bytes()]);
        args.extend(more);
        self.core.run(&Call { what, effect, script, keys: &keys, args: &args }).await
    }
}

fn flag(flag: bool) -> &'static [u8] {
    if flag { b"1" } else { b"0" }
}

/// The number that stands at this place of an answer.
fn number(reply: &Reply, at: usize, what: &str) -> Result<u64, BackendError> {
    reply.get(at).and_then(|number| records::number(number)).ok_or_else(|| corrupt(what))
}

/// Whether a script says at this place that the entry is this session's.
fn is_own(reply: &Reply, at: usize) -> bool {
    reply.get(at).is_some_and(|flag| flag == b"1")
}

/// The contenders, where they come from this place of an answer on.
fn who_is_there(reply: &Reply, at: usize, what: &str) -> Result<Option<Contenders>, BackendError> {
    match reply.get(at..) {
        Some([_all, rows @ ..]) => {
            let rows = records::rows(rows).ok_or_else(|| corrupt(what))?;
            Ok(Some(records::contenders(&rows)))
        }
        _ => Ok(None),
    }
}

#[async_trait]
impl Queue for RedisQueue {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        const WHAT: &str = "creation of an entry";
        self.core.check_alive(WHAT)?;
        keys::check_value(WHAT, &entry.value)?;
        let (attempt, mode) = (entry.attempt.to_string(), entry.mode.to_string());
        let more = [attempt.as_bytes(), mode.as_bytes(), &entry.value, flag(entry.only_if_free)];
        let reply = self.run(WHAT, Effect::Write, &scripts::ENQUEUE, &more).await?;
        match reply.first().map(Vec::as_slice) {
            Some(b"placed") => {
                let order = number(&reply, 1, WHAT)?;
                self.at_least(number(&reply, 2, WHAT)?, true);
                Ok(Enqueued::Placed { order, contenders: who_is_there(&reply, 3, WHAT)? })
            }
            Some(b"busy") => Ok(Enqueued::Busy { contenders: who_is_there(&reply, 1, WHAT)? }),
            Some(b"withdrawn") => {
                let message = format!("{WHAT}: attempt {attempt} was withdrawn");
                Err(BackendError::new(BackendErrorKind::Withdrawn, message))
            }
            _ => Err(corrupt(WHAT)),
        }
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        self.look(View::Whole, look).await
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        self.copy(View::Whole).using().changed(interest).await
    }

    async fn near(&self, look: Look<'_>) -> Result<(), BackendError> {
        self.look(View::Near, look).await
    }

    async fn near_changed(&self, interest: Interest) -> Result<(), BackendError> {
        self.copy(View::Near).using().changed(interest).await
    }

    async fn withdraw(&self, attempt: AttemptId, certainty: Certainty) -> Result<Withdrawn, BackendError> {
        const WHAT: &str = "withdrawal of an entry";
        let text = attempt.to_string();
        let more = [text.as_bytes(), flag(certainty == Certainty::Ambiguous)];
        let reply = self.run(WHAT, Effect::Write, &scripts::WITHDRAW, &more).await?;
        self.core.departed.add(self.place.shard, attempt, self.core.ttl);
        match reply.first().map(Vec::as_slice) {
            Some(b"removed") => {
                self.at_least(number(&reply, 1, WHAT)?, is_own(&reply, 2));
                Ok(Withdrawn::Removed)
            }
            Some(b"gone") => {
                self.is_gone(attempt);
                Ok(Withdrawn::WasGone)
            }
            _ => Err(corrupt(WHAT)),
        }
    }

    async fn publish(&self, change: Publish) -> Result<Published, BackendError> {
        const WHAT: &str = "change of an entry";
        self.core.check_alive(WHAT)?;
        keys::check_value(WHAT, &change.value)?;
        let (attempt, mode) = (change.attempt.to_string(), change.mode.to_string());
        let if_version = change.if_version.map(records::version).unwrap_or_default();
        let more = [attempt.as_bytes(), mode.as_bytes(), &change.value, if_version.as_bytes()];
        let reply = self.run(WHAT, Effect::Write, &scripts::PUBLISH, &more).await?;
        match reply.first().map(Vec::as_slice) {
            Some(b"done") => {
                let version = number(&reply, 1, WHAT)?;
                self.at_least(version, is_own(&reply, 2));
                Ok(Published::Done { version })
            }
            Some(b"differs") => Ok(Published::VersionDiffers),
            Some(b"none") => {
                self.is_gone(change.attempt);
                Err(BackendError::new(BackendErrorKind::NoEntry, format!("{WHAT}: there is none")))
            }
            _ => Err(corrupt(WHAT)),
        }
    }

    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError> {
        const WHAT: &str = "read of an entry";
        let text = attempt.to_string();
        let reply = self.run(WHAT, Effect::Read, &scripts::ENTRY, &[text.as_bytes()]).await?;
        let entry = records::entries(&reply).ok_or_else(|| corrupt(WHAT))?.pop();
        match &entry {
            Some(entry) => self.at_least(entry.version, false),
            None => self.is_gone(attempt),
        }
        Ok(entry)
    }

    async fn entries(&self) -> Result<Vec<Entry>, BackendError> {
        const WHAT: &str = "listing of entries";
        let mut entries = Vec::new();
        let mut after = Vec::new();
        loop {
            let more = [after.as_slice(), PAGE.as_bytes()];
            let reply = self.run(WHAT, Effect::Read, &scripts::ENTRIES, &more).await?;
            let [last, page @ ..] = reply.as_slice() else { return Err(corrupt(WHAT)) };
            entries.extend(records::entries(page).ok_or_else(|| corrupt(WHAT))?);
            if last.is_empty() {
                break;
            }
            after.clone_from(last);
        }
        if let Some(newest) = entries.iter().map(|entry| entry.version).max() {
            self.at_least(newest, false);
        }
        Ok(entries)
    }
}
