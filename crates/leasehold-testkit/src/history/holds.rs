//! The tenures of a history: who was granted what, and until when it may have believed in it.

use std::collections::HashMap;

use leasehold_core::{FencingToken, Mode};

use super::call::{Call, Outcome};
use super::event::What;
use super::operations::{Fate, History, Moment};

/// From a grant to its end.
#[derive(Debug)]
pub(super) struct Hold {
    pub(super) lock: String,
    pub(super) process: String,
    pub(super) token: FencingToken,
    pub(super) only_if_free: bool,
    /// When it was asked for.
    pub(super) asked: usize,
    /// When it was granted.
    pub(super) granted: usize,
    /// The modes that it claims, each from a moment on.
    pub(super) modes: Vec<(Moment, Mode)>,
    /// When it was let go, or its holder told that it is lost, or dead.
    pub(super) told: Option<usize>,
    pub(super) session: Option<String>,
    /// The local deadline, where the history tells: nobody may believe in it after that.
    pub(super) deadline: Option<u64>,
}

impl Hold {
    /// When the holder believes no longer; `None` if it did to the end.
    pub(super) fn end(&self, history: &History) -> Option<Moment> {
        let told = self.told.map(|index| history.moment(index));
        let deadline = self.deadline.map(Moment::at);
        [told, deadline].into_iter().flatten().min()
    }

    pub(super) fn mode_at(&self, moment: Moment) -> Mode {
        let from = self.modes.partition_point(|(from, _)| *from <= moment);
        self.modes[from.saturating_sub(1)].1
    }
}

/// What a process was told of a session.
#[derive(Debug, Default)]
pub(super) struct Sight {
    /// Each time that it was told that the session lives: the event and the deadline.
    pub(super) live: Vec<(usize, u64)>,
    /// When it was told that it is over.
    pub(super) lost: Option<usize>,
}

/// What each process was told of each session.
pub(super) fn sights(history: &History) -> HashMap<(&str, &str), Sight> {
    let mut sights: HashMap<(&str, &str), Sight> = HashMap::new();
    for (index, event) in history.events().iter().enumerate() {
        match &event.what {
            What::SessionLive { session, until } => {
                sights.entry((&event.process, session)).or_default().live.push((index, *until));
            }
            What::SessionLost { session, .. } => {
                sights.entry((&event.process, session)).or_default().lost.get_or_insert(index);
            }
            _ => {}
        }
    }
    sights
}

/// The deadline that a session had in the end: one that passed stays passed, whatever is said later.
fn final_deadline(history: &History, sight: &Sight, grace: u64) -> Option<u64> {
    let (mut renewals, mut until) = (sight.live.iter(), 0);
    until = renewals.next().map_or(until, |(_, first)| *first);
    for (index, next) in renewals {
        if history.events()[*index].at > until.saturating_add(grace) {
            break;
        }
        until = until.max(*next);
    }
    (until > 0).then_some(until)
}

/// All holds, in the order of their grants.
pub(super) fn collect(history: &History, grace: u64) -> Vec<Hold> {
    let sights = sights(history);
    let mut places = HashMap::new();
    let mut holds = Vec::new();
    for operation in history.operations() {
        let (
            Call::Acquire { lock, mode, only_if_free },
            Fate::Done(Outcome::Granted { token, session }),
            Some(granted),
        ) = (&operation.call, &operation.fate, operation.end)
        else {
            continue;
        };
        let process = operation.process.as_str();
        let sight = session.as_deref().and_then(|session| sights.get(&(process, session)));
        let killed = history.killed(process);
        // A loss that was told before the grant is the business of another check; it ends the hold all the same.
        let lost = sight.and_then(|sight| sight.lost).map(|lost| lost.max(granted));
        places.insert((process, operation.id), holds.len());
        holds.push(Hold {
            lock: lock.clone(),
            process: process.into(),
            token: *token,
            only_if_free: *only_if_free,
            asked: operation.begin,
            granted,
            modes: vec![(history.moment(granted), *mode)],
            told: [killed.filter(|killed| *killed > granted), lost].into_iter().flatten().min(),
            session: session.clone(),
            deadline: sight.and_then(|sight| final_deadline(history, sight, grace)),
        });
    }
    let mut told = |process, hold, index: usize| {
        if let Some(place) = places.get(&(process, hold)) {
            let told = &mut holds[*place].told;
            *told = Some(told.map_or(index, |earlier: usize| earlier.min(index)));
        }
    };
    for (index, event) in history.events().iter().enumerate() {
        match &event.what {
            What::Invoke { call: Call::Release { hold }, .. } | What::Lost { hold, .. } => {
                told(event.process.as_str(), *hold, index);
            }
            _ => {}
        }
    }
    for operation in history.operations() {
        if let (Call::Downgrade { hold }, Fate::Done(_) | Fate::Unknown(_)) =
            (&operation.call, &operation.fate)
            && let Some(place) = places.get(&(operation.process.as_str(), *hold))
        {
            holds[*place].modes.push((history.moment(operation.begin), Mode::Shared));
        }
    }
    holds.sort_by_key(|hold| hold.granted);
    holds
}
