//! Once.

use leasehold::FencingToken;

use crate::process::{LASTING, MORTAL, Service, is_expiry, on_every_service};

on_every_service!(
    what_is_done_is_done_for_all,
    who_waits_runs_when_the_runner_is_killed,
    a_runner_that_was_stopped_too_long_records_nothing,
);

fn running(outcome: &str) -> FencingToken {
    let token = outcome.strip_prefix("running ").and_then(|token| token.parse().ok());
    token.unwrap_or_else(|| panic!("it does not run: {outcome}"))
}

async fn what_is_done_is_done_for_all(service: Service) {
    let [mut a, mut b, mut c] = service.processes(LASTING).await;
    running(&a.ask("o once run billing monday by-a").await);
    b.tell("o once run billing monday by-b").await;
    // Another occurrence does not wait for this one.
    running(&c.ask("o once run billing tuesday by-c").await);
    c.does("x once completion billing monday", "open").await;
    a.does("o finish", "done by-a here").await;
    assert_eq!(b.hear("o").await, "done by-a elsewhere");
    c.does("o finish", "done by-c here").await;
    for process in [&mut a, &mut b, &mut c] {
        process.does("o once run billing monday again", "done by-a elsewhere").await;
        process.does("o once run billing tuesday again", "done by-c elsewhere").await;
        process.does("x once completion billing tuesday", "done by-c elsewhere").await;
    }
    // Work that fails is left to the next.
    running(&a.ask("o once run billing friday by-a").await);
    b.tell("o once run billing friday by-b").await;
    a.does("o fail", "failed").await;
    running(&b.hear("o").await);
    b.does("o finish", "done by-b here").await;
}

async fn who_waits_runs_when_the_runner_is_killed(service: Service) {
    let [mut a, mut b, mut c] = service.processes(MORTAL).await;
    let first = running(&a.ask("o once run billing monday by-a").await);
    b.tell("o once run billing monday by-b").await;
    a.kill().await;
    let second = running(&b.hear("o").await);
    assert!(second > first);
    c.tell("o once run billing monday by-c").await;
    b.does("o finish", "done by-b here").await;
    assert_eq!(c.hear("o").await, "done by-b elsewhere");
    // What is recorded outlives who recorded it.
    b.kill().await;
    c.does("o once run billing monday again", "done by-b elsewhere").await;
}

async fn a_runner_that_was_stopped_too_long_records_nothing(service: Service) {
    let [mut a, mut b] = service.processes(MORTAL).await;
    running(&a.ask("o once run billing monday by-a").await);
    a.pause();
    running(&b.ask("o once run billing monday by-b").await);
    a.tell("o finish").await;
    a.resume();
    let late = a.hear("o").await;
    let reason = late.strip_prefix("error Lost ").and_then(|rest| rest.split(':').next());
    assert!(reason.is_some_and(|reason| is_expiry(&format!("lost {reason}"))), "{late}");
    b.does("x once completion billing monday", "open").await;
    b.does("o finish", "done by-b here").await;
    b.does("x once completion billing monday", "done by-b elsewhere").await;
}
