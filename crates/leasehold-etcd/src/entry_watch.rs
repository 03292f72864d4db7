//! Waiting for one entry by a watch over its key alone.
//!
//! # Implementation
//!
//! The copy of a queue is told of every entry that comes and goes: two events for each acquisition of anybody, in each process that
//! waits. Where a process has few waiters in a long queue that costs the service more than all the rest, and of these events
//! the process needs one. So such a waiter lists the queue for each look, and watches the key of the entry that it waits for.
//!
//! The watch begins when it is created, and the key is read after that: a change shows in what is read, or as an event. That is so again after each
//! break of the stream. A dropped future drops the feed, which cancels the watch.

use std::pin::pin;
use std::time::Duration;

use etcd_client::{EventType, KeyValue};
use futures_util::StreamExt;
use leasehold_core::mirror::FeedEvent;
use leasehold_core::{AttemptId, BackendError, Backoff, Mode};
use tokio::time::sleep;

use crate::error::{Effect, session_over};
use crate::hub::KeyRange;
use crate::keys;
use crate::queue::EtcdQueue;

const WHAT: &str = "waiting for an entry";

/// Resolves once the entry is gone, or has another mode, or another version if one is given.
pub(crate) async fn changed(
    queue: &EtcdQueue,
    attempt: AttemptId,
    mode: Mode,
    version: Option<u64>,
) -> Result<(), BackendError> {
    let means = queue.mirror.source().means();
    let key = queue.own_key(attempt);
    let is_as_seen = |kv: &KeyValue| {
        let entry = queue.layout().read(kv);
        entry.is_some_and(|entry| entry.mode == mode && version.is_none_or(|seen| seen == entry.modified))
    };
    let range = KeyRange { from: key.clone(), to: None, what_was: false };
    let mut feed = pin!(means.hub.watch(range));
    loop {
        let event = tokio::select! {
            biased;
            () = means.closing.cancelled() => return Err(session_over(WHAT)),
            event = feed.next() => event,
        };
        match event {
            Some(FeedEvent::Opened) => match read(queue, &key).await? {
                Some(kv) if is_as_seen(&kv) => {}
                _ => return Ok(()),
            },
            Some(FeedEvent::Changed(answer)) => {
                for event in answer.events() {
                    let Some(kv) = event.kv() else { continue };
                    // Whatever this session is shown from now on is as new as this.
                    if let Some(revision) = keys::revision(kv.mod_revision()) {
                        queue.mirror.replica().at_least(revision);
                    }
                    if event.event_type() == EventType::Delete || !is_as_seen(kv) {
                        return Ok(());
                    }
                }
            }
            Some(FeedEvent::Refused(error)) => return Err(error),
            None => return Err(session_over(WHAT)),
        }
    }
}

/// Reads a key, however long that takes while it may help.
async fn read(queue: &EtcdQueue, key: &str) -> Result<Option<KeyValue>, BackendError> {
    let mut backoff = Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
    loop {
        let answer = queue
            .core
            .link
            .call(WHAT, Effect::Read, |clients| {
                let (mut kv, key) = (clients.kv.clone(), key.to_owned());
                async move { kv.get(key, None).await }
            })
            .await;
        match answer {
            Ok(mut answer) => return Ok(answer.take_kvs().pop()),
            Err(error) if error.is_transient() => sleep(backoff.next_delay()).await,
            Err(error) => return Err(error),
        }
    }
}
