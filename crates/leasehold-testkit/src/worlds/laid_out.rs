//! A world whose queues lie where another program has them, in that program's layout.
//!
//! # Implementation
//!
//! What is asked of a queue of the namespace goes to a queue of the service's at `laid-out/<path>`, in the layout; everything else goes to
//! the world as it is. So the cases, which know names and no paths, run over the layout unchanged.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{
    BackendError, Capabilities, Clock, Credentials, KeyPath, Kind, LivenessCell, LockBackend, Namespace,
    OpenSession, Queue, RegisterWrite, RegisterWritten, ServerReport, Session, Versioned, WireLayout,
    WireProfile,
};

use crate::contract::World;

/// Above the paths of all queues.
const ABOVE: &str = "laid-out";

/// A world, seen through a profile's layouts.
pub struct LaidOutWorld {
    world: Arc<dyn World>,
    profile: WireProfile,
}

impl LaidOutWorld {
    /// Of a world whose backends speak the profile.
    pub fn new(world: Arc<dyn World>, profile: WireProfile) -> Self {
        Self { world, profile }
    }

    fn laid_out(&self, backend: Arc<dyn LockBackend>) -> Arc<dyn LockBackend> {
        Arc::new(LaidOut { backend, profile: self.profile })
    }
}

/// Where the queue lies, as a path of ours.
fn as_ours(path: &KeyPath) -> KeyPath {
    let (namespace, kind, segment) = parts(path);
    let namespace = Namespace::parse(&format!("{ABOVE}/{namespace}")).expect("a sound namespace");
    KeyPath::from_listing(&namespace, kind, segment).expect("a sound name")
}

fn parts(path: &KeyPath) -> (&str, Kind, &str) {
    let (rest, segment) = path.as_str().rsplit_once('/').expect("a path of a namespace");
    let (namespace, kind) = rest.rsplit_once('/').expect("a path of a namespace");
    let kind = Kind::QUEUES.into_iter().find(|known| known.segment() == kind).expect("a queue's path");
    (namespace, kind, segment)
}

#[async_trait]
impl World for LaidOutWorld {
    fn service(&self) -> &'static str {
        self.world.service()
    }

    fn backend(&self) -> Arc<dyn LockBackend> {
        self.laid_out(self.world.backend())
    }

    fn direct(&self) -> Arc<dyn LockBackend> {
        self.laid_out(self.world.direct())
    }

    fn ttl(&self) -> Duration {
        self.world.ttl()
    }

    async fn expire_session(&self, id: &str) {
        self.world.expire_session(id).await;
    }

    async fn remove_queue(&self, path: &KeyPath) {
        self.world.remove_queue(&as_ours(path)).await;
    }

    async fn plant_foreign(&self, path: &KeyPath) {
        self.world.plant_foreign(&as_ours(path)).await;
    }

    async fn listing(&self, prefix: &str) -> Vec<String> {
        let above = format!("{ABOVE}/");
        let laid_out = self.world.listing(&format!("{above}{prefix}")).await;
        let laid_out = laid_out.into_iter().filter_map(|key| Some(key.strip_prefix(&above)?.to_owned()));
        // Tombstones are kept in the namespace.
        self.world.listing(prefix).await.into_iter().chain(laid_out).collect()
    }

    async fn cut(&self) {
        self.world.cut().await;
    }

    async fn heal(&self) {
        self.world.heal().await;
    }

    async fn cut_replies(&self) {
        self.world.cut_replies().await;
    }

    async fn restart(&self) {
        self.world.restart().await;
    }

    async fn compact(&self) {
        self.world.compact().await;
    }
}

/// A backend whose queues are laid out so.
#[derive(Debug)]
struct LaidOut {
    backend: Arc<dyn LockBackend>,
    profile: WireProfile,
}

#[async_trait]
impl LockBackend for LaidOut {
    fn name(&self) -> &'static str {
        self.backend.name()
    }

    fn endpoint(&self) -> String {
        self.backend.endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        self.backend.capabilities()
    }

    fn clock(&self) -> Clock {
        self.backend.clock()
    }

    async fn examine(&self, limit: Duration) -> Result<Vec<ServerReport>, BackendError> {
        self.backend.examine(limit).await
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        let namespace = options.namespace.clone();
        let session = self.backend.open_session(options).await?;
        Ok(Arc::new(LaidOutSession { session, namespace, profile: self.profile }))
    }
}

struct LaidOutSession {
    session: Arc<dyn Session>,
    namespace: Namespace,
    profile: WireProfile,
}

#[async_trait]
impl Session for LaidOutSession {
    fn id(&self) -> String {
        self.session.id()
    }

    fn ttl(&self) -> Duration {
        self.session.ttl()
    }

    fn liveness(&self) -> &Arc<LivenessCell> {
        self.session.liveness()
    }

    fn credentials(&self) -> Option<Credentials> {
        self.session.credentials()
    }

    fn queue(&self, path: &KeyPath) -> Arc<dyn Queue> {
        let layout = WireLayout::new(self.profile, parts(path).1);
        // Only the prefix of etcd's layout may do without the slash.
        let slash = if self.profile == WireProfile::EtcdV3 { "" } else { "/" };
        let there = format!("{slash}{}", as_ours(path));
        self.session.queue(&KeyPath::verbatim(&self.namespace, layout, &there).expect("a sound path"))
    }

    async fn queues(&self, kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        self.session.queues(kind).await
    }

    async fn read(&self, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        self.session.read(register).await
    }

    async fn write(&self, register: &KeyPath, write: RegisterWrite) -> Result<RegisterWritten, BackendError> {
        self.session.write(register, write).await
    }

    async fn register_changed(&self, register: &KeyPath, seen: u64) -> Result<(), BackendError> {
        self.session.register_changed(register, seen).await
    }

    async fn close(&self) {
        self.session.close().await;
    }
}
