//! Broken histories of fenced resources, of those who held before and after.

use leasehold_testkit::history::{Kind, Outcome, What};

use crate::broken::assert_rejected;
use crate::script::{Hold, S, Script};

#[test]
fn fenced_resources() {
    assert_rejected(&[
        ("a stale write is accepted", &[Kind::TokenRegressed], |s| {
            let (a, b) = (s.lock("a", 1), hold_after_pause(s, "a", "b", 2));
            s.read(b, 0, 0).write(a, 0, 1);
        }),
        ("a stale read is accepted", &[Kind::TokenRegressed], |s| {
            let (a, b) = (s.lock("a", 1), hold_after_pause(s, "a", "b", 2));
            s.write(b, 0, 1).read(a, 1, 10);
        }),
        ("tokens are checked on writes only", &[Kind::TokenRegressed, Kind::LostUpdate], |s| {
            let (a, b) = (s.lock("a", 1), hold_after_pause(s, "a", "b", 2));
            s.read(b, 0, 0).write(a, 0, 1).write(b, 0, 2);
        }),
        ("a stale write is accepted while the new holder's is under way", &[Kind::TokenRegressed], |s| {
            let (a, b) = (s.lock("a", 1), hold_after_pause(s, "a", "b", 2));
            let (new, old) = (s.ask_write(b, 0, 10), s.ask_write(a, 1, 20));
            s.ok(old, Outcome::Written { version: 2 }).ok(new, Outcome::Written { version: 1 });
        }),
        ("an unanswered stale write takes effect late", &[Kind::TokenRegressed], |s| {
            let a = s.lock("a", 1);
            s.write_lost(a, 1, 20);
            let b = hold_after_pause(s, "a", "b", 2);
            s.write(b, 0, 1).read(b, 2, 20);
        }),
        ("a reader passes after a later writer", &[Kind::TokenRegressed], |s| {
            let (a, b) = (s.lock_as("a", S, 1), hold_after_pause(s, "a", "b", 2));
            s.read(b, 0, 0).read(a, 0, 0);
        }),
        ("a writer passes after a later reader", &[Kind::TokenRegressed], |s| {
            let a = s.lock("a", 1);
            s.pause("a");
            let b = s.lock_as("b", S, 2);
            s.resume("a");
            s.read(b, 0, 0).write(a, 0, 1);
            s.lost(a);
        }),
        ("an update is lost", &[Kind::LostUpdate], |s| {
            let a = s.lock("a", 1);
            s.read(a, 0, 0).write(a, 0, 1).write(a, 0, 2);
        }),
        ("an update is lost by a write whose answer is lost", &[Kind::LostUpdate], |s| {
            let a = s.lock("a", 1);
            s.read(a, 0, 0).write(a, 0, 1).write_lost(a, 0, 77).read(a, 2, 77);
        }),
        ("an answered write is undone", &[Kind::WentBack], |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).write(a, 1, 2).read(a, 1, 10);
        }),
        ("an answered write is undone in the end", &[Kind::WentBack], |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).release(a).verdict(0, 0);
        }),
        ("two writes make one version", &[Kind::WentBack], |s| {
            let a = s.lock("a", 1);
            let (one, other) = (s.ask_write(a, 0, 10), s.ask_write(a, 0, 10));
            s.ok(one, Outcome::Written { version: 1 }).ok(other, Outcome::Written { version: 1 });
        }),
        ("an answered write is applied twice", &[Kind::AppliedTwice], |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).read(a, 2, 10);
        }),
        ("an unanswered write is applied twice", &[Kind::AppliedTwice], |s| {
            let a = s.lock("a", 1);
            s.write_lost(a, 0, 10).read(a, 1, 10).read(a, 2, 10);
        }),
        ("a failed write is applied", &[Kind::Unexplained], |s| {
            let a = s.lock("a", 1);
            let asked = s.ask_write(a, 0, 10);
            s.fail(asked, "Unavailable").read(a, 1, 10);
        }),
        ("a version comes from nowhere", &[Kind::Unexplained], |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).write(a, 2, 3);
        }),
        ("a value comes from nowhere", &[Kind::Unexplained], |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).read(a, 1, 11);
        }),
        ("a value is seen before it is written", &[Kind::Unexplained], |s| {
            let a = s.lock("a", 1);
            s.read(a, 1, 10);
            let write = s.ask_write(a, 0, 10);
            s.ok(write, Outcome::Written { version: 1 });
        }),
        ("an unanswered write shows before it is sent", &[Kind::Unexplained], |s| {
            let a = s.lock("a", 1);
            s.read(a, 1, 10).write_lost(a, 0, 10);
        }),
        ("the final value is not what was written last", &[Kind::Unexplained], |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).release(a).verdict(1, 9);
        }),
        ("the newest holder is rejected", &[Kind::NeedlessRejection], |s| {
            let a = s.lock("a", 1);
            s.write(a, 0, 1).release(a);
            let b = s.lock("b", 2);
            s.stale_read(b);
        }),
        ("a reader is rejected because of a later reader", &[Kind::NeedlessRejection], |s| {
            let (a, b) = (s.lock_as("a", S, 1), s.lock_as("b", S, 2));
            s.read(b, 0, 0).stale_read(a);
        }),
        ("two with one token at once", &[Kind::SectionsOverlap, Kind::TokenReused], |s| {
            let a = s.lock("a", 1);
            let b = hold_after_pause(s, "a", "b", 1);
            s.read(a, 0, 0).read(b, 0, 0).write(a, 0, 1).write(b, 1, 2);
        }),
    ]);
}

/// The old holder is paused while somebody else is granted, and told of its loss on waking.
pub(crate) fn hold_after_pause(s: &mut Script, old: &'static str, new: &'static str, order: u64) -> Hold {
    s.pause(old);
    let new = s.lock(new, order);
    s.resume(old);
    let hold = s.events.iter().find_map(|event| match &event.what {
        What::Ok { op, outcome: Outcome::Granted { .. } } if event.process == old => Some(*op),
        _ => None,
    });
    let hold = hold.expect("the old one was granted");
    s.note(old, What::Lost { hold, reason: "DeadlinePassed".into() });
    new
}

#[test]
fn sections_of_old_and_new_holders() {
    assert_rejected(&[(
        "a resource without a fence",
        &[Kind::TokenRegressed, Kind::LostUpdate, Kind::SectionsOverlap],
        |s| {
            let (a, b) = (s.lock("a", 1), hold_after_pause(s, "a", "b", 2));
            s.read(a, 0, 0).read(b, 0, 0).write(a, 0, 1).write(b, 0, 2);
        },
    )]);
}
