//! The semaphore's rule.

use super::FirstThatFit;
use crate::attempt::{AttemptId, AttemptIds};
use crate::contenders::{Contender, Contenders};
use crate::mode::Mode;
use crate::rule::{Rule, Verdict};
use crate::rule_model::{Model, queues_of};

const LIMIT: u32 = 3;

const fn permits(count: u32) -> Mode {
    Mode::Permits { count, limit: LIMIT, granted: false }
}

/// What an entry takes of the permits, for somebody who believes in three.
fn size(mode: Mode) -> u32 {
    match mode {
        Mode::Permits { count, limit: LIMIT, .. } => count,
        _ => LIMIT,
    }
}

/// Who may hold, said in another way than the rule says it: served one by one, as long as there is something left.
fn entitled(modes: &[Mode], me: usize) -> bool {
    let mut left = LIMIT;
    for mode in &modes[..=me] {
        match left.checked_sub(size(*mode)) {
            Some(rest) => left = rest,
            None => return false,
        }
    }
    true
}

fn compatible(holders: &[Mode]) -> bool {
    holders.iter().map(|mode| size(*mode)).sum::<u32>() <= LIMIT
}

fn model(announcements_get_lost: bool) -> Model {
    Model {
        rule: &FirstThatFit,
        is_own: |mode| matches!(mode, Mode::Permits { .. }),
        entitled,
        compatible,
        downgrades: false,
        announcements_get_lost,
        // The first in line, and the one next behind.
        woken_by_a_leave: |_, _| 2,
    }
}

#[test]
fn every_history_of_small_queues_keeps_the_limit_and_makes_progress() {
    for modes in queues_of(&[permits(1), permits(2), permits(3)], 4) {
        model(false).explore(&modes);
    }
    for modes in [[1, 1, 1, 1, 1], [3, 1, 1, 1, 1], [1, 3, 1, 1, 1], [2, 2, 1, 1, 1], [1, 2, 3, 1, 2]] {
        model(false).explore(&modes.map(permits));
    }
}

#[test]
fn a_lost_announcement_leaves_only_those_waiting_who_look_again_by_themselves() {
    for modes in queues_of(&[permits(1), permits(2), permits(3)], 4) {
        model(true).explore(&modes);
    }
}

#[test]
fn entries_that_are_none_of_the_semaphores_take_all_of_it() {
    for modes in queues_of(&[permits(1), permits(2), Mode::Exclusive, Mode::Shared], 4) {
        model(false).explore(&modes);
    }
}

fn queue(modes: &[Mode]) -> (Contenders, Vec<AttemptId>) {
    let ids = AttemptIds::new().unwrap();
    let attempts: Vec<_> = modes.iter().map(|_| ids.next()).collect();
    let contenders = (0..).zip(&attempts).zip(modes).map(|((position, attempt), mode)| Contender {
        attempt: *attempt,
        position,
        mode: *mode,
    });
    (contenders.collect(), attempts)
}

#[test]
fn the_first_of_the_semaphores_entries_decides_the_limit() {
    let other = Mode::Permits { count: 1, limit: 5, granted: true };
    let verdict = |modes: &[Mode], me: usize| {
        let (queue, attempts) = queue(modes);
        FirstThatFit.verdict(&queue, attempts[me])
    };
    assert!(matches!(verdict(&[other, permits(1)], 1), Verdict::Refused(_)));
    assert!(matches!(verdict(&[Mode::Exclusive, other, permits(1)], 2), Verdict::Refused(_)));
    assert!(matches!(verdict(&[permits(1), other], 1), Verdict::Refused(_)));
    // Who agrees with the first is not to blame, and waits until the one who does not has left.
    assert!(matches!(verdict(&[permits(1), other, permits(1)], 2), Verdict::WaitForHint(_)));
    // Who comes later says nothing against those who are there.
    assert!(matches!(verdict(&[permits(1), other], 0), Verdict::Granted { .. }));
    assert!(FirstThatFit.objection(&queue(&[other]).0, permits(1)).unwrap().contains("5 permits"));
    assert_eq!(FirstThatFit.objection(&queue(&[permits(2), other]).0, permits(1)), None);
    assert_eq!(FirstThatFit.objection(&queue(&[]).0, permits(1)), None);
}

#[test]
fn a_try_is_admitted_exactly_where_the_rule_grants() {
    let other = Mode::Permits { count: 1, limit: 5, granted: false };
    let all = [permits(1), permits(2), permits(3), Mode::Exclusive, Mode::Shared, other];
    for modes in queues_of(&all, 4) {
        let (Some(last), (mut queue, attempts)) = (modes.last(), queue(&modes)) else { continue };
        if !matches!(last, Mode::Permits { limit: LIMIT, .. }) {
            continue;
        }
        let me = attempts[modes.len() - 1];
        let granted = matches!(FirstThatFit.verdict(&queue, me), Verdict::Granted { .. });
        queue.remove(me);
        assert_eq!(last.is_admitted_behind(&queue), granted, "{modes:?}");
    }
}

#[test]
fn the_largest_numbers_are_counted_right() {
    let all = Mode::Permits { count: u32::MAX, limit: u32::MAX, granted: false };
    let (queue, attempts) = queue(&[all, all, Mode::Exclusive, all]);
    assert!(matches!(FirstThatFit.verdict(&queue, attempts[0]), Verdict::Granted { .. }));
    assert!(matches!(FirstThatFit.verdict(&queue, attempts[1]), Verdict::WaitFor(_)));
    assert!(matches!(FirstThatFit.verdict(&queue, attempts[3]), Verdict::WaitForHint(_)));
}
