//! A memory service, a coordinator, and whoever looks.

use std::sync::Arc;
use std::time::Duration;

use leasehold::memory::{MemoryBackend, MemoryService};
use leasehold::observe::Alerts;
use leasehold::{Coordinator, Namespace};
use leasehold_core::{KeyPath, Kind};
use metrics::LocalRecorderGuard;
use tokio::runtime::Handle;
use tracing::subscriber::DefaultGuard;

use crate::recording::{Measures, SeenEvent, Trace};

pub(crate) const TTL: Duration = Duration::from_secs(12);

/// Time for whatever follows to happen, on a clock that costs nothing.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

pub(crate) struct World {
    pub(crate) service: MemoryService,
    pub(crate) trace: Arc<Trace>,
    pub(crate) measures: &'static Measures,
    _subscriber: DefaultGuard,
    _recorder: LocalRecorderGuard<'static>,
}

impl World {
    pub(crate) fn new() -> Self {
        let (trace, measures) = (Arc::new(Trace::default()), &*Box::leak(Box::<Measures>::default()));
        Self {
            service: MemoryService::with_tokio_time(),
            _subscriber: tracing::subscriber::set_default(trace.clone()),
            _recorder: metrics::set_default_local_recorder(measures),
            trace,
            measures,
        }
    }

    pub(crate) async fn connect(&self, backend: MemoryBackend) -> Coordinator {
        Coordinator::builder(backend).ttl(TTL).runtime(Handle::current()).connect().await.unwrap()
    }

    pub(crate) async fn node(&self) -> Coordinator {
        self.connect(self.service.backend()).await
    }

    pub(crate) async fn node_with(&self, backend: MemoryBackend, alerts: Alerts) -> Coordinator {
        let builder = Coordinator::builder(backend).ttl(TTL).runtime(Handle::current());
        builder.alerts(alerts).connect().await.unwrap()
    }

    /// Removes all entries of a mutex, as an administrator would.
    pub(crate) fn remove_entries(&self, mutex: &str) {
        let path = KeyPath::new(&Namespace::default(), Kind::Lock, mutex).unwrap();
        let entries = self.service.entries(&path);
        assert!(!entries.is_empty());
        assert!(entries.iter().all(|entry| self.service.remove_entry(&path, entry.attempt)));
    }
}

impl Drop for World {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            crate::names::check(&self.trace, &self.measures.series());
        }
    }
}

impl SeenEvent {
    /// A field that is a time.
    pub(crate) fn seconds(&self, field: &str) -> f64 {
        self.fields[field].parse().unwrap()
    }
}
