//! A queue of the memory service, as one session sees it.

use std::sync::Arc;

use async_trait::async_trait;
use leasehold_core::{
    AttemptId, BackendError, Certainty, Enqueued, Entry, Interest, KeyPath, Look, NewEntry, Publish,
    Published, Queue, Withdrawn,
};
use tokio_util::sync::CancellationToken;

use crate::client::{Age, Client, Site};
use crate::fault::Operation;
use crate::queue_table::QueueRecord;
use crate::state::{SessionRef, State, Topic};

pub(crate) struct MemoryQueue {
    client: Client,
    session: SessionRef,
    path: Arc<KeyPath>,
    over: CancellationToken,
}

impl MemoryQueue {
    pub(crate) fn new(client: Client, session: SessionRef, path: KeyPath, over: CancellationToken) -> Self {
        Self { client, session, path: Arc::new(path), over }
    }

    fn site(&self, operation: Operation, attempt: Option<AttemptId>) -> Site<'_> {
        Site::at(operation, &self.path, attempt)
    }
}

#[async_trait]
impl Queue for MemoryQueue {
    async fn enqueue(&self, entry: NewEntry) -> Result<Enqueued, BackendError> {
        let (session, path) = (self.session, Arc::clone(&self.path));
        self.client
            .call(self.site(Operation::Enqueue, Some(entry.attempt)), move |state, _| {
                state.enqueue(session, &path, entry)
            })
            .await
    }

    async fn contenders(&self, look: Look<'_>) -> Result<(), BackendError> {
        let site = self.site(Operation::Contenders, None);
        self.client
            .call_here(site, |state, _, age| {
                state.session(self.session)?;
                match age {
                    Age::Newest => {
                        state.saw(self.session.id, &self.path);
                        state.contenders(&self.path, look);
                    }
                    Age::Oldest => look(&state.oldest(self.session.id, &self.path)),
                }
                Ok(())
            })
            .await
    }

    async fn changed(&self, interest: Interest) -> Result<(), BackendError> {
        let path = Arc::clone(&self.path);
        let (attempt, topic) = match interest {
            Interest::Entry { attempt, .. } => (Some(attempt), Topic::Entry(path, attempt)),
            Interest::Queue { .. } => (None, Topic::Queue(path)),
        };
        let site = self.site(Operation::Changed, attempt);
        let differs = |state: &State| differs(state, &self.path, interest);
        self.client.until_changed(site, topic, &self.over, differs).await?;
        self.client.service.transact(|state, _| state.saw(self.session.id, &self.path));
        Ok(())
    }

    async fn withdraw(&self, attempt: AttemptId, certainty: Certainty) -> Result<Withdrawn, BackendError> {
        let (session, path) = (self.session, Arc::clone(&self.path));
        self.client
            .call(self.site(Operation::Withdraw, Some(attempt)), move |state, _| {
                state.withdraw(session, &path, attempt, certainty)
            })
            .await
    }

    async fn publish(&self, change: Publish) -> Result<Published, BackendError> {
        let (session, path) = (self.session, Arc::clone(&self.path));
        self.client
            .call(self.site(Operation::Publish, Some(change.attempt)), move |state, _| {
                state.publish(session, &path, change)
            })
            .await
    }

    async fn entry(&self, attempt: AttemptId) -> Result<Option<Entry>, BackendError> {
        let (session, path) = (self.session, Arc::clone(&self.path));
        self.client
            .call(self.site(Operation::Entries, Some(attempt)), move |state, _| {
                state.session(session)?;
                Ok(state.queues.get(&path).and_then(|queue| queue.entry(attempt)))
            })
            .await
    }

    async fn entries(&self) -> Result<Vec<Entry>, BackendError> {
        let (session, path) = (self.session, Arc::clone(&self.path));
        self.client
            .call(self.site(Operation::Entries, None), move |state, _| {
                state.session(session)?;
                Ok(state.queues.get(&path).map(QueueRecord::entries).unwrap_or_default())
            })
            .await
    }
}

/// Whether things are not as the waiter saw them.
fn differs(state: &State, path: &KeyPath, interest: Interest) -> bool {
    match interest {
        Interest::Entry { attempt, mode, version } => match state.queues.get(path) {
            Some(queue) => match queue.contenders.get(attempt) {
                Some(entry) => {
                    entry.mode != mode || version.is_some_and(|seen| queue.version(attempt) != Some(seen))
                }
                None => true,
            },
            None => true,
        },
        Interest::Queue { revision } => state.contenders(path, |queue| queue.revision() != revision),
    }
}
