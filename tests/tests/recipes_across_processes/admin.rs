//! Administration of locks that other processes hold.

use crate::process::{LASTING, MORTAL, Service, on_every_service};

on_every_service!(
    a_holder_hears_that_it_is_asked,
    a_lock_is_taken_from_another_process,
    a_lock_is_taken_from_a_process_that_is_stopped,
);

async fn a_holder_hears_that_it_is_asked(service: Service) {
    let [mut a, mut b, mut c] = service.processes(LASTING).await;
    let first = a.is_granted("m mutex lock users").await;
    b.tell("m mutex lock users").await;
    c.sees("mutex", "users", &[a.holds(), b.waits()]).await;
    c.does("x admin ask mutex users deployment", "asked 1").await;
    assert_eq!(a.hear("m").await, "asked deployment");
    // It is a request and no more.
    c.sees("mutex", "users", &[a.holds(), b.waits()]).await;
    c.does("m mutex try users", "busy").await;
    a.does("m release", "released").await;
    assert!(b.gets("m").await > first);
    c.does("x admin ask mutex nobodys deployment", "asked 0").await;
    // Readers are all asked.
    a.is_granted("r rw_lock read routes").await;
    b.is_granted("r rw_lock read routes").await;
    c.does("x admin ask rw_lock routes deployment", "asked 2").await;
    assert_eq!(a.hear("r").await, "asked deployment");
    assert_eq!(b.hear("r").await, "asked deployment");
}

async fn a_lock_is_taken_from_another_process(service: Service) {
    let [mut a, mut b, mut c] = service.processes(LASTING).await;
    let first = a.is_granted("m mutex lock users").await;
    b.tell("m mutex lock users").await;
    c.sees("mutex", "users", &[a.holds(), b.waits()]).await;
    c.does("x admin force_release mutex users ops", "released ByHolder").await;
    assert_eq!(a.hear("m").await, "lost ForceReleased");
    let second = b.gets("m").await;
    assert!(second > first);
    a.fails("m write position late", "Lost").await;
    a.fails("m release", "Lost").await;
    c.sees("mutex", "users", &[b.holds()]).await;
    b.does("m release", "released").await;
    c.does("x admin force_release mutex users ops", "released WasFree").await;
    // So is a leadership, whose session goes on.
    a.is_granted("l election campaign one alice").await;
    c.does("x admin force_release election one ops", "released ByHolder").await;
    assert_eq!(a.hear("l").await, "lost ForceReleased");
    a.fails("l proclaim late", "Lost").await;
    c.does("now election leader one", "nobody").await;
}

async fn a_lock_is_taken_from_a_process_that_is_stopped(service: Service) {
    // It would hold the lock for longer than the test waits for anything.
    let mut a = service.process(4 * LASTING).await;
    let [mut b, mut c] = service.processes(MORTAL).await;
    let first = a.is_granted("m mutex lock users").await;
    b.tell("m mutex lock users").await;
    c.sees("mutex", "users", &[a.holds(), b.waits()]).await;
    a.pause();
    c.does("x admin force_release mutex users ops", "released ByForce").await;
    let second = b.gets("m").await;
    assert!(second > first);
    a.tell("m write position late").await;
    a.resume();
    let (lost, late) = a.hears_of_its_loss("m").await;
    assert!(matches!(lost.as_str(), "lost ForceReleased" | "lost EntryRemoved"), "{lost}");
    assert!(late.starts_with("error Lost "), "{late}");
    c.does("r register read position", "nothing").await;
    c.sees("mutex", "users", &[b.holds()]).await;
}
