//! One claim to a key: a token that nobody else has.

use std::sync::{Arc, LazyLock};
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Backoff, LossReason};
use redis::Script;
use tokio::time::{Instant, sleep, timeout_at};

use crate::error::{Effect, corrupt};
use crate::identity::random_hex;
use crate::link::{Call, Link, Reply};
use crate::renewal::Renewed;

/// As long as those of redis-py.
const TOKEN_BYTES: usize = 16;

static TAKE: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/take.lua")));
static EXTEND: LazyLock<Script> = LazyLock::new(|| Script::new(include_str!("scripts/extend.lua")));
pub(super) static REMOVE: LazyLock<Script> =
    LazyLock::new(|| Script::new(include_str!("scripts/remove.lua")));

pub(super) struct Claim {
    link: Arc<Link>,
    key: Arc<str>,
    token: String,
    ttl: Duration,
}

/// What the service said to a claim.
pub(super) enum Taken {
    Ours,
    /// Somebody has the key, for so long unless it is renewed; `None` if it does not expire.
    Busy(Option<Duration>),
}

/// What became of a removal.
pub(super) enum Removal {
    Removed,
    /// It was somebody else's by then, or nobody's.
    WasGone,
    /// Nobody knows.
    Unknown,
}

impl Claim {
    pub(super) fn new(link: Arc<Link>, key: Arc<str>, ttl: Duration) -> Result<Self, BackendError> {
        Ok(Self { link, key, token: random_hex(TOKEN_BYTES)?, ttl })
    }

    pub(super) fn ttl(&self) -> Duration {
        self.ttl
    }

    /// Sets the key unless it is there.
    pub(super) async fn take(&self, limit: Duration) -> Result<Taken, BackendError> {
        const WHAT: &str = "creation of the key";
        let reply = self.run(WHAT, Effect::Write, &TAKE, limit).await?;
        match reply.as_slice() {
            [word] if word == b"taken" => Ok(Taken::Ours),
            // A key that has expired just now has no type any more.
            [word, kind, left] if word == b"busy" && matches!(kind.as_slice(), b"string" | b"none") => {
                Ok(Taken::Busy(expiry(left).ok_or_else(|| corrupt(WHAT))?))
            }
            [word, kind, _] if word == b"busy" => Err(no_lock(WHAT, &self.key, kind)),
            _ => Err(corrupt(WHAT)),
        }
    }

    /// Removes the key if it is ours, and asks until there is an answer; for a TTL, after which it has expired.
    pub(super) async fn remove(&self) -> Removal {
        let (until, mut backoff) = (Instant::now() + self.ttl, backoff());
        let mut unanswered = false;
        while Instant::now() < until {
            match self.remove_once().await {
                Ok(true) => return Removal::Removed,
                // A removal before this one may have done it.
                Ok(false) => return if unanswered { Removal::Removed } else { Removal::WasGone },
                Err(error) if error.is_transient() => {
                    unanswered |= error.kind() == BackendErrorKind::Indeterminate;
                    sleep(backoff.next_delay()).await;
                }
                Err(_) => return Removal::Unknown,
            }
        }
        Removal::Unknown
    }

    /// Sees to it that nothing is left of a claim whose last request went unanswered. That may still arrive, after a
    /// removal that found nothing; so it asks on, for a TTL. What arrives even later expires by itself.
    pub(super) async fn undo(self) {
        let (until, mut backoff) = (Instant::now() + self.ttl, backoff());
        // A removal that cannot end within the TTL is not waited for.
        let _ = timeout_at(until, async {
            loop {
                match self.remove_once().await {
                    Ok(false) => {}
                    Err(error) if error.is_transient() => {}
                    Ok(true) | Err(_) => return,
                }
                sleep(backoff.next_delay()).await;
            }
        })
        .await;
    }

    async fn remove_once(&self) -> Result<bool, BackendError> {
        const WHAT: &str = "removal of the key";
        done(WHAT, &self.run(WHAT, Effect::Write, &REMOVE, self.link.request_timeout()).await?)
    }

    async fn run(
        &self,
        what: &'static str,
        effect: Effect,
        script: &Script,
        limit: Duration,
    ) -> Result<Reply, BackendError> {
        let ttl = self.ttl.as_millis().to_string();
        let (keys, args) = ([&*self.key], [self.token.as_bytes(), ttl.as_bytes()]);
        self.link.run_within(limit, &Call { what, effect, script, keys: &keys, args: &args }).await
    }
}

/// When a key expires, as PTTL tells: `Some(None)` is never.
pub(super) fn expiry(told: &[u8]) -> Option<Option<Duration>> {
    let left = std::str::from_utf8(told).ok()?.parse::<i64>().ok()?;
    // Of a key without an expiry it is -1, and of none -2.
    Some((left != -1).then(|| Duration::from_millis(left.max(0) as u64)))
}

/// The key is of a type that no lock has.
pub(super) fn no_lock(what: &str, key: &str, kind: &[u8]) -> BackendError {
    let kind = String::from_utf8_lossy(kind);
    BackendError::new(BackendErrorKind::Corrupt, format!("{what}: {key:?} is no lock but a {kind}"))
}

/// The answer of a script that does something if the key is ours.
pub(super) fn done(what: &str, reply: &Reply) -> Result<bool, BackendError> {
    match reply.first().map(Vec::as_slice) {
        Some(b"done") => Ok(true),
        Some(b"gone") => Ok(false),
        _ => Err(corrupt(what)),
    }
}

fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(20), Duration::from_millis(500))
}

impl Renewed for Claim {
    async fn renew(&self) -> Result<Option<LossReason>, BackendError> {
        const WHAT: &str = "renewal of the key";
        let limit = crate::session::patience(self.ttl, self.link.request_timeout());
        // One that goes unanswered is made again, and the key removed if none is answered in time.
        let reply = self.run(WHAT, Effect::Read, &EXTEND, limit).await?;
        Ok((!done(WHAT, &reply)?).then_some(LossReason::EntryRemoved))
    }
}
