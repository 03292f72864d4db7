//! The steps of a worker that hold no lock: registers, barriers, latches, onces, groups.

use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold_core::{Coordinator, Error, ErrorKind, Kind, Mode};
use leasehold_testkit::history::{CANCELLED, Call, Outcome};
use leasehold_testkit::polls::poll_times;
use tokio::time::{sleep, timeout};

use crate::holder::Place;
use crate::step::{BarrierStep, End, RegisterStep};
use crate::worker::Actor;
use crate::world::{World, path};

/// What single requests may fail with.
const REQUEST: [ErrorKind; 2] = [ErrorKind::Unavailable, ErrorKind::Indeterminate];

/// Polls so often, or to the end.
async fn perhaps<T>(polls: Option<usize>, future: impl Future<Output = T>) -> Option<T> {
    match polls {
        Some(polls) => poll_times(future, polls, Duration::from_millis(20)).await,
        None => Some(future.await),
    }
}

impl Actor {
    pub(crate) async fn register_step(&self, coordinator: &Coordinator, step: RegisterStep) {
        let register = coordinator.register("r");
        let name = path(Kind::Register, "r").to_string();
        if let RegisterStep::Write = step {
            return self.write_register(coordinator, &name, None).await;
        }
        let op = self.recorder().invoke(Call::RegisterRead { register: name.clone() });
        let version = match register.read().await {
            Ok(value) => {
                let version = value.as_ref().map_or(0, |value| value.version);
                let value = value.map(|value| String::from_utf8_lossy(&value.value).into_owned());
                self.recorder().ok(op, Outcome::Register { version, value });
                version
            }
            Err(error) => {
                self.recorder().fail(op, format!("{:?}", error.kind()));
                return self.judge(&error, &[ErrorKind::Unavailable]);
            }
        };
        if let RegisterStep::CompareAndSet = step {
            self.write_register(coordinator, &name, Some(version)).await;
        }
    }

    async fn write_register(&self, coordinator: &Coordinator, name: &str, if_version: Option<u64>) {
        let (register, value) = (coordinator.register("r"), self.world.value().to_string());
        let call = Call::RegisterWrite { register: name.to_owned(), value: value.clone(), if_version };
        let op = self.recorder().invoke(call);
        let written = match if_version {
            Some(version) => register.compare_and_set(version, value).await,
            None => register.write(value).await.map(Some),
        };
        match written {
            Ok(Some(version)) => self.recorder().ok(op, Outcome::Written { version }),
            Ok(None) => self.recorder().ok(op, Outcome::VersionDiffers),
            Err(error) if error.kind() == ErrorKind::Indeterminate => {
                self.world.log.count("indeterminate");
                self.recorder().info(op, "Indeterminate");
            }
            Err(error) => {
                self.recorder().fail(op, format!("{:?}", error.kind()));
                self.judge(&error, &[ErrorKind::Unavailable]);
            }
        }
    }

    pub(crate) async fn count_step(&self, coordinator: &Coordinator, amount: i64, polls: Option<usize>) {
        let counter = coordinator.counter("c");
        if amount == 0 {
            if let Err(error) = counter.get().await {
                self.judge(&error, &[ErrorKind::Unavailable]);
            }
            return;
        }
        // Taken back if it certainly was not.
        self.world.tallies().perhaps_added += amount;
        match perhaps(polls, counter.add(amount)).await {
            None => self.world.log.count("dropped"),
            Some(Ok(_)) => {
                let mut tallies = self.world.tallies();
                tallies.perhaps_added -= amount;
                tallies.added += amount;
            }
            Some(Err(error)) => {
                if error.kind() != ErrorKind::Indeterminate {
                    self.world.tallies().perhaps_added -= amount;
                }
                self.judge(&error, &REQUEST);
            }
        }
    }

    pub(crate) async fn barrier_step(&self, coordinator: &Coordinator, step: BarrierStep) {
        let barrier = coordinator.barrier("b");
        let done = match step {
            BarrierStep::Set => barrier.set().await,
            BarrierStep::Lift => barrier.lift().await,
            BarrierStep::Wait(time) => barrier.wait_for(Duration::from_millis(time)).await.map(drop),
        };
        if let Err(error) = done {
            self.judge(&error, &REQUEST);
        }
    }

    pub(crate) async fn latch_step(
        &self,
        coordinator: &Coordinator,
        wait: Option<u64>,
        polls: Option<usize>,
    ) {
        const COUNT: u32 = 4;
        let latch = coordinator.latch("l", COUNT);
        if let Some(time) = wait {
            match perhaps(polls, latch.wait_for(Duration::from_millis(time))).await {
                Some(Ok(true)) => {
                    let counted = {
                        let tallies = self.world.tallies();
                        tallies.counted_down + tallies.perhaps_counted_down
                    };
                    if counted < COUNT.into() && !self.world.data_lost.load(Ordering::Relaxed) {
                        let name = &self.life.name;
                        self.world.log.violated("Latch", format_args!("{name} passed after {counted}"));
                    }
                    self.world.log.count("latch_passed");
                }
                Some(Ok(false)) | None => {}
                Some(Err(error)) => self.judge(&error, &REQUEST),
            }
            return;
        }
        self.world.tallies().perhaps_counted_down += 1;
        match perhaps(polls, latch.count_down()).await {
            None => self.world.log.count("dropped"),
            Some(Ok(_)) => {
                let mut tallies = self.world.tallies();
                tallies.perhaps_counted_down -= 1;
                tallies.counted_down += 1;
            }
            Some(Err(error)) => {
                if error.kind() != ErrorKind::Indeterminate {
                    self.world.tallies().perhaps_counted_down -= 1;
                }
                self.judge(&error, &REQUEST);
            }
        }
    }

    pub(crate) async fn once_step(
        &self,
        coordinator: &Coordinator,
        occurrence: u64,
        work: u64,
        polls: Option<usize>,
    ) {
        let once = coordinator.once("o").occurrence(occurrence.to_string());
        let result = self.world.value().to_string();
        let run = once.run(|_held| async move {
            sleep(Duration::from_millis(work)).await;
            Ok::<_, Error>(result)
        });
        match perhaps(polls, run).await {
            None => self.world.log.count("dropped"),
            Some(Ok(Ok(completion))) => {
                self.world.log.count("once_completed");
                if self.world.data_lost.load(Ordering::Relaxed) {
                    return;
                }
                let mut tallies = self.world.tallies();
                let here = tallies.completed_here.entry(occurrence).or_default();
                *here += usize::from(completion.ran_here());
                let twice = *here > 1;
                let result = completion.result().to_vec();
                let recorded = tallies.completed.entry(occurrence).or_insert_with(|| result.clone());
                if twice || *recorded != result {
                    let name = &self.life.name;
                    let what = format!("{name}: {occurrence} was completed twice: {recorded:?}, {result:?}");
                    self.world.log.violated("Once", format_args!("{what}"));
                }
            }
            Some(Ok(Err(error))) => self.judge(&error, &[]),
            Some(Err(error)) => {
                self.judge(&error, &[ErrorKind::Unavailable, ErrorKind::Indeterminate, ErrorKind::Lost]);
            }
        }
    }

    pub(crate) async fn join_step(
        &self,
        coordinator: &Coordinator,
        stay: u64,
        end: End,
        polls: Option<usize>,
    ) {
        let group = coordinator.group("g");
        let place = Place { path: path(Kind::Group, "g").to_string(), mode: Mode::Shared, guards: false };
        let op = self.recorder().invoke(Call::Acquire {
            lock: place.path.clone(),
            mode: place.mode,
            only_if_free: false,
        });
        let membership = match perhaps(polls, group.join("member")).await {
            None => {
                self.world.log.count("dropped");
                return self.recorder().info(op, CANCELLED);
            }
            Some(Ok(membership)) => membership,
            Some(Err(error)) => {
                self.recorder().fail(op, format!("{:?}", error.kind()));
                return self.judge(&error, &[ErrorKind::Unavailable]);
            }
        };
        self.granted(op, &place, &membership);
        if let Err(error) = membership.set_value("changed").await {
            self.judge(&error, &[ErrorKind::Lost]);
        }
        match group.members().await {
            Ok(members) => {
                let is_in = members.iter().any(|member| member.id == membership.id());
                if !is_in && membership.is_held() {
                    self.world.log.count("member_unseen");
                }
            }
            Err(error) => self.judge(&error, &[ErrorKind::Unavailable]),
        }
        sleep(Duration::from_millis(stay)).await;
        self.end((op, membership), &place, end).await;
    }

    pub(crate) async fn stay_step(&self, coordinator: &Coordinator, time: u64, polls: Option<usize>) {
        match perhaps(polls, coordinator.group("g").stay("member")).await {
            None => self.world.log.count("dropped"),
            Some(Err(error)) => self.judge(&error, &[ErrorKind::Unavailable]),
            Some(Ok(staying)) => {
                sleep(Duration::from_millis(time)).await;
                if staying.leave().await.is_ok() {
                    self.world.log.count("left_group");
                }
            }
        }
    }

    /// Whether the counter has what was added to it.
    pub(crate) async fn check_counter(world: &World, coordinator: &Coordinator) {
        let value = match coordinator.counter("c").get().await {
            Ok(value) => value,
            Err(error) => {
                return world.log.violated("L2", format_args!("the counter cannot be read: {error}"));
            }
        };
        let tallies = world.tallies();
        let (least, most) = (tallies.added, tallies.added + tallies.perhaps_added);
        if !(least..=most).contains(&value) && !world.data_lost.load(Ordering::Relaxed) {
            world.log.violated("Counter", format_args!("{value}, and between {least} and {most} was added"));
        }
    }

    pub(crate) async fn pass_step(&self, coordinator: &Coordinator, patience: u64, polls: Option<usize>) {
        const PARTIES: u32 = 2;
        let barrier = coordinator.double_barrier("d", PARTIES);
        let time = Duration::from_millis(patience);
        self.world.tallies().entering += 1;
        let entered = timeout(time, perhaps(polls, barrier.enter())).await;
        let entering = self.world.tallies().entering;
        let inside = match entered {
            Ok(Some(Ok(inside))) => inside,
            Ok(Some(Err(error))) => {
                return self.judge(&error, &[ErrorKind::Lost, ErrorKind::PeerLost, ErrorKind::Unavailable]);
            }
            Ok(None) | Err(_) => return self.world.log.count("dropped"),
        };
        self.world.log.count("double_barrier_passed");
        if entering < PARTIES.into() {
            self.world.log.violated("Barrier", format_args!("{} is alone inside", self.life.name));
        }
        sleep(Duration::from_millis(patience % 50)).await;
        match timeout(time, inside.leave()).await {
            Ok(Ok(())) => self.world.log.count("double_barrier_left"),
            Ok(Err(error)) => self.judge(&error, &[ErrorKind::Lost, ErrorKind::PeerLost]),
            Err(_) => self.world.log.count("dropped"),
        }
    }
}
