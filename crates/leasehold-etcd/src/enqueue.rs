//! The creation of an entry.
//!
//! Everything is decided in one transaction: it creates the entry only if the attempt has neither an entry (else this is a
//! repetition, and the answer is the same place) nor a tombstone (else it was withdrawn meanwhile), and the session was not
//! resumed by somebody else; and it counts the keys of
//! the queue: whoever finds only his own needs no further look.
//!
//! With `only_if_free` the transaction also says that nobody is there. Exclusive contenders can say so at once. The others, and
//! whoever meets keys that are not of our making, list the queue first, and say that nothing was added or changed since.

use etcd_client::{Compare, CompareOp, GetOptions, GetResponse, PutOptions, TxnOp, TxnOpResponse};
use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, Contender, Contenders, Enqueued, Mode, NewEntry,
};

use tokio::time::timeout;

use crate::error::corrupt;
use crate::keys;
use crate::listing;
use crate::queue::EtcdQueue;
use crate::session::check_alive;

const WHAT: &str = "creation of an entry";

/// How many entries of a queue that is not free are looked at, for one of our making.
const SAMPLE: i64 = 8;

/// How often a queue is listed anew that changed between the listing and the transaction.
const ROUNDS: usize = 16;

/// What the transaction demands of the queue.
enum Condition {
    Nothing,
    Empty,
    /// Nothing was added or changed after this revision, at which it had these contenders and so many keys.
    UnchangedSince {
        revision: i64,
        contenders: Contenders,
        keys: i64,
    },
}

enum Outcome {
    Placed(Enqueued),
    /// The condition was not met; some keys of the queue.
    NotMet(GetResponse),
}

pub(crate) async fn enqueue(queue: &EtcdQueue, entry: NewEntry) -> Result<Enqueued, BackendError> {
    check_alive(&queue.core, WHAT)?;
    keys::check_value(WHAT, &entry.value)?;
    if !entry.only_if_free {
        return match attempt(queue, &entry, Condition::Nothing).await? {
            Outcome::Placed(placed) => Ok(placed),
            Outcome::NotMet(_) => Err(corrupt(WHAT)),
        };
    }
    let limit = queue.core.link.request_timeout();
    // Whatever was under way may have been applied.
    let late = || BackendError::new(BackendErrorKind::Indeterminate, format!("{WHAT}: not within {limit:?}"));
    timeout(limit, enqueue_if_free(queue, &entry)).await.unwrap_or_else(|_| Err(late()))
}

async fn enqueue_if_free(queue: &EtcdQueue, entry: &NewEntry) -> Result<Enqueued, BackendError> {
    let layout = queue.layout();
    if entry.mode == Mode::Exclusive {
        match attempt(queue, entry, Condition::Empty).await? {
            Outcome::Placed(placed) => return Ok(placed),
            Outcome::NotMet(sample) => {
                if sample.kvs().iter().any(|kv| layout.read(kv).is_some()) {
                    return Ok(Enqueued::Busy { contenders: None });
                }
            }
        }
    }
    for _ in 0..ROUNDS {
        let listing = listing::list(&queue.core.link, WHAT, layout.prefix()).await?;
        let contenders: Contenders = listing
            .kvs
            .iter()
            .filter_map(|kv| layout.read(kv))
            .filter(|other| other.attempt != entry.attempt)
            .map(|other| Contender { attempt: other.attempt, position: other.created, mode: other.mode })
            .collect();
        let repeated = listing.kvs.iter().any(|kv| layout.attempt_of(kv) == Some(entry.attempt));
        if !repeated && !entry.mode.is_admitted_behind(&contenders) {
            return Ok(Enqueued::Busy { contenders: Some(contenders) });
        }
        let keys = i64::try_from(listing.kvs.len()).unwrap_or(i64::MAX);
        let condition = Condition::UnchangedSince { revision: listing.revision, contenders, keys };
        if let Outcome::Placed(placed) = attempt(queue, entry, condition).await? {
            return Ok(placed);
        }
    }
    let message = format!("{WHAT}: the queue changed {ROUNDS} times between a look and the entry");
    Err(BackendError::new(BackendErrorKind::Unavailable, message))
}

async fn attempt(queue: &EtcdQueue, entry: &NewEntry, condition: Condition) -> Result<Outcome, BackendError> {
    let layout = queue.layout();
    let prefix = layout.prefix();
    let key = queue.own_key(entry.attempt);
    let tombstone = layout.tombstone(entry.attempt);
    let mut conditions = vec![
        Compare::create_revision(key.as_str(), CompareOp::Equal, 0),
        Compare::create_revision(tombstone.as_str(), CompareOp::Equal, 0),
    ];
    match &condition {
        Condition::Nothing => {}
        Condition::Empty => {
            conditions
                .push(Compare::create_revision(prefix, CompareOp::Equal, 0).with_range(keys::end_of(prefix)));
        }
        Condition::UnchangedSince { revision, .. } => {
            let unchanged = Compare::mod_revision(prefix, CompareOp::Less, revision.saturating_add(1));
            conditions.push(unchanged.with_range(keys::end_of(prefix)));
        }
    }
    let lease = PutOptions::new().with_lease(queue.core.lease.id);
    let some = |limit| GetOptions::new().with_range(keys::end_of(prefix)).with_limit(limit);
    let then = vec![
        TxnOp::put(key.as_str(), layout.encode(entry.mode, &entry.value), Some(lease)),
        TxnOp::get(prefix, Some(some(1).with_keys_only())),
    ];
    let otherwise = vec![
        TxnOp::get(key.as_str(), None),
        TxnOp::get(tombstone.as_str(), Some(GetOptions::new().with_keys_only())),
        TxnOp::get(prefix, Some(some(SAMPLE))),
    ];
    let answer = queue.core.txn(WHAT, conditions, then, otherwise).await?;
    let responses = answer.op_responses();
    let got = |index: usize| match responses.get(index) {
        Some(TxnOpResponse::Get(got)) => Ok(got),
        _ => Err(corrupt(WHAT)),
    };
    if answer.succeeded() {
        let order = answer.header().and_then(|header| keys::revision(header.revision()));
        let order = order.ok_or_else(|| corrupt(WHAT))?;
        let count = got(1)?.count();
        queue.mirror.replica().at_least(order);
        queue.note_length(entry.mode, count);
        let contenders = match condition {
            _ if count == 1 => Some(alone(entry.attempt, order, entry.mode)),
            // Nothing was added; if there are as many as then, nothing was removed either.
            Condition::UnchangedSince { mut contenders, keys, .. } if count == keys.saturating_add(1) => {
                contenders.insert(Contender { attempt: entry.attempt, position: order, mode: entry.mode });
                contenders.set_revision(order);
                Some(contenders)
            }
            _ => None,
        };
        return Ok(Outcome::Placed(Enqueued::Placed { order, contenders }));
    }
    let (own, buried, sample) = (got(0)?, got(1)?, got(2)?);
    if !buried.kvs().is_empty() {
        return Err(withdrawn(entry.attempt));
    }
    match own.kvs().first() {
        Some(kv) => {
            let stored = layout.read(kv).ok_or_else(|| corrupt(WHAT))?;
            queue.mirror.replica().at_least(stored.modified);
            let contenders = (sample.count() == 1).then(|| alone(entry.attempt, stored.created, stored.mode));
            Ok(Outcome::Placed(Enqueued::Placed { order: stored.created, contenders }))
        }
        None => Ok(Outcome::NotMet(sample.clone())),
    }
}

/// What an enqueue found that was alone in its queue.
fn alone(attempt: AttemptId, order: u64, mode: Mode) -> Contenders {
    let mut contenders = Contenders::default();
    contenders.insert(Contender { attempt, position: order, mode });
    contenders.set_revision(order);
    contenders
}

fn withdrawn(attempt: AttemptId) -> BackendError {
    BackendError::new(BackendErrorKind::Withdrawn, format!("{WHAT}: attempt {attempt} was withdrawn"))
}
