//! A lock that is a key of Redis and shared with redis-py: what such a key tells.

use std::time::Duration;

use leasehold::redis::{SharedKeyHolder, SharedKeyLock, SharedKeys};
use serde_json::{Value, json};
use tokio::time::sleep;

use crate::exit::Failure;
use crate::output::span;
use crate::place::Place;
use crate::status_line::StatusLine;
use crate::target::Target;
use crate::waiting::TICK;

/// Connects, with a TTL other than the URL's where it is given.
pub(crate) async fn connect(
    target: &Target,
    place: &Place,
    ttl: Option<Duration>,
) -> Result<SharedKeyLock, Failure> {
    let mut builder = SharedKeys::from_url(target.url()?)?;
    if let Some(ttl) = ttl {
        builder = builder.ttl(ttl);
    }
    Ok(builder.connect().await?.lock(place.text()))
}

/// Shows on a terminal how it stands, for as long as it is polled. The key tells nobody of its changes, so that it is looked at.
pub(crate) async fn show_waiting<T>(lock: &SharedKeyLock, line: &StatusLine) -> Result<T, Failure> {
    loop {
        if let Some(holder) = lock.holder().await? {
            line.show(&format!("waiting for {:?}; held by {}", lock.key(), summary(&holder)));
        }
        sleep(TICK).await;
    }
}

/// The holder, for people.
pub(crate) fn summary(holder: &SharedKeyHolder) -> String {
    let expiry = match holder.expires_in() {
        Some(left) => format!("expires in {} unless it renews", span(left)),
        None => "never expires".to_owned(),
    };
    format!("{}, {expiry}", token(holder))
}

/// The holder in JSON: as in a queue, with what a key tells.
pub(crate) fn document(lock: &SharedKeyLock, holder: Option<&SharedKeyHolder>) -> Value {
    let entry = |holder: &SharedKeyHolder| {
        json!({
            "place": 1,
            "holds": true,
            "mode": "exclusive",
            "owner": String::from_utf8_lossy(holder.token()),
            "expires_in_seconds": holder.expires_in().map(|left| left.as_secs_f64()),
        })
    };
    let queue: Vec<_> = holder.map(entry).into_iter().collect();
    json!({ "recipe": "mutex", "name": lock.key(), "profile": "redis-py", "queue": queue, "waiters": null })
}

/// Others wrote it: it must not break the line.
fn token(holder: &SharedKeyHolder) -> String {
    String::from_utf8_lossy(holder.token()).escape_debug().to_string()
}
