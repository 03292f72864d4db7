//! Looking into one queue, asking its holders, breaking their hold.
//!
//! # Implementation
//!
//! Looking is one request that ends with its caller. Asking and breaking are one task each on the driver, which a shutdown waits
//! for and which goes on when the caller is gone; it makes its requests one after the other for each entry, and for several entries side by
//! side. All of them may be repeated, so a lost answer or session costs another request and nothing else.
//!
//! *Whose entries.* The holders are those of one look at the queue, at the beginning; after that only their attempt
//! ids count. An attempt has one entry in its life, so whatever happens between the look and a request, a
//! request never meets the entry of whoever holds next.
//!
//! *A mark* (asked, broken) is merged into the entry's value by compare-and-set: read, add, publish if the version is still that one, again if it
//! is not. The mode is published as it was read, so it never changes. The holder merges likewise (see [`crate::hold`]): neither overwrites what
//! the other wrote. A holder that publishes without a pause can keep a mark out for as long; the task gives up
//! after the request time-out.
//!
//! *Breaking* an entry that holds: mark; wait until the entry is gone, woken by the service, at most the grace; if it is not, withdraw it.
//! The holder's task, if it runs, sees the mark by the watch of its own entry, tells its guard, and withdraws. If it does not run, the withdrawal is all
//! that happens, and the guard is told when the task runs again. Marking is a courtesy: where there is no room or no time for a mark, the entry is
//! withdrawn all the same. The withdrawal counts every request of the attempt as answered: should an enqueue of the owner's
//! still be on its way, it is the owner's withdrawal that keeps it out, and a dead owner's entries go with its session.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::time::{Instant, sleep, timeout};

use super::check_who;
use super::contender_info::{ContenderInfo, EntryId};
use super::recipe::Recipe;
use super::standing::{Standing, standings};
use crate::attempt::AttemptId;
use crate::backend::{Certainty, Entry, Interest, Publish, Published, Queue, Withdrawn};
use crate::backend_error::{BackendError, BackendErrorKind};
use crate::engine::Engine;
use crate::entry_value::{EntryValue, ValueForm};
use crate::error::{Error, ErrorKind};
use crate::name::KeyPath;
use crate::named::Named;
use crate::own_entry::transient_backoff;
use crate::requests::{Failed, repeatable};

const ASK: &str = "ask_to_release";
const FORCE: &str = "force_release";

/// What came of a release by force.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Released {
    /// Nobody held it.
    WasFree,
    /// Whoever held it gave up by itself: told by the mark, or in its own time.
    ByHolder,
    /// An entry of at least one who held it was still there after the grace, and was removed.
    ByForce,
}

/// What is written into another's entry.
#[derive(Clone)]
enum Mark {
    Asked(Arc<str>),
    Broken(Arc<str>),
}

/// What came of a mark.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Marked {
    Written,
    /// The entry is gone.
    Gone,
    /// The value is not of our making, or has no room for it.
    Foreign,
}

impl Mark {
    /// Adds it to the value; whether that changes anything.
    fn add_to(&self, value: &mut EntryValue) -> bool {
        let (field, who) = match self {
            Mark::Asked(who) => (&mut value.asked, who),
            Mark::Broken(who) => (&mut value.broken, who),
        };
        if field.is_some() {
            return false;
        }
        *field = Some(who.to_string());
        true
    }
}

/// The queue that is worked on.
#[derive(Clone)]
struct Target {
    engine: Arc<Engine>,
    path: KeyPath,
}

impl Named {
    /// Who is in the queue, in its order.
    pub(crate) async fn contenders(&self, recipe: Recipe) -> Result<Vec<ContenderInfo>, Error> {
        let path = self.path("contenders")?;
        let form = ValueForm::of(&path);
        let entries = self
            .ask("contenders", move |live| {
                let queue = live.session.queue(&path);
                async move { queue.entries().await }
            })
            .await?;
        let engine = self.coordinator().engine();
        let (epoch, now) = (engine.epoch, engine.options.clock.wall_time());
        let standings = standings(recipe, &entries);
        let infos = entries.into_iter().zip(standings);
        Ok(infos.map(|(entry, standing)| ContenderInfo::new(form, entry, standing, epoch, now)).collect())
    }

    /// Asks whoever holds to give up; how many were asked.
    pub(crate) async fn ask_holders(&self, recipe: Recipe, who: &str) -> Result<usize, Error> {
        let (target, who) = self.target(ASK, who)?;
        let marked = self
            .carry_out(ASK, async move {
                let holders = target.holders(recipe).await?;
                let asking = holders.into_iter().map(|holder| target.mark(holder, Mark::Asked(who.clone())));
                try_join_all(asking).await
            })
            .await?;
        self.count_asked(&marked)
    }

    /// Asks the owner of one entry to give up; whether there is one.
    pub(crate) async fn ask_entry(&self, entry: EntryId, who: &str) -> Result<bool, Error> {
        let (target, who) = self.target(ASK, who)?;
        let mark = async move { target.mark(entry.0, Mark::Asked(who)).await };
        let marked = self.carry_out(ASK, mark).await?;
        Ok(self.count_asked(&[marked])? > 0)
    }

    /// Takes the hold from whoever has it.
    pub(crate) async fn break_holders(
        &self,
        recipe: Recipe,
        who: &str,
        grace: Duration,
    ) -> Result<Released, Error> {
        let (target, who) = self.target(FORCE, who)?;
        self.carry_out(FORCE, async move {
            let holders = target.holders(recipe).await?;
            let breaking = holders.into_iter().map(|holder| target.break_hold(holder, &who, grace));
            let outcomes = try_join_all(breaking).await?;
            Ok(match outcomes.is_empty() {
                true => Released::WasFree,
                false if outcomes.contains(&Released::ByForce) => Released::ByForce,
                false => Released::ByHolder,
            })
        })
        .await
    }

    /// Takes away one entry.
    pub(crate) async fn break_entry(
        &self,
        recipe: Recipe,
        entry: EntryId,
        who: &str,
        grace: Duration,
    ) -> Result<Released, Error> {
        let (target, who) = self.target(FORCE, who)?;
        self.carry_out(FORCE, async move {
            match target.standing_of(recipe, entry.0).await? {
                None => Ok(Released::WasFree),
                Some(Standing::Holds) => target.break_hold(entry.0, &who, grace).await,
                Some(Standing::Waits) => target.withdraw(entry.0).await,
            }
        })
        .await
    }

    fn target(&self, operation: &'static str, who: &str) -> Result<(Target, Arc<str>), Error> {
        let path = self.path(operation)?;
        check_who(self, operation, who)?;
        Ok((Target { engine: self.coordinator().engine().clone(), path }, who.into()))
    }

    fn count_asked(&self, marked: &[Marked]) -> Result<usize, Error> {
        if marked.contains(&Marked::Foreign) {
            if self.path(ASK)?.wire().is_some() {
                let detail = "an entry in another client's layout has no room for it, so nobody would hear";
                return Err(self.error(ErrorKind::Unsupported, ASK, detail));
            }
            let detail = "the entry's value is not of our making, so nobody would hear";
            return Err(self.error(ErrorKind::Corrupt, ASK, detail));
        }
        Ok(marked.iter().filter(|marked| **marked == Marked::Written).count())
    }
}

impl Target {
    /// Asks something of the queue that may be asked repeatedly.
    async fn ask<T, F>(&self, ask: impl Fn(Arc<dyn Queue>) -> F) -> Result<T, Failed>
    where
        F: Future<Output = Result<T, BackendError>>,
    {
        repeatable(&self.engine, |live| ask(live.session.queue(&self.path))).await
    }

    async fn entries_with_standing(
        &self,
        recipe: Recipe,
    ) -> Result<impl Iterator<Item = (Entry, Standing)> + use<>, Failed> {
        let entries = self.ask(|queue| async move { queue.entries().await }).await;
        let entries = entries.map_err(Failed::changing_nothing)?;
        let standings = standings(recipe, &entries);
        Ok(entries.into_iter().zip(standings))
    }

    async fn holders(&self, recipe: Recipe) -> Result<Vec<AttemptId>, Failed> {
        let entries = self.entries_with_standing(recipe).await?;
        let holds = entries.filter(|(_, standing)| *standing == Standing::Holds);
        Ok(holds.map(|(entry, _)| entry.attempt).collect())
    }

    async fn standing_of(&self, recipe: Recipe, attempt: AttemptId) -> Result<Option<Standing>, Failed> {
        let mut entries = self.entries_with_standing(recipe).await?;
        Ok(entries.find(|(entry, _)| entry.attempt == attempt).map(|(_, standing)| standing))
    }

    async fn mark(&self, attempt: AttemptId, mark: Mark) -> Result<Marked, Failed> {
        let deadline = Instant::now().checked_add(self.engine.request_timeout);
        let form = ValueForm::of(&self.path);
        self.ask(|queue| {
            let mark = mark.clone();
            async move { write_mark(&*queue, form, attempt, &mark, deadline).await }
        })
        .await
    }

    async fn break_hold(
        &self,
        attempt: AttemptId,
        who: &Arc<str>,
        grace: Duration,
    ) -> Result<Released, Failed> {
        match self.mark(attempt, Mark::Broken(who.clone())).await {
            Ok(Marked::Gone) => return Ok(Released::ByHolder),
            Ok(Marked::Written) => {
                if let Ok(true) = timeout(grace, self.gone(attempt)).await {
                    return Ok(Released::ByHolder);
                }
            }
            // Nobody would read a mark there.
            Ok(Marked::Foreign) => {}
            Err(error) if error.leaves_no_mark() => {}
            Err(error) => return Err(error),
        }
        self.withdraw(attempt).await
    }

    /// Resolves when the entry is gone, or with `false` when the coordinator is shut down, and nothing is seen any more.
    async fn gone(&self, attempt: AttemptId) -> bool {
        let mut backoff = transient_backoff(&self.engine.entropy);
        while let Ok(live) = self.engine.live_session().await {
            let queue = live.session.queue(&self.path);
            let changed = async {
                let Some(entry) = queue.entry(attempt).await? else { return Ok(true) };
                queue.changed(Interest::Entry { attempt, mode: entry.mode, version: None }).await?;
                Ok::<_, BackendError>(false)
            };
            let looked = tokio::select! {
                looked = changed => looked,
                _ = live.liveness().seen_lost() => continue,
                () = self.engine.abandon.cancelled() => return false,
            };
            match looked {
                Ok(true) => return true,
                Ok(false) => backoff = transient_backoff(&self.engine.entropy),
                Err(_) => sleep(backoff.next_delay()).await,
            }
        }
        // The withdrawal tells why.
        false
    }

    async fn withdraw(&self, attempt: AttemptId) -> Result<Released, Failed> {
        let unanswered = AtomicBool::new(false);
        self.ask(|queue| {
            let unanswered = &unanswered;
            async move {
                match queue.withdraw(attempt, Certainty::Placed).await {
                    Ok(Withdrawn::Removed) => Ok(Released::ByForce),
                    // The removal that went unanswered was applied, as far as anybody can tell.
                    Ok(Withdrawn::WasGone) if unanswered.load(Ordering::Relaxed) => Ok(Released::ByForce),
                    Ok(Withdrawn::WasGone) => Ok(Released::ByHolder),
                    Err(error) => {
                        let lost = error.kind() == BackendErrorKind::Indeterminate;
                        unanswered.fetch_or(lost, Ordering::Relaxed);
                        Err(error)
                    }
                }
            }
        })
        .await
    }
}

/// Merges the mark into the entry's value.
async fn write_mark(
    queue: &dyn Queue,
    form: ValueForm,
    attempt: AttemptId,
    mark: &Mark,
    deadline: Option<Instant>,
) -> Result<Marked, BackendError> {
    loop {
        let Some(entry) = queue.entry(attempt).await? else { return Ok(Marked::Gone) };
        let Some(mut value) = form.decode(&entry.value) else { return Ok(Marked::Foreign) };
        if !mark.add_to(&mut value) {
            return Ok(Marked::Written);
        }
        let (mode, if_version) = (entry.mode, Some(entry.version));
        match queue.publish(Publish { attempt, mode, value: form.encode(&value), if_version }).await {
            Ok(Published::Done { .. }) => return Ok(Marked::Written),
            Ok(Published::VersionDiffers) if deadline.is_none_or(|deadline| Instant::now() < deadline) => {}
            Ok(Published::VersionDiffers) => {
                let message = "the holder changes its entry without a pause";
                return Err(BackendError::new(BackendErrorKind::Unavailable, message));
            }
            Err(error) if error.kind() == BackendErrorKind::NoEntry => return Ok(Marked::Gone),
            Err(error) => return Err(error),
        }
    }
}

impl Failed {
    /// Whether what failed is the mark alone: there was no room or no time for it.
    fn leaves_no_mark(&self) -> bool {
        match self {
            Failed::Backend(error) => error.kind() == BackendErrorKind::TooLarge || error.is_transient(),
            Failed::OutOfTime => true,
            Failed::Closed => false,
        }
    }
}
