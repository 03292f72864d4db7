//! The group.

use crate::process::{MORTAL, Service, is_expiry, on_every_service};

on_every_service!(members_are_seen_to_come_and_go);

async fn members_are_seen_to_come_and_go(service: Service) {
    let [mut a, mut b, mut c] = service.processes(MORTAL).await;
    c.tell("seen group events workers").await;
    c.does("x group members workers", "members").await;
    let alice = a.is_granted("m group join workers alice").await;
    assert_eq!(c.hear("seen").await, "joined alice");
    let bob = b.is_granted("m group join workers bob").await;
    assert!(bob > alice);
    assert_eq!(c.hear("seen").await, "joined bob");
    for process in [&mut a, &mut b, &mut c] {
        process.does("x group members workers", "members alice bob").await;
    }
    a.does("m set_value alicia", "value set").await;
    assert_eq!(c.hear("seen").await, "changed alicia");
    b.does("m release", "released").await;
    assert_eq!(c.hear("seen").await, "left bob");
    assert!(b.is_granted("m group join workers bob").await > bob);
    assert_eq!(c.hear("seen").await, "joined bob");
    a.kill().await;
    assert_eq!(c.hear("seen").await, "left alicia");
    b.does("x group members workers", "members bob").await;
    // One that is stopped for longer than its TTL is none any more, and is told when it wakes.
    b.pause();
    assert_eq!(c.hear("seen").await, "left bob");
    c.does("x group members workers", "members").await;
    b.tell("m set_value late").await;
    b.resume();
    let (lost, late) = b.hears_of_its_loss("m").await;
    assert!(is_expiry(&lost), "{lost}");
    assert!(late.starts_with("error Lost "), "{late}");
    c.does("x group members workers", "members").await;
}
