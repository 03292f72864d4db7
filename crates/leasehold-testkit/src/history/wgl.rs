//! Is there an order of the operations that explains what they showed?
//!
//! # Implementation
//!
//! Wing and Gong's search ("Testing and verifying concurrent objects", 1993), as sets of configurations in the order of the events
//! (Lowe's just-in-time linearization, "Testing for linearizability", 2017). A configuration is a state of the object and the
//! pending operations that have taken effect in it. When an operation returns, each configuration is extended by pending operations in every
//! order until that one has taken effect; those where it cannot are dropped. None left: no order explains it.
//!
//! Operations that never return stay pending for good. A configuration that has reached a state without such an operation can do all that one can
//! which needed it for the same state, so only the former is kept; this is what keeps lost answers from doubling the configurations each.
//!
//! Linear in the operations, times the configurations, of which there are the more the more operations overlap, and times the lost answers.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::Hash;

/// A sequential object.
pub trait Model {
    /// What it is like.
    type State: Clone + Eq + Hash;
    /// An operation with what it showed, if that is known.
    type Operation;

    /// What it is like in the beginning.
    fn initial(&self) -> Self::State;

    /// What it is like after the operation; `None` if the operation cannot show there what it showed.
    fn step(&self, state: &Self::State, operation: &Self::Operation) -> Option<Self::State>;
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
        configurations = reached;
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
    let mut seen = Configurations::new();
    let mut reached = Configurations::new();
    let mut open: VecDeque<_> = configurations.into_iter().filter(|start| seen.admit(start)).collect();
    let mut looked_at = 0;
    // Breadth first: what needs fewer operations comes first and keeps out what needs more.
    while let Some(mut configuration) = open.pop_front() {
        looked_at += 1;
        if looked_at > most {
            return None;
        }
        if configuration.returning.remove(&returns) {
            reached.admit(&configuration);
            continue;
        }
        for place in pending {
            if configuration.returning.contains(place) || configuration.lost.contains(place) {
                continue;
            }
            let operation = &operations[*place];
            let Some(state) = model.step(&configuration.state, &operation.operation) else { continue };
            let mut next = Configuration { state, ..configuration.clone() };
            if operation.end.is_some() { &mut next.returning } else { &mut next.lost }.insert(*place);
            if seen.admit(&next) {
                open.push_back(next);
            }
        }
    }
    Some(reached.into_iter().collect())
}
