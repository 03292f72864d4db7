//! The double barrier.

use std::collections::BTreeSet;

use crate::process::{LASTING, MORTAL, Process, QUIET, Service, on_every_service};

on_every_service!(
    parties_enter_and_leave_together,
    a_party_that_is_killed_inside_is_missed,
    a_party_that_is_killed_at_the_door_is_missed,
);

const ENTER: &str = "d double_barrier enter step 3";

fn entered(outcome: &str) -> u64 {
    let round = outcome.strip_prefix("entered ").and_then(|round| round.parse().ok());
    round.unwrap_or_else(|| panic!("not inside: {outcome}"))
}

/// All enter, and are in the same round.
async fn enter(processes: &mut [Process]) -> u64 {
    for process in &mut *processes {
        process.tell(ENTER).await;
    }
    let mut rounds = BTreeSet::new();
    for process in processes {
        rounds.insert(entered(&process.hear("d").await));
    }
    assert_eq!(rounds.len(), 1, "{rounds:?}");
    rounds.pop_first().expect("there is one")
}

async fn leave(processes: &mut [Process]) {
    for process in &mut *processes {
        process.tell("d leave").await;
    }
    for process in processes {
        assert_eq!(process.hear("d").await, "left");
    }
}

async fn parties_enter_and_leave_together(service: Service) {
    let [mut a, mut b, mut c] = service.processes(LASTING).await;
    a.tell(ENTER).await;
    c.sees("double_barrier", "step", &[a.holds()]).await;
    b.tell(ENTER).await;
    c.sees("double_barrier", "step", &[a.holds(), b.holds()]).await;
    c.fails("other double_barrier enter step 4", "Mismatch").await;
    a.is_silent("d", QUIET).await;
    b.is_silent("d", QUIET).await;
    let round = entered(&c.ask(ENTER).await);
    assert_eq!([entered(&a.hear("d").await), entered(&b.hear("d").await)], [round, round]);
    a.tell("d leave").await;
    b.tell("d leave").await;
    a.is_silent("d", QUIET).await;
    b.is_silent("d", QUIET).await;
    c.does("d leave", "left").await;
    assert_eq!([a.hear("d").await, b.hear("d").await], ["left", "left"]);
    let (mut three, mut last) = ([a, b, c], round);
    for _ in 0..3 {
        let next = enter(&mut three).await;
        assert!(next > last);
        leave(&mut three).await;
        last = next;
    }
}

async fn a_party_that_is_killed_inside_is_missed(service: Service) {
    let mut four: [_; 4] = service.processes(MORTAL).await;
    let first = enter(&mut four[..3]).await;
    let [a, mut b, mut c, d] = four;
    b.tell("d leave").await;
    a.kill().await;
    c.tell("d leave").await;
    for process in [&mut b, &mut c] {
        let outcome = process.hear("d").await;
        assert!(outcome.starts_with("error PeerLost "), "{outcome}");
    }
    let mut others = [b, c, d];
    assert!(enter(&mut others).await > first);
    leave(&mut others).await;
}

async fn a_party_that_is_killed_at_the_door_is_missed(service: Service) {
    let [mut a, mut b, c, d] = service.processes(MORTAL).await;
    a.tell(ENTER).await;
    a.sees("double_barrier", "step", &[a.holds()]).await;
    b.tell(ENTER).await;
    b.sees("double_barrier", "step", &[a.holds(), b.holds()]).await;
    a.kill().await;
    let outcome = b.hear("d").await;
    assert!(outcome.starts_with("error PeerLost "), "{outcome}");
    let mut others = [b, c, d];
    enter(&mut others).await;
    leave(&mut others).await;
}
