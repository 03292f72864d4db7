//! The election.

use std::time::Duration;

use crate::process::{LASTING, MORTAL, Process, Service, is_expiry, on_every_service};

on_every_service!(
    a_leader_is_observed_and_followed_when_it_is_killed,
    a_restarted_process_resumes_what_it_led,
    an_older_incarnation_that_wakes_is_told,
    a_leader_that_was_stopped_too_long_is_told,
);

async fn a_leader_is_observed_and_followed_when_it_is_killed(service: Service) {
    let [mut a, mut b, mut c] = service.processes(MORTAL).await;
    c.does("seen election observe one", "nobody").await;
    let first = a.is_granted("l election campaign one alice").await;
    assert_eq!(c.hear("seen").await, format!("leader alice {first}"));
    a.does("l proclaim alicia", "proclaimed").await;
    assert_eq!(c.hear("seen").await, format!("leader alicia {first}"));
    b.does("l election try one bob", "busy").await;
    b.tell("l election campaign one bob").await;
    c.sees("election", "one", &[a.holds(), b.waits()]).await;
    c.does("now election leader one", &format!("leader alicia {first}")).await;
    a.kill().await;
    let second = b.gets("l").await;
    assert!(second > first);
    assert_eq!(c.hear("seen").await, format!("leader bob {second}"), "without a gap");
    b.does("l release", "released").await;
    assert_eq!(c.hear("seen").await, "nobody");
}

/// What the leader leaves to its next incarnation.
async fn ticket(leader: &mut Process) -> String {
    let outcome = leader.ask("l ticket").await;
    outcome.strip_prefix("ticket ").unwrap_or_else(|| panic!("no ticket: {outcome}")).to_owned()
}

async fn a_restarted_process_resumes_what_it_led(service: Service) {
    const TTL: u64 = 5;
    let [mut a, mut c] = service.processes(TTL).await;
    let first = a.is_granted("l election campaign one alice").await;
    c.tell("l election campaign one carol").await;
    c.sees("election", "one", &[a.holds(), c.waits()]).await;
    c.does("seen election observe one", &format!("leader alice {first}")).await;
    let ticket = ticket(&mut a).await;
    a.kill().await;
    let mut b = service.process(TTL).await;
    let resumed = b.is_granted(&format!("l election resume one {ticket}")).await;
    assert!(resumed > first);
    b.sees("election", "one", &[b.holds(), c.waits()]).await;
    assert_eq!(c.hear("seen").await, format!("leader alice {resumed}"), "without a gap");
    // For longer than the session of the killed one would have lived by itself.
    c.is_silent("l", Duration::from_secs(2 * TTL)).await;
    b.does("l proclaim alicia", "proclaimed").await;
    assert_eq!(c.hear("seen").await, format!("leader alicia {resumed}"));
    b.does("l release", "released").await;
    let last = c.gets("l").await;
    assert!(last > resumed);
    assert_eq!(c.hear("seen").await, format!("leader carol {last}"));
}

async fn an_older_incarnation_that_wakes_is_told(service: Service) {
    let [mut a, mut b, mut c] = service.processes(LASTING).await;
    let first = a.is_granted("l election campaign one alice").await;
    let ticket = ticket(&mut a).await;
    c.does("seen election observe one", &format!("leader alice {first}")).await;
    a.pause();
    let resumed = b.is_granted(&format!("l election resume one {ticket}")).await;
    assert!(resumed > first);
    assert_eq!(c.hear("seen").await, format!("leader alice {resumed}"));
    a.tell("l proclaim late").await;
    a.resume();
    let (lost, late) = a.hears_of_its_loss("l").await;
    assert_eq!(lost, "lost Superseded");
    assert!(late.starts_with("error Lost Superseded: "), "{late}");
    a.fails("l release", "Lost").await;
    b.does("l proclaim alicia", "proclaimed").await;
    assert_eq!(c.hear("seen").await, format!("leader alicia {resumed}"), "nothing of the older one's");
    // The older one may stand again, behind the newer.
    a.tell("again election campaign one alice").await;
    c.sees("election", "one", &[b.holds(), a.waits()]).await;
    b.does("l release", "released").await;
    assert!(a.gets("again").await > resumed);
}

async fn a_leader_that_was_stopped_too_long_is_told(service: Service) {
    let [mut a, mut b] = service.processes(MORTAL).await;
    let first = a.is_granted("l election campaign one alice").await;
    b.tell("l election campaign one bob").await;
    b.sees("election", "one", &[a.holds(), b.waits()]).await;
    a.pause();
    let second = b.gets("l").await;
    assert!(second > first);
    a.tell("l proclaim late").await;
    a.resume();
    let (lost, late) = a.hears_of_its_loss("l").await;
    assert!(is_expiry(&lost), "{lost}");
    assert!(late.starts_with("error Lost "), "{late}");
    b.does("now election leader one", &format!("leader bob {second}")).await;
    // In its next session it can stand again.
    a.fails("l release", "Lost").await;
    a.tell("again election campaign one alice").await;
    b.sees("election", "one", &[b.holds(), a.waits()]).await;
    b.does("l release", "released").await;
    assert!(a.gets("again").await > second);
}
