//! Registers on paused time, over the memory service with injected faults: every fault at every call, with and without others who write
//! meanwhile.

mod bounds;
mod capabilities;
mod lost_replies;
mod once;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use leasehold::memory::{Fault, MemoryService, Operation};
use leasehold::{Coordinator, CoordinatorBuilder};
use tokio::runtime::Handle;

const TTL: Duration = Duration::from_secs(30);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// The marks that a register keeps.
const MARKS: i64 = 16;

fn builder(service: &MemoryService) -> CoordinatorBuilder {
    Coordinator::builder(service.backend())
        .ttl(TTL)
        .request_timeout(REQUEST_TIMEOUT)
        .runtime(Handle::current())
}

async fn node(service: &MemoryService) -> Coordinator {
    builder(service).connect().await.unwrap()
}

const FAULTS: [Fault; 8] = [
    Fault::None,
    Fault::Refuse,
    Fault::LoseRequest,
    Fault::LoseReply,
    Fault::Delay(Duration::from_secs(1)),
    Fault::Delay(Duration::from_secs(3)),
    Fault::DelayReply(Duration::from_secs(3)),
    Fault::DeliverLate(Duration::from_millis(5)),
];

/// Whether a call takes longer than a request may take.
fn is_too_slow(fault: Fault) -> bool {
    matches!(fault, Fault::Delay(time) | Fault::DelayReply(time) if time > REQUEST_TIMEOUT)
}

/// What happens to the calls of one node: one of them is disturbed, and at that moment somebody else is told.
fn disturb(
    service: &MemoryService,
    node: &Coordinator,
    disturbed: impl Fn(u64) -> bool + Send + Sync + 'static,
    fault: Fault,
    meanwhile: impl Fn() + Send + Sync + 'static,
) -> Arc<AtomicU64> {
    let session = node.status().borrow().session.clone();
    let calls = Arc::new(AtomicU64::new(0));
    let counted = calls.clone();
    service.on_call(move |call| {
        let ours = call.session == session && !matches!(call.operation, Operation::Renew);
        if !ours {
            return Fault::None;
        }
        let nth = counted.fetch_add(1, Ordering::SeqCst) + 1;
        if !disturbed(nth) {
            return Fault::None;
        }
        meanwhile();
        fault
    });
    calls
}
