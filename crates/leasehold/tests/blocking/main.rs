//! The library for programs without async. No test has a runtime but where it says so.

#![cfg(feature = "memory")]

mod admin;
mod double_barriers;
mod elections;
mod groups;
mod locks;
mod records;
mod two_worlds;

use std::thread;
use std::time::{Duration, Instant};

use leasehold::blocking::Coordinator;
use leasehold::memory::MemoryService;

const PATIENCE: Duration = Duration::from_secs(20);
/// For what does not happen; the service answers in less, also on a machine that is busy.
const BRIEFLY: Duration = Duration::from_millis(200);

fn open(service: &MemoryService) -> Coordinator {
    Coordinator::open(leasehold::Coordinator::builder(service.backend())).unwrap()
}

fn expire(service: &MemoryService, coordinator: &Coordinator) {
    let session = coordinator.status().borrow().session.clone().unwrap();
    assert!(service.expire_session(&session));
}

/// Waits until the service keeps nothing, which is what happens in the background after a drop.
fn nothing_is_left(service: &MemoryService) {
    let deadline = Instant::now() + PATIENCE;
    while !service.keys("").is_empty() {
        assert!(Instant::now() < deadline, "{:?}", service.keys(""));
        thread::yield_now();
    }
}
