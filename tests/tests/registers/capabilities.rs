//! A service that can do less than registers ask for.

use std::convert::Infallible;
use std::sync::Arc;

use async_trait::async_trait;
use leasehold::memory::{MemoryBackend, MemoryService};
use leasehold::{Capabilities, Coordinator, ErrorKind};
use leasehold_core::{BackendError, Clock, LockBackend, OpenSession, Session};
use tokio::runtime::Handle;

use super::{REQUEST_TIMEOUT, TTL};

/// A memory service that can do less.
#[derive(Debug)]
struct Lesser {
    inner: MemoryBackend,
    conditional_writes: bool,
    max_value_bytes: usize,
}

#[async_trait]
impl LockBackend for Lesser {
    fn name(&self) -> &'static str {
        self.inner.name()
    }

    fn endpoint(&self) -> String {
        self.inner.endpoint()
    }

    fn capabilities(&self) -> Capabilities {
        let mut capabilities = self.inner.capabilities();
        capabilities.conditional_writes = self.conditional_writes;
        capabilities.max_value_bytes = self.max_value_bytes;
        capabilities
    }

    fn clock(&self) -> Clock {
        self.inner.clock()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        self.inner.open_session(options).await
    }
}

/// Work whose completion could not be recorded does not begin.
#[tokio::test(start_paused = true)]
async fn what_the_service_cannot_do_is_told_before_anything_is_done() {
    let service = MemoryService::with_tokio_time();
    let lesser = |conditional_writes, max_value_bytes| {
        let backend = Lesser { inner: service.backend(), conditional_writes, max_value_bytes };
        Coordinator::builder(backend).ttl(TTL).request_timeout(REQUEST_TIMEOUT).runtime(Handle::current())
    };
    let node = lesser(false, 1 << 20).connect().await.unwrap();
    let guard = node.mutex("one").lock().await.unwrap();
    let run = async |node: &Coordinator, occurrence: &str| {
        let once = node.once("billing").occurrence(occurrence);
        let ran = once.run(|_held| async { Ok::<_, Infallible>("done".repeat(20)) }).await;
        ran.map(|ran| ran.unwrap().ran_here()).map_err(|error| error.kind())
    };
    let refused = node.register("one").write_held(&guard, "x").await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Unsupported, "{refused}");
    assert_eq!(node.register("one").read().await.unwrap(), None);
    assert_eq!(run(&node, "1").await, Err(ErrorKind::Unsupported));
    // So little room that a few occurrences fill it.
    let node = lesser(true, 15_000).connect().await.unwrap();
    let mut done = 0;
    let full = loop {
        match run(&node, &done.to_string()).await {
            Ok(ran_here) => assert!(ran_here),
            Err(kind) => break kind,
        }
        done += 1;
        assert!(done < 100, "it is full some time");
    };
    assert_eq!(full, ErrorKind::TooLarge);
    let once = node.once("billing").occurrence("another");
    let refused = once.try_run(|_held| async { Err::<&str, _>("there is no room") });
    assert_eq!(refused.await.unwrap_err().kind(), ErrorKind::TooLarge);
    assert_eq!(run(&node, "0").await, Ok(false), "what is done stays done");
}
