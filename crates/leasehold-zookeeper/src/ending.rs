//! The end of a session of our own at the service.
//!
//! A client of ours is detached: when its last handle falls it closes its connection and leaves the session, since that may be another
//! process's by then. So what is ours to close is closed by another client that is not detached, which takes the
//! session over from the first and ends at once. Before that it is [given up](crate::incarnation), so that nobody else has it.

use std::sync::Arc;

use zookeeper_client::{Client, Connector, SessionInfo};

use crate::incarnation::Incarnation;

/// How to connect once more.
#[derive(Clone)]
pub(crate) struct Closer {
    pub(crate) connector: Connector,
    pub(crate) cluster: String,
}

/// Ends the client's session, unless somebody has resumed it. Without a connection it ends by itself, and so does this.
pub(crate) async fn end(client: Arc<Client>, incarnation: Incarnation, closer: Closer) {
    // A client whose runtime was shut down never tells that it has ended.
    let limit = client.session_timeout() * 2;
    let _ = tokio::time::timeout(limit, try_to_end(client, incarnation, closer)).await;
}

async fn try_to_end(client: Arc<Client>, incarnation: Incarnation, closer: Closer) {
    if !incarnation.give_up(&client).await {
        return;
    }
    let session: SessionInfo = client.session().clone();
    ended(client).await;
    // Whatever it cannot do, the service does within the TTL.
    if let Ok(client) = closer.connector.with_session(session).connect(&closer.cluster).await {
        ended(Arc::new(client)).await;
    }
}

/// Drops a handle, and resolves when the client has ended, which it does when all handles have fallen.
async fn ended(client: Arc<Client>) {
    let mut states = client.state_watcher();
    drop(client);
    while !states.state().is_terminated() {
        states.changed().await;
    }
}
