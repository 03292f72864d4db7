//! The rounds of a task.

use std::sync::atomic::Ordering;

use leasehold_core::{KeyPath, Kind, Mode, Namespace, RwLockWriteGuard};
use leasehold_testkit::history::{Call, Outcome};
use tokio::time::sleep;

use super::Io;
use super::holder::{Actor, Ask, Place, acquiring};
use super::plan::Recipe;

/// The permits of a semaphore.
const LIMIT: u32 = 3;

impl Actor {
    /// Goes round until it is told to stop.
    pub(super) async fn run(mut self) -> Io<()> {
        while !*self.stopping.borrow() {
            self.round().await?;
            if self.plan.leaks {
                self.leave_something_behind().await;
            }
            self.rounds.fetch_add(1, Ordering::Relaxed);
            let pause = self.dice.millis(0..=self.plan.longest_pause_ms);
            sleep(pause).await;
        }
        Ok(())
    }

    /// As a library that leaks would: a key that no session's end removes, and memory.
    async fn leave_something_behind(&mut self) {
        const MEMORY: usize = 64 << 10;
        let register = self.coordinator.register(format!("left-{}", self.dice.number()));
        let written = register.write("left").await;
        let memory = vec![1_u8; MEMORY];
        tokio::spawn(async move {
            let _kept = (written, memory);
            std::future::pending::<()>().await;
        });
    }

    async fn round(&mut self) -> Io<()> {
        let recipe = self.plan.recipes[self.dice.below(self.plan.recipes.len())];
        let name = format!("{}-{}", recipe.name(), self.dice.below(self.plan.names));
        let ask = self.ask();
        match recipe {
            Recipe::Mutex => {
                let (lock, place) =
                    (self.coordinator.mutex(&name), self.place(Kind::Lock, &name, Mode::Exclusive));
                let acquire = acquiring!(lock.lock(), try_lock, try_lock_for);
                if let Some(held) = self.acquire(&place, ask, acquire).await {
                    self.hold(held, &place).await?;
                }
            }
            Recipe::RwLock if self.dice.percent(60) => {
                let (lock, place) =
                    (self.coordinator.rw_lock(&name), self.place(Kind::RwLock, &name, Mode::Shared));
                let acquire = acquiring!(lock.read(), try_read, try_read_for);
                if let Some(held) = self.acquire(&place, ask, acquire).await {
                    self.hold(held, &place).await?;
                }
            }
            Recipe::RwLock => self.write_round(&name, ask).await?,
            Recipe::Semaphore => {
                let (lock, count) =
                    (self.coordinator.semaphore(&name, LIMIT), 1 + u32::from(self.dice.percent(30)));
                let mode = Mode::Permits { count, limit: LIMIT, granted: false };
                // Holders overlap by design: their tokens fence nothing.
                let place = Place { guards: false, ..self.place(Kind::Semaphore, &name, mode) };
                let acquire = acquiring!(lock.acquire_many(count), try_acquire_many, try_acquire_many_for);
                if let Some(held) = self.acquire(&place, ask, acquire).await {
                    self.hold(held, &place).await?;
                }
            }
            Recipe::Election => {
                let (lock, place) =
                    (self.coordinator.election(&name), self.place(Kind::Election, &name, Mode::Exclusive));
                let acquire = acquiring!(lock.campaign("candidate"), try_campaign, try_campaign_for);
                if let Some(held) = self.acquire(&place, ask, acquire).await {
                    self.hold(held, &place).await?;
                }
            }
        }
        Ok(())
    }

    /// A writer, which may go on as a reader.
    async fn write_round(&mut self, name: &str, ask: Ask) -> Io<()> {
        let (lock, mut place) =
            (self.coordinator.rw_lock(name), self.place(Kind::RwLock, name, Mode::Exclusive));
        let acquire = acquiring!(lock.write(), try_write, try_write_for);
        let Some((op, guard)) = self.acquire::<RwLockWriteGuard>(&place, ask, acquire).await else {
            return Ok(());
        };
        if self.dice.percent(60) {
            return self.hold((op, guard), &place).await;
        }
        let held = guard.held();
        self.work(&held, &place).await?;
        let change = self.recorder.invoke(Call::Downgrade { hold: op });
        // From when it is asked for, others may read.
        place.mode = Mode::Shared;
        match guard.downgrade().await {
            Ok(guard) => {
                self.recorder.ok(change, Outcome::Done);
                self.hold((op, guard), &place).await
            }
            Err(error) => {
                // Readers may have been let in before it was lost.
                self.recorder.info(change, format!("{:?}", error.kind()));
                Ok(())
            }
        }
    }

    fn ask(&mut self) -> Ask {
        match self.dice.below(10) {
            0 | 1 => Ask::Try,
            2 | 3 => Ask::For(self.dice.millis(10..=3000)),
            4 => Ask::Dropped(self.dice.millis(0..=400)),
            _ => Ask::Forever,
        }
    }

    fn place(&self, kind: Kind, name: &str, mode: Mode) -> Place {
        Place { path: path(&self.plan.namespace, kind, name), mode, guards: true }
    }
}

/// Where a lock is, as the history has it.
fn path(namespace: &str, kind: Kind, name: &str) -> String {
    let namespace = Namespace::parse(namespace).expect("the namespace of a plan can be used");
    KeyPath::new(&namespace, kind, name).expect("the names of the rounds can be used").to_string()
}
