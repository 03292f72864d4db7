//! One queue: a directory whose children are its entries.
//!
//! # Implementation
//!
//! A queue keeps nothing but its [`View`]; what its session knows of its own
//! attempts stands in the session's [`Ledger`](crate::ledger). A future that is dropped at any point leaves at most a
//! creation in doubt there, which the withdrawal of the attempt, or the end of the session, clears up.

use std::sync::Arc;

use async_trait::async_trait;
use bytes::Bytes;
use futures::{StreamExt, TryStreamExt, join, stream};
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Certainty, Enqueued, Entry, Interest, KeyPath, Look, NewEntry,
    Publish, Published, Queue, Withdrawn,
};
use zookeeper_client::{CreateMode, Error};

use crate::changes;
use crate::cleanup;
use crate::layout::{Directory, Layout, NodeName};
use crate::ledger::Trace;
use crate::link::{Link, Request};
use crate::listing::{Listing, as_unsigned, order};
use crate::publishing;
use crate::register::check_size;
use crate::session::PIPELINED;
use crate::view::View;

pub(crate) struct ZooKeeperQueue {
    pub(crate) link: Arc<Link>,
    pub(crate) directory: Directory,
    pub(crate) view: Arc<View>,
}

impl ZooKeeperQueue {
    pub(crate) fn new(link: Arc<Link>, path: &KeyPath) -> Self {
        let directory = Directory::of(path);
        Self { view: Arc::new(View::new(link.clone(), directory.clone())), link, directory }
    }

    pub(crate) fn path_of(&self, name: &NodeName) -> String {
        self.view.path_of(name)
    }

    /// Lists the queue for one request.
    pub(crate) async fn list(&self, request: &Request<'_>) -> Result<Arc<Listing>, BackendError> {
        request.read(self.view.list(request.client())).await
    }

    /// The node of an attempt: as the session placed it, or as a listing shows it.
    pub(crate) async fn locate(
        &self,
        request: &Request<'_>,
        attempt: AttemptId,
    ) -> Result<Option<NodeName>, BackendError> {
        match self.link.ledger.trace(attempt) {
            Some(Trace::Placed { name, .. }) => Ok(Some(name)),
            _ => Ok(self.list(request).await?.name_of(attempt)),
        }
    }

    async fn enqueue_within(
        &self,
        request: &Request<'_>,
        entry: &NewEntry,
    ) -> Result<Enqueued, BackendError> {
        let ledger = &self.link.ledger;
        let turn = ledger.turn(entry.attempt, &self.directory)?;
        let _turn = turn.lock().await;
        let there = match ledger.trace(entry.attempt) {
            None => None,
            Some(trace) => self.find_again(request, entry.attempt, trace).await?,
        };
        let Place { name, order, listing } = match there {
            Some(place) => place,
            None => {
                request.doubt(false);
                if entry.only_if_free || self.is_shared() {
                    // A look that is a little older does to see no stranger; who comes later shows behind the creation. It does not
                    // to see one, who may have gone.
                    let known = self.unobjectionable().filter(|_| !entry.only_if_free);
                    let listing = match known {
                        Some(listing) => listing,
                        None => self.list(request).await?,
                    };
                    listing.check(&self.directory)?;
                    if entry.only_if_free && !entry.mode.is_admitted_behind(&listing.contenders) {
                        return Ok(Enqueued::Busy { contenders: Some(listing.contenders.clone()) });
                    }
                }
                self.create(request, entry).await?
            }
        };
        let listing = match listing {
            Some(listing) => listing,
            None if entry.only_if_free || self.is_shared() => self.list(request).await?,
            None => return Ok(Enqueued::Placed { order, contenders: None }),
        };
        if let Err(objection) = self.check_place(&name, &listing) {
            self.take_back(request, &name).await?;
            return Err(objection);
        }
        if entry.only_if_free && !entry.mode.is_admitted_behind(&listing.ahead_of(entry.attempt)) {
            self.take_back(request, &name).await?;
            return Ok(Enqueued::Busy { contenders: Some(listing.ahead_of(entry.attempt)) });
        }
        Ok(Enqueued::Placed { order, contenders: Some(listing.contenders.clone()) })
    }

    /// Whether other clients use the directory.
    fn is_shared(&self) -> bool {
        self.directory.layout != Layout::Own
    }

    /// The copy of the queue, if it is fresh and shows no stranger.
    fn unobjectionable(&self) -> Option<Arc<Listing>> {
        self.view.mirror.fresh().filter(|listing| listing.check(&self.directory).is_ok())
    }

    /// Nothing, if everybody who uses the directory takes this node for a contender and places it alike.
    fn check_place(&self, name: &NodeName, listing: &Listing) -> Result<(), BackendError> {
        if self.is_shared() && !name.has_room_behind() {
            let message = format!(
                "{}: its sequence is about to run out, and other clients are in no order after that",
                self.directory.path
            );
            return Err(BackendError::new(BackendErrorKind::Unsupported, message));
        }
        listing.check(&self.directory)
    }

    /// Removes an entry that is not to be.
    async fn take_back(&self, request: &Request<'_>, name: &NodeName) -> Result<(), BackendError> {
        let removed = request.write(cleanup::delete(request.fenced(), &self.directory, name)).await;
        removed.map_err(|error| request.unwritten(error))?;
        self.link.ledger.settle(name.attempt);
        self.view.departed(name.attempt);
        Ok(())
    }

    /// What an earlier enqueue of the attempt has left: an entry, or nothing for certain.
    async fn find_again(
        &self,
        request: &Request<'_>,
        attempt: AttemptId,
        trace: Trace,
    ) -> Result<Option<Place>, BackendError> {
        let client = request.client();
        if trace == Trace::InDoubt {
            request.read(client.sync(&self.directory.path)).await?;
        }
        let listing = self.list(request).await?;
        let Some(name) = listing.name_of(attempt) else {
            self.link.ledger.settle(attempt);
            return Ok(None);
        };
        let path = self.path_of(&name);
        match request.read(client.check_stat(&path)).await? {
            Some(stat) if stat.ephemeral_owner == self.link.session_id() => {
                let order = order(&name, stat.czxid);
                self.link.ledger.placed(name, order)?;
                Ok(Some(Place { name, order, listing: Some(listing) }))
            }
            // Of another session, so not what this one created, and bound to go when that one ends.
            Some(_) => {
                let removed = request.write(cleanup::delete(request.fenced(), &self.directory, &name)).await;
                removed.map_err(|error| request.unwritten(error))?;
                self.link.ledger.settle(attempt);
                Ok(None)
            }
            None => {
                self.link.ledger.settle(attempt);
                Ok(None)
            }
        }
    }

    /// Creates the entry and lists the queue, in one round trip where the transport lets both requests go at once.
    async fn create(&self, request: &Request<'_>, entry: &NewEntry) -> Result<Place, BackendError> {
        let (client, ledger) = (request.client(), &self.link.ledger);
        let layout = self.directory.layout;
        let prefix = format!("{}/{}", self.directory.path, layout.to_create(entry.attempt, entry.mode)?);
        let options = self.link.options(CreateMode::EphemeralSequential);
        loop {
            // Both are handed to the client here, not when they are polled.
            let (created, listed) = ledger.send(entry.attempt, || {
                request.doubt(true);
                (
                    request.fenced().create_entry(layout, &prefix, &entry.value, &options),
                    self.view.list(client),
                )
            })?;
            match join!(created, listed) {
                // It stays in doubt until the place is answered: who gives up before has to look for it.
                (Ok((name, zxid)), listed) => {
                    let order = as_unsigned(self.created_at(request, &name, zxid).await?);
                    ledger.placed(name, order)?;
                    if listed.is_err() {
                        self.view.mirror.distrust();
                    }
                    return Ok(Place { name, order, listing: listed.ok() });
                }
                // The directory is not there yet, or was reaped after it had been empty for a while.
                (Err(Error::NoNode), _) => {
                    ledger.settle(entry.attempt);
                    request.doubt(false);
                    request.create_queue_directory(&self.directory).await?;
                }
                (Err(error), _) => {
                    let error = request.unwritten(error);
                    if error.kind() != BackendErrorKind::Indeterminate {
                        ledger.settle(entry.attempt);
                    }
                    return Err(error);
                }
            }
        }
    }

    /// The zxid that created a node; over the application's client, servers before 3.9 do not send it along.
    async fn created_at(
        &self,
        request: &Request<'_>,
        name: &NodeName,
        zxid: Option<i64>,
    ) -> Result<i64, BackendError> {
        if let Some(zxid) = zxid {
            return Ok(zxid);
        }
        let now = request.read(request.client().check_stat(&self.path_of(name))).await?;
        now.map(|stat| stat.czxid).ok_or_else(|| {
            BackendError::new(BackendErrorKind::Indeterminate, "the entry vanished as it was created")
        })
    }

    async fn withdraw_within(
        &self,
        request: &Request<'_>,
        attempt: AttemptId,
        certainty: Certainty,
    ) -> Result<bool, BackendError> {
        let (client, trace) = (request.fenced(), self.link.ledger.trace(attempt));
        let removal = async {
            match (certainty, trace) {
                // Also gone if a change of mode has replaced it; then the sweep finds the other one.
                (Certainty::Placed, Some(Trace::Placed { name, .. }))
                    if cleanup::delete(client, &self.directory, &name).await? =>
                {
                    Ok(true)
                }
                _ => cleanup::sweep(client, &self.directory, attempt).await,
            }
        };
        let removed = request.write(removal).await.map_err(|error| request.unwritten(error))?;
        self.link.ledger.forget(attempt);
        self.view.departed(attempt);
        Ok(removed)
    }

    async fn entries_within(&self, request: &Request<'_>) -> Result<Vec<Entry>, BackendError> {
        loop {
            let listing = self.list(request).await?;
            let reads: Vec<_> = listing.names().map(|name| self.read_entry(request, name)).collect();
            let entries: Vec<_> = stream::iter(reads).buffered(PIPELINED).try_collect().await?;
            if entries.iter().all(Result::is_ok) {
                return Ok(entries.into_iter().flatten().collect());
            }
            // Something went while it was read. Gone is gone, but what was replaced has to show.
            let now = self.list(request).await?;
            let replaced = entries
                .iter()
                .filter_map(|entry| entry.as_ref().err())
                .any(|gone| now.name_of(*gone).is_some());
            if !replaced {
                return Ok(entries.into_iter().flatten().collect());
            }
        }
    }

    async fn entry_within(
        &self,
        request: &Request<'_>,
        attempt: AttemptId,
    ) -> Result<Option<Entry>, BackendError> {
        let mut found = self.locate(request, attempt).await?;
        loop {
            let Some(name) = found else { return Ok(None) };
            if let Ok(entry) = self.read_entry(request, name).await? {
                return Ok(Some(entry));
            }
            // Gone, or replaced under another name by a change of mode.
            found = self.list(request).await?.name_of(attempt).filter(|now| *now != name);
        }
    }

    /// One entry, or the attempt whose node is not there any more.
    async fn read_entry(
        &self,
        request: &Request<'_>,
        name: NodeName,
    ) -> Result<Result<Entry, AttemptId>, BackendError> {
        let path = self.path_of(&name);
        match request.client().get_data(&path).await {
            Ok((value, stat)) => Ok(Ok(Entry {
                attempt: name.attempt,
                order: order(&name, stat.czxid),
                mode: name.mode,
                value: Bytes::from(value),
                version: as_unsigned(stat.mzxid),
            })),
            Err(Error::NoNode) => Ok(Err(name.attempt)),
            Err(error) => Err(request.unread(error)),
        }
    }
}

/// Where an entry is.
struct Place {
    name: NodeName,
    order: u64,
    listing: Option<Arc<Listing>>,
}

#[async_trait]
impl Queue for ZooKeeperQueue {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        check_size(entry.value.len())?;
        let request = self.link.request("entering the queue")?;
        // What an earlier call may have left is in doubt until it was looked for.
        request.doubt(self.link.ledger.trace(entry.attempt).is_some());
        let outcome = request.run(self.enqueue_within(&request, &entry)).await;
        self.link.ledger.forget_untraced(entry.attempt);
        outcome
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        let request = self.link.request("looking at the queue")?;
        let listing = match self.unobjectionable() {
            Some(listing) => listing,
            None => {
                let listing = request.run(request.read(self.view.look())).await?;
                listing.check(&self.directory)?;
                listing
            }
        };
        look(&listing.contenders);
        Ok(())
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        match interest {
            Interest::Entry { attempt, mode, version } => {
                changes::of_entry(&self.link, &self.view, attempt, mode, version).await
            }
            Interest::Queue { revision } => changes::of_queue(&self.link, &self.view, revision).await,
        }
    }

    async fn withdraw(&self, attempt: AttemptId, certainty: Certainty) -> Result<Withdrawn, BackendError> {
        let request = self.link.request("leaving the queue")?;
        // Before anything else, so that no enqueue of this process creates behind our back.
        self.link.ledger.withdraw(attempt);
        let removed = request.run(self.withdraw_within(&request, attempt, certainty)).await?;
        Ok(if removed { Withdrawn::Removed } else { Withdrawn::WasGone })
    }

    async fn publish(&self, change: Publish) -> Result<Published, BackendError> {
        check_size(change.value.len())?;
        let request = self.link.request("changing an entry")?;
        let outcome = request.run(publishing::publish(self, &request, &change)).await;
        self.view.mirror.distrust();
        outcome
    }

    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError> {
        let request = self.link.request("reading an entry")?;
        request.run(self.entry_within(&request, attempt)).await
    }

    async fn entries(&self) -> Result<Vec<Entry>, BackendError> {
        let request = self.link.request("reading the queue")?;
        request.run(self.entries_within(&request)).await
    }
}
