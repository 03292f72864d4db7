//! Valid histories, each broken in one way at a random place: every break is found.

use std::collections::BTreeSet;

use fastrand::Rng;
use leasehold_testkit::history::{Call, Event, History, Kind, Outcome, STALE, What};

use crate::generator::{Use, generate};
use crate::script::{X, checker, token};

/// Breaks a history, if it has a place for it.
type Break = fn(&mut Vec<Event>, &mut Rng) -> Option<()>;

const BREAKS: &[(&str, Kind, Break)] = &[
    ("an access with an older token", Kind::TokenRegressed, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            accepted(events, index)
                && events[..index].iter().any(|e| wrote(e, 1))
                && begins(events, index).is_some()
        })?;
        let begin = begins(events, ok)?;
        match &mut events[begin].what {
            What::Invoke { call: Call::Read { token: old, .. } | Call::Write { token: old, .. }, .. } => {
                *old = token(0);
            }
            _ => return None,
        }
        Some(())
    }),
    ("a stale access passes", Kind::TokenRegressed, |events, rng| {
        let fail = pick(
            events,
            rng,
            |events, index| matches!(&events[index].what, What::Fail { error, .. } if error == STALE),
        )?;
        let (version, value) = newest(&events[..fail]);
        let What::Fail { op, .. } = events[fail].what else { return None };
        events[fail].what = What::Ok { op, outcome: Outcome::Value { version, value } };
        Some(())
    }),
    ("a write based on an older version", Kind::LostUpdate, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Ok { outcome: Outcome::Written { version: 2.. }, .. })
                && begins(events, index).is_some_and(|begin| is_write(&events[begin]))
        })?;
        let begin = begins(events, ok)?;
        let What::Invoke { call: Call::Write { based_on, .. }, .. } = &mut events[begin].what else {
            return None;
        };
        *based_on -= 1;
        Some(())
    }),
    ("a write that did not happen was answered", Kind::WentBack, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Ok { outcome: Outcome::Value { version: 2.., .. }, .. })
                && events[..index]
                    .iter()
                    .any(|e| matches!(e.what, What::Ok { outcome: Outcome::Value { version: 2.., .. }, .. }))
        })?;
        let What::Ok { outcome: Outcome::Value { version, .. }, .. } = &mut events[ok].what else {
            return None;
        };
        *version = 0;
        Some(())
    }),
    ("nobody has written it", Kind::Unexplained, |events, rng| {
        if unanswered_write(events) {
            return None;
        }
        let ok = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Ok { outcome: Outcome::Written { .. }, .. })
                && begins(events, index).is_some_and(|begin| is_write(&events[begin]))
        })?;
        let What::Ok { op, .. } = events[ok].what else { return None };
        events[ok].what = What::Fail { op, error: "Unavailable".into() };
        Some(())
    }),
    ("another value", Kind::Unexplained, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Ok { outcome: Outcome::Value { version: 1.., .. }, .. })
        })?;
        let What::Ok { outcome: Outcome::Value { value, .. }, .. } = &mut events[ok].what else {
            return None;
        };
        *value = 7_777_777;
        Some(())
    }),
    ("a write is applied twice", Kind::AppliedTwice, |events, rng| {
        if unanswered_write(events) {
            return None;
        }
        let ok = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Ok { outcome: Outcome::Written { .. }, .. })
                && begins(events, index).is_some_and(|begin| is_write(&events[begin]))
                // Somebody looks before the next write.
                && events[index..].iter().find(|e| is_write(e) || shows(e).is_some()).is_some_and(|e| shows(e).is_some())
        })?;
        let What::Ok { outcome: Outcome::Written { version: made }, .. } = events[ok].what else {
            return None;
        };
        let writes: BTreeSet<_> =
            events.iter().filter(|event| is_write(event)).filter_map(operation).collect();
        for event in &mut events[ok + 1..] {
            let writes_resource = operation(event).is_some_and(|operation| writes.contains(&operation));
            match &mut event.what {
                What::Ok { outcome: Outcome::Value { version, .. }, .. } | What::Verdict { version, .. }
                    if *version >= made =>
                {
                    *version += 1;
                }
                What::Invoke { call: Call::Write { based_on, .. }, .. } if *based_on >= made => {
                    *based_on += 1
                }
                // Those of the register have numbers of their own.
                What::Ok { outcome: Outcome::Written { version }, .. } if writes_resource => *version += 1,
                _ => {}
            }
        }
        Some(())
    }),
    ("the newest is rejected", Kind::NeedlessRejection, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Ok { outcome: Outcome::Value { .. }, .. })
        })?;
        let What::Ok { op, .. } = events[ok].what else { return None };
        events[ok].what = What::Fail { op, error: STALE.into() };
        Some(())
    }),
    ("a token twice", Kind::TokenReused, |events, rng| {
        let (one, other) = two_grants(events, rng)?;
        let token = granted(&events[one])?;
        *granted_mut(&mut events[other])? = token;
        Some(())
    }),
    ("tokens fall", Kind::TokenNotRising, |events, rng| {
        let (one, other) = two_grants(events, rng)?;
        let (first, second) = (granted(&events[one])?, granted(&events[other])?);
        *granted_mut(&mut events[one])? = second;
        *granted_mut(&mut events[other])? = first;
        Some(())
    }),
    ("who was granted never had an entry", Kind::GrantedWithoutEntry, |events, rng| {
        let ok = pick(events, rng, |events, index| granted(&events[index]).is_some())?;
        let gone = granted(&events[ok])?.order().to_string();
        events.retain(|event| match &event.what {
            What::EntryCreated { entry, .. } | What::EntryRemoved { entry, .. } => *entry != gone,
            _ => true,
        });
        Some(())
    }),
    ("the next is granted before the release", Kind::TwoBelievers, |events, rng| {
        let (_, other) = two_grants(events, rng)?;
        let release = (0..other)
            .rev()
            .find(|index| matches!(events[*index].what, What::Invoke { call: Call::Release { .. }, .. }))?;
        // Only if it was asked for before, and follows that release.
        let begin = begins(events, other)?;
        if !is_exclusive(&events[begin]) {
            return None;
        }
        // Nor has anybody just woken, who would be excused.
        let recent = events.partition_point(|event| event.at + 60_000_000 < events[release].at);
        let between = &events[release..other];
        if events[recent..release].iter().any(is_pause) {
            return None;
        }
        if begin > release || between.iter().any(|event| granted(event).is_some() || is_pause(event)) {
            return None;
        }
        move_before(events, other, release);
        Some(())
    }),
    ("the next is granted before who is ahead is gone", Kind::Overtaken, |events, rng| {
        let (_, other) = two_grants(events, rng)?;
        let begin = begins(events, other)?;
        let order = granted(&events[other])?.order();
        let gone =
            (begin..other).rev().find(|index| matches!(events[*index].what, What::EntryRemoved { .. }))?;
        let made = (begin..other).find(|index| {
            matches!(&events[*index].what, What::EntryCreated { order: created, .. } if *created == order)
        })?;
        if !is_exclusive(&events[begin]) || made > gone {
            return None;
        }
        let What::EntryRemoved { entry, .. } = &events[gone].what else { return None };
        if entry.parse::<u64>().ok()? > order {
            return None;
        }
        move_before(events, other, gone);
        Some(())
    }),
    ("a try that waited", Kind::TryOvertook, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            let (Some(token), Some(begin)) = (granted(&events[index]), begins(events, index)) else {
                return false;
            };
            if !is_exclusive(&events[begin]) {
                return false;
            }
            let made = (begin..index).find(
                |at| matches!(events[*at].what, What::EntryCreated { order, .. } if order == token.order()),
            );
            // Somebody ahead went away meanwhile, and had held.
            made.is_some_and(|made| {
                (made..index).any(|at| match &events[at].what {
                    What::EntryRemoved { entry, .. } => {
                        let order: u64 = entry.parse().unwrap();
                        order < token.order()
                            && events[..made].iter().filter_map(granted).any(|t| t.order() == order)
                    }
                    _ => false,
                })
            })
        })?;
        let begin = begins(events, ok)?;
        let What::Invoke { call: Call::Acquire { only_if_free, .. }, .. } = &mut events[begin].what else {
            return None;
        };
        *only_if_free = true;
        Some(())
    }),
    ("a loss is not told", Kind::LossNotSignalled, |events, rng| {
        let lost = pick(events, rng, |events, index| {
            // Who is paused again has more time to be told.
            let again = |event: &Event| matches!(&event.what, What::Paused { whom } if *whom == events[index].process);
            matches!(events[index].what, What::Lost { .. })
                && index + 60 < events.len()
                && !events[index..].iter().any(again)
        })?;
        events.remove(lost);
        Some(())
    }),
    ("a session comes back", Kind::Revived, |events, rng| {
        let lost = pick(events, rng, |events, index| matches!(events[index].what, What::Lost { .. }))?;
        let process = events[lost].process.clone();
        let session = events[..lost].iter().rev().find_map(|event| match &event.what {
            What::SessionLive { session, .. } if event.process == process => Some(session.clone()),
            _ => None,
        })?;
        let at = events[lost].at;
        let over = What::SessionLost { session: session.clone(), reason: "SessionEnded".into() };
        let live = What::SessionLive { session, until: at + 1_000_000_000 };
        events.insert(lost + 1, Event { at, process: process.clone(), what: over });
        events.insert(lost + 2, Event { at, process, what: live });
        Some(())
    }),
    ("a grant of a lost session", Kind::BornStale, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            begins(events, index).is_some_and(|begin| {
                granted(&events[index]).is_some() && events[index].at - events[begin].at > 100_000_000
            })
        })?;
        let begin = begins(events, ok)?;
        let What::Ok { outcome: Outcome::Granted { session: Some(session), .. }, .. } = &events[ok].what
        else {
            return None;
        };
        let lost = What::SessionLost { session: session.clone(), reason: "SessionEnded".into() };
        let (at, process) = (events[begin].at, events[begin].process.clone());
        events.insert(begin + 1, Event { at, process, what: lost });
        Some(())
    }),
    ("an entry stays", Kind::LeftBehind, |events, rng| {
        let gone =
            pick(events, rng, |events, index| matches!(events[index].what, What::EntryRemoved { .. }))?;
        events.remove(gone);
        Some(())
    }),
    ("something is left", Kind::LeftBehind, |events, _| {
        let quiescent = events.iter_mut().find(|event| matches!(event.what, What::Quiescent { .. }))?;
        quiescent.what = What::Quiescent { left: vec!["a lease".into()] };
        Some(())
    }),
    ("somebody waits for long", Kind::Stuck, |events, rng| {
        let begin = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Invoke { .. })
                && events[index + 1].process == events[index].process
                && calm(&events[..=index])
        })?;
        for event in &mut events[begin + 1..] {
            event.at += 6_000_000_000;
            if let What::SessionLive { until, .. } = &mut event.what {
                *until += 6_000_000_000;
            }
        }
        Some(())
    }),
    ("an error that makes no sense", Kind::UndocumentedError, |events, rng| {
        let info = pick(events, rng, |events, index| matches!(events[index].what, What::Info { .. }))?;
        let What::Info { error, .. } = &mut events[info].what else { return None };
        *error = "Corrupt".into();
        Some(())
    }),
    ("a panic", Kind::Panicked, |events, rng| {
        let index = rng.usize(0..events.len());
        let Event { at, process, .. } = events[index].clone();
        events.insert(index, Event { at, process, what: What::Panicked { message: "!".into() } });
        Some(())
    }),
    ("a register's old value", Kind::NotLinearizable, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Ok { outcome: Outcome::Register { version: 9.., .. }, .. })
                && events.len() > index
        })?;
        let What::Ok { outcome: Outcome::Register { version, value }, .. } = &mut events[ok].what else {
            return None;
        };
        (*version, *value) = (0, None);
        Some(())
    }),
    ("a register's version falls", Kind::NotLinearizable, |events, rng| {
        let ok = pick(events, rng, |events, index| {
            matches!(events[index].what, What::Ok { outcome: Outcome::Written { version: 9.. }, .. })
                && begins(events, index).is_some_and(|begin| !is_write(&events[begin]))
        })?;
        let What::Ok { outcome: Outcome::Written { version }, .. } = &mut events[ok].what else {
            return None;
        };
        *version = 1;
        Some(())
    }),
    ("an operation ends twice", Kind::Malformed, |events, rng| {
        let end = pick(events, rng, |events, index| matches!(events[index].what, What::Ok { .. }))?;
        events.insert(end, events[end].clone());
        Some(())
    }),
];

/// A random place of which `fits` is true.
fn pick(events: &[Event], rng: &mut Rng, fits: impl Fn(&[Event], usize) -> bool) -> Option<usize> {
    let places: Vec<_> = (0..events.len()).filter(|index| fits(events, *index)).collect();
    rng.choice(places)
}

/// The beginning of the operation that ends there.
fn begins(events: &[Event], end: usize) -> Option<usize> {
    let (What::Ok { op, .. } | What::Fail { op, .. } | What::Info { op, .. }) = &events[end].what else {
        return None;
    };
    events[..end].iter().position(|event| {
        event.process == events[end].process
            && matches!(&event.what, What::Invoke { op: begun, .. } if begun == op)
    })
}

fn is_write(event: &Event) -> bool {
    matches!(event.what, What::Invoke { call: Call::Write { .. }, .. })
}

/// Whether there is a write of the resource whose answer was lost, which would explain, badly, what nobody else did.
fn unanswered_write(events: &[Event]) -> bool {
    (0..events.len()).any(|index| {
        matches!(events[index].what, What::Info { .. })
            && begins(events, index).is_some_and(|begin| is_write(&events[begin]))
    })
}

/// Process and number of an operation that begins or is done there.
fn operation(event: &Event) -> Option<(String, u64)> {
    match event.what {
        What::Invoke { op, .. } | What::Ok { op, .. } => Some((event.process.clone(), op)),
        _ => None,
    }
}

/// One that needs room which nobody but the last of the others makes.
fn is_exclusive(event: &Event) -> bool {
    matches!(event.what, What::Invoke { call: Call::Acquire { mode: X, .. }, .. })
}

fn is_pause(event: &Event) -> bool {
    matches!(event.what, What::Paused { .. } | What::Resumed { .. })
}

fn shows(event: &Event) -> Option<(u64, u64)> {
    match event.what {
        What::Ok { outcome: Outcome::Value { version, value }, .. }
        | What::Verdict { version, value, .. } => Some((version, value)),
        _ => None,
    }
}

/// Whether it was accepted by the resource, and showed or made at least the first version.
fn accepted(events: &[Event], end: usize) -> bool {
    match events[end].what {
        What::Ok { outcome: Outcome::Value { version, .. }, .. } => version > 0,
        What::Ok { outcome: Outcome::Written { version }, .. } => {
            version > 1 && begins(events, end).is_some_and(|begin| is_write(&events[begin]))
        }
        _ => false,
    }
}

fn wrote(event: &Event, version: u64) -> bool {
    shows(event).is_some_and(|(seen, _)| seen >= version)
}

fn newest(events: &[Event]) -> (u64, u64) {
    events.iter().rev().find_map(shows).unwrap_or((0, 0))
}

fn granted(event: &Event) -> Option<leasehold_core::FencingToken> {
    match event.what {
        What::Ok { outcome: Outcome::Granted { token, .. }, .. } => Some(token),
        _ => None,
    }
}

fn granted_mut(event: &mut Event) -> Option<&mut leasehold_core::FencingToken> {
    match &mut event.what {
        What::Ok { outcome: Outcome::Granted { token, .. }, .. } => Some(token),
        _ => None,
    }
}

/// Two grants of which the later was asked for after the earlier.
fn two_grants(events: &[Event], rng: &mut Rng) -> Option<(usize, usize)> {
    let other = pick(events, rng, |events, index| granted(&events[index]).is_some())?;
    let begin = begins(events, other)?;
    let one = (0..begin).rev().find(|index| granted(&events[*index]).is_some())?;
    Some((one, other))
}

/// Whether nobody is paused.
fn calm(events: &[Event]) -> bool {
    let count = |wanted: fn(&What) -> bool| events.iter().filter(|event| wanted(&event.what)).count();
    count(|what| matches!(what, What::Paused { .. })) == count(|what| matches!(what, What::Resumed { .. }))
}

fn move_before(events: &mut Vec<Event>, from: usize, to: usize) {
    let mut event = events.remove(from);
    event.at = events[to].at;
    events.insert(to, event);
}

#[test]
fn every_break_is_found() {
    for (name, kind, apply) in BREAKS {
        let mut broken = 0;
        for usage in [Use::Mutex, Use::ReadersAndWriters, Use::Permits] {
            for seed in 0..30 {
                let mut events = generate(seed, usage, 400);
                if apply(&mut events, &mut Rng::with_seed(seed)).is_none() {
                    continue;
                }
                broken += 1;
                let report = checker().check(&History::new(events));
                let kinds: BTreeSet<_> = report.violations.iter().map(|violation| violation.kind).collect();
                assert!(kinds.contains(kind), "{name}: {usage:?} with seed {seed}\n{report}");
            }
        }
        assert!(broken >= 5, "{name}: only {broken} histories had a place for it");
    }
}
