//! The simulation simulated: that a seed goes the same way each time, that faults bite, and that a promise that is not kept is
//! found and made small.
#![cfg(tokio_unstable)]

use leasehold_simulation::{Counts, Plan, Violation, minimise, run};

#[test]
fn a_seed_goes_the_same_way_each_time_and_another_one_another_way() {
    let mut hashes = Vec::new();
    for seed in 0..40 {
        let plan = Plan::of(seed);
        let (first, second) = (run(&plan, true), run(&plan, true));
        assert_eq!(first.lines, second.lines, "seed {seed}");
        assert_eq!((first.hash, &first.history), (second.hash, &second.history), "seed {seed}");
        assert!(first.lines.len() > 20 && !first.history.is_empty(), "seed {seed} does nothing");
        hashes.push(first.hash);
    }
    hashes.sort_unstable();
    hashes.dedup();
    assert_eq!(hashes.len(), 40);
}

#[test]
fn nothing_that_a_log_shows_depends_on_whether_it_is_kept() {
    let plan = Plan::of(7);
    assert_eq!(run(&plan, true).hash, run(&plan, false).hash);
}

/// Each of these must come about, or the seeds say less than they seem to.
const REACHED: &[&str] = &[
    "error",
    "delay",
    "request_lost",
    "reply_lost",
    "reply_late",
    "ghost",
    "event_late",
    "event_lost",
    "event_duplicated",
    "watch_cancelled",
    "compacted",
    "stale_read",
    // That the worst of these bite, too.
    "created_unanswered",
    "stale_look",
    "compacted_look",
    "entry_outlived_ttl",
    "expired_while_believed",
    "pause",
    "crash",
    "shutdown",
    "cut",
    "cut_replies",
    "service_pause",
    "restart",
    "leader_change",
    "session_expired",
    "entry_was_there",
    "queue_removed",
    "data_lost",
    "unrelayed_renewals",
    "mutex",
    "read",
    "write",
    "permits",
    "campaign",
    "multi_lock",
    "register",
    "counter",
    "barrier",
    "latch",
    "once",
    "group",
    "double_barrier",
    "admin",
    "observe",
    "grants",
    "busy",
    "dropped",
    "entry_expired",
    "removed_while_believed",
    "two_believers_by_force",
    "stale_rejections",
    "released_lost",
    "released_unknown",
    "lost_deadline",
    "lost_session",
    "lost_entry",
    "lost_by_force",
    "lost_max_hold",
    "lost_shutdown",
    "downgrades",
    "latch_passed",
    "once_completed",
    "double_barrier_left",
    "indeterminate",
];

#[test]
fn all_faults_and_states_come_about_and_no_promise_is_broken() {
    let mut counts = Counts::new();
    for seed in 0..600 {
        let outcome = run(&Plan::of(seed), false);
        assert_eq!(outcome.violations, [], "seed {seed}");
        for (what, count) in outcome.counts.into_iter().chain(outcome.faults) {
            *counts.entry(what).or_default() += count;
        }
    }
    let missing: Vec<_> = REACHED.iter().filter(|what| !counts.contains_key(*what)).collect();
    assert!(missing.is_empty(), "{missing:?} never came about: {counts:?}");
}

#[test]
fn without_fences_an_update_is_lost_and_the_plan_of_that_is_made_small() {
    let mut found = (0..3000).map(|seed| Plan::of(seed).without_fences()).filter(|plan| {
        let outcome = run(plan, false);
        outcome.violations.iter().any(|violation| violation.promise == "S1")
    });
    let plan = found.next().expect("somebody wrote after he had lost what he held");
    let before = plan.size();
    let small = minimise(&plan, 2000);
    let after = small.plan.size();
    assert_eq!(small.outcome.violations[0].promise, "S1");
    let by_the_checker = |violation: &Violation| violation.what.starts_with("S1 ");
    assert!(small.outcome.violations.iter().any(by_the_checker), "{:?}", small.outcome.violations);
    // Some steps are there only for the time that they take.
    assert!(after[0] * 4 <= before[0], "{after:?} of {before:?}:\n{}", small.plan);
    assert!(after[1] <= before[1] && after[2] <= before[2], "{after:?} of {before:?}");
    let again = run(&small.plan, false);
    assert_eq!(again.hash, small.outcome.hash, "the small one goes the same way each time, too");
    // The fence is what keeps it from happening.
    assert_eq!(run(&small.plan.with_fences(), false).violations, []);
}
