//! A hold: from the asking to its end, with what is done in it.

use std::future::Future;
use std::ops::Deref;
use std::pin::Pin;
use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Guard, Held, Mode, ReleaseError};
use leasehold_testkit::history::{CANCELLED, Call, OpId, Outcome, STALE};
use leasehold_testkit::polls::poll_times;
use tokio::time::sleep;

use crate::plan::Millis;
use crate::resource::Content;
use crate::step::{Ask, End, Hold, Work};
use crate::worker::Actor;

/// What acquires: for ever (`None`), at once (no time) or for that time.
pub(crate) type Acquire<'a, G> = Box<
    dyn Fn(Option<Duration>) -> Pin<Box<dyn Future<Output = Result<Option<G>, Error>> + Send + 'a>>
        + Send
        + Sync
        + 'a,
>;

/// How late a loss may be signalled to a process that runs: a timer of the library is no longer than a second.
const SIGNALLED_WITHIN: Duration = Duration::from_millis(1100);

/// Where something is held, and how.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) path: String,
    pub(crate) mode: Mode,
    /// Whether a resource is behind it.
    pub(crate) guards: bool,
}

impl Actor {
    /// Asks, and writes down what came of it.
    pub(crate) async fn acquire<G>(
        &self,
        place: &Place,
        ask: Ask,
        acquire: Acquire<'_, G>,
    ) -> Option<(OpId, G)>
    where
        G: Deref<Target = Held>,
    {
        let only_if_free = matches!(ask, Ask::Try);
        let op = self.recorder().invoke(Call::Acquire {
            lock: place.path.clone(),
            mode: place.mode,
            only_if_free,
        });
        let Some(asked) = self.ask(ask, acquire).await else {
            self.recorder().info(op, CANCELLED);
            return None;
        };
        match asked {
            Ok(Some(guard)) => {
                self.granted(op, place, &guard);
                Some((op, guard))
            }
            Ok(None) => {
                self.world.log.count("busy");
                if only_if_free {
                    self.recorder().ok(op, Outcome::Busy);
                } else {
                    self.recorder().info(op, CANCELLED);
                }
                None
            }
            Err(error) => {
                self.recorder().fail(op, format!("{:?}", error.kind()));
                self.judge(&error, &[ErrorKind::Unavailable]);
                None
            }
        }
    }

    /// Asks; `None` if it was given up.
    pub(crate) async fn ask<G>(&self, ask: Ask, acquire: Acquire<'_, G>) -> Option<Result<Option<G>, Error>> {
        match ask {
            Ask::Forever => Some(acquire(None).await),
            Ask::Try => Some(acquire(Some(Duration::ZERO)).await),
            Ask::For(time) => Some(acquire(Some(Duration::from_millis(time))).await),
            Ask::Dropped { polls, pace } => {
                let asked = poll_times(acquire(None), polls, Duration::from_millis(pace)).await;
                if asked.is_none() {
                    self.world.log.count("dropped");
                }
                asked
            }
        }
    }

    pub(crate) fn granted(&self, op: OpId, place: &Place, held: &Held) {
        let token = held.fencing_token();
        let believed = held.is_held();
        self.say(format_args!(
            "granted {} {token}, {}",
            place.path,
            if believed { "held" } else { "lost by now" }
        ));
        self.world.log.count("grants");
        let session = self.world.beliefs.session_of(&place.path, token.order());
        self.recorder().ok(op, Outcome::Granted { token, session });
        self.world.endings.begun(op, self.recorder(), held);
        if believed {
            self.world.beliefs.granted(&place.path, held, place.mode, &self.life.name, &self.world.log);
        } else {
            self.world.log.count("granted_stale");
        }
    }

    /// Works under a guard, and gives it up.
    pub(crate) async fn hold<G>(&self, (op, guard): (OpId, G), place: &Place, hold: &Hold)
    where
        G: Guard<ReleaseError = ReleaseError> + Deref<Target = Held>,
    {
        let held = Held::clone(&guard);
        self.work(&held, place, &hold.work).await;
        self.end((op, guard), place, hold.end).await;
    }

    pub(crate) async fn end<G>(&self, (op, guard): (OpId, G), place: &Place, end: End)
    where
        G: Guard<ReleaseError = ReleaseError> + Deref<Target = Held>,
    {
        let held = Held::clone(&guard);
        if let End::UntilLost(time) = end {
            self.until_lost(&held, place, time).await;
        }
        let release = self.recorder().invoke(Call::Release { hold: op });
        match end {
            End::Release | End::UntilLost(_) => match guard.release().await {
                Ok(()) => self.recorder().ok(release, Outcome::Done),
                Err(ReleaseError::Lost(error)) => {
                    self.recorder().fail(release, format!("{:?}", error.kind()));
                    self.world.log.count("released_lost");
                }
                // Unknown, or something newer.
                Err(_) => {
                    self.recorder().info(release, "Unknown");
                    self.world.log.count("released_unknown");
                }
            },
            End::Drop => {
                drop(guard);
                self.recorder().info(release, CANCELLED);
            }
            End::ReleaseDropped => {
                let released = poll_times(guard.release(), 1, Duration::ZERO).await;
                match released {
                    Some(Ok(())) => self.recorder().ok(release, Outcome::Done),
                    _ => self.recorder().info(release, CANCELLED),
                }
            }
        }
        if held.is_held() {
            self.world
                .log
                .violated("E1", format_args!("{}: {} is held after its end", self.life.name, place.path));
        }
    }

    /// Waits for the loss of a hold, for at most that time.
    async fn until_lost(&self, held: &Held, place: &Place, time: Millis) {
        let over = sleep(Duration::from_millis(time));
        tokio::pin!(over);
        loop {
            tokio::select! {
                biased;
                _ = held.lost() => return,
                () = &mut over => {}
                () = sleep(Duration::from_millis(200)) => {}
            }
            let running = self.life.running_for(self.world.clock.now());
            if let Some(late) = self.world.beliefs.overdue(&place.path, held)
                && late.min(running) > SIGNALLED_WITHIN
            {
                let name = &self.life.name;
                self.world.log.violated(
                    "S4",
                    format_args!("{name}: {} was lost {late:?} ago, and nobody has said so", place.path),
                );
                return;
            }
            if over.is_elapsed() {
                return;
            }
        }
    }

    /// Reads and writes the resource behind a hold, as long as it is believed in; a write goes out some time after the look at the belief.
    pub(crate) async fn work(&self, held: &Held, place: &Place, work: &[Work]) {
        let mut read: Option<Content> = None;
        for work in work {
            if !held.is_held() {
                return;
            }
            match *work {
                Work::Rest(time) => sleep(Duration::from_millis(time)).await,
                Work::Read(_) | Work::Write(_) if !place.guards => {}
                Work::Read(time) => {
                    // Between the look and the access the process may be stopped.
                    tokio::task::yield_now().await;
                    match self.read(held, place, time).await {
                        Some(content) => read = Some(content),
                        None => return,
                    }
                }
                Work::Write(time) => {
                    let Some(content) = read.filter(|_| place.mode == Mode::Exclusive) else { continue };
                    tokio::task::yield_now().await;
                    match self.write(held, place, content, time).await {
                        Some(content) => read = Some(content),
                        None => return,
                    }
                }
            }
        }
    }

    async fn read(&self, held: &Held, place: &Place, time: Millis) -> Option<Content> {
        let (token, shared) = (held.fencing_token(), place.mode == Mode::Shared);
        let op = self.recorder().invoke(Call::Read { resource: place.path.clone(), token, shared });
        let content = self.world.resource(&place.path).read(token, shared);
        sleep(Duration::from_millis(time)).await;
        match content {
            Ok(content) => {
                let Content { version, value } = content;
                self.world.log.count("reads");
                self.recorder().ok(op, Outcome::Value { version, value });
                Some(content)
            }
            Err(stale) => {
                self.stale(op, place, &stale);
                None
            }
        }
    }

    async fn write(&self, held: &Held, place: &Place, seen: Content, time: Millis) -> Option<Content> {
        let (token, value, based_on) = (held.fencing_token(), self.world.value(), seen.version);
        let resource = place.path.clone();
        let op = self.recorder().invoke(Call::Write { resource, token, based_on, value });
        let written =
            self.world.write(&place.path, token, (based_on, value), Duration::from_millis(time)).await;
        match written {
            Ok(version) => {
                self.world.log.count("writes");
                self.recorder().ok(op, Outcome::Written { version });
                Some(Content { version, value })
            }
            Err(stale) => {
                self.stale(op, place, &stale);
                None
            }
        }
    }

    fn stale(&self, op: OpId, place: &Place, stale: &leasehold_core::fencing::Stale) {
        self.say(format_args!("{}: {stale}", place.path));
        self.world.log.count("stale_rejections");
        self.recorder().fail(op, STALE);
    }

    /// Writes down an error, and whether it is one that may be.
    pub(crate) fn judge(&self, error: &Error, allowed: &[ErrorKind]) {
        self.say(format_args!("{error}"));
        let kind = error.kind();
        let closed =
            kind == ErrorKind::Closed && self.life.shutdowns.load(std::sync::atomic::Ordering::Relaxed) > 0;
        self.world.log.count("errors");
        if !closed && !allowed.contains(&kind) {
            self.world.log.violated("E1", format_args!("{}: {error}", self.life.name));
        }
    }

    pub(crate) fn say(&self, what: std::fmt::Arguments<'_>) {
        self.world.log.say(format_args!("{} {what}", self.life.name));
    }

    pub(crate) fn recorder(&self) -> &leasehold_testkit::history::Recorder {
        &self.life.recorder
    }
}
