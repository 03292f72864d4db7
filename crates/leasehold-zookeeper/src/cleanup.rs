//! Removing what a session left, where the client's session goes on.

use std::sync::Arc;

use leasehold_core::AttemptId;
use zookeeper_client::{Client, Error};

use crate::failure;
use crate::fenced::Fenced;
use crate::layout::{Directory, NodeName};
use crate::ledger::Trace;
use crate::link::connected;

/// Removes the entries of attempts; ends when they are gone or the client's session is, or when the server
/// refuses for good.
pub(crate) async fn remove_entries(client: Arc<Client>, left: Vec<(Directory, AttemptId, Trace)>) {
    for (directory, attempt, trace) in left {
        loop {
            if connected(&client).await.is_err() {
                return;
            }
            match remove_entry(Fenced::unfenced(&client), &directory, attempt, trace).await {
                // Deleting is idempotent, so doubt is resolved by doing it again on the next connection.
                Err(error) if !failure::is_decided(&error) => continue,
                _ => break,
            }
        }
    }
}

async fn remove_entry(
    client: Fenced<'_>,
    directory: &Directory,
    attempt: AttemptId,
    trace: Trace,
) -> Result<(), Error> {
    match trace {
        Trace::Placed { name, .. } if delete(client, directory, &name).await? => Ok(()),
        _ => sweep(client, directory, attempt).await.map(|_| ()),
    }
}

/// Removes every node of an attempt that exists, or that a creation handed to the client before can still
/// bring into being. Whether there was one.
pub(crate) async fn sweep(
    client: Fenced<'_>,
    directory: &Directory,
    attempt: AttemptId,
) -> Result<bool, Error> {
    client.client.sync(&directory.path).await?;
    let children = match client.client.list_children(&directory.path).await {
        Err(Error::NoNode) => return Ok(false),
        children => children?,
    };
    let mut any = false;
    for name in children.iter().filter_map(|child| directory.layout.entry(child)) {
        if name.attempt == attempt {
            any |= delete(client, directory, &name).await?;
        }
    }
    Ok(any)
}

/// Removes a node; whether it was there.
pub(crate) async fn delete(
    client: Fenced<'_>,
    directory: &Directory,
    name: &NodeName,
) -> Result<bool, Error> {
    match client.delete(&directory.path_of(name)).await {
        Ok(()) => Ok(true),
        Err(Error::NoNode) => Ok(false),
        Err(error) => Err(error),
    }
}
