//! Is there an order of the operations that explains what they showed?
//!
//! # Implementation
//!
//! Wing and Gong's search ("Testing and verifying concurrent objects", 1993), as sets of configurations in the order of the events
//! (Lowe's just-in-time linearization, "Testing for linearizability", 2017). A configuration is a state of the object and the
//! pending operations that have taken effect in it. When an operation returns, each configuration is extended by pending operations in every
//! order until that one has taken effect; those where it cannot are dropped. None left: no order explains it.
//!
//! Operations that never return stay pending for good. Four things keep them from doubling the configurations each:
//!
//! - They are tried only before an operation that cannot take effect without them. If it can, then either it changes the state, and nothing
//!   is left of what was before, or it does not, and the lost one may as well come after it. This is why operations of a [`Model`] must not
//!   build on the state.
//! - Of equal ones only the first is tried.
//! - What can never take effect any more is forgotten, and so is what has taken effect in all configurations.
//! - Of two configurations that differ only in that one took more lost operations than the other, only the latter is kept.
//!
//! Linear in the operations, times the configurations, of which there are the more the more operations overlap, and times the lost answers.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

/// A sequential object whose operations either leave its state as it is or replace it by one that does not depend on it, as those of a register do.
/// (A counter is none: what an increment makes depends on what was.)
pub trait Model {
    /// What it is like.
    type State: Clone + Eq + Hash;
    /// An operation with what it showed, if that is known. Equal ones are interchangeable.
    type Operation: PartialEq;

    /// What it is like in the beginning.
    fn initial(&self) -> Self::State;

    /// What it is like after the operation; `None` if the operation cannot show there what it showed.
    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;

    /// Whether the operation can take effect neither here nor ever after.
    fn is_dead(&self, _state: &Self::State, _operation: &Self::Operation) -> bool {
        false
    }
}

/// An operation and when it was pending; two points never compare equal.
#[derive(Debug, Clone)]
pub struct Pending<O> {
    /// The operation.
    pub operation: O,
    /// When it was asked for.
    pub begin: usize,
    /// When it returned; `None` if it may take effect at any time later, or never.
    pub end: Option<usize>,
}

/// What the search found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Linearizability {
    /// There is such an order.
    Holds,
    /// There is none. Up to this operation there was.
    Broken {
        /// Its place in the list.
        operation: usize,
    },
    /// There were too many configurations to go on at this operation.
    Undecided {
        /// Its place in the list.
        operation: usize,
    },
}

/// Configurations by their state and the operations that have taken effect and will return; for each the sets of lost
/// operations that it took, none of which contains another.
struct Configurations<S>(HashMap<(S, BTreeSet<usize>), Vec<BTreeSet<usize>>>);

#[derive(Clone)]
struct Configuration<S> {
    state: S,
    returning: BTreeSet<usize>,
    lost: BTreeSet<usize>,
}

impl<S: Clone + Eq + Hash> Configurations<S> {
    fn new() -> Self {
        Self(HashMap::new())
    }

    /// Takes a configuration, unless one is there that can do all that it can; whether it did.
    fn admit(&mut self, new: &Configuration<S>) -> bool {
        let group = self.0.entry((new.state.clone(), new.returning.clone())).or_default();
        if group.iter().any(|lost| lost.is_subset(&new.lost)) {
            return false;
        }
        group.retain(|lost| !new.lost.is_subset(lost));
        group.push(new.lost.clone());
        true
    }

    fn into_iter(self) -> impl Iterator<Item = Configuration<S>> {
        self.0.into_iter().flat_map(|((state, returning), group)| {
            group.into_iter().map(move |lost| Configuration {
                state: state.clone(),
                returning: returning.clone(),
                lost,
            })
        })
    }
}

/// Searches an order, looking at no more than so many configurations for each operation that returns.
pub fn linearizable<M: Model>(
    model: &M,
    operations: &[Pending<M::Operation>],
    most: usize,
) -> Linearizability {
    let mut points: Vec<(usize, usize, bool)> = Vec::new();
    for (place, operation) in operations.iter().enumerate() {
        points.push((operation.begin, place, true));
        points.extend(operation.end.map(|end| (end, place, false)));
    }
    points.sort_unstable();
    let mut pending: BTreeSet<usize> = BTreeSet::new();
    let first = Configuration { state: model.initial(), returning: BTreeSet::new(), lost: BTreeSet::new() };
    let mut configurations = vec![first];
    for (_, place, begins) in points {
        if begins {
            pending.insert(place);
            continue;
        }
        let Some(reached) = returned(model, operations, &pending, place, configurations, most) else {
            return Linearizability::Undecided { operation: place };
        };
        if reached.is_empty() {
            return Linearizability::Broken { operation: place };
        }
        pending.remove(&place);
        configurations = settled(model, operations, &mut pending, reached);
    }
    Linearizability::Holds
}

/// All configurations in which the operation that returns has taken effect; `None` if there is too much to look at.
fn returned<M: Model>(
    model: &M,
    operations: &[Pending<M::Operation>],
    pending: &BTreeSet<usize>,
    returns: usize,
    configurations: Vec<Configuration<M::State>>,
    most: usize,
) -> Option<Vec<Configuration<M::State>>> {
    let (returning, lost): (Vec<usize>, Vec<usize>) =
        pending.iter().partition(|place| operations[**place].end.is_some());
    let mut seen = Configurations::new();
    let mut reached = Configurations::new();
    let mut open: VecDeque<_> = configurations.into_iter().filter(|start| seen.admit(start)).collect();
    let mut looked_at = 0;
    // Breadth first: what needs fewer operations comes first and keeps out what needs more.
    while let Some(mut configuration) = open.pop_front() {
        if configuration.returning.remove(&returns) {
            reached.admit(&configuration);
            continue;
        }
        let mut after_lost = None;
        for place in returning.iter().filter(|place| !configuration.returning.contains(place)) {
            let operation = &operations[*place].operation;
            let next: Vec<_> = match model.step(&configuration.state, operation) {
                Some(state) => vec![Configuration { state, ..configuration.clone() }],
                None => {
                    let after_lost = after_lost
                        .get_or_insert_with(|| with_lost(model, operations, &lost, &configuration, most));
                    looked_at += after_lost.len();
                    let step = |after: &Configuration<M::State>| {
                        Some(Configuration { state: model.step(&after.state, operation)?, ..after.clone() })
                    };
                    after_lost.iter().filter_map(step).collect()
                }
            };
            for mut next in next {
                next.returning.insert(*place);
                if seen.admit(&next) {
                    open.push_back(next);
                }
            }
        }
        looked_at += 1;
        if looked_at > most {
            return None;
        }
    }
    Some(reached.into_iter().collect())
}

/// The same without what can play no part any more: of a lost operation that is dead it does not matter whether it took effect, and one
/// that took effect or is dead in all configurations is pending no longer.
fn settled<M: Model>(
    model: &M,
    operations: &[Pending<M::Operation>],
    pending: &mut BTreeSet<usize>,
    mut configurations: Vec<Configuration<M::State>>,
) -> Vec<Configuration<M::State>> {
    let is_dead = |state: &M::State, place: usize| model.is_dead(state, &operations[place].operation);
    for Configuration { state, lost, .. } in &mut configurations {
        lost.retain(|place| !is_dead(state, *place));
    }
    let over = |place: &usize| {
        operations[*place].end.is_none()
            && configurations.iter().all(|c| c.lost.contains(place) || is_dead(&c.state, *place))
    };
    let over: BTreeSet<usize> = pending.iter().copied().filter(over).collect();
    pending.retain(|place| !over.contains(place));
    let mut kept = Configurations::new();
    for mut configuration in configurations {
        configuration.lost.retain(|place| !over.contains(place));
        kept.admit(&configuration);
    }
    kept.into_iter().collect()
}

/// What lost operations can make of a configuration, up to about so many.
fn with_lost<M: Model>(
    model: &M,
    operations: &[Pending<M::Operation>],
    lost: &[usize],
    configuration: &Configuration<M::State>,
    most: usize,
) -> Vec<Configuration<M::State>> {
    let with = |from: &Configuration<M::State>, place: usize| {
        let state = model.step(&from.state, &operations[place].operation)?;
        let mut next = Configuration { state, ..from.clone() };
        next.lost.insert(place);
        Some(next)
    };
    let mut seen = Configurations::new();
    let mut found = Vec::new();
    // What can be done at once is not worth doing after another lost one, of which it would leave nothing.
    let mut later = Vec::new();
    // Of equal ones it does not matter which.
    let mut distinct: Vec<usize> = Vec::new();
    for place in lost.iter().filter(|place| !configuration.lost.contains(place)) {
        if distinct.iter().any(|other| operations[*other].operation == operations[*place].operation) {
            continue;
        }
        distinct.push(*place);
        match with(configuration, *place) {
            Some(next) => found.extend(seen.admit(&next).then_some(next)),
            None => later.push(*place),
        }
    }
    let mut done = 0;
    while done < found.len() && found.len() < most {
        for place in &later {
            if !found[done].lost.contains(place)
                && let Some(next) = with(&found[done], *place)
                && seen.admit(&next)
            {
                found.push(next);
            }
        }
        done += 1;
    }
    found
}
