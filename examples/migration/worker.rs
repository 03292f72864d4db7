//! One worker: what it locks, and what it sends the store.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use leasehold::fencing::{FencedRegister, Stale};
use leasehold::{Coordinator, FencingToken, MultiLock};
use tokio::sync::watch;

/// The lock's name, at both services.
pub(crate) const NAME: &str = "the number";

/// The steps of the migration, as `MultiLock` documents them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd)]
pub(crate) enum Step {
    /// Locks old.
    Old,
    /// Locks both, and sends old's token.
    BothByOld,
    /// Locks both, and sends the token that the store's fence asks for.
    BothByFence,
    /// Locks new.
    New,
}

/// What the workers share: a database, say.
#[derive(Default)]
pub(crate) struct World {
    pub(crate) store: FencedRegister<u64>,
    /// Tells of each tenure that has reached the store.
    pub(crate) tenures: watch::Sender<()>,
    pub(crate) updates: watch::Sender<u64>,
    pub(crate) late_writes: AtomicUsize,
}

pub(crate) struct Worker {
    pub(crate) world: Arc<World>,
    pub(crate) old: Coordinator,
    pub(crate) new: Coordinator,
    /// What the operator wants; the end of the channel is the end of the work.
    pub(crate) wanted: watch::Receiver<Step>,
    /// What it does.
    pub(crate) at: watch::Sender<Step>,
}

/// The tokens of one tenure.
struct Tenure {
    step: Step,
    old: Option<FencingToken>,
    new: Option<FencingToken>,
}

impl Worker {
    pub(crate) async fn run(mut self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let mut rounds = 0_u64;
        while self.wanted.has_changed().is_ok() {
            let step = *self.wanted.borrow_and_update();
            // Between two tenures: nothing is done any more as the step before does it.
            self.at.send_replace(step);
            let guard = self.locks(step).lock().await?;
            let [old, new] = ["old", "new"].map(|label| guard.token(label, NAME));
            let tenure = Tenure { step, old, new };
            let read = tenure.access(&self.world.store, |store, token| store.read(token))?;
            self.world.tenures.send_replace(());
            tokio::task::yield_now().await;
            rounds += 1;
            if !rounds.is_multiple_of(8) {
                tenure.access(&self.world.store, |store, token| store.write(token, read + 1))?;
                self.world.updates.send_modify(|updates| *updates += 1);
                guard.release().await?;
                continue;
            }
            // This one sleeps over its write: by the time it wakes, the lock has had another holder.
            let seen = self.world.store.fence().exclusive();
            let mut tenures = self.world.tenures.subscribe();
            guard.release().await?;
            while self.world.store.fence().exclusive() == seen {
                tokio::select! {
                    _ = tenures.changed() => {}
                    wanted = self.wanted.changed() => if wanted.is_err() { return Ok(()) },
                }
            }
            match tenure.access(&self.world.store, |store, token| store.write(token, read + 1)) {
                Err(_stale) => self.world.late_writes.fetch_add(1, Ordering::SeqCst),
                Ok(()) => return Err(format!("{step:?}: the store took a late write").into()),
            };
        }
        Ok(())
    }

    fn locks(&self, step: Step) -> MultiLock {
        let mut locks = MultiLock::new();
        if step < Step::New {
            locks = locks.member("old", self.old.mutex(NAME));
        }
        if step > Step::Old {
            locks = locks.member("new", self.new.mutex(NAME));
        }
        locks
    }
}

impl Tenure {
    fn access<T>(
        &self,
        store: &FencedRegister<u64>,
        access: impl Fn(&FencedRegister<u64>, FencingToken) -> Result<T, Stale>,
    ) -> Result<T, Box<dyn Error + Send + Sync>> {
        let token = || self.token(store).ok_or("the lock is not a member");
        match access(store, token()?) {
            // The fence may have been handed over between the look and the access.
            Err(_) if self.step == Step::BothByFence => Ok(access(store, token()?)?),
            outcome => Ok(outcome?),
        }
    }

    /// What the store is sent.
    fn token(&self, store: &FencedRegister<u64>) -> Option<FencingToken> {
        match self.step {
            Step::Old | Step::BothByOld => self.old,
            // New's only if its epoch has been seen: it would beat the old tokens of later holders.
            Step::BothByFence if store.fence().exclusive().epoch() < self.new?.epoch() => self.old,
            Step::BothByFence | Step::New => self.new,
        }
    }
}
