//! What this session has withdrawn lately, and sees to it that it stays away.
//!
//! # Implementation
//!
//! A server that takes over in a failover, or has crashed without having synced its file, may not know of a withdrawal
//! that was answered: then the entry is there again, nobody minds it, and our own renewals keep it there, at the head
//! of its queue. So whenever the session's connection is a new one, what was withdrawn within a TTL is removed once
//! more. Attempts are never used again, so that harms nobody.
//!
//! One task a session does it; it is dropped at an await only with its session or its runtime. What it could not remove it
//! tries again. The list has a limit, beyond which the oldest are forgotten.

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_core::{AttemptId, BackendError, Backoff};
use tokio::time::{Instant, sleep};

use crate::error::Effect;
use crate::link::Call;
use crate::scripts;
use crate::session::Core;

/// Some seconds of a very busy session.
const MOST: usize = 10_000;

/// How many are removed by one script.
const AT_ONCE: usize = 500;

#[derive(Default)]
pub(crate) struct Departed(Mutex<VecDeque<(Instant, usize, AttemptId)>>);

impl Departed {
    /// The attempt has no entry in this shard any more.
    pub(crate) fn add(&self, shard: usize, attempt: AttemptId, keep: Duration) {
        let (now, mut departed) = (Instant::now(), self.departed());
        while departed.front().is_some_and(|(at, ..)| now - *at > keep) || departed.len() >= MOST {
            departed.pop_front();
        }
        departed.push_back((now, shard, attempt));
    }

    fn by_shard(&self) -> HashMap<usize, Vec<AttemptId>> {
        let mut by_shard: HashMap<usize, Vec<AttemptId>> = HashMap::new();
        for (_, shard, attempt) in self.departed().iter() {
            by_shard.entry(*shard).or_default().push(*attempt);
        }
        by_shard
    }

    fn departed(&self) -> MutexGuard<'_, VecDeque<(Instant, usize, AttemptId)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Removes it once more after every reconnection, until the future is dropped.
pub(crate) async fn keep_away(core: &Core) {
    let mut connection = core.link.connections();
    loop {
        connection = core.link.reconnected(connection).await;
        let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        while let Err(error) = remove(core).await {
            if !error.is_transient() {
                break;
            }
            sleep(backoff.next_delay()).await;
        }
    }
}

async fn remove(core: &Core) -> Result<(), BackendError> {
    for (shard, attempts) in core.departed.by_shard() {
        for attempts in attempts.chunks(AT_ONCE) {
            let attempts: Vec<String> = attempts.iter().map(AttemptId::to_string).collect();
            let attempts: Vec<&[u8]> = attempts.iter().map(String::as_bytes).collect();
            let (keys, args) = (core.keyspace.shard(shard), core.args(&attempts));
            let (what, script) = ("removal of what had been withdrawn", &scripts::AGAIN);
            core.run(&Call { what, effect: Effect::Read, script, keys: &keys, args: &args }).await?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use leasehold_core::AttemptIds;

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_old_or_too_much_is_forgotten() {
        let (departed, ids) = (Departed::default(), AttemptIds::new().unwrap());
        let (keep, second) = (Duration::from_secs(5), Duration::from_secs(1));
        let [first, later] = [ids.next(), ids.next()];
        departed.add(1, first, keep);
        tokio::time::advance(keep).await;
        departed.add(2, later, keep);
        assert_eq!(departed.by_shard(), HashMap::from([(1, vec![first]), (2, vec![later])]));
        tokio::time::advance(second).await;
        departed.add(1, later, keep);
        assert_eq!(departed.by_shard()[&1], [later]);
        (0..MOST).for_each(|_| departed.add(3, ids.next(), keep));
        assert_eq!(departed.by_shard()[&3].len(), MOST);
        assert_eq!(departed.by_shard().len(), 1);
    }
}
