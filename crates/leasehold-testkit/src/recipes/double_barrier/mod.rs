//! The conformance suite of the double barrier.
//!
//! | case | what it proves |
//! |---|---|
//! | `all_come_and_all_leave_round_after_round` | nobody is let in before all have come, nobody is out before all leave; a quick party leaves a slow one nothing to miss |
//! | `a_restart_while_waiting` | server crash |
//! | `too_many_pass_in_turn` | exactly n pass, in order, the others in the next round |
//! | `a_party_that_dies_inside` | told to those that leave |
//! | `a_party_that_dies_while_it_waits` | told to those that wait, and who enters again is not disturbed by it |
//! | `a_party_that_gives_up` | dropping the way in, or what is inside, is as dying; leaving goes on |
//! | `all_die_inside` | the next parties find the barrier usable |
//! | `its_own_loss_is_told` | a party whose session ends is told so, on both ways, and the others as well |
//! | `strangers_and_changes_wake_nobody_through` | spurious wake-ups, foreign data |
//! | `what_strangers_wrote_is_told` | hostile data in the register of the rounds: `Corrupt`, on both ways |
//! | `parties_that_disagree` | other numbers are refused, none at all too |
//! | `dropped_at_every_poll` | what is left behind, and that the barrier can be used afterwards |

mod dying;
mod rounds;
mod strangers;

use dying::{
    a_party_that_dies_inside, a_party_that_dies_while_it_waits, a_party_that_gives_up, all_die_inside,
    its_own_loss_is_told,
};
use rounds::{a_restart_while_waiting, all_come_and_all_leave_round_after_round, too_many_pass_in_turn};
use strangers::{
    dropped_at_every_poll, parties_that_disagree, strangers_and_changes_wake_nobody_through,
    what_strangers_wrote_is_told,
};

use leasehold_core::{Coordinator, Error, ErrorKind, Inside, Kind};
use tokio::task::JoinHandle;

use super::table;
use crate::scene::{Scene, soon};

table! {
    all_come_and_all_leave_round_after_round
    a_restart_while_waiting [61]
    too_many_pass_in_turn [62, 65]
    a_party_that_dies_inside [63]
    a_party_that_dies_while_it_waits [63]
    a_party_that_gives_up [63]
    all_die_inside [63]
    its_own_loss_is_told
    strangers_and_changes_wake_nobody_through [64]
    what_strangers_wrote_is_told
    parties_that_disagree
    dropped_at_every_poll
}

const KIND: Kind = Kind::DoubleBarrier;

fn entering(node: &Coordinator, parties: u32) -> JoinHandle<Result<Inside, Error>> {
    let barrier = node.double_barrier("one", parties);
    tokio::spawn(async move { barrier.enter().await })
}

fn leaving(inside: Inside) -> JoinHandle<Result<(), Error>> {
    tokio::spawn(inside.leave())
}

async fn done<T>(what: &str, task: JoinHandle<Result<T, Error>>) -> Result<T, Error> {
    soon(what, task).await.expect("no panic")
}

/// The parties of a round, let in.
async fn inside<const N: usize>(nodes: [&Coordinator; N]) -> [Inside; N] {
    let tasks = nodes.map(|node| entering(node, N as u32));
    let mut inside = Vec::new();
    for task in tasks {
        inside.push(done("all are let in", task).await.expect("let in"));
    }
    assert!(inside.iter().all(|party| party.round() == inside[0].round() && party.is_held()));
    inside.try_into().expect("as many as came")
}

async fn all_leave<const N: usize>(parties: [Inside; N]) {
    for task in parties.map(leaving) {
        done("all are out", task).await.expect("left");
    }
}

/// What is in the register of the rounds stays; the entries do not.
async fn nothing_is_left(scene: &Scene) {
    scene.nothing_is_left().await;
}

fn assert_peer_lost<T: std::fmt::Debug>(outcome: Result<T, Error>) {
    let error = outcome.expect_err("a party is gone");
    assert_eq!((error.kind(), error.name()), (ErrorKind::PeerLost, Some("one")), "{error}");
}
