//! One conversation with one cut.

use std::time::{Duration, Instant};

use leasehold_core::Recipe;
use leasehold_core::{Coordinator, CoordinatorBuilder, ErrorKind, ReleaseError};
use leasehold_testkit::proxy::{Counts, Proxy};
use tokio::sync::Notify;
use tokio::time::timeout;

/// Of the session that is cut. A reply that is lost with its session is given up by then.
pub(crate) const TTL: Duration = Duration::from_secs(4);

/// What a machine may take that is busy with other conversations, to connect again included.
const BUSY: Duration = Duration::from_secs(8);

/// Which bytes are counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counted {
    /// Those that reach the server.
    Requests,
    /// Those that reach the client.
    Replies,
}

/// What came of one.
#[derive(Debug)]
pub(crate) struct Outcome {
    /// After how many bytes it was to be cut.
    pub(crate) bytes: usize,
    pub(crate) counts: Counts,
    /// The cut kept the client from connecting at first.
    pub(crate) connected_again: bool,
    /// The release was not confirmed.
    pub(crate) release_unknown: bool,
    /// How long the next one waited for the lock.
    pub(crate) handed_over_after: Duration,
}

/// Cuts each connection after so many bytes, if it has as many, until one was cut. `direct` is a client that is not disturbed.
///
/// # Panics
/// If a promise is broken.
pub(crate) async fn hold(
    endpoint: &str,
    builder: fn(&str) -> CoordinatorBuilder,
    direct: &Coordinator,
    counted: Counted,
    bytes: usize,
) -> Outcome {
    let name = format!("{counted:?}/{bytes}");
    let proxy = Proxy::start(endpoint).await;
    match counted {
        Counted::Requests => proxy.cut_after_request_bytes(bytes),
        Counted::Replies => proxy.cut_after_reply_bytes(bytes),
    }
    // Each connection that there is by then is cut there, and none that is made when one was cut.
    let healed = Notify::new();
    let healing = async {
        proxy.until(|counts| counts.cut_after_bytes > 0).await;
        proxy.heal();
        healed.notify_one();
        std::future::pending().await
    };
    let (connected_again, release_unknown, handed_over_after) = tokio::select! {
        biased;
        outcome = converse(&name, &proxy, &healed, builder, direct) => outcome,
        () = healing => unreachable!("it only heals"),
    };
    let left = direct.admin().contenders(Recipe::Mutex, &name).await.unwrap();
    assert!(left.is_empty(), "{name}: {left:?}");
    let counts = within(&name, "a connection", proxy.until(|counts| counts.connections == 0)).await;
    Outcome { bytes, counts, connected_again, release_unknown, handed_over_after }
}

async fn converse(
    name: &str,
    proxy: &Proxy,
    healed: &Notify,
    builder: fn(&str) -> CoordinatorBuilder,
    direct: &Coordinator,
) -> (bool, bool, Duration) {
    let connect = || builder(&proxy.endpoint()).ttl(TTL).connect_timeout(BUSY).request_timeout(TTL).connect();
    let mut connected_again = false;
    let coordinator = match within(name, "connect", connect()).await {
        Ok(coordinator) => coordinator,
        Err(error) => {
            assert_eq!(error.kind(), ErrorKind::Unavailable, "{name}: {error:?}");
            connected_again = true;
            within(name, "the cut", healed.notified()).await;
            within(name, "connect again", connect()).await.unwrap_or_else(|error| panic!("{name}: {error:?}"))
        }
    };
    let locked = within(name, "lock", coordinator.mutex(name).lock()).await;
    let guard = locked.unwrap_or_else(|error| panic!("{name}: {error:?}"));
    let entries = direct.admin().contenders(Recipe::Mutex, name).await.unwrap();
    // The session outlives the cut, so the hold does.
    assert!(guard.held().is_held(), "{name}: lost to a cut that was over at once");
    let first = entries.first().unwrap_or_else(|| panic!("{name}: granted without an entry"));
    assert_eq!(first.token, guard.fencing_token(), "{name}: granted behind another entry: {entries:?}");
    assert_eq!(entries.len(), 1, "{name}: {entries:?}");
    let tried = direct.mutex(name).try_lock().await.unwrap();
    assert!(tried.is_none(), "{name}: held twice");
    let (token, held) = (guard.fencing_token(), guard.held());
    let released = within(name, "release", guard.release()).await;
    assert!(!held.is_held(), "{name}: released and believed in");
    let release_unknown = match released {
        Ok(()) => false,
        Err(ReleaseError::Unknown(_)) => true,
        Err(error) => panic!("{name}: {error:?}"),
    };
    let began = Instant::now();
    let next = within(name, "the next lock", direct.mutex(name).lock()).await.unwrap();
    let handed_over_after = began.elapsed();
    assert!(next.fencing_token() > token, "{name}");
    next.release().await.unwrap();
    within(name, "shutdown", coordinator.shutdown(TTL))
        .await
        .unwrap_or_else(|error| panic!("{name}: {error:?}"));
    (connected_again, release_unknown, handed_over_after)
}

async fn within<T>(name: &str, what: &str, future: impl Future<Output = T>) -> T {
    match timeout(TTL + BUSY, future).await {
        Ok(value) => value,
        Err(_) => panic!("{name}: {what} hangs"),
    }
}
