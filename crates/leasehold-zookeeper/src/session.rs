//! One session.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures::{StreamExt, TryStreamExt, stream};
use leasehold_core::mirror::ByPath;
use leasehold_core::{
    BackendError, Credentials, KeyPath, Kind, LivenessCell, LossReason, Namespace, Queue, RegisterWrite,
    RegisterWritten, Session, Versioned,
};
use zookeeper_client::Error;

use crate::layout::Directory;
use crate::link::{Link, Request};
use crate::listing::Children;
use crate::queue::ZooKeeperQueue;
use crate::register;

/// How many requests of one administrative listing are under way at once.
pub(crate) const PIPELINED: usize = 64;

pub(crate) struct ZooKeeperSession {
    link: Arc<Link>,
    namespace: Namespace,
    ttl: Duration,
    credentials: Option<Credentials>,
    queues: ByPath<ZooKeeperQueue>,
}

impl ZooKeeperSession {
    pub(crate) fn new(
        link: Arc<Link>,
        namespace: Namespace,
        ttl: Duration,
        credentials: Option<Credentials>,
    ) -> Self {
        Self { link, namespace, ttl, credentials, queues: ByPath::default() }
    }
}

#[async_trait]
impl Session for ZooKeeperSession {
    fn id(&self) -> String {
        format!("{:#x}", self.link.session_id())
    }

    fn ttl(&self) -> Duration {
        self.ttl
    }

    fn liveness(&self) -> &Arc<LivenessCell> {
        &self.link.liveness
    }

    fn credentials(&self) -> Option<Credentials> {
        self.credentials.clone()
    }

    fn queue(&self, path: &KeyPath) -> Arc<dyn Queue> {
        // A queue holds nothing that is costly to learn again, so it does not linger.
        self.queues.get(path, || ZooKeeperQueue::new(self.link.clone(), path))
    }

    async fn queues(&self, kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        let prefix = KeyPath::prefix(&self.namespace, kind);
        let directory = format!("/{}", prefix.trim_end_matches('/'));
        let request = self.link.request("listing the queues")?;
        request
            .run(async {
                let segments = match request.client().list_children(&directory).await {
                    Err(Error::NoNode) => return Ok(Vec::new()),
                    segments => segments.map_err(|error| request.unread(error))?,
                };
                let paths = segments.iter().filter_map(|s| KeyPath::from_listing(&self.namespace, kind, s));
                // Collected first: a stream over borrowing closures would not be `Send` in every caller's eyes.
                let occupied: Vec<_> = paths.map(|path| occupied(&request, path)).collect();
                let found: Vec<_> = stream::iter(occupied).buffer_unordered(PIPELINED).try_collect().await?;
                let mut queues: Vec<_> = found.into_iter().flatten().collect();
                queues.sort();
                Ok(queues)
            })
            .await
    }

    async fn read(&self, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        register::read(&self.link, register).await
    }

    async fn write(&self, register: &KeyPath, write: RegisterWrite) -> Result<RegisterWritten, BackendError> {
        register::write(&self.link, register, write).await
    }

    async fn register_changed(&self, register: &KeyPath, seen: u64) -> Result<(), BackendError> {
        register::changed(&self.link, register, seen).await
    }

    async fn close(&self) {
        self.link.retire(LossReason::ShutDown);
        // Longer than that is a service that is not reached; the session ends there within its TTL.
        let _ = tokio::time::timeout(self.link.request_timeout(), self.link.ended()).await;
    }
}

/// The path, if its queue has contenders.
async fn occupied(request: &Request<'_>, path: KeyPath) -> Result<Option<KeyPath>, BackendError> {
    let Directory { path: directory, layout } = Directory::of(&path);
    let children = match request.client().check_stat(&directory).await {
        Ok(Some(stat)) if stat.num_children > 0 => request.client().list_children(&directory).await,
        Ok(_) => return Ok(None),
        Err(error) => Err(error),
    };
    match children {
        Ok(children) => Ok((!Children::new(layout, &children, 0).names.is_empty()).then_some(path)),
        Err(Error::NoNode) => Ok(None),
        Err(error) => Err(request.unread(error)),
    }
}

impl Drop for ZooKeeperSession {
    fn drop(&mut self) {
        // What is to be done at the service goes on by itself.
        self.link.retire(LossReason::ShutDown);
    }
}
