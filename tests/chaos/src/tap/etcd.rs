//! The tap of etcd: a watch of the namespace at each server, from the first revision on.
//!
//! # Implementation
//!
//! Each server delivers all changes in the order of their revisions, some earlier than others, and none while it is dead or stopped. What the first of
//! them delivers is written down; the others' word on revisions that were seen is passed over. A change that comes with an earlier one of
//! its revision is in the same answer, since nobody asked for fragments.
//!
//! When a lease ends, all its keys go in one revision, among them the one by which its session is known.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use etcd_client::{Event, EventType, WatchOptions, WatchResponse};
use leasehold_core::AttemptId;
use tokio::time::sleep;

use super::{Tap, TappedEntry};
use crate::service::etcd_connect as connect;

/// Between two attempts to reach a server that is down.
const PACE: Duration = Duration::from_millis(100);

/// Starts to read.
pub(crate) fn start(endpoints: Vec<String>, tap: &Tap) {
    let newest = Arc::new(Mutex::new(0));
    for endpoint in endpoints {
        let reader = Reader { endpoint, tap: tap.clone(), newest: Arc::clone(&newest), next: 1 };
        tap.reader(tokio::spawn(reader.run()));
    }
}

struct Reader {
    endpoint: String,
    tap: Tap,
    /// The newest revision that any reader has written down.
    newest: Arc<Mutex<i64>>,
    /// The first revision that this one has not seen.
    next: i64,
}

impl Reader {
    async fn run(mut self) {
        loop {
            // A server that is down is asked again, from where it ended.
            let _ = self.watch().await;
            sleep(PACE).await;
        }
    }

    async fn watch(&mut self) -> Result<(), etcd_client::Error> {
        let mut client = connect(std::slice::from_ref(&self.endpoint)).await?;
        let options = WatchOptions::new().with_prefix().with_start_revision(self.next);
        let mut answers = client.watch(format!("{}/", self.tap.namespace()), Some(options)).await?;
        while let Some(answer) = answers.message().await? {
            if answer.compact_revision() > 0 {
                self.next = self.next.max(answer.compact_revision());
                return Ok(());
            }
            self.answered(&answer);
        }
        Ok(())
    }

    fn answered(&mut self, answer: &WatchResponse) {
        let mut newest = self.newest.lock().unwrap_or_else(PoisonError::into_inner);
        let revision = |event: &Event| event.kv().map_or(0, etcd_client::KeyValue::mod_revision);
        for change in answer.events().chunk_by(|one, next| revision(one) == revision(next)) {
            let of = revision(&change[0]);
            self.next = self.next.max(of + 1);
            if of > *newest {
                *newest = of;
                self.changed(change);
            }
        }
    }

    /// What one transaction, or the end of one lease, did.
    fn changed(&self, change: &[Event]) {
        let sessions = format!("{}/!sessions/", self.tap.namespace());
        for event in change {
            if let (EventType::Delete, Some(kv)) = (event.event_type(), event.kv())
                && let Some(session) = kv.key_str().ok().and_then(|key| key.strip_prefix(&sessions))
            {
                self.tap.session_ended(session, false);
            }
        }
        for event in change {
            let Some(kv) = event.kv() else { continue };
            let Some((lock, entry)) = kv.key_str().ok().and_then(|key| key.rsplit_once('/')) else {
                continue;
            };
            if entry.parse::<AttemptId>().is_err() {
                continue;
            }
            if event.event_type() == EventType::Delete {
                // Unless it went with its session.
                self.tap.removed(lock, entry);
                continue;
            }
            let mode = kv.value().split(|byte| *byte == b'\n').next().unwrap_or_default();
            let Some(mode) = std::str::from_utf8(mode).ok().and_then(|mode| mode.parse().ok()) else {
                continue;
            };
            if kv.create_revision() != kv.mod_revision() {
                self.tap.changed(lock, entry, mode);
                continue;
            }
            let order = kv.create_revision().unsigned_abs();
            self.tap.created(TappedEntry {
                lock: lock.to_owned(),
                entry: entry.to_owned(),
                key: format!("{lock}/{entry}"),
                session: format!("{:x}", kv.lease()),
                order,
                position: order,
                mode,
            });
        }
    }
}
