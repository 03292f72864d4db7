//! The world of the memory backend.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{KeyPath, LockBackend};
use leasehold_memory::{MemoryBackend, MemoryService};

use super::World;

/// A memory service of its own.
pub struct MemoryWorld {
    service: MemoryService,
    backend: MemoryBackend,
}

impl MemoryWorld {
    /// A fresh service, on real time.
    pub fn new() -> Self {
        let service = MemoryService::new();
        Self { backend: service.backend(), service }
    }

    /// The service, for what a test wants beyond [`World`].
    pub fn memory(&self) -> &MemoryService {
        &self.service
    }
}

impl Default for MemoryWorld {
    fn default() -> Self {
        Self::new()
    }
}

#[async_trait]
impl World for MemoryWorld {
    fn service(&self) -> &'static str {
        "memory"
    }

    /// Clones share one link, which is what is cut.
    fn backend(&self) -> Arc<dyn LockBackend> {
        Arc::new(self.backend.clone())
    }

    fn direct(&self) -> Arc<dyn LockBackend> {
        Arc::new(self.service.backend())
    }

    fn ttl(&self) -> Duration {
        Duration::from_secs(2)
    }

    async fn expire_session(&self, id: &str) {
        self.service.expire_session(id);
    }

    async fn remove_queue(&self, path: &KeyPath) {
        self.service.remove_queue(path);
    }

    /// The service's tables are typed: there is nothing foreign that could be put there.
    async fn plant_foreign(&self, _path: &KeyPath) {}

    async fn listing(&self, prefix: &str) -> Vec<String> {
        self.service.keys(prefix)
    }

    async fn cut(&self) {
        self.backend.cut();
    }

    async fn heal(&self) {
        self.backend.heal();
    }

    async fn cut_replies(&self) {
        self.backend.cut_replies();
    }

    /// The data is the process's; what a restart means here is that every connection breaks.
    async fn restart(&self) {
        self.service.restart();
    }

    /// There is no history: who waits compares the present state.
    async fn compact(&self) {}
}
