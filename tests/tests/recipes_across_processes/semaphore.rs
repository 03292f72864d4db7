//! The semaphore.

use crate::process::{LASTING, MORTAL, Service, on_every_service};

on_every_service!(
    permits_are_counted_across_processes,
    permits_of_a_killed_process_come_back,
    a_limit_is_reached_and_never_exceeded,
);

async fn permits_are_counted_across_processes(service: Service) {
    let [mut a, mut b] = service.processes(LASTING).await;
    a.is_granted("one semaphore acquire pool 3 2").await;
    b.is_granted("one semaphore acquire pool 3 1").await;
    a.does("two semaphore try pool 3 1", "busy").await;
    b.does("two semaphore try pool 3 1", "busy").await;
    b.fails("other semaphore try pool 4 1", "Mismatch").await;
    b.tell("two semaphore acquire pool 3 2").await;
    a.sees("semaphore", "pool", &[a.holds(), b.holds(), b.waits()]).await;
    a.does("one release", "released").await;
    b.gets("two").await;
    a.does("two semaphore try pool 3 1", "busy").await;
    b.does("one release", "released").await;
    a.is_granted("two semaphore try pool 3 1").await;
}

async fn permits_of_a_killed_process_come_back(service: Service) {
    let [mut a, mut b, mut c] = service.processes(MORTAL).await;
    a.is_granted("one semaphore acquire pool 3 1").await;
    a.is_granted("two semaphore acquire pool 3 1").await;
    b.is_granted("one semaphore acquire pool 3 1").await;
    c.tell("all semaphore acquire pool 3 2").await;
    b.sees("semaphore", "pool", &[a.holds(), a.holds(), b.holds(), c.waits()]).await;
    a.kill().await;
    c.gets("all").await;
    b.sees("semaphore", "pool", &[b.holds(), c.holds()]).await;
    b.does("two semaphore try pool 3 1", "busy").await;
}

async fn a_limit_is_reached_and_never_exceeded(service: Service) {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("gauge");
    let mut processes: [_; 4] = service.processes(LASTING).await;
    for (process, count) in processes.iter_mut().zip([1, 2, 1, 2]) {
        process.tell(&format!("s semaphore stress pool 3 {count} {} 40", file.display())).await;
    }
    let mut reached = 0;
    for process in &mut processes {
        let outcome = process.hear("s").await;
        let most: u32 = outcome.strip_prefix("done ").and_then(|most| most.parse().ok()).expect(&outcome);
        reached = reached.max(most);
    }
    assert_eq!(reached, 3);
}
