//! Every recipe that is a mutex, as one.

use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use futures::future::BoxFuture;
use leasehold_core::{Coordinator, Error, Held, Kind, ReleaseError};

/// A recipe that gives a name to one holder at a time, first come, first served. The mutex's suite runs over each.
pub trait Exclusive: Send + Sync + 'static {
    /// What it is called in the names of cases: `mutex`, `semaphore`, …
    fn name(&self) -> &'static str;

    /// The kind of its queues.
    fn kind(&self) -> Kind;

    /// Waits for it.
    fn lock(
        &self,
        coordinator: &Coordinator,
        name: &str,
    ) -> BoxFuture<'static, Result<ExclusiveGuard, Error>>;

    /// Takes it if it is free.
    fn try_lock(
        &self,
        coordinator: &Coordinator,
        name: &str,
    ) -> BoxFuture<'static, Result<Option<ExclusiveGuard>, Error>>;

    /// Waits for it, but no longer than that.
    fn try_lock_for(
        &self,
        coordinator: &Coordinator,
        name: &str,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Option<ExclusiveGuard>, Error>>;

    /// Works under it.
    fn with(
        &self,
        coordinator: &Coordinator,
        name: &str,
        work: Work,
    ) -> BoxFuture<'static, Result<(), Error>>;
}

/// What is done under a lock.
pub type Work = Box<dyn FnOnce(Held) -> BoxFuture<'static, ()> + Send>;

/// All of them, the mutex first.
pub static ADAPTERS: [&dyn Exclusive; 4] = [&AsMutex, &AsSemaphore, &AsWriteLock, &AsElection];

macro_rules! exclusive {
    ($(#[$doc:meta])* $adapter:ident $name:literal $kind:ident of $recipe:expr; $lock:ident $try_lock:ident $try_lock_for:ident($($value:expr)?); $with:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy)]
        pub struct $adapter;

        impl Exclusive for $adapter {
            fn name(&self) -> &'static str {
                $name
            }

            fn kind(&self) -> Kind {
                Kind::$kind
            }

            fn lock(&self, coordinator: &Coordinator, name: &str) -> BoxFuture<'static, Result<ExclusiveGuard, Error>> {
                let recipe = $recipe(coordinator, name);
                Box::pin(async move { recipe.$lock($($value)?).await.map(ExclusiveGuard::new) })
            }

            fn try_lock(
                &self,
                coordinator: &Coordinator,
                name: &str,
            ) -> BoxFuture<'static, Result<Option<ExclusiveGuard>, Error>> {
                let recipe = $recipe(coordinator, name);
                Box::pin(async move { Ok(recipe.$try_lock($($value)?).await?.map(ExclusiveGuard::new)) })
            }

            fn try_lock_for(
                &self,
                coordinator: &Coordinator,
                name: &str,
                patience: Duration,
            ) -> BoxFuture<'static, Result<Option<ExclusiveGuard>, Error>> {
                let recipe = $recipe(coordinator, name);
                Box::pin(async move { Ok(recipe.$try_lock_for($($value,)? patience).await?.map(ExclusiveGuard::new)) })
            }

            fn with(
                &self,
                coordinator: &Coordinator,
                name: &str,
                work: Work,
            ) -> BoxFuture<'static, Result<(), Error>> {
                let recipe = $recipe(coordinator, name);
                Box::pin(async move { ($with)(recipe, work).await })
            }
        }
    };
}

exclusive! {
    /// The mutex itself.
    AsMutex "mutex" Lock of Coordinator::mutex;
    lock try_lock try_lock_for();
    async |mutex: leasehold_core::Mutex, work| mutex.with(work).await
}

exclusive! {
    /// A semaphore of one permit.
    AsSemaphore "semaphore" Semaphore of |coordinator: &Coordinator, name| coordinator.semaphore(name, 1);
    acquire try_acquire try_acquire_for();
    async |semaphore: leasehold_core::Semaphore, work| semaphore.with(work).await
}

exclusive! {
    /// The write lock of a read/write lock that nobody reads.
    AsWriteLock "write_lock" RwLock of Coordinator::rw_lock;
    write try_write try_write_for();
    async |lock: leasehold_core::RwLock, work| lock.with_write(work).await
}

exclusive! {
    /// An election: to campaign is to lock, to resign is to release. It has no `with`; this is how one works while one leads.
    AsElection "election" Election of Coordinator::election;
    campaign try_campaign try_campaign_for(&b"candidate"[..]);
    async |election: leasehold_core::Election, work: Work| {
        let leadership = election.campaign(&b"candidate"[..]).await?;
        leadership.while_held(work(leadership.held())).await?;
        // As `Mutex::with`: the work is done, and what becomes of the entry is the reaper's.
        let _ = leadership.resign().await;
        Ok(())
    }
}

/// A name, over one coordinator, as one of the recipes.
#[derive(Clone)]
pub(super) struct Lock {
    exclusive: &'static dyn Exclusive,
    coordinator: Coordinator,
    name: String,
}

impl Lock {
    pub(super) fn new(exclusive: &'static dyn Exclusive, coordinator: &Coordinator, name: &str) -> Self {
        Self { exclusive, coordinator: coordinator.clone(), name: name.to_owned() }
    }

    pub(super) fn lock(&self) -> BoxFuture<'static, Result<ExclusiveGuard, Error>> {
        self.exclusive.lock(&self.coordinator, &self.name)
    }

    pub(super) fn try_lock(&self) -> BoxFuture<'static, Result<Option<ExclusiveGuard>, Error>> {
        self.exclusive.try_lock(&self.coordinator, &self.name)
    }

    pub(super) fn try_lock_for(
        &self,
        patience: Duration,
    ) -> BoxFuture<'static, Result<Option<ExclusiveGuard>, Error>> {
        self.exclusive.try_lock_for(&self.coordinator, &self.name, patience)
    }

    /// Works under it; what came of the work.
    pub(super) async fn with<W>(
        &self,
        work: impl FnOnce(Held) -> W + Send + 'static,
    ) -> Result<W::Output, Error>
    where
        W: Future<Output: Send + 'static> + Send + 'static,
    {
        let done = Arc::new(StdMutex::new(None));
        let kept = done.clone();
        let work: Work = Box::new(move |held| {
            let work = work(held);
            Box::pin(async move {
                let output = work.await;
                *kept.lock().unwrap_or_else(PoisonError::into_inner) = Some(output);
            })
        });
        self.exclusive.with(&self.coordinator, &self.name, work).await?;
        Ok(done.lock().unwrap_or_else(PoisonError::into_inner).take().expect("the work was done"))
    }
}

/// The guard of any of them; dropping it releases.
pub struct ExclusiveGuard(Box<dyn AnyGuard>);

impl ExclusiveGuard {
    /// A guard of a recipe.
    pub fn new<G>(guard: G) -> Self
    where
        G: leasehold_core::Guard<ReleaseError = ReleaseError> + Deref<Target = Held>,
    {
        Self(Box::new(guard))
    }

    /// What can be known of it from elsewhere.
    pub fn held(&self) -> Held {
        Held::clone(self)
    }

    /// Releases it.
    ///
    /// # Errors
    /// Those of the recipe.
    pub fn release(self) -> BoxFuture<'static, Result<(), ReleaseError>> {
        self.0.release()
    }
}

impl Deref for ExclusiveGuard {
    type Target = Held;

    fn deref(&self) -> &Held {
        self.0.held()
    }
}

impl fmt::Debug for ExclusiveGuard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("ExclusiveGuard").field(&**self).finish()
    }
}

trait AnyGuard: Send + Sync {
    fn held(&self) -> &Held;
    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), ReleaseError>>;
}

impl<G> AnyGuard for G
where
    G: leasehold_core::Guard<ReleaseError = ReleaseError> + Deref<Target = Held>,
{
    fn held(&self) -> &Held {
        self
    }

    fn release(self: Box<Self>) -> BoxFuture<'static, Result<(), ReleaseError>> {
        Box::pin(leasehold_core::Guard::release(*self))
    }
}
