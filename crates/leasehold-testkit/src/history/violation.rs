//! What a check says when a promise was broken.

use std::fmt;

use super::event::Event;
use super::operations::History;

/// A promise of the library, or a property that a history must have to be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Invariant {
    /// A fenced resource is accessed in the order of the tokens and loses no update.
    S1,
    /// No two believe at the same time that they hold what excludes the other, unless one is paused.
    S2,
    /// Tokens strictly increase over the grants of a name, in grant order.
    S3,
    /// A loss is signalled by the deadline, and before the service gives away what was lost.
    S4,
    /// Nothing is left once everybody has let go.
    L1,
    /// Whoever waits gets on within a bound once no fault is left.
    L2,
    /// First come, first served, in the service's order.
    L3,
    /// Errors are documented ones, and nothing panics.
    E1,
    /// A versioned register behaves as if its operations took effect one at a time.
    Linearizability,
    /// The history is one: what ends has begun, and was expected to be seen.
    Soundness,
}

impl fmt::Display for Invariant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

/// What exactly went wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Kind {
    /// A resource accepted an access after one with a higher token that shuts it out.
    TokenRegressed,
    /// A resource accepted a write that was not based on the version it replaced.
    LostUpdate,
    /// A resource showed an older version than it had shown before.
    WentBack,
    /// A write was applied more than once.
    AppliedTwice,
    /// A resource has a version or a value that nobody wrote.
    Unexplained,
    /// A resource rejected an access though nobody had come with a higher token.
    NeedlessRejection,
    /// Two tenures worked on a resource at the same time, and at least one of them should have been alone.
    SectionsOverlap,
    /// Two that exclude each other believed at the same time that they hold, and none was paused.
    TwoBelievers,
    /// A hold was granted whose entry did not exist at the service.
    GrantedWithoutEntry,
    /// Two grants, or two entries of a queue, have the same token.
    TokenReused,
    /// A later grant has a lower token.
    TokenNotRising,
    /// The holder was not told of a loss in time.
    LossNotSignalled,
    /// A session that was over was believed to live again.
    Revived,
    /// A grant was handed out when its session was over.
    BornStale,
    /// Something is left though everybody has let go.
    LeftBehind,
    /// An operation took too long though no fault disturbed it.
    Stuck,
    /// Somebody was granted while somebody ahead in the queue, whom that excludes, was still there.
    Overtaken,
    /// A try was granted though its entry was made behind somebody whom it excludes.
    TryOvertook,
    /// An operation ended with an error that is not documented for it.
    UndocumentedError,
    /// Something panicked.
    Panicked,
    /// No order of the operations explains what they showed.
    NotLinearizable,
    /// Too many orders to tell whether one explains it.
    Undecided,
    /// The events contradict each other: an end without a beginning, two ends, an outcome of another operation.
    Malformed,
    /// The run did not see what it was made to see.
    NotSeen,
}

impl Kind {
    /// Which promise it breaks.
    pub fn invariant(self) -> Invariant {
        match self {
            Kind::TokenRegressed
            | Kind::LostUpdate
            | Kind::WentBack
            | Kind::AppliedTwice
            | Kind::Unexplained
            | Kind::NeedlessRejection
            | Kind::SectionsOverlap => Invariant::S1,
            Kind::TwoBelievers | Kind::GrantedWithoutEntry => Invariant::S2,
            Kind::TokenReused | Kind::TokenNotRising => Invariant::S3,
            Kind::LossNotSignalled | Kind::Revived | Kind::BornStale => Invariant::S4,
            Kind::LeftBehind => Invariant::L1,
            Kind::Stuck => Invariant::L2,
            Kind::Overtaken | Kind::TryOvertook => Invariant::L3,
            Kind::UndocumentedError | Kind::Panicked => Invariant::E1,
            Kind::NotLinearizable | Kind::Undecided => Invariant::Linearizability,
            Kind::Malformed | Kind::NotSeen => Invariant::Soundness,
        }
    }
}

/// A promise that was broken, and the events that show it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// What went wrong.
    pub kind: Kind,
    /// The same in a sentence.
    pub why: String,
    /// The events that show it, with their places in the history, in order.
    pub events: Vec<(usize, Event)>,
}

impl Violation {
    pub(super) fn new(
        history: &History,
        kind: Kind,
        why: impl Into<String>,
        events: impl IntoIterator<Item = usize>,
    ) -> Self {
        let mut indices: Vec<_> = events.into_iter().collect();
        indices.sort_unstable();
        indices.dedup();
        let events = indices.into_iter().map(|index| (index, history.events()[index].clone())).collect();
        Self { kind, why: why.into(), events }
    }

    /// Which promise was broken.
    pub fn invariant(&self) -> Invariant {
        self.kind.invariant()
    }
}

/// The sentence, and a line for each event.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}: {}", self.invariant(), self.kind, self.why)?;
        for (index, event) in &self.events {
            write!(f, "\n    #{index} {}", event.to_line().trim_end())?;
        }
        Ok(())
    }
}
