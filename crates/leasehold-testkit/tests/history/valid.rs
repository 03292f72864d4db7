//! Histories that look odd and are sound.

use leasehold_core::Mode;
use leasehold_testkit::history::{Call, Checker, History, Outcome, Removal, What};

use crate::script::{P, S, Script, X, checker};

type Case = (&'static str, fn(&mut Script));

fn assert_accepted(cases: &[Case]) {
    for (name, write) in cases {
        let mut script = Script::default();
        write(&mut script);
        let report = checker().check(&History::new(script.events));
        assert!(report.is_sound(), "{name}\n{report}");
    }
}

#[test]
fn lost_answers() {
    assert_accepted(&[
        ("an unanswered write that took effect", |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).write_lost(a, 1, 77).read(a, 2, 77).write(a, 2, 3).verdict(3, 30);
        }),
        ("an unanswered write that did not", |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).write_lost(a, 1, 77).read(a, 1, 10).write(a, 1, 2).verdict(2, 20);
        }),
        ("of two that were based on the same one did", |s| {
            let a = s.lock("a", 1);
            s.write_lost(a, 0, 5).write_lost(a, 0, 6).read(a, 1, 6).verdict(1, 6);
        }),
        ("of two by different holders the later one did", |s| {
            let a = s.lock("a", 1);
            s.write_lost(a, 0, 5).release(a);
            let b = s.lock("b", 2);
            s.read(b, 0, 0).write_lost(b, 0, 5).read(b, 1, 5);
        }),
        ("an unanswered write that only the judge sees", |s| {
            let a = s.lock("a", 1);
            s.write_lost(a, 0, 5).verdict(1, 5);
        }),
        ("a write that never ended because its process was killed", |s| {
            let a = s.lock("a", 1);
            s.ask_write(a, 0, 5);
            s.kill("a");
            let b = s.lock("b", 2);
            s.read(b, 1, 5).write(b, 1, 2).wait(60_000).quiescent(&[]);
        }),
        ("an unanswered register write that took effect late", |s| {
            s.register_write("a", "one", 1);
            let two = s.ask_register_write("a", "two", None);
            s.info(two, "Indeterminate").register_read("b", 1, "one").register_read("b", 7, "two");
        }),
        ("an unanswered register write that was overwritten unseen", |s| {
            let one = s.ask_register_write("a", "one", None);
            s.info(one, "Indeterminate").register_write("b", "two", 9).register_read("a", 9, "two");
        }),
        ("a compare-and-set that lost against an unanswered write", |s| {
            s.register_write("a", "one", 1);
            let two = s.ask_register_write("a", "two", Some(1));
            s.info(two, "Indeterminate");
            let three = s.ask_register_write("b", "three", Some(1));
            s.ok(three, Outcome::VersionDiffers).register_read("b", 2, "two");
        }),
        ("register operations that overlap", |s| {
            let (one, two) = (s.ask_register_write("a", "one", None), s.ask_register_write("b", "two", None));
            let (early, late) = (s.ask_register_read("c"), s.ask_register_read("d"));
            s.answer_register(early, 4, "two").answer_register(late, 0, "");
            s.ok(one, Outcome::Written { version: 5 }).ok(two, Outcome::Written { version: 4 });
            s.register_read("c", 5, "one");
        }),
    ]);
}

#[test]
fn overlaps_that_are_explained() {
    assert_accepted(&[
        ("a paused holder and the next one", |s| {
            let a = s.lock("a", 1);
            s.pause("a");
            let b = s.lock("b", 2);
            s.wait(500).resume("a").wait(20).lost(a).release(b);
        }),
        ("who is paused on its way hears of its grant after the next one's", |s| {
            s.entry(1, X);
            let b = s.ask("b", X);
            s.pause("b").gone(1, Removal::Expired).entry(2, X).wait(1_000);
            let a = s.lock("a", 2);
            s.grant(b, 1);
            s.resume("b").release(a);
        }),
        ("whose entry was removed by force hears of its grant after the next one's", |s| {
            let b = s.ask("b", X);
            s.entry(1, X).entry(2, X).gone(1, Removal::Forced);
            let a = s.lock("a", 2);
            s.release(a);
            let b = s.grant(b, 1);
            s.lost(b);
        }),
        ("the deadline ends a belief", |s| {
            let a = s.lock_until("a", 1, 100);
            s.wait(120);
            s.lock("b", 2);
            s.lost(a);
        }),
        ("a renewal moves the deadline", |s| {
            let a = s.lock_until("a", 1, 100);
            s.wait(50).live("a", 100).wait(80).live("a", 100);
            s.wait(50).release(a);
            s.lock("b", 2);
        }),
        ("an administrator removed the entry, and the next is granted at once", |s| {
            s.entry(1, X);
            let a = s.lock("a", 1);
            s.entry(2, X).gone(1, Removal::Forced);
            let b = s.lock("b", 2);
            s.lost(a).release(b);
        }),
        ("a killed holder", |s| {
            s.lock("a", 1);
            s.kill("a");
            s.lock("b", 2);
        }),
        ("readers, and a writer that becomes one", |s| {
            let (a, b) = (s.lock_as("a", S, 1), s.lock_as("b", S, 2));
            s.release(a).release(b);
            let w = s.lock("w", 3);
            s.write(w, 0, 1);
            let downgrade = s.invoke("w", Call::Downgrade { hold: w.op });
            let c = s.lock_as("c", S, 4);
            s.ok(downgrade, Outcome::Done).read(c, 1, 10);
        }),
        ("all permits, and no more", |s| {
            let holds = [s.lock_as("a", P, 1), s.lock_as("b", P, 2), s.lock_as("c", P, 3)];
            s.release(holds[1]);
            s.lock_as("d", P, 4);
        }),
        ("readers in any order", |s| {
            let (one, two) = (s.lock_as("a", S, 1), s.lock_as("b", S, 2));
            s.read(two, 0, 0).read(one, 0, 0);
            let (three, four) = (s.ask("c", S), s.ask("d", S));
            s.grant(four, 4);
            s.grant(three, 3);
        }),
        ("a stale holder is rejected, and the resource heard of the newer one only from a read", |s| {
            let a = s.lock("a", 1);
            s.pause("a");
            let b = s.lock("b", 2);
            s.read(b, 0, 0).resume("a").stale_read(a).lost(a).write(b, 0, 1);
        }),
        ("a stale holder passes until the newer one's first touch", |s| {
            let a = s.lock("a", 1);
            s.pause("a");
            let b = s.lock("b", 2);
            s.resume("a").write(a, 0, 1).lost(a).read(b, 1, 10).write(b, 1, 2);
        }),
    ]);
}

#[test]
fn queues() {
    assert_accepted(&[
        ("first come, first served, and one gave up", |s| {
            let (a, b, c) = (s.ask("a", X), s.ask("b", X), s.ask("c", X));
            s.entry(1, X).entry(2, X).entry(3, X);
            let a = s.grant(a, 1);
            s.info(b, "Cancelled").gone(2, Removal::Withdrawn);
            s.release(a).gone(1, Removal::Withdrawn);
            let c = s.grant(c, 3);
            s.release(c).gone(3, Removal::Withdrawn).quiescent(&[]);
        }),
        ("a small request that still fits", |s| {
            let two = Mode::Permits { count: 2, limit: 3, granted: false };
            s.entry(1, two).entry(2, P).entry(3, P);
            s.lock_as("a", two, 1);
            s.lock_as("b", P, 2);
        }),
        ("tries that found nobody and somebody", |s| {
            let a = s.ask_try("a");
            s.entry(1, X);
            let a = s.grant(a, 1);
            let b = s.ask_try("b");
            s.ok(b, Outcome::Busy).release(a).gone(1, Removal::Withdrawn).quiescent(&[]);
        }),
        ("a downgrade lets the readers behind it in", |s| {
            s.entry(1, X).entry(2, S);
            let w = s.lock("w", 1);
            let downgrade = s.invoke("w", Call::Downgrade { hold: w.op });
            s.note("tap", What::EntryChanged { lock: "L".into(), entry: "1".into(), mode: S });
            s.lock_as("r", S, 2);
            s.ok(downgrade, Outcome::Done);
        }),
        ("a downgrade that nobody confirmed in time has let a reader in", |s| {
            s.entry(1, X).entry(2, S);
            let w = s.lock("w", 1);
            let downgrade = s.invoke("w", Call::Downgrade { hold: w.op });
            s.note("tap", What::EntryChanged { lock: "L".into(), entry: "1".into(), mode: S });
            let r = s.lock_as("r", S, 2);
            s.read(r, 0, 0).info(downgrade, "Lost").lost(w);
        }),
        ("local turns share an entry", |s| {
            let (a, b) = (s.ask("a", X), s.ask_try("a"));
            s.entry(1, X);
            let a = s.grant(a, 1);
            s.release(a);
            let token = leasehold_core::FencingToken::new(0, 1, 1);
            s.ok(b, Outcome::Granted { token, session: None });
        }),
        ("a queue whose directory was deleted counts from the beginning again", |s| {
            let created = |order, position| {
                let (lock, entry) = ("L".into(), format!("{order}"));
                What::EntryCreated { lock, entry, order, position, mode: X }
            };
            s.note("tap", created(1, 8));
            let a = s.lock("a", 1);
            s.release(a).gone(1, Removal::Withdrawn);
            s.note("tap", created(2, 0));
            let b = s.lock("b", 2);
            s.release(b).gone(2, Removal::Withdrawn).quiescent(&[]);
        }),
    ]);
}

#[test]
fn waiting_that_is_explained() {
    assert_accepted(&[
        ("a fault goes on", |s| {
            let asked = s.ask("a", X);
            s.wait(2_000).fault(1).wait(60_000).heal(1).wait(2_000);
            s.grant(asked, 1);
        }),
        ("one fault after the other", |s| {
            let asked = s.ask("a", X);
            for fault in 1..20 {
                s.wait(4_000).fault(fault).heal(fault);
            }
            s.grant(asked, 1);
        }),
        ("somebody is paused", |s| {
            let a = s.lock("a", 1);
            let b = s.ask("b", X);
            s.pause("a").wait(20_000).resume("a").release(a);
            s.grant(b, 2);
        }),
    ]);
}

#[test]
fn what_a_service_does_not_promise_is_not_asked_of_it() {
    let mut script = Script::default();
    let (a, b) = (script.ask("a", X), script.ask("b", X));
    script.entry(1, X).entry(2, X);
    script.grant(b, 2);
    script.grant(a, 1);
    let history = History::new(script.events);
    let kinds = |checker: Checker| {
        let report = checker.check(&history);
        report.violations.iter().map(|violation| violation.kind).collect::<Vec<_>>()
    };
    use leasehold_testkit::history::Kind::{Overtaken, TokenNotRising, TwoBelievers};
    assert_eq!(kinds(Checker::new().without_exclusive_belief().without_order()), [TokenNotRising]);
    let mut strict = kinds(Checker::new());
    strict.sort_unstable();
    assert_eq!(strict, [TwoBelievers, TokenNotRising, Overtaken]);
}

#[test]
fn a_try_may_look_after_its_entry_was_created() {
    use leasehold_testkit::history::Kind::{Overtaken, TryOvertook};
    let tries = |leaves_in_time: bool| {
        let mut script = Script::default();
        script.entry(1, X);
        let a = script.lock("a", 1);
        let b = script.ask_try("b");
        script.entry(2, X);
        if leaves_in_time {
            script.release(a).gone(1, Removal::Withdrawn);
        }
        script.grant(b, 2);
        History::new(script.events)
    };
    let order = |checker: Checker, history: &History| {
        let violations = checker.check(history).violations.into_iter().map(|violation| violation.kind);
        violations.filter(|kind| matches!(kind, Overtaken | TryOvertook)).collect::<Vec<_>>()
    };
    let later = || Checker::new().tries_look_after_creating();
    assert_eq!(order(Checker::new(), &tries(true)), [TryOvertook]);
    assert_eq!(order(later(), &tries(true)), []);
    assert_eq!(order(later(), &tries(false)), [Overtaken], "somebody is still ahead");
}
