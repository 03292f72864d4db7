//! What is claimed under a name, and what one has then.

use std::pin::Pin;
use std::time::Duration;

use leasehold::{
    Coordinator, Error, FencingToken, Held, Leadership, LossReason, MutexGuard, Recipe, ReleaseError,
    RwLockReadGuard, RwLockWriteGuard, SemaphorePermit,
};

use crate::exit::Failure;
use crate::place::Place;
use crate::service::Service;

/// What is claimed.
#[derive(Debug, Clone)]
pub(crate) enum Claim {
    Mutex,
    Shared,
    Exclusive,
    Permits { count: u32, limit: u32 },
    Leadership { value: String },
}

/// How long to wait for it.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Patience {
    Forever,
    For(Duration),
    None,
}

/// What one has.
pub(crate) enum Holding {
    Mutex(MutexGuard),
    Shared(RwLockReadGuard),
    Exclusive(RwLockWriteGuard),
    Permits(SemaphorePermit),
    Leadership(Leadership),
    #[cfg(feature = "redis")]
    Key(leasehold::redis::SharedKeyGuard),
}

/// What others decide when.
type Boxed<T> = Pin<Box<dyn Future<Output = T> + Send>>;

impl Claim {
    pub(crate) fn recipe(&self) -> Recipe {
        match self {
            Claim::Mutex => Recipe::Mutex,
            Claim::Shared | Claim::Exclusive => Recipe::RwLock,
            Claim::Permits { .. } => Recipe::Semaphore,
            Claim::Leadership { .. } => Recipe::Election,
        }
    }

    /// Claims it; `None` if others had it for as long as patience lasted.
    pub(crate) async fn acquire(
        &self,
        service: &Service,
        place: &Place,
        patience: Patience,
    ) -> Result<Option<Holding>, Failure> {
        match service {
            Service::Queues(coordinator) => Ok(self.contend(coordinator, place, patience).await?),
            #[cfg(feature = "redis")]
            Service::Key(lock) => {
                place.takes(self)?;
                let guard = match patience {
                    Patience::Forever => Some(lock.lock().await?),
                    Patience::For(time) => lock.try_lock_for(time).await?,
                    Patience::None => lock.try_lock().await?,
                };
                Ok(guard.map(Holding::Key))
            }
        }
    }

    async fn contend(
        &self,
        coordinator: &Coordinator,
        place: &Place,
        patience: Patience,
    ) -> Result<Option<Holding>, Error> {
        let holding = match self {
            Claim::Mutex => {
                let mutex = place.mutex(coordinator)?;
                let guard = match patience {
                    Patience::Forever => Some(mutex.lock().await?),
                    Patience::For(time) => mutex.try_lock_for(time).await?,
                    Patience::None => mutex.try_lock().await?,
                };
                guard.map(Holding::Mutex)
            }
            Claim::Shared => {
                let lock = place.rw_lock(coordinator)?;
                let guard = match patience {
                    Patience::Forever => Some(lock.read().await?),
                    Patience::For(time) => lock.try_read_for(time).await?,
                    Patience::None => lock.try_read().await?,
                };
                guard.map(Holding::Shared)
            }
            Claim::Exclusive => {
                let lock = place.rw_lock(coordinator)?;
                let guard = match patience {
                    Patience::Forever => Some(lock.write().await?),
                    Patience::For(time) => lock.try_write_for(time).await?,
                    Patience::None => lock.try_write().await?,
                };
                guard.map(Holding::Exclusive)
            }
            Claim::Permits { count, limit } => {
                let semaphore = place.semaphore(coordinator, *limit)?;
                let permit = match patience {
                    Patience::Forever => Some(semaphore.acquire_many(*count).await?),
                    Patience::For(time) => semaphore.try_acquire_many_for(*count, time).await?,
                    Patience::None => semaphore.try_acquire_many(*count).await?,
                };
                permit.map(Holding::Permits)
            }
            Claim::Leadership { value } => {
                let (election, value) = (place.election(coordinator)?, value.clone());
                let leadership = match patience {
                    Patience::Forever => Some(election.campaign(value).await?),
                    Patience::For(time) => election.try_campaign_for(value, time).await?,
                    Patience::None => election.try_campaign(value).await?,
                };
                leadership.map(Holding::Leadership)
            }
        };
        Ok(holding)
    }
}

impl Holding {
    /// `None` at a key, which knows no more than its guard.
    fn held(&self) -> Option<Held> {
        Some(match self {
            Holding::Mutex(guard) => guard.held(),
            Holding::Shared(guard) => guard.held(),
            Holding::Exclusive(guard) => guard.held(),
            Holding::Permits(permit) => permit.held(),
            Holding::Leadership(leadership) => leadership.held(),
            #[cfg(feature = "redis")]
            Holding::Key(_) => return None,
        })
    }

    /// `None` at a key, which has no such token.
    pub(crate) fn fencing_token(&self) -> Option<FencingToken> {
        self.held().map(|held| held.fencing_token())
    }

    pub(crate) fn is_held(&self) -> bool {
        match self {
            #[cfg(feature = "redis")]
            Holding::Key(guard) => guard.is_held(),
            other => other.held().is_some_and(|held| held.is_held()),
        }
    }

    /// Resolves when it is held no longer.
    pub(crate) fn lost(&self) -> Boxed<LossReason> {
        match self {
            #[cfg(feature = "redis")]
            Holding::Key(guard) => Box::pin(guard.lost()),
            other => match other.held() {
                Some(held) => Box::pin(held.lost()),
                None => Box::pin(std::future::pending()),
            },
        }
    }

    /// Resolves when somebody asks for it, with who that is.
    pub(crate) fn asked_to_release(&self) -> Boxed<String> {
        match self.held() {
            Some(held) => Box::pin(held.asked_to_release()),
            None => Box::pin(std::future::pending()),
        }
    }

    pub(crate) async fn release(self) -> Result<(), ReleaseError> {
        match self {
            Holding::Mutex(guard) => guard.release().await,
            Holding::Shared(guard) => guard.release().await,
            Holding::Exclusive(guard) => guard.release().await,
            Holding::Permits(permit) => permit.release().await,
            Holding::Leadership(leadership) => leadership.resign().await,
            #[cfg(feature = "redis")]
            Holding::Key(guard) => guard.release().await,
        }
    }
}
