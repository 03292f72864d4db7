//! Mutex, read/write lock, semaphore and multi-lock.

use std::io;
use std::path::Path;
use std::pin::pin;
use std::time::Duration;

use leasehold::{Error, MultiLock};
use leasehold_tests::{Gauge, Witness, Witnessed};
use tokio::time::sleep;

use crate::actor::Actor;
use crate::holds::Place;
use crate::refuse;

/// How long somebody stays inside who wants to be met there.
const STAY: Duration = Duration::from_millis(2);

impl Actor {
    pub(crate) async fn mutex(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            ["lock", name] => {
                let guard = self.coordinator.mutex(name).lock().await?;
                self.hold(Place::Mutex(guard)).await
            }
            ["try", name] => {
                let guard = self.coordinator.mutex(name).try_lock().await?;
                self.hold_if(guard.map(Place::Mutex)).await
            }
            _ => self.misunderstood(),
        }
    }

    pub(crate) async fn rw_lock(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            ["read", name] => {
                let guard = self.coordinator.rw_lock(name).read().await?;
                self.hold(Place::Reader(guard)).await
            }
            ["write", name] => {
                let guard = self.coordinator.rw_lock(name).write().await?;
                self.hold(Place::Writer(guard)).await
            }
            ["try_read", name] => {
                let guard = self.coordinator.rw_lock(name).try_read().await?;
                self.hold_if(guard.map(Place::Reader)).await
            }
            ["try_write", name] => {
                let guard = self.coordinator.rw_lock(name).try_write().await?;
                self.hold_if(guard.map(Place::Writer)).await
            }
            ["stress", name, dir, times] => {
                let (lock, witness) =
                    (self.coordinator.rw_lock(name), Witness::new(Path::new(dir), "rw_lock"));
                for round in 0..self.parse::<u32>(times) {
                    if round % 3 == 0 {
                        lock.with_write(|held| stay_inside(vec![witness.alone(held.fencing_token())]))
                            .await?;
                    } else {
                        lock.with_read(|held| stay_inside(vec![witness.beside_others(held.fencing_token())]))
                            .await?;
                    }
                }
                self.say("done");
                Ok(())
            }
            _ => self.misunderstood(),
        }
    }

    pub(crate) async fn semaphore(&mut self, words: &[&str]) -> Result<(), Error> {
        let [verb, name, limit, count, rest @ ..] = words else { self.misunderstood() };
        let (limit, count) = (self.parse(limit), self.parse(count));
        let semaphore = self.coordinator.semaphore(name, limit);
        match (*verb, rest) {
            ("acquire", []) => {
                let permit = semaphore.acquire_many(count).await?;
                self.hold(Place::Permit(permit)).await
            }
            ("try", []) => {
                let permit = semaphore.try_acquire_many(count).await?;
                self.hold_if(permit.map(Place::Permit)).await
            }
            ("stress", [file, times]) => {
                let gauge = Gauge::new(Path::new(file));
                let mut most = 0;
                for _ in 0..self.parse::<u32>(times) {
                    let permit = semaphore.acquire_many(count).await?;
                    most = most.max(seen(gauge.enter(count)));
                    sleep(STAY).await;
                    seen(gauge.leave(count));
                    permit.release().await.map_err(Error::from)?;
                }
                self.say(format_args!("done {most}"));
                Ok(())
            }
            _ => self.misunderstood(),
        }
    }

    pub(crate) async fn multi(&mut self, words: &[&str]) -> Result<(), Error> {
        match words {
            ["lock", names @ ..] => {
                let guard = self.multi_lock(names).lock().await?;
                let tokens: Vec<_> = guard.tokens().iter().map(|token| token.to_string()).collect();
                self.say(format_args!("granted {}", tokens.join(" ")));
                let held = guard.held();
                let mut lost = pin!(held.lost());
                let mut is_lost = false;
                loop {
                    let command = tokio::select! {
                        loss = &mut lost, if !is_lost => {
                            is_lost = true;
                            self.say(format_args!("lost {} {:?}", loss.name, loss.reason));
                            continue;
                        }
                        command = self.next() => command,
                    };
                    return match command.as_deref() {
                        None => Ok(()),
                        Some("release") => {
                            match guard.release().await {
                                Ok(()) => self.say("released"),
                                Err(error) => self.say(format_args!("error Lost -: {error}")),
                            }
                            Ok(())
                        }
                        Some(_) => self.misunderstood(),
                    };
                }
            }
            ["stress", dir, times, names @ ..] => {
                let lock = self.multi_lock(names);
                for _ in 0..self.parse::<u32>(times) {
                    lock.with(|held| {
                        let inside = held.members().iter().map(|member| {
                            Witness::new(Path::new(dir), member.name()).alone(member.fencing_token())
                        });
                        stay_inside(inside.collect())
                    })
                    .await?;
                }
                self.say("done");
                Ok(())
            }
            _ => self.misunderstood(),
        }
    }

    /// The members in the order in which they are named; all are at one service.
    fn multi_lock(&self, names: &[&str]) -> MultiLock {
        names.iter().fold(MultiLock::new(), |lock, name| lock.member("here", self.coordinator.mutex(name)))
    }
}

/// Is inside of all of them for a while.
async fn stay_inside(witnessed: Vec<io::Result<Witnessed>>) {
    let _inside: Vec<_> = witnessed.into_iter().map(seen).collect();
    sleep(STAY).await;
}

/// What was witnessed, or the end of the process: the lock does not do what it is for.
pub(crate) fn seen<T>(witnessed: io::Result<T>) -> T {
    witnessed.unwrap_or_else(|error| refuse(&format!("a lock failed: {error}")))
}
