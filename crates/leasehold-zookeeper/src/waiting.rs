//! Waiting for a watch, through disconnections.

use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind};
use zookeeper_client::Error;

use crate::failure::{self, Effect};
use crate::link::{Link, connected, session_is_over};
use crate::watches::{Armed, Fired, Subject};

/// How long to leave a server alone that is connected and refuses.
const AFTER_REFUSAL: Duration = Duration::from_millis(200);

const WHAT: &str = "waiting for a change";

/// Registers a watch, however long that takes while there is no connection.
///
/// # Errors
/// `SessionLost` when the session ends, and what is in vain to try again.
pub(crate) async fn arm(link: &Link, subject: Subject, path: &str) -> Result<Waiting, BackendError> {
    loop {
        let watch = link.watches.watch(&link.client()?, subject, path);
        let armed = tokio::select! {
            biased;
            () = link.retired() => return Err(session_is_over()),
            armed = watch.armed() => armed,
        };
        match armed {
            Ok(armed) => return Ok(Waiting { seen: armed.seen.clone(), armed, _share: watch }),
            Err(error) => try_again_after(link, error).await?,
        }
    }
}

/// Resolves with the first change after the arming.
///
/// # Errors
/// `SessionLost` when the session ends.
pub(crate) async fn fired(link: &Link, waiting: Waiting) -> Result<Fired, BackendError> {
    let Waiting { armed, _share, .. } = waiting;
    tokio::select! {
        biased;
        // First, since the end of a session also fires the watches on its entries.
        () = link.retired() => Err(session_is_over()),
        fired = armed.fired() => match fired {
            Fired::SessionOver => Err(session_is_over()),
            fired => Ok(fired),
        },
    }
}

/// Resolves when a read that failed is worth another try.
///
/// # Errors
/// The error itself if it never is.
pub(crate) async fn try_again_after(link: &Link, error: Error) -> Result<(), BackendError> {
    if failure::kind_of(&error, Effect::Reads) != BackendErrorKind::Unavailable {
        return Err(failure::failed(WHAT, Effect::Reads, error));
    }
    let client = link.client()?;
    let ready = async {
        // The client's state says that a connection is broken before a request is told so; a refusal leaves it.
        if failure::is_decided(&error) {
            tokio::time::sleep(AFTER_REFUSAL).await;
        }
        connected(&client).await
    };
    tokio::select! {
        biased;
        ready = ready => ready.map_err(|error| failure::failed(WHAT, Effect::Reads, error)),
        () = link.retired() => Err(session_is_over()),
    }
}

/// A share of a registered watch.
pub(crate) struct Waiting {
    pub(crate) seen: crate::watches::Seen,
    armed: Armed,
    _share: std::sync::Arc<crate::watches::Watch>,
}
