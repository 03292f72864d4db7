//! Cancellation at every poll.
#![cfg(tokio_unstable)]

#[test]
fn a_future_that_is_dropped_at_any_poll_leaves_nothing_and_nobody_waits_for_it() {
    let all = leasehold_simulation::enumerate_cancellations();
    println!("{} operations, {} cancellations", all.operations, all.cancellations);
    assert!(all.failures.is_empty(), "{:#?}", all.failures);
    assert!(all.operations >= 57 && all.cancellations > 5000, "{all:?}");
}
