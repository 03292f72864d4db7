//! Changing the mode or the value of an entry.
//!
//! A value is the data of the entry's node. A mode stands in the node's name, so changing it replaces the node in one
//! transaction, under a name that keeps the sequence (the place in the queue) and the first creation (the order in the
//! fencing token). The transaction first empties the old node, so that its watchers hear of a change: a deletion is
//! the first they hear only of an entry that has departed. Versions are zxids of the last change, which rise across the replacement.

use leasehold_core::{BackendError, BackendErrorKind, Publish, Published};
use zookeeper_client::{CreateMode, Error, MultiWriteResult, Stat};

use crate::layout::{Layout, NodeName};
use crate::link::Request;
use crate::listing::as_unsigned;
use crate::queue::ZooKeeperQueue;

pub(crate) async fn publish(
    queue: &ZooKeeperQueue,
    request: &Request<'_>,
    change: &Publish,
) -> Result<Published, BackendError> {
    let layout = queue.directory.layout;
    if !layout.bears_changes() {
        let message =
            format!("in {} an entry keeps its value: who waits for it would not see its end", layout.title());
        return Err(BackendError::new(BackendErrorKind::Unsupported, message));
    }
    let mut found = queue.locate(request, change.attempt).await?;
    loop {
        let Some(name) = found else {
            let message = format!("the attempt {} has no entry", change.attempt);
            return Err(BackendError::new(BackendErrorKind::NoEntry, message));
        };
        if name.mode != change.mode && layout != Layout::Own {
            let message = format!("in {} an entry keeps its mode", layout.title());
            return Err(BackendError::new(BackendErrorKind::Unsupported, message));
        }
        let stat = if change.if_version.is_some() || name.mode != change.mode {
            request.read(request.client().check_stat(&queue.path_of(&name))).await?
        } else {
            None
        };
        let data_version = match (change.if_version, stat) {
            (Some(expected), Some(stat)) if as_unsigned(stat.mzxid) != expected => {
                return Ok(Published::VersionDiffers);
            }
            (Some(_), Some(stat)) => Some(stat.version),
            (Some(_), None) => None,
            (None, _) => None,
        };
        let outcome = match (name.mode == change.mode, stat) {
            (true, None) if change.if_version.is_some() => Err(Error::NoNode),
            (true, _) => set_value(queue, request, change, &name, data_version).await,
            (false, None) => Err(Error::NoNode),
            (false, Some(stat)) if stat.ephemeral_owner != queue.link.session_id() => {
                let message = "the mode of another session's entry cannot be changed";
                return Err(BackendError::new(BackendErrorKind::Unsupported, message));
            }
            (false, Some(stat)) => replace(queue, request, change, &name, &stat, data_version).await,
        };
        match outcome {
            Ok(changed) => return Ok(Published::Done { version: as_unsigned(changed.mzxid) }),
            Err(Error::BadVersion) => return Ok(Published::VersionDiffers),
            // Gone, or replaced by another change of mode.
            Err(Error::NoNode) => {
                let now = queue.list(request).await?.name_of(change.attempt);
                found = now.filter(|now| *now != name);
            }
            Err(error) => return Err(request.unwritten(error)),
        }
    }
}

async fn set_value(
    queue: &ZooKeeperQueue,
    request: &Request<'_>,
    change: &Publish,
    name: &NodeName,
    data_version: Option<i32>,
) -> Result<Stat, Error> {
    let path = queue.path_of(name);
    request.write(request.fenced().set_data(&path, &change.value, data_version)).await
}

/// Replaces the node by one with the new mode in its name.
async fn replace(
    queue: &ZooKeeperQueue,
    request: &Request<'_>,
    change: &Publish,
    name: &NodeName,
    stat: &Stat,
    data_version: Option<i32>,
) -> Result<Stat, Error> {
    let origin = name.origin.unwrap_or(stat.czxid);
    let new = NodeName { mode: change.mode, origin: Some(origin), ..*name };
    let (old_path, new_path) = (queue.path_of(name), queue.path_of(&new));
    let committed = request.fenced().commit(|writer| {
        // Who watches the node is told of a change by this, and of a departure when a node is deleted without it.
        writer.add_set_data(&old_path, &[], data_version)?;
        writer.add_delete(&old_path, None)?;
        writer.add_create(&new_path, &[], &queue.link.options(CreateMode::Ephemeral))?;
        // The value goes in by a second step because servers before 3.9 leave the stat of a creation in a
        // transaction out, and the version has to be the one of this very change.
        writer.add_set_data(&new_path, &change.value, None)
    });
    let results = request.write(async { committed.await.map_err(|(_, error)| error) }).await?;
    queue.link.ledger.replaced(new, as_unsigned(origin));
    match results.last() {
        Some(MultiWriteResult::SetData { stat }) => Ok(*stat),
        _ => Err(Error::UnexpectedError("a transaction was answered in part".into())),
    }
}
