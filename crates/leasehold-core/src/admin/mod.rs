//! Administration: who holds and who waits, asking for a release, breaking a lock.

mod contender_info;
mod queue_admin;
mod queue_stream;
mod recipe;
mod standing;

use std::fmt;
use std::time::Duration;

pub use contender_info::{ContenderInfo, EntryDetails, EntryId, ParseEntryIdError};
pub use queue_admin::Released;
pub use queue_stream::QueueStream;
pub use recipe::Recipe;
pub use standing::Standing;

use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::named::Named;
use crate::wire::WireProfile;

/// How long a holder has to give up by itself where nothing else was asked for.
pub(crate) const DEFAULT_GRACE: Duration = Duration::from_secs(1);

/// Looks at the queues of a namespace, asks holders to give up, and breaks locks; made by [`Coordinator::admin`].
///
/// It works on what the service keeps, whoever made it: all that is needed is a coordinator of the same namespace. It
/// needs no lock itself. Looking costs a request or two a queue (on ZooKeeper one more an entry).
///
/// ```
/// use leasehold_core::{Coordinator, Recipe};
///
/// # async fn example(coordinator: Coordinator) -> Result<(), leasehold_core::Error> {
/// let admin = coordinator.admin();
/// for name in admin.names(Recipe::Mutex, "cache/").await? {
///     for contender in admin.contenders(Recipe::Mutex, &name).await? {
///         println!("{name}: {contender}");
///     }
/// }
/// admin.ask_to_release(Recipe::Mutex, "cache/users", "ops: deployment at noon").await?;
/// # Ok(()) }
/// ```
///
/// # What others say
///
/// What an entry says of its maker decides nothing and is as true as its maker; times are of its maker's wall clock. Who may
/// write to the service's keys can break every lock there: give those rights to whom you trust.
#[derive(Clone)]
pub struct Admin {
    coordinator: Coordinator,
    grace: Duration,
    profile: Option<WireProfile>,
}

impl Admin {
    pub(crate) fn new(coordinator: Coordinator) -> Self {
        Self { coordinator, grace: DEFAULT_GRACE, profile: None }
    }

    /// The same, but a holder that is released by force has this long to give up by itself; 1 s if not set.
    #[must_use]
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// The same for queues in the layout of another client, as [`Coordinator::at`] shares them: every name is a verbatim path then.
    ///
    /// There is no list of such [names](Admin::names), and the limit of a semaphore, which decides who holds, is not to be seen there: both
    /// are [`ErrorKind::Unsupported`], and so is asking to release, for which these entries have no room.
    #[must_use]
    pub fn of_profile(mut self, profile: WireProfile) -> Self {
        self.profile = Some(profile);
        self
    }

    /// Who is in the queue of that name, in the queue's order: nobody, if there is none.
    ///
    /// What it shows was so at one moment and may be over by the time that it is read. Data that is not in the form of an entry is not
    /// shown; an entry whose value is not of this library's making is, without [details](ContenderInfo::details).
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]; [`ErrorKind::Unavailable`] if the service did not answer within the request time-out;
    /// [`ErrorKind::Closed`] if the coordinator is shut down; [`ErrorKind::PermissionDenied`], … if the service refuses.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn contenders(
        &self,
        recipe: Recipe,
        name: impl AsRef<str>,
    ) -> Result<Vec<ContenderInfo>, Error> {
        self.named(recipe, name)?.contenders(recipe).await
    }

    /// Follows who is in the queue of that name: the state of now first, then after every change.
    ///
    /// The newest state is always delivered in the end; states in between may be skipped. Lost connections and lost sessions are waited out;
    /// nothing is delivered meanwhile. The stream ends when the coordinator is shut down. It may cost a watch an entry: it is for people who
    /// look, not for programs that lock.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]; [`ErrorKind::Unsupported`] as [`Admin::of_profile`] says.
    pub fn observe(&self, recipe: Recipe, name: impl AsRef<str>) -> Result<QueueStream, Error> {
        QueueStream::open(&self.named(recipe, name)?, recipe)
    }

    /// The names of one recipe that begin with `prefix` and have contenders, sorted. A prefix is text: `cache` is one of
    /// `cachet` too, `cache/` is not.
    ///
    /// # Errors
    /// As [`Admin::contenders`].
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn names(&self, recipe: Recipe, prefix: impl AsRef<str>) -> Result<Vec<String>, Error> {
        let prefix = prefix.as_ref();
        // The name is that of the errors; none is looked up by it.
        let kind = recipe.kind();
        let named = Named::new(self.coordinator.clone(), kind, prefix);
        if let Some(profile) = self.profile {
            let detail = format!("nobody knows all paths of the {profile} profile");
            return Err(named.error(ErrorKind::Unsupported, "list", &detail));
        }
        let paths = named.ask("list", move |live| async move { live.session.queues(kind).await }).await?;
        let mut names: Vec<_> = paths.iter().map(|path| path.name()).collect();
        names.retain(|name| name.starts_with(prefix));
        names.sort_unstable();
        Ok(names)
    }

    /// Asks the present holders to give up, and answers how many were asked: 0 if nobody holds.
    ///
    /// It is a request and no more. A holder hears it once, by
    /// [`Held::asked_to_release`](crate::Held::asked_to_release), with `who` as asks, and is free to go on. One who is asked
    /// already is not asked anew.
    ///
    /// # Errors
    /// As [`Admin::contenders`]; [`ErrorKind::InvalidArgument`] if `who` has more than
    /// [`MAX_NAME_BYTES`](crate::MAX_NAME_BYTES) bytes; [`ErrorKind::Corrupt`] if the holder's entry is not of this library's making, so that nobody
    /// would hear; [`ErrorKind::TooLarge`] if the entry has no room left. If there are several holders, some may have been asked
    /// all the same. An entry that its holder changes without a pause for longer than the request time-out is
    /// [`ErrorKind::Unavailable`]; [`ErrorKind::Indeterminate`] if the request was sent and not answered.
    ///
    /// # Cancel safety
    /// Once polled, it goes on whether or not the future is.
    pub async fn ask_to_release(
        &self,
        recipe: Recipe,
        name: impl AsRef<str>,
        who: impl AsRef<str>,
    ) -> Result<usize, Error> {
        self.named(recipe, name)?.ask_holders(recipe, who.as_ref()).await
    }

    /// Asks the owner of one entry to give up, and answers whether there was such an entry. A waiter hears it once it holds.
    ///
    /// # Errors
    /// As [`Admin::ask_to_release`].
    ///
    /// # Cancel safety
    /// As [`Admin::ask_to_release`].
    pub async fn ask_entry_to_release(
        &self,
        recipe: Recipe,
        name: impl AsRef<str>,
        entry: EntryId,
        who: impl AsRef<str>,
    ) -> Result<bool, Error> {
        self.named(recipe, name)?.ask_entry(entry, who.as_ref()).await
    }

    /// Takes the lock from its present holders.
    ///
    /// First each is told, by a mark in its entry: [`Held::lost`](crate::Held::lost) fires with
    /// [`ForceReleased`](crate::LossReason::ForceReleased), and it gives up its entry itself. If that is still there after the
    /// [grace](Admin::grace), because the holder is gone, paused or cut off, it is removed. Only the entries of those
    /// who held when it was called are touched: never that of the next holder, however the two race.
    ///
    /// A holder that is cut off or paused learns of its loss later than the next holder of its grant: the resource must
    /// reject it, by its [fencing token](crate::FencingToken). Prefer [`Admin::ask_to_release`] for a holder that is well.
    ///
    /// # Errors
    /// As [`Admin::contenders`]; [`ErrorKind::InvalidArgument`] as [`Admin::ask_to_release`]; [`ErrorKind::Indeterminate`] if the removal was
    /// sent and not answered. After an error some entries may have been
    /// marked or removed; calling it again goes on where it stopped, but with those who hold by then.
    ///
    /// # Cancel safety
    /// Once polled, it goes on whether or not the future is.
    pub async fn force_release(
        &self,
        recipe: Recipe,
        name: impl AsRef<str>,
        who: impl AsRef<str>,
    ) -> Result<Released, Error> {
        self.named(recipe, name)?.break_holders(recipe, who.as_ref(), self.grace).await
    }

    /// Takes away one entry, of a holder as in [`Admin::force_release`]. One that waits is removed at once, by force: its owner, if it
    /// is alive, then queues again at the end. [`Released::WasFree`] if there is no such entry.
    ///
    /// # Errors
    /// As [`Admin::force_release`].
    ///
    /// # Cancel safety
    /// As [`Admin::force_release`].
    pub async fn force_release_entry(
        &self,
        recipe: Recipe,
        name: impl AsRef<str>,
        entry: EntryId,
        who: impl AsRef<str>,
    ) -> Result<Released, Error> {
        self.named(recipe, name)?.break_entry(recipe, entry, who.as_ref(), self.grace).await
    }

    fn named(&self, recipe: Recipe, name: impl AsRef<str>) -> Result<Named, Error> {
        let named = || Named::new(self.coordinator.clone(), recipe.kind(), name.as_ref());
        match self.profile {
            None => Ok(named()),
            Some(profile) if recipe == Recipe::Semaphore => {
                let detail = format!("a semaphore of the {profile} profile does not show its limit");
                Err(named().error(ErrorKind::Unsupported, "admin", &detail))
            }
            Some(profile) => self.coordinator.at(profile, name).named(recipe, None),
        }
    }
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("coordinator", &self.coordinator)
            .field("grace", &self.grace)
            .field("profile", &self.profile)
            .finish()
    }
}

/// Refuses a name of the asker that is too long to be kept beside an entry.
fn check_who(named: &Named, operation: &'static str, who: &str) -> Result<(), Error> {
    if who.len() <= crate::name::MAX_NAME_BYTES {
        return Ok(());
    }
    let detail = format!(
        "who asks may have at most {} bytes, this one has {}",
        crate::name::MAX_NAME_BYTES,
        who.len()
    );
    Err(named.error(ErrorKind::InvalidArgument, operation, &detail))
}

impl Coordinator {
    /// Administration of the namespace: who holds, who waits, asking for a release, breaking a lock.
    pub fn admin(&self) -> Admin {
        Admin::new(self.clone())
    }
}
