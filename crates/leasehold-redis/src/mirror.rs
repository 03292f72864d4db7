//! Where the copies of queues and registers come from: subscriptions to what is published of them, and scripts that list.
//!
//! Every change of an entry takes a number of its shard's counter and is published with it; messages of one channel arrive in their
//! order. Whoever follows a whole queue hears of all changes. A session that minds only those ahead of its own entries hears, over a channel of its own,
//! of its entries and of whoever is next ahead of each: a release is told to one session, however many wait. What nobody publishes is found by the [watchman](crate::watchman).

use std::sync::Arc;

use futures::{Stream, StreamExt};
use leasehold_core::mirror::{
    ByPath, EntryChange, FeedEvent, Mirror, QueueReplica, QueueSnapshot, RegisterReplica, RegisterState,
    Source,
};
use leasehold_core::{BackendError, KeyPath};
use tokio_util::sync::CancellationToken;

use crate::error::{Effect, corrupt};
use crate::hub::Hub;
use crate::keys::Place;
use crate::link::Call;
use crate::records;
use crate::scripts;
use crate::session::Core;
use crate::watchman::Watchman;

pub(crate) type QueueMirror = Mirror<Entries>;
pub(crate) type RegisterMirror = Mirror<Register>;

/// What all copies of a session come over.
#[derive(Clone)]
pub(crate) struct Means {
    pub(crate) core: Arc<Core>,
    pub(crate) hub: Hub,
    pub(crate) watchman: Arc<Watchman>,
    /// The session closes.
    pub(crate) closing: CancellationToken,
}

impl Means {
    pub(crate) fn register(&self, path: &KeyPath) -> RegisterMirror {
        let place = self.core.keyspace.place(path);
        let key = self.core.keyspace.register(&place);
        Mirror::new(Register { means: self.clone(), place, key }, self.closing.clone())
    }
}

/// How much of a queue a copy shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum View {
    /// All of it.
    Whole,
    /// This session's entries, and the one next ahead of each.
    Near,
}

/// The copies of a session's queues, each made when somebody first looks: who takes a free lock and gives it back needs none.
///
/// What the session knows of a queue before a copy is made need not be told to it: that is loaded later than it is made.
#[derive(Default)]
pub(crate) struct Copies {
    whole: ByPath<QueueMirror>,
    near: ByPath<QueueMirror>,
}

impl Copies {
    /// The copy, made if there is none.
    pub(crate) fn get(&self, means: &Means, path: &KeyPath, view: View) -> Arc<QueueMirror> {
        self.of(view).get(path, || {
            let place = means.core.keyspace.place(path);
            Mirror::new(Entries { means: means.clone(), place, view }, means.closing.clone())
        })
    }

    /// The copy, if there is one.
    pub(crate) fn find(&self, path: &KeyPath, view: View) -> Option<Arc<QueueMirror>> {
        self.of(view).find(path)
    }

    /// Those that are kept up to date at the moment.
    pub(crate) fn followed(&self) -> Vec<Arc<QueueMirror>> {
        let all = self.whole.all().into_iter().chain(self.near.all());
        all.filter(|mirror| mirror.is_followed()).collect()
    }

    fn of(&self, view: View) -> &ByPath<QueueMirror> {
        match view {
            View::Whole => &self.whole,
            View::Near => &self.near,
        }
    }
}

/// The entries of one queue.
pub(crate) struct Entries {
    means: Means,
    place: Place,
    view: View,
}

impl Entries {
    pub(crate) fn place(&self) -> &Place {
        &self.place
    }

    pub(crate) fn view(&self) -> View {
        self.view
    }
}

impl Source for Entries {
    type Replica = QueueReplica;

    fn watch(&self) -> impl Stream<Item = FeedEvent<Vec<EntryChange>>> + Send {
        let keyspace = &self.means.core.keyspace;
        let channel = match self.view {
            View::Whole => keyspace.queue_channel(&self.place),
            View::Near => keyspace.near_channel(&self.place),
        };
        let changes = |message: Vec<u8>| records::changes(&message);
        self.means.hub.subscribe(channel).map(move |event| event.map(changes))
    }

    async fn load(&self) -> Result<QueueSnapshot, BackendError> {
        const WHAT: &str = "listing of a queue";
        let core = &self.means.core;
        let keys = core.keyspace.shard(self.place.shard);
        let script = match self.view {
            View::Whole => &scripts::LOAD,
            View::Near => &scripts::NEAR,
        };
        let args = core.args(&[self.place.name.as_bytes()]);
        let call = Call { what: WHAT, effect: Effect::Read, script, keys: &keys, args: &args };
        let reply = core.link.run(&call).await?;
        let [revision, next, rows @ ..] = reply.as_slice() else { return Err(corrupt(WHAT)) };
        let revision = records::number(revision).ok_or_else(|| corrupt(WHAT))?;
        let entries = records::rows(rows).ok_or_else(|| corrupt(WHAT))?;
        self.means.watchman.look_within(records::wait(next));
        Ok(QueueSnapshot { revision, entries })
    }
}

/// The version of one register.
pub(crate) struct Register {
    means: Means,
    place: Place,
    key: String,
}

impl Source for Register {
    type Replica = RegisterReplica;

    fn watch(&self) -> impl Stream<Item = FeedEvent<Vec<RegisterState>>> + Send {
        let channel = self.means.core.keyspace.register_channel(&self.place);
        let changes = |message: Vec<u8>| {
            let written = records::number(&message);
            written.map(|version| RegisterState { version, revision: version }).into_iter().collect()
        };
        self.means.hub.subscribe(channel).map(move |event| event.map(changes))
    }

    async fn load(&self) -> Result<RegisterState, BackendError> {
        const WHAT: &str = "wait for a register";
        let core = &self.means.core;
        let mut keys = core.keyspace.shard(self.place.shard);
        keys.push(&self.key);
        let (script, args) = (&scripts::VERSION, core.args(&[]));
        let reply = core
            .link
            .run(&Call { what: WHAT, effect: Effect::Read, script, keys: &keys, args: &args })
            .await?;
        let state = match reply.as_slice() {
            [revision, version] => records::number(revision).zip(records::number(version)),
            _ => None,
        };
        let (revision, version) = state.ok_or_else(|| corrupt(WHAT))?;
        Ok(RegisterState { version, revision })
    }
}
