//! Registers and counters, and writes on condition of a lock.

use crate::process::{LASTING, MORTAL, Service, is_expiry, on_every_service};

on_every_service!(
    every_addition_is_counted_once,
    every_update_is_applied_once,
    one_of_two_writes_on_a_version_wins,
    a_holder_that_was_stopped_too_long_writes_nothing,
);

async fn every_addition_is_counted_once(service: Service) {
    const TIMES: i64 = 40;
    let mut processes: [_; 3] = service.processes(LASTING).await;
    for process in &mut processes {
        process.tell(&format!("c counter add sold 1 {TIMES}")).await;
    }
    let mut answers = Vec::new();
    for process in &mut processes {
        let outcome = process.hear("c").await;
        let counted: Vec<i64> =
            outcome.split(' ').skip(1).map(|number| number.parse().expect(&outcome)).collect();
        assert!(counted.is_sorted(), "{outcome}");
        answers.extend(counted);
    }
    answers.sort_unstable();
    assert_eq!(answers, (1..=3 * TIMES).collect::<Vec<_>>(), "each number once");
    processes[0].does("c counter get sold", &format!("counted {}", 3 * TIMES)).await;
}

async fn every_update_is_applied_once(service: Service) {
    const TIMES: usize = 30;
    let mut processes: [_; 3] = service.processes(LASTING).await;
    let words = ["a", "b", "c"];
    for (process, word) in processes.iter_mut().zip(words) {
        process.tell(&format!("r register append log {word} {TIMES}")).await;
    }
    for process in &mut processes {
        assert_eq!(process.hear("r").await, "done");
    }
    let outcome = processes[0].ask("r register read log").await;
    let log: Vec<&str> = outcome.split(' ').nth(1).expect(&outcome).split_terminator(',').collect();
    assert_eq!(log.len(), 3 * TIMES, "{outcome}");
    for word in words {
        let own = log.iter().copied().filter(|entry| entry.starts_with(word));
        assert!(own.eq((0..TIMES).map(|round| format!("{word}{round}"))), "{outcome}");
    }
}

async fn one_of_two_writes_on_a_version_wins(service: Service) {
    let [mut a, mut b, mut c] = service.processes(LASTING).await;
    let mut version = version(&a.ask("r register write owner nobody").await);
    for _ in 0..20 {
        c.tell(&format!("seen register changed owner {version}")).await;
        a.tell(&format!("r register compare_and_set owner {version} alice")).await;
        b.tell(&format!("r register compare_and_set owner {version} bob")).await;
        let (alice, bob) = (a.hear("r").await, b.hear("r").await);
        let (winner, won) = match (alice.as_str(), bob.as_str()) {
            (won, "other version") => ("alice", won),
            ("other version", won) => ("bob", won),
            both => panic!("{both:?}"),
        };
        let next = self::version(won);
        assert!(next > version);
        assert_eq!(c.hear("seen").await, format!("value {winner} {next}"));
        version = next;
    }
}

fn version(outcome: &str) -> u64 {
    let version = outcome.strip_prefix("version ").and_then(|version| version.parse().ok());
    version.unwrap_or_else(|| panic!("no version: {outcome}"))
}

async fn a_holder_that_was_stopped_too_long_writes_nothing(service: Service) {
    let [mut a, mut b] = service.processes(MORTAL).await;
    let first = a.is_granted("m mutex lock job").await;
    let before = version(&a.ask("m write position first").await);
    a.pause();
    let second = b.is_granted("m mutex lock job").await;
    assert!(second > first);
    b.does("r register read position", &format!("value first {before}")).await;
    // It is the first thing that it does when it wakes.
    a.tell("m write position late").await;
    a.resume();
    let (lost, late) = a.hears_of_its_loss("m").await;
    assert!(is_expiry(&lost), "{lost}");
    assert!(late.starts_with("error Lost "), "{late}");
    b.does("r register read position", &format!("value first {before}")).await;
    let after = version(&b.ask("m write position second").await);
    assert!(after > before);
    a.does("r register read position", &format!("value second {after}")).await;
    a.fails("m release", "Lost").await;
}
