//! The barrier and the latch.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::process::{MORTAL, QUIET, Service, on_every_service};

on_every_service!(a_barrier_outlives_who_set_it, a_latch_opens_when_all_have_counted);

async fn a_barrier_outlives_who_set_it(service: Service) {
    let [mut a, mut b, mut c] = service.processes(MORTAL).await;
    c.does("w barrier wait migrated", "passed").await;
    a.does("x barrier set migrated", "set").await;
    b.tell("w barrier wait migrated").await;
    c.does("x barrier is_set migrated", "true").await;
    c.tell("w barrier wait migrated").await;
    a.kill().await;
    // For longer than the session of the one that set it lives.
    b.is_silent("w", Duration::from_secs(2 * MORTAL)).await;
    let mut d = service.process(MORTAL).await;
    d.does("x barrier is_set migrated", "true").await;
    d.does("x barrier lift migrated", "lifted").await;
    assert_eq!(b.hear("w").await, "passed");
    assert_eq!(c.hear("w").await, "passed");
}

async fn a_latch_opens_when_all_have_counted(service: Service) {
    let mut processes: [_; 3] = service.processes(MORTAL).await;
    let [mut waiting, mut stranger] = service.processes(MORTAL).await;
    waiting.tell("w latch wait loaded 4").await;
    let mut left = BTreeSet::new();
    for process in &mut processes {
        process.tell("c latch count_down loaded 4").await;
    }
    for process in &mut processes {
        left.insert(process.hear("c").await);
    }
    assert_eq!(left, BTreeSet::from(["left 1", "left 2", "left 3"].map(String::from)), "each once");
    stranger.fails("c latch count_down loaded 5", "Mismatch").await;
    // What was counted stays, whatever becomes of who counted.
    for process in processes {
        process.kill().await;
    }
    waiting.is_silent("w", QUIET).await;
    stranger.does("c latch count_down loaded 4", "left 0").await;
    assert_eq!(waiting.hear("w").await, "open");
    stranger.does("w latch wait loaded 4", "open").await;
}
