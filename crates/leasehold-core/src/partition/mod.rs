//! Items divided among the members of a group.
//!
//! # Implementation
//!
//! **Two layers.** Who *should* own an item follows from the members by [rendezvous hashing](assignment), in every
//! process by itself; the processes may disagree for a while. Who *does* own it is decided by a lock for each item.
//! So that two never own one item does not depend on anybody's view of the group, and what the view decides is only
//! who waits for which lock.
//!
//! **Who owns what.** Everything of a run lives in the future of [`Partition::run`]: its place in the group (a
//! [`Staying`](crate::Staying)) and one `tend` future for each item that is owned, waited for, or being given up.
//! `active` has a token for each of those, which is cancelled when the item is not wanted any more.
//!
//! ```text
//! tend:  wait for the lock → owned: work → (work has ended, and not wanted any more) → release → end
//!            │      ↑            └ lost: the work is dropped, again ┐
//!            │      └──────────────────────────────────────────────┘
//!            └ not wanted any more: end
//! ```
//!
//! **Who wakes whom.** The run looks again (`reconcile`) when the members, the items or its own membership have
//! changed, and when a `tend` has ended. It cancels what is not wanted and begins what is wanted and not active; an
//! item that is wanted again while it is still being given up is begun anew when that has ended. A lock that is
//! released wakes the next owner by the engine.
//!
//! **Progress.** Once all views agree, each item is wanted by one member alone; all others have cancelled it, and
//! either wait no more or release it when their work has ended. A member that is gone from the service is gone from
//! the views with the same session that its locks were held by.
//!
//! **At each await.** Dropping the run's future drops the works, then the guards and the membership with them; the
//! engine removes what they had. A run that ends by itself first leaves the group, so that the others queue up for
//! its items, and ends when the last work has.

mod assignment;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::future::Future;
use std::pin::pin;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use self::assignment::assigned;
use crate::acquisition::Patience;
use crate::error::{Error, ErrorKind};
use crate::group::{Group, Member, Standing};
use crate::held::Held;
use crate::liveness::LossReason;
use crate::mode::Mode;
use crate::mutex::FirstInLine;
use crate::name::{Kind, joined};
use crate::named::{Acquire, Named};

/// A set of items that the members of a [`Group`] divide among themselves: shards, queues, tenants.
///
/// Every process that shall have a share calls [`Partition::run`]. Each item is then worked on by one of them: it is
/// held under a lock of its own for as long as the work on it lasts, with a fencing token. When members come or go,
/// only the items move that have to: about one in *n* when one of *n* members comes or goes.
///
/// All processes give the same items. While they differ, an item that a member has not heard of stays without an
/// owner if it falls to that one. A group divides one set of items; another set needs another group. Those that
/// [joined](Group::join) the group without running the partition get no items.
///
/// # What it promises, and what it cannot
///
/// No two processes own one item at once, as far as locks can promise that (see [`Mutex`](crate::Mutex)): hand the
/// [fencing token](Held::fencing_token) to what the item is about. Every item is owned in the end, once the group
/// has come to rest and the works of former owners have ended. The shares are even as random numbers are: with many
/// items a member has about its *n*-th part, with few items one may have twice as many as another.
#[derive(Clone)]
pub struct Partition {
    group: Group,
    items: watch::Sender<Items>,
    value: Bytes,
}

type Items = Arc<BTreeSet<Arc<str>>>;

/// An item that this process owns, for the work on it.
#[derive(Clone)]
pub struct OwnedItem {
    item: Arc<str>,
    held: Held,
    stop: CancellationToken,
}

impl OwnedItem {
    /// The item, as it was given.
    pub fn item(&self) -> &str {
        &self.item
    }

    /// The hold of the item's lock: its fencing token, and whether it is still held.
    pub fn held(&self) -> &Held {
        &self.held
    }

    /// Cancelled when the work on the item should come to its end: the item goes to another member or out of the
    /// set, the run ends, the coordinator shuts down, or the item was lost. But for the last case it is held until
    /// the work has ended.
    pub fn cancellation_token(&self) -> CancellationToken {
        self.stop.clone()
    }
}

impl fmt::Debug for OwnedItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OwnedItem")
            .field("item", &self.item)
            .field("held", &self.held)
            .finish_non_exhaustive()
    }
}

impl Partition {
    pub(crate) fn new<I>(group: Group, items: I) -> Result<Self, Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        let items = checked(&group, items)?;
        Ok(Self { group, items: watch::Sender::new(items), value: Bytes::new() })
    }

    /// The same partition, whose runs publish this as the member's value.
    #[must_use]
    pub fn value(mut self, value: impl Into<Bytes>) -> Self {
        self.value = value.into();
        self
    }

    /// Replaces the items, for this handle, its clones and what they run. Items that are no more are given up.
    ///
    /// # Errors
    /// [`InvalidName`](ErrorKind::InvalidName) if an item cannot be a name together with the group's; then the items
    /// stay as they were.
    pub fn set_items<I>(&self, items: I) -> Result<(), Error>
    where
        I: IntoIterator,
        I::Item: AsRef<str>,
    {
        self.items.send_replace(checked(&self.group, items)?);
        Ok(())
    }

    /// Takes part until `shutdown` resolves: joins the group, and runs `work` for each item while this process owns
    /// it.
    ///
    /// When the [token](OwnedItem::cancellation_token) of an item is cancelled, `work` should end soon: only then
    /// does the item go on to its next owner. Work that ends earlier is not begun again as long as the item stays
    /// here. If the item is lost (with the session, or by force), `work` is dropped at the await it is at, and begun
    /// anew when the item is owned again.
    ///
    /// The works are polled by this future; one that computes at length should be spawned. When `shutdown` has
    /// resolved, the group is left, and the future ends when the last work has.
    ///
    /// ```
    /// # use leasehold_core::{Coordinator, Error, OwnedItem};
    /// # async fn example(coordinator: Coordinator, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
    /// let partition = coordinator.group("indexers").partition(["shard-0", "shard-1", "shard-2"])?;
    /// partition.run(shutdown, |item: OwnedItem| async move {
    ///     let stop = item.cancellation_token();
    ///     while !stop.is_cancelled() {
    ///         // One step of the work, under item.held().fencing_token().
    /// #       stop.cancelled().await;
    ///     }
    /// }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Group::join`], and what the service refuses an item's lock with for good; [`Closed`](ErrorKind::Closed)
    /// if the coordinator is shut down before `shutdown` has resolved. The works have ended by then.
    ///
    /// # Cancel safety
    /// Dropping the future drops the works, and gives up the items and the place in the group as in
    /// [`Mutex::lock`](crate::Mutex::lock).
    pub async fn run<F, W>(&self, shutdown: impl Future<Output = ()>, work: F) -> Result<(), Error>
    where
        F: Fn(OwnedItem) -> W,
        W: Future<Output = ()>,
    {
        let mut shutdown = pin!(shutdown);
        let named = self.group.named();
        let mut members = self.group.watch()?;
        let staying = tokio::select! {
            biased;
            () = &mut shutdown => return Ok(()),
            staying = self.group.stay_for_items("run", self.value.clone()) => staying?,
        };
        let (mut items, mut standing) = (self.items.subscribe(), staying.standing());
        let draining = &named.coordinator().engine().draining;
        let mut known: Vec<Member> = Vec::new();
        let mut active = Active::default();
        let mut tended = FuturesUnordered::new();
        let mut outcome = loop {
            let own = standing.borrow_and_update().id();
            let items_now = items.borrow_and_update().clone();
            let wanted = own.map(|own| assigned(&items_now, &known, own)).unwrap_or_default();
            for (item, unwanted) in active.reconcile(wanted) {
                tended.push(self.tend(item, unwanted, &work));
            }
            tokio::select! {
                biased;
                () = &mut shutdown => break Ok(()),
                () = draining.cancelled() => break Err(self.closed()),
                Some((item, ended)) = tended.next() => {
                    active.0.remove(&item);
                    if let Err(error) = ended {
                        break Err(error);
                    }
                }
                seen = members.next() => match seen {
                    Some(seen) => known = seen,
                    None => break Err(self.closed()),
                },
                changed = standing.changed() => {
                    let ended = match &*standing.borrow() {
                        Standing::Ended(error) => Some(error.clone()),
                        _ if changed.is_err() => Some(self.closed()),
                        _ => None,
                    };
                    if let Some(error) = ended {
                        break Err(error);
                    }
                }
                // `self` has the sender, so this does not fail.
                Ok(()) = items.changed() => {}
            }
        };
        active.reconcile(BTreeSet::new());
        let works = async {
            while let Some((_, ended)) = tended.next().await {
                outcome = std::mem::replace(&mut outcome, Ok(())).and(ended);
            }
        };
        // What the service says of a place that is left does not matter any more: the items are what had to be given
        // up.
        let (_left, ()) = tokio::join!(staying.leave(), works);
        outcome
    }

    /// Owns an item until it is not wanted any more and the work on it has ended.
    async fn tend<F, W>(
        &self,
        item: Arc<str>,
        unwanted: CancellationToken,
        work: &F,
    ) -> (Arc<str>, Result<(), Error>)
    where
        F: Fn(OwnedItem) -> W,
        W: Future<Output = ()>,
    {
        let named = self.lock_of(&item);
        loop {
            let acquire = Acquire::new("run", &FirstInLine, Mode::Exclusive, Patience::Forever);
            let acquired = tokio::select! {
                biased;
                () = unwanted.cancelled() => return (item, Ok(())),
                acquired = named.acquire_patiently(acquire) => acquired,
            };
            let guard = match acquired {
                Ok(guard) => guard,
                Err(error) => return (item, Err(error)),
            };
            let owned =
                OwnedItem { item: item.clone(), held: guard.held().clone(), stop: unwanted.child_token() };
            // However this ends, tasks that the work has spawned are told.
            let _stop = owned.stop.clone().drop_guard();
            let worked = async {
                work(owned).await;
                unwanted.cancelled().await;
            };
            if guard.held().while_held(worked).await.is_ok() {
                // The work has ended, under the lock; what becomes of the lock from here on concerns only who comes
                // next.
                let _released = guard.release().await;
                return (item, Ok(()));
            }
        }
    }

    fn lock_of(&self, item: &str) -> Named {
        lock_of(&self.group, item)
    }

    /// The coordinator is shut down, or its driver gone.
    fn closed(&self) -> Error {
        let named = self.group.named();
        if named.coordinator().engine().draining.is_cancelled() {
            named.error(ErrorKind::Closed, "run", "the coordinator is shut down")
        } else {
            named.error(ErrorKind::DriverGone, "run", &LossReason::DriverGone.to_string())
        }
    }
}

impl fmt::Debug for Partition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Partition")
            .field("group", &self.group)
            .field("items", &self.items.borrow().len())
            .finish_non_exhaustive()
    }
}

/// The items that are owned, waited for or being given up, with what tells that they are not wanted any more.
#[derive(Default)]
struct Active(BTreeMap<Arc<str>, CancellationToken>);

impl Active {
    /// Cancels what is not wanted, and answers what is to be begun.
    fn reconcile(&mut self, wanted: BTreeSet<Arc<str>>) -> Vec<(Arc<str>, CancellationToken)> {
        self.0.iter().filter(|(item, _)| !wanted.contains(*item)).for_each(|(_, unwanted)| unwanted.cancel());
        let mut begun = Vec::new();
        for item in wanted {
            // One that is still being given up is begun again when it has ended.
            if !self.0.contains_key(&item) {
                let unwanted = CancellationToken::new();
                self.0.insert(item.clone(), unwanted.clone());
                begun.push((item, unwanted));
            }
        }
        begun
    }
}

fn lock_of(group: &Group, item: &str) -> Named {
    Named::new(group.named().coordinator().clone(), Kind::Partition, &joined(group.name(), item))
}

/// The items, if each can be a name together with the group's.
fn checked<I>(group: &Group, items: I) -> Result<Items, Error>
where
    I: IntoIterator,
    I::Item: AsRef<str>,
{
    let items = items.into_iter().map(|item| {
        lock_of(group, item.as_ref()).path("partition")?;
        Ok(Arc::from(item.as_ref()))
    });
    Ok(Arc::new(items.collect::<Result<_, Error>>()?))
}
