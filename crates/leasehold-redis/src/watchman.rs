//! Finds what nobody publishes: sessions that run out, and what an administrator deletes by hand.
//!
//! # Implementation
//!
//! Redis says nothing when a key expires, so somebody must look. One task a session, with one timer, looks after
//! everything that the session follows, however many wait for it: when the next session in one of its shards may be
//! over, and at least thrice a TTL. A look is one script a shard; it buries the sessions that are over, which
//! publishes the ends of their entries like any other, and answers which of the entries that are waited for do not
//! exist any more, and when to look again. Of the sessions that wait behind a dead one, each looks; the first one
//! buries.
//!
//! `due` only ever comes nearer between two looks: whoever loads a queue says when a session of its shard may be over. A look that
//! fails is made again soon. The task is dropped at an await only with its session or its runtime, and holds nothing.

use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_core::mirror::{ByPath, Source};
use leasehold_core::{AttemptId, BackendError, Backoff};
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use crate::error::{Effect, corrupt};
use crate::link::Call;
use crate::mirror::{Copies, QueueMirror, RegisterMirror, View};
use crate::records;
use crate::scripts;
use crate::session::Core;

const WHAT: &str = "look after sessions that have run out";

/// The server's clock has milliseconds.
const MARGIN: Duration = Duration::from_millis(5);

/// Between two looks at least: a session that is about to end may be found alive a few times.
const LEAST: Duration = Duration::from_millis(10);

/// The most entries of a queue that are asked for at once because somebody waits for them, and because they come first.
const MOST_WAITED_FOR: usize = 1_000;
const FIRST_WATCHED: usize = 64;

/// What a session may follow.
pub(crate) struct Followed {
    pub(crate) queues: Arc<Copies>,
    pub(crate) registers: Arc<ByPath<RegisterMirror>>,
}

pub(crate) struct Watchman {
    due: Mutex<Instant>,
    nearer: Notify,
}

impl Watchman {
    pub(crate) fn new() -> Self {
        Self { due: Mutex::new(Instant::now()), nearer: Notify::new() }
    }

    /// Something may change within that time without being published; `None` if nothing may.
    pub(crate) fn look_within(&self, time: Option<Duration>) {
        let Some(time) = time else { return };
        let at = Instant::now() + time + MARGIN;
        let mut due = self.due.lock().unwrap_or_else(PoisonError::into_inner);
        if at < *due {
            *due = at;
            self.nearer.notify_one();
        }
    }

    /// Looks after what is followed, until the future is dropped.
    pub(crate) async fn watch(&self, core: Arc<Core>, all: Followed) {
        let period = core.ttl / 3;
        let new_backoff = || Backoff::new(LEAST * 2, period.max(LEAST * 2));
        let mut backoff = new_backoff();
        loop {
            self.until_due(period).await;
            let next = match look(&core, &all.queues.followed(), &followed(&all.registers)).await {
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
fn followed(registers: &ByPath<RegisterMirror>) -> Vec<Arc<RegisterMirror>> {
    registers.all().into_iter().filter(|mirror| mirror.is_followed()).collect()
}

/// Looks once; answers when the next session may be over.
async fn look(
    core: &Core,
    queues: &[Arc<QueueMirror>],
    registers: &[Arc<RegisterMirror>],
) -> Result<Option<Duration>, BackendError> {
    let mut by_shard: HashMap<usize, Vec<(&QueueMirror, Vec<AttemptId>)>> = HashMap::new();
    for queue in queues {
        let watched = queue.replica().watched(MOST_WAITED_FOR, FIRST_WATCHED);
        by_shard.entry(queue.source().place().shard).or_default().push((&**queue, watched));
    }
    let mut next = None;
    for (shard, mirrors) in by_shard {
        let attempts: Vec<String> =
            mirrors.iter().flat_map(|(_, watched)| watched).map(AttemptId::to_string).collect();
        let attempts: Vec<&[u8]> = attempts.iter().map(String::as_bytes).collect();
        let (keys, args) = (core.keyspace.shard(shard), core.args(&attempts));
        let call =
            Call { what: WHAT, effect: Effect::Read, script: &scripts::CHECK, keys: &keys, args: &args };
        let reply = core.link.run(&call).await?;
        let [wait, gone @ ..] = reply.as_slice() else { return Err(corrupt(WHAT)) };
        let gone = gone.iter().filter_map(|gone| std::str::from_utf8(gone).ok()?.parse().ok());
        let gone: HashSet<AttemptId> = gone.collect();
        for (mirror, watched) in &mirrors {
            let mut gone = watched.iter().filter(|attempt| gone.contains(attempt));
            match mirror.source().view() {
                View::Whole => gone.for_each(|attempt| mirror.replica().is_gone(*attempt)),
                // Who is ahead now, it must be told.
                View::Near if gone.next().is_some() => {
                    mirror.replica().refresh(mirror.source().load().await?);
                }
                View::Near => {}
            }
        }
        next = [next, records::wait(wait)].into_iter().flatten().min();
    }
    for register in registers {
        register.replica().refresh(register.source().load().await?);
    }
    Ok(next)
}
