//! Buries the sessions whose time is up, and finds what nobody tells: rows that an administrator removed behind the triggers' back.
//!
//! # Implementation
//!
//! PostgreSQL deletes nothing by itself, so somebody must look. One task a session, with one timer, looks after everything that the session follows, however
//! many wait for it: when the next session ahead may be over, and at least thrice a TTL, also if it follows nothing. A look buries the sessions that are over,
//! one a transaction, whose triggers tell of that like of any other change; then it asks which of the entries that are waited for do not exist any
//! more, and when to look again.
//!
//! `due` only ever comes nearer between two looks: whoever loads a queue says when a session in it may be over. A look that fails is made
//! again soon. The task is dropped at an await only with its session or its runtime, and holds nothing.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_core::mirror::{ByPath, Mirror, Source};
use leasehold_core::{BackendError, Backoff};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::error::{Effect, corrupt};
use crate::link::{Call, Link, text, texts};
use crate::records::column;
use crate::session::Core;
use crate::source::{QueueMirror, RegisterMirror, wait};

const WHAT: &str = "look after sessions that have run out";

/// What is answered in milliseconds may be a fraction more.
const MARGIN: Duration = Duration::from_millis(5);

/// Between two looks at least: a session that is about to end may be found alive a few times.
const LEAST: Duration = Duration::from_millis(10);

/// The most entries of a queue that are asked for at once because somebody waits for them, and because they come first.
const MOST_WAITED_FOR: usize = 1_000;
const FIRST_WATCHED: usize = 64;

pub(crate) struct Watchman {
    due: Mutex<Instant>,
    nearer: Notify,
}

impl Watchman {
    pub(crate) fn new() -> Self {
        Self { due: Mutex::new(Instant::now()), nearer: Notify::new() }
    }

    /// Something may change within that time without being told; `None` if nothing may.
    pub(crate) fn look_within(&self, time: Option<Duration>) {
        // A time beyond all times needs no look of its own.
        let Some(at) = time.and_then(|time| Instant::now().checked_add(time + MARGIN)) else { return };
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if at < *due {
            *due = at;
            self.nearer.notify_one();
        }
    }

    /// Looks after what is followed, until the future is dropped.
    pub(crate) async fn watch(
        &self,
        core: Arc<Core>,
        queues: Arc<ByPath<QueueMirror>>,
        registers: Arc<ByPath<RegisterMirror>>,
    ) {
        let period = core.ttl / 3;
        let new_backoff = || Backoff::new(LEAST * 2, period.max(LEAST * 2));
        let mut backoff = new_backoff();
        loop {
            self.until_due(period).await;
            let next = match look(&core, &followed(&queues), &followed(&registers)).await {
                Ok(next) => {
                    backoff = new_backoff();
                    next.map_or(period, |next| next.clamp(LEAST, period.max(LEAST)))
                }
                Err(_) => backoff.next_delay(),
            };
            self.look_within(Some(next));
        }
    }

    /// Waits until a look is due; the next one is due a period later unless somebody says otherwise.
    async fn until_due(&self, period: Duration) {
        loop {
            let nearer = self.nearer.notified();
            let at = {
                let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
                let now = Instant::now();
                if *due <= now {
                    *due = now + period;
                    return;
                }
                *due
            };
            tokio::select! {
                () = sleep_until(at) => {}
                () = nearer => {}
            }
        }
    }
}

/// Those that are kept up to date at the moment.
fn followed<S: Source>(mirrors: &ByPath<Mirror<S>>) -> Vec<Arc<Mirror<S>>> {
    mirrors.all().into_iter().filter(|mirror| mirror.is_followed()).collect()
}

/// Buries all sessions whose time is up and that nobody else is burying.
pub(crate) async fn sweep(link: &Link, limit: Duration) -> Result<(), BackendError> {
    let call = Call { what: WHAT, effect: Effect::Read, statement: "SELECT leasehold.sweep()", args: &[] };
    loop {
        let rows = link.run_within(limit, &call).await?;
        if !column::<bool>(rows.first().ok_or_else(|| corrupt(WHAT))?, 0, WHAT)? {
            return Ok(());
        }
    }
}

/// Looks once; answers when the next session may be over.
async fn look(
    core: &Core,
    queues: &[Arc<QueueMirror>],
    registers: &[Arc<RegisterMirror>],
) -> Result<Option<Duration>, BackendError> {
    sweep(&core.link, core.link.request_timeout()).await?;
    let mut watched = Vec::new();
    for queue in queues {
        let attempts = queue.replica().watched(MOST_WAITED_FOR, FIRST_WATCHED);
        watched.extend(attempts.into_iter().map(|attempt| (queue, attempt)));
    }
    let mut next = None;
    if !watched.is_empty() {
        let paths: Vec<&str> = watched.iter().map(|(queue, _)| queue.source().path()).collect();
        let attempts: Vec<String> = watched.iter().map(|(_, attempt)| attempt.to_string()).collect();
        let statement = "SELECT gone, expires_in_ms FROM leasehold.look($1, $2, $3)";
        let args = &[texts(&paths), texts(&attempts), text(&core.identity.id)];
        let rows = core.link.run(&Call { what: WHAT, effect: Effect::Read, statement, args }).await?;
        let row = rows.first().ok_or_else(|| corrupt(WHAT))?;
        // They are counted from 1.
        for number in column::<Vec<i32>>(row, 0, WHAT)? {
            let at = usize::try_from(number).ok().and_then(|number| number.checked_sub(1));
            let (queue, attempt) = at.and_then(|at| watched.get(at)).ok_or_else(|| corrupt(WHAT))?;
            queue.replica().is_gone(*attempt);
        }
        next = wait(column(row, 1, WHAT)?);
    }
    for register in registers {
        register.replica().refresh(register.source().load().await?);
    }
    Ok(next)
}
