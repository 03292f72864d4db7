//! The multi-lock.

use leasehold::FencingToken;

use crate::process::{LASTING, MORTAL, Service, on_every_service};

on_every_service!(opposite_orders_do_not_block_each_other, members_of_a_killed_process_come_back);

async fn opposite_orders_do_not_block_each_other(service: Service) {
    let dir = tempfile::tempdir().expect("a directory");
    let dir = dir.path().display();
    let mut processes: [_; 3] = service.processes(LASTING).await;
    for (process, names) in processes.iter_mut().zip(["left middle right", "right middle left", "right left"])
    {
        process.tell(&format!("s multi stress {dir} 40 {names}")).await;
    }
    for process in &mut processes {
        assert_eq!(process.hear("s").await, "done");
    }
}

/// The tokens of two members.
fn pair(outcome: &str) -> [FencingToken; 2] {
    let tokens = outcome.strip_prefix("granted ").unwrap_or_else(|| panic!("no grant: {outcome}"));
    let tokens: Vec<_> = tokens.split(' ').map(|token| token.parse().expect("a token")).collect();
    tokens.try_into().expect("one a member")
}

async fn members_of_a_killed_process_come_back(service: Service) {
    let [mut a, mut b, mut c] = service.processes(MORTAL).await;
    let first = pair(&a.ask("both multi lock left right").await);
    b.tell("both multi lock right left").await;
    c.sees("mutex", "left", &[a.holds(), b.waits()]).await;
    c.does("one mutex try right", "busy").await;
    a.kill().await;
    let second = pair(&b.hear("both").await);
    assert!(second[0] > first[0] && second[1] > first[1]);
    // A member that is taken away ends the whole.
    c.does("x admin force_release mutex right ops", "released ByHolder").await;
    assert_eq!(b.hear("both").await, "lost right ForceReleased");
    c.is_granted("one mutex try right").await;
    c.sees("mutex", "left", &[b.holds()]).await;
    b.fails("both release", "Lost").await;
    c.is_granted("other mutex try left").await;
}
