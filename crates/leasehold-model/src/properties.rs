//! What always holds, and what must be possible.

use stateright::Property;

use crate::protocol::Protocol;
use crate::state::State;

type Condition = fn(&Protocol, &State) -> bool;

/// What holds in every state, by name.
pub const ALWAYS: [(&str, Condition); 8] = [
    ("no stale operation is accepted", |_, state| !state.wrong.stale_accepted),
    ("no update is lost", |_, state| !state.wrong.update_lost),
    ("tokens rise in the order of the grants", |_, state| !state.wrong.token_fell),
    ("nobody is overtaken", |_, state| !state.wrong.overtaken),
    ("no grant is born stale", |_, state| !state.wrong.born_stale),
    ("one believes to hold", |model, state| {
        // Who removes the entry of a holder by hand gives the lock away under it.
        model.faults.removals != state.left.removals || believers(model, state) < 2
    }),
    ("nobody waits in vain", |model, state| {
        let mut clients = state.clients[..model.clients].iter();
        !model.is_quiet(state) || clients.all(|client| client.phase.is_over())
    }),
    ("nothing is left behind", |model, state| !model.is_quiet(state) || state.entries().next().is_none()),
];

/// What happens in some state of a run that lists it, by name.
pub const SOMETIMES: [(&str, Condition); 7] = [
    ("all get the lock as often as they want", |model, state| {
        usize::from(state.value) == model.clients * usize::from(model.tenures)
    }),
    ("the fence refuses an operation", |_, state| state.seen.refused),
    ("a tombstone keeps an enqueue out", |_, state| state.seen.kept_out),
    ("an entry comes back", |_, state| state.seen.came_back),
    ("a wait goes on in the next session", |_, state| state.seen.resumed),
    ("two are in their critical sections", |model, state| {
        state.clients[..model.clients].iter().filter(|client| client.phase.holds()).count() > 1
    }),
    ("two believe to hold", |model, state| believers(model, state) > 1),
];

fn believers(model: &Protocol, state: &State) -> usize {
    state.clients[..model.clients].iter().filter(|client| client.believes()).count()
}

pub(crate) fn of(model: &Protocol) -> Vec<Property<Protocol>> {
    let always = ALWAYS.iter().map(|(name, condition)| Property::always(name, *condition));
    let reached = SOMETIMES.iter().filter(|(name, _)| model.reaches.contains(name));
    always.chain(reached.map(|(name, condition)| Property::sometimes(name, *condition))).collect()
}
