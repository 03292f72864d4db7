//! A history in order, with the beginnings and the ends of its operations put together.

use std::collections::HashMap;

use super::call::{Call, Outcome};
use super::event::{Event, OpId, What};
use super::violation::{Kind, Violation};

/// A point in a history: the time, and among events of the same time the place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Moment {
    pub(super) at: u64,
    pub(super) index: usize,
}

impl Moment {
    /// Before all events of that time.
    pub(super) fn at(at: u64) -> Self {
        Self { at, index: 0 }
    }

    /// That much later, after all events of that time; the same moment if there is nothing to add.
    pub(super) fn later(self, by: u64) -> Self {
        if by == 0 { self } else { Self { at: self.at.saturating_add(by), index: usize::MAX } }
    }
}

/// From one moment to another, which is no longer part of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Span {
    pub(super) from: Moment,
    pub(super) to: Moment,
}

impl Span {
    pub(super) fn overlaps(self, other: Span) -> bool {
        self.from < other.to && other.from < self.to
    }
}

/// What became of an operation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Fate {
    Done(Outcome),
    Failed(String),
    /// It may take effect at any time after its beginning; the error, if there was one.
    Unknown(Option<String>),
}

#[derive(Debug, Clone)]
pub(super) struct Operation {
    pub(super) process: String,
    pub(super) id: OpId,
    pub(super) call: Call,
    pub(super) begin: usize,
    pub(super) end: Option<usize>,
    pub(super) fate: Fate,
}

/// The events of a run in the order in which they happened, put together for the checks.
#[derive(Debug)]
pub struct History {
    events: Vec<Event>,
    operations: Vec<Operation>,
    by_id: HashMap<(String, OpId), usize>,
    pauses: HashMap<String, Vec<Span>>,
    kills: HashMap<String, usize>,
    malformed: Vec<(String, Vec<usize>)>,
}

impl History {
    /// Takes the events in their order, as [`read_files`](super::read_files) and [`Recorder::events`](super::Recorder::events) give them.
    pub fn new(events: Vec<Event>) -> Self {
        let mut history = Self {
            events: Vec::new(),
            operations: Vec::new(),
            by_id: HashMap::new(),
            pauses: HashMap::new(),
            kills: HashMap::new(),
            malformed: Vec::new(),
        };
        let mut before = 0;
        for (index, event) in events.iter().enumerate() {
            if event.at < before {
                history
                    .malformed
                    .push(("it happened before the event that stands before it".into(), vec![index]));
            }
            before = event.at;
            history.take(index, event);
        }
        history.events = events;
        history
    }

    fn take(&mut self, index: usize, event: &Event) {
        let process = &event.process;
        let malformed = match &event.what {
            What::Invoke { op, call } => self.begin(process, *op, call, index),
            What::Ok { op, outcome } => self.end(process, *op, Fate::Done(outcome.clone()), index),
            What::Fail { op, error } => self.end(process, *op, Fate::Failed(error.clone()), index),
            What::Info { op, error } => self.end(process, *op, Fate::Unknown(Some(error.clone())), index),
            What::Lost { hold, .. } => self.must_be_granted(process, *hold, index),
            What::Paused { whom } => {
                let pauses = self.pauses.entry(whom.clone()).or_default();
                let (from, to) = (Moment { at: event.at, index }, Moment { at: u64::MAX, index: usize::MAX });
                match pauses.last() {
                    Some(last) if last.to == to => {
                        Some(("it is paused already".into(), vec![last.from.index, index]))
                    }
                    _ => {
                        pauses.push(Span { from, to });
                        None
                    }
                }
            }
            What::Resumed { whom } => match self.pauses.get_mut(whom).and_then(|pauses| pauses.last_mut()) {
                Some(pause) if pause.to.at == u64::MAX => {
                    pause.to = Moment { at: event.at, index };
                    None
                }
                _ => Some(("it was not paused".into(), vec![index])),
            },
            What::Killed { whom } => {
                self.kills.entry(whom.clone()).or_insert(index);
                None
            }
            _ => None,
        };
        self.malformed.extend(malformed);
    }

    fn begin(&mut self, process: &str, id: OpId, call: &Call, index: usize) -> Option<(String, Vec<usize>)> {
        if let Call::Release { hold } | Call::Downgrade { hold } = call
            && let Some(malformed) = self.must_be_granted(process, *hold, index)
        {
            return Some(malformed);
        }
        let known = self.by_id.insert((process.into(), id), self.operations.len());
        self.operations.push(Operation {
            process: process.into(),
            id,
            call: call.clone(),
            begin: index,
            end: None,
            fate: Fate::Unknown(None),
        });
        let known = &self.operations[known?];
        Some(("an operation of this number began before".into(), vec![known.begin, index]))
    }

    fn end(&mut self, process: &str, id: OpId, fate: Fate, index: usize) -> Option<(String, Vec<usize>)> {
        let Some(place) = self.by_id.get(&(process.to_owned(), id)) else {
            return Some(("an operation ends that never began".into(), vec![index]));
        };
        let operation = &mut self.operations[*place];
        if let Some(end) = operation.end {
            return Some(("an operation ends twice".into(), vec![operation.begin, end, index]));
        }
        if let Fate::Done(outcome) = &fate
            && !fits(&operation.call, outcome)
        {
            return Some(("the outcome is that of another operation".into(), vec![operation.begin, index]));
        }
        (operation.end, operation.fate) = (Some(index), fate);
        None
    }

    fn must_be_granted(&self, process: &str, hold: OpId, index: usize) -> Option<(String, Vec<usize>)> {
        let granted = self
            .operation(process, hold)
            .is_some_and(|operation| matches!(operation.fate, Fate::Done(Outcome::Granted { .. })));
        (!granted).then(|| ("this was never granted to the process".into(), vec![index]))
    }

    /// The events, in order.
    pub fn events(&self) -> &[Event] {
        &self.events
    }

    pub(super) fn operations(&self) -> &[Operation] {
        &self.operations
    }

    pub(super) fn operation(&self, process: &str, id: OpId) -> Option<&Operation> {
        self.by_id.get(&(process.to_owned(), id)).map(|place| &self.operations[*place])
    }

    pub(super) fn moment(&self, index: usize) -> Moment {
        Moment { at: self.events[index].at, index }
    }

    /// When the last event happened.
    pub(super) fn last_at(&self) -> u64 {
        self.events.last().map_or(0, |event| event.at)
    }

    /// When the process was stopped, in order.
    pub(super) fn pauses(&self, process: &str) -> &[Span] {
        self.pauses.get(process).map_or(&[], Vec::as_slice)
    }

    /// Whether the process was stopped at some time between the two.
    pub(super) fn paused_between(&self, process: &str, from: Moment, to: Moment) -> bool {
        self.pauses(process).iter().any(|pause| pause.overlaps(Span { from, to }))
    }

    pub(super) fn killed(&self, process: &str) -> Option<usize> {
        self.kills.get(process).copied()
    }

    /// What was disturbed and when: faults, pauses and kills. A fault that is over at once, and a kill, take no time.
    pub(super) fn disturbances(&self) -> Vec<Span> {
        let end = Moment { at: u64::MAX, index: usize::MAX };
        let mut lasting: HashMap<u64, Moment> = HashMap::new();
        let mut spans: Vec<Span> = self.pauses.values().flatten().copied().collect();
        for (index, event) in self.events.iter().enumerate() {
            let now = Moment { at: event.at, index };
            match &event.what {
                What::Fault { id, lasting: true, .. } => {
                    lasting.entry(*id).or_insert(now);
                }
                What::Fault { .. } | What::Killed { .. } => spans.push(Span { from: now, to: now }),
                What::Healed { id } => spans.extend(lasting.remove(id).map(|from| Span { from, to: now })),
                _ => {}
            }
        }
        spans.extend(lasting.into_values().map(|from| Span { from, to: end }));
        spans.sort_unstable_by_key(|span| span.from);
        spans
    }

    pub(super) fn malformed(&self) -> Vec<Violation> {
        let violation = |(why, events): &(String, Vec<usize>)| {
            Violation::new(self, Kind::Malformed, why.clone(), events.iter().copied())
        };
        self.malformed.iter().map(violation).collect()
    }
}

fn fits(call: &Call, outcome: &Outcome) -> bool {
    match outcome {
        Outcome::Granted { .. } => matches!(call, Call::Acquire { .. }),
        Outcome::Busy => matches!(call, Call::Acquire { only_if_free: true, .. }),
        Outcome::Done => matches!(call, Call::Release { .. } | Call::Downgrade { .. }),
        Outcome::Value { .. } => matches!(call, Call::Read { .. }),
        Outcome::Written { .. } => matches!(call, Call::Write { .. } | Call::RegisterWrite { .. }),
        Outcome::Register { .. } => matches!(call, Call::RegisterRead { .. }),
        Outcome::VersionDiffers => matches!(call, Call::RegisterWrite { if_version: Some(_), .. }),
    }
}
