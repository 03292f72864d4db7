//! Waiting for a change of an entry or of a queue.

use std::sync::Arc;

use leasehold_core::{AttemptId, BackendError, Mode};
use zookeeper_client::SessionState;

use crate::link::{Link, session_is_over};
use crate::listing::Listing;
use crate::view::View;
use crate::waiting;
use crate::watches::{Fired, Seen, Subject};

/// Resolves once an entry is gone or has another mode or version.
pub(crate) async fn of_entry(
    link: &Link,
    view: &Arc<View>,
    attempt: AttemptId,
    mode: Mode,
    version: Option<u64>,
) -> Result<(), BackendError> {
    loop {
        let name = match view.mirror.newest().name_of(attempt) {
            Some(name) => name,
            None => match listed(link, view).await?.name_of(attempt) {
                Some(name) => name,
                None => return Ok(()),
            },
        };
        if name.mode != mode {
            return Ok(());
        }
        let watch = waiting::arm(link, Subject::Data, &view.path_of(&name)).await?;
        match watch.seen {
            Seen::Node { changed, .. } if version.is_none_or(|version| version == changed) => {}
            _ => return is_not_as_mirrored(view),
        }
        match waiting::fired(link, watch).await? {
            Fired::Deleted => {
                view.departed(attempt);
                return Ok(());
            }
            Fired::Vanished => return is_not_as_mirrored(view),
            // The node is about to be replaced, or its value has changed, which concerns only who has given a
            // version. The next turn tells.
            Fired::Changed | Fired::SessionOver => {}
        }
    }
}

/// Resolves once a queue has another revision.
pub(crate) async fn of_queue(link: &Link, view: &Arc<View>, revision: u64) -> Result<(), BackendError> {
    let directory = view.directory();
    let watch = waiting::arm(link, Subject::Children(directory.layout), &directory.path).await?;
    let Seen::Children(children) = &watch.seen else {
        // There is no directory. An empty queue may have been seen so; any other state has changed.
        if revision == 0 {
            let watch = waiting::arm(link, Subject::Creation, &directory.path).await?;
            if matches!(watch.seen, Seen::Absent) {
                waiting::fired(link, watch).await?;
            }
        }
        return is_not_as_mirrored(view);
    };
    let saturated = children.is_saturated();
    let now = if saturated { listed(link, view).await?.revision() } else { children.revision() };
    if now == revision {
        tokio::select! {
            biased;
            fired = waiting::fired(link, watch) => drop(fired?),
            // A server finds out what a watch has missed by `pzxid`, which stands still in a saturated directory.
            () = reconnected(link), if saturated => {}
        }
    }
    is_not_as_mirrored(view)
}

/// What the caller is told next has to be newer than the mirror.
fn is_not_as_mirrored(view: &View) -> Result<(), BackendError> {
    view.mirror.distrust();
    Ok(())
}

/// Resolves once the client has been disconnected and is connected again.
async fn reconnected(link: &Link) {
    let mut states = link.states();
    states.state();
    while states.changed().await != SessionState::SyncConnected {}
}

/// A listing for somebody who waits, however long it takes.
async fn listed(link: &Link, view: &Arc<View>) -> Result<Arc<Listing>, BackendError> {
    loop {
        let outcome = tokio::select! {
            biased;
            () = link.retired() => return Err(session_is_over()),
            outcome = view.look() => outcome,
        };
        match outcome {
            Ok(listing) => return Ok(listing),
            Err(error) => waiting::try_again_after(link, error).await?,
        }
    }
}
