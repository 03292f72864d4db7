//! Histories that are broken by hand, each of which is rejected for the right reason and for no other.

use std::collections::BTreeSet;

use leasehold_core::Mode;
use leasehold_testkit::history::{Call, Checker, History, Kind, Outcome, Removal, What};

use crate::fences::hold_after_pause;
use crate::script::{P, S, Script, X, checker, kinds};

type Case = (&'static str, &'static [Kind], fn(&mut Script));

pub(crate) fn assert_rejected(cases: &[Case]) {
    for (name, expected, write) in cases {
        let mut script = Script::default();
        write(&mut script);
        let report = checker().check(&History::new(script.events.clone()));
        let found = kinds(&checker(), script.events);
        assert_eq!(found, BTreeSet::from_iter(expected.iter().copied()), "{name}\n{report}");
        assert!(report.violations.iter().all(|violation| !violation.events.is_empty()), "{name}\n{report}");
    }
}

#[test]
fn beliefs() {
    assert_rejected(&[
        ("two hold a mutex", &[Kind::TwoBelievers], |s| {
            s.lock("a", 1);
            s.lock("b", 2);
        }),
        ("a reader beside a writer", &[Kind::TwoBelievers], |s| {
            s.lock("a", 1);
            s.lock_as("b", S, 2);
        }),
        ("a writer beside a reader", &[Kind::TwoBelievers], |s| {
            s.lock_as("a", S, 1);
            s.lock("b", 2);
        }),
        ("one permit too many", &[Kind::TwoBelievers], |s| {
            s.lock_as("a", P, 1);
            s.lock_as("b", Mode::Permits { count: 2, limit: 3, granted: false }, 2);
            s.lock_as("c", P, 3);
        }),
        ("the pause was over for long", &[Kind::TwoBelievers], |s| {
            s.lock("a", 1);
            s.pause("a").wait(100).resume("a").wait(500);
            s.lock("b", 2);
        }),
        ("the holder woke and believed on", &[Kind::TwoBelievers], |s| {
            s.lock("a", 1);
            s.pause("a");
            s.lock("b", 2);
            s.resume("a").wait(500);
            s.lock("c", 3);
        }),
        ("somebody else was paused", &[Kind::TwoBelievers], |s| {
            s.lock("a", 1);
            s.pause("c");
            s.lock("b", 2);
        }),
        ("the deadline is later than the next grant", &[Kind::TwoBelievers], |s| {
            s.lock_until("a", 1, 1_000);
            s.wait(900);
            s.lock("b", 2);
        }),
        ("a release that failed before it was sent is none", &[Kind::TwoBelievers], |s| {
            let a = s.lock("a", 1);
            s.lock("b", 2);
            s.release(a);
        }),
        ("a grant without an entry", &[Kind::GrantedWithoutEntry], |s| {
            s.entry(1, X).gone(1, Removal::Withdrawn);
            s.lock("a", 2);
            s.quiescent(&[]);
        }),
        ("a grant of an entry that has expired", &[Kind::GrantedWithoutEntry], |s| {
            let asked = s.ask("a", X);
            s.entry(1, X).gone(1, Removal::Expired).wait(200);
            s.grant(asked, 1);
        }),
    ]);
}

#[test]
fn tokens() {
    assert_rejected(&[
        ("a token is lower than one before", &[Kind::TokenNotRising], |s| {
            let a = s.lock("a", 2);
            s.release(a);
            s.lock("b", 1);
        }),
        ("a waiter is granted with a lower token", &[Kind::TokenNotRising], |s| {
            let b = s.ask("b", X);
            let a = s.lock("a", 2);
            s.release(a);
            s.grant(b, 1);
        }),
        ("it was withdrawn, and is granted after the next one", &[Kind::TokenNotRising], |s| {
            let b = s.ask("b", X);
            s.entry(1, X).entry(2, X).gone(1, Removal::Withdrawn);
            let a = s.lock("a", 2);
            s.release(a);
            s.grant(b, 1);
        }),
        ("it was removed by force only afterwards", &[Kind::Overtaken, Kind::TokenNotRising], |s| {
            let b = s.ask("b", X);
            s.entry(1, X).entry(2, X);
            let a = s.lock("a", 2);
            s.release(a);
            let b = s.grant(b, 1);
            s.gone(1, Removal::Forced).lost(b);
        }),
        ("a token comes again", &[Kind::TokenReused], |s| {
            let a = s.lock("a", 1);
            s.release(a);
            s.lock("b", 1);
        }),
        ("two readers with one token", &[Kind::TokenReused], |s| {
            s.lock_as("a", S, 1);
            s.lock_as("b", S, 1);
        }),
        ("permits with falling numbers", &[Kind::TokenNotRising], |s| {
            s.lock_as("a", P, 2);
            s.lock_as("b", P, 1);
        }),
        ("two entries with one order", &[Kind::TokenReused], |s| {
            s.entry(1, X);
            let (lock, entry) = ("L".into(), "another".into());
            s.note("tap", What::EntryCreated { lock, entry, order: 1, position: 2, mode: X });
        }),
        ("an entry with a lower order", &[Kind::TokenNotRising], |s| {
            s.entry(2, X).gone(2, Removal::Withdrawn).entry(1, X);
        }),
    ]);
}

#[test]
fn losses() {
    assert_rejected(&[
        ("nobody says that the deadline has passed", &[Kind::LossNotSignalled], |s| {
            s.lock_until("a", 1, 100);
            s.wait(500).quiescent(&[]);
        }),
        ("it is said too late", &[Kind::LossNotSignalled], |s| {
            let a = s.lock_until("a", 1, 100);
            s.wait(500).lost(a);
        }),
        ("it is said too late after a pause", &[Kind::LossNotSignalled], |s| {
            let a = s.lock_until("a", 1, 100);
            s.pause("a").wait(500).resume("a").wait(200).lost(a);
        }),
        ("the session expired and its holder believes on", &[Kind::LossNotSignalled], |s| {
            s.entry(1, X);
            let a = s.lock("a", 1);
            s.gone(1, Removal::Expired).wait(500).lost(a);
        }),
        ("an administrator removed it and its holder believes on", &[Kind::LossNotSignalled], |s| {
            s.entry(1, X);
            let a = s.lock("a", 1);
            s.gone(1, Removal::Forced).wait(500).lost(a);
        }),
        ("a session is renewed after its deadline", &[Kind::Revived], |s| {
            s.live("a", 100).wait(500).live("a", 100);
        }),
        ("a session is renewed after its loss", &[Kind::Revived], |s| {
            s.live("a", 100).session_lost("a").live("a", 100);
        }),
        ("a renewal after the deadline keeps nothing", &[Kind::Revived, Kind::LossNotSignalled], |s| {
            s.lock_until("a", 1, 100);
            s.wait(500).live("a", 1_000).quiescent(&[]);
        }),
        ("granted after the deadline", &[Kind::BornStale], |s| {
            s.live("a", 100);
            let asked = s.ask("a", X);
            s.wait(500);
            let a = s.grant_in(asked, 1, Some("s"));
            s.lost(a);
        }),
        ("granted by a session that is lost", &[Kind::BornStale], |s| {
            s.live("a", 10_000);
            let asked = s.ask("a", X);
            s.session_lost("a").wait(100);
            s.grant_in(asked, 1, Some("s"));
        }),
    ]);
}

#[test]
fn queues() {
    assert_rejected(&[
        ("somebody comes first out of turn", &[Kind::Overtaken, Kind::TokenNotRising], |s| {
            let (a, b) = (s.ask("a", X), s.ask("b", X));
            s.entry(1, X).entry(2, X);
            let b = s.grant(b, 2);
            s.release(b).gone(2, Removal::Withdrawn);
            s.grant(a, 1);
        }),
        ("a reader overtakes a waiting writer", &[Kind::Overtaken], |s| {
            s.entry(1, S).entry(2, X).entry(3, S);
            s.lock_as("a", S, 1);
            s.ask("b", X);
            s.lock_as("c", S, 3);
        }),
        ("a small request overtakes a large one", &[Kind::Overtaken], |s| {
            let all = Mode::Permits { count: 3, limit: 3, granted: false };
            s.entry(1, P).entry(2, all).entry(3, P);
            s.lock_as("a", P, 1);
            s.ask("b", all);
            s.lock_as("c", P, 3);
        }),
        ("the queue is ordered by position, not by token", &[Kind::Overtaken], |s| {
            let created = |order, position| {
                let (lock, entry) = ("L".into(), format!("{order}"));
                What::EntryCreated { lock, entry, order, position, mode: X }
            };
            s.note("tap", created(1, 8)).note("tap", created(2, 7));
            s.lock("a", 1);
        }),
        ("a try waits and is granted", &[Kind::TryOvertook], |s| {
            s.entry(1, X);
            let a = s.lock("a", 1);
            let b = s.ask_try("b");
            s.entry(2, X).release(a).gone(1, Removal::Withdrawn);
            s.grant(b, 2);
        }),
        ("an entry is left", &[Kind::LeftBehind], |s| {
            s.entry(1, X);
            let a = s.lock("a", 1);
            s.release(a).quiescent(&[]);
        }),
        ("a ghost comes and stays", &[Kind::LeftBehind], |s| {
            let asked = s.ask("a", X);
            s.info(asked, "Cancelled").entry(1, X).quiescent(&[]);
        }),
        ("a watch is left", &[Kind::LeftBehind], |s| {
            s.quiescent(&["watch of L"]);
        }),
    ]);
}

#[test]
fn progress_and_errors() {
    assert_rejected(&[
        ("a waiter is forgotten", &[Kind::Stuck], |s| {
            s.ask("a", X);
            s.wait(6_000).quiescent(&[]);
        }),
        ("a waiter is forgotten after the fault", &[Kind::Stuck], |s| {
            s.ask("a", X);
            s.fault(1).wait(60_000).heal(1).wait(6_000).quiescent(&[]);
        }),
        ("a release hangs", &[Kind::Stuck], |s| {
            let a = s.lock("a", 1);
            let release = s.invoke("a", Call::Release { hold: a.op });
            s.wait(6_000).ok(release, Outcome::Done);
        }),
        ("an error that makes no sense there", &[Kind::UndocumentedError], |s| {
            let asked = s.ask("a", X);
            s.fail(asked, "Corrupt");
        }),
        ("a downgrade that may have been made told as a failure", &[Kind::UndocumentedError], |s| {
            let a = s.lock("a", 1);
            let downgrade = s.invoke("a", Call::Downgrade { hold: a.op });
            s.fail(downgrade, "Lost");
        }),
        ("an uncertain outcome told as a failure", &[Kind::UndocumentedError], |s| {
            let asked = s.ask_register_write("a", "one", None);
            s.fail(asked, "Indeterminate");
        }),
        ("a panic", &[Kind::Panicked], |s| {
            s.note("a", What::Panicked { message: "index out of bounds".into() });
        }),
    ]);
}

#[test]
fn registers() {
    assert_rejected(&[
        ("an old value is read", &[Kind::NotLinearizable], |s| {
            s.register_write("a", "one", 1).register_write("a", "two", 2).register_read("b", 1, "one");
        }),
        ("a value comes and goes", &[Kind::NotLinearizable], |s| {
            s.register_write("a", "one", 1);
            let two = s.ask_register_write("a", "two", None);
            s.info(two, "Indeterminate").register_read("b", 2, "two").register_read("b", 1, "one");
        }),
        ("versions fall", &[Kind::NotLinearizable], |s| {
            s.register_write("a", "one", 5).register_write("a", "two", 4);
        }),
        ("both of two compare-and-sets win", &[Kind::NotLinearizable], |s| {
            s.register_write("a", "one", 1);
            let (b, c) = (s.ask_register_write("b", "b", Some(1)), s.ask_register_write("c", "c", Some(1)));
            s.ok(b, Outcome::Written { version: 2 }).ok(c, Outcome::Written { version: 3 });
        }),
        ("a compare-and-set loses against nobody", &[Kind::NotLinearizable], |s| {
            s.register_write("a", "one", 1);
            let b = s.ask_register_write("b", "b", Some(1));
            s.ok(b, Outcome::VersionDiffers);
        }),
        ("a failed write shows", &[Kind::NotLinearizable], |s| {
            let a = s.ask_register_write("a", "one", None);
            s.fail(a, "Unavailable").register_read("b", 1, "one");
        }),
        ("an unanswered write takes effect twice", &[Kind::NotLinearizable], |s| {
            let a = s.ask_register_write("a", "one", None);
            s.info(a, "Indeterminate").register_read("b", 1, "one");
            s.register_write("b", "two", 2).register_read("b", 3, "one");
        }),
        ("two readers disagree on the order", &[Kind::NotLinearizable], |s| {
            let (one, two) = (s.ask_register_write("a", "one", None), s.ask_register_write("b", "two", None));
            s.register_read("c", 1, "one").register_read("c", 2, "two").register_read("d", 1, "one");
            s.ok(one, Outcome::Written { version: 1 }).ok(two, Outcome::Written { version: 2 });
        }),
    ]);
}

#[test]
fn histories_that_are_none() {
    assert_rejected(&[
        ("an end without a beginning", &[Kind::Malformed], |s| {
            s.note("a", What::Fail { op: 9, error: "Closed".into() });
        }),
        ("two ends", &[Kind::Malformed], |s| {
            let asked = s.ask("a", X);
            s.info(asked, "Cancelled");
            s.grant(asked, 1);
        }),
        ("two operations of one number", &[Kind::Malformed], |s| {
            let call = Call::RegisterRead { register: "V".into() };
            s.note("a", What::Invoke { op: 1, call: call.clone() }).note("a", What::Invoke { op: 1, call });
        }),
        ("the outcome of another operation", &[Kind::Malformed], |s| {
            let asked = s.ask("a", X);
            s.ok(asked, Outcome::Written { version: 1 });
        }),
        ("a release of nothing", &[Kind::Malformed], |s| {
            s.invoke("a", Call::Release { hold: 77 });
        }),
        ("a process wakes that did not sleep", &[Kind::Malformed], |s| {
            s.resume("a");
        }),
        ("time runs backwards", &[Kind::Malformed], |s| {
            s.ask("a", X);
            s.ask("b", X);
            s.events[1].at = 1;
        }),
    ]);
}

#[test]
fn a_run_for_the_fence_that_did_not_reach_it() {
    let mut script = Script::default();
    let a = script.lock("a", 1);
    script.write(a, 0, 1).release(a);
    let once = checker().expect_stale_rejections(1);
    assert_eq!(kinds(&once, script.events.clone()), BTreeSet::from([Kind::NotSeen]));

    let mut script = Script::default();
    let (a, b) = (script.lock("a", 1), hold_after_pause(&mut script, "a", "b", 2));
    script.read(b, 0, 0).stale_read(a);
    let report = once.check(&History::new(script.events));
    report.assert_sound();
    assert_eq!(report.stale_rejections, 1);
}

#[test]
fn a_violation_names_its_events() {
    let mut script = Script::default();
    script.lock("a", 1);
    script.lock("b", 2);
    let report = Checker::new().check(&History::new(script.events));
    let [violation] = report.violations.as_slice() else { panic!("{report}") };
    assert_eq!(violation.events.iter().map(|(index, _)| *index).collect::<Vec<_>>(), [1, 3]);
    let text = report.to_string();
    assert!(text.contains("S2 TwoBelievers: a ("), "{text}");
    assert!(text.contains("#3 {\"at\":4000000,\"process\":\"b\",\"event\":\"ok\""), "{text}");
    assert!(text.ends_with("1 violation"), "{text}");
}
