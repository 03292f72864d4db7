//! What is claimed under a name, and what one has then.

use std::time::Duration;

use leasehold::{
    Coordinator, Error, Held, Leadership, MutexGuard, Recipe, ReleaseError, RwLockReadGuard,
    RwLockWriteGuard, SemaphorePermit,
};

use crate::place::Place;

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
}

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
    pub(crate) fn held(&self) -> Held {
        match self {
            Holding::Mutex(guard) => guard.held(),
            Holding::Shared(guard) => guard.held(),
            Holding::Exclusive(guard) => guard.held(),
            Holding::Permits(permit) => permit.held(),
            Holding::Leadership(leadership) => leadership.held(),
        }
    }

    pub(crate) async fn release(self) -> Result<(), ReleaseError> {
        match self {
            Holding::Mutex(guard) => guard.release().await,
            Holding::Shared(guard) => guard.release().await,
            Holding::Exclusive(guard) => guard.release().await,
            Holding::Permits(permit) => permit.release().await,
            Holding::Leadership(leadership) => leadership.resign().await,
        }
    }
}
