//! What disturbs a run: one file a family of faults, and [`registry`] has them all.
//!
//! To add a family: a file with a type that implements [`Fault`], and a line in the table of [`registry`].

mod admin;
mod clock_jumps;
mod connections;
mod disks;
pub mod fault;
mod keeping;
mod partitions;
mod pauses;
pub mod registry;
mod servers;

use std::time::{Duration, Instant};

use leasehold_testkit::history::What;
use tokio::time::sleep;

pub use fault::{Aim, Arena, Class, Excuses, Fault};

use crate::dice::Dice;

/// How long a strand rests between two faults.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// At least, in milliseconds.
    pub least_ms: u64,
    /// At most, in milliseconds.
    pub most_ms: u64,
}

/// Injects these faults, one at a time and each time another one by chance, until `until`; then everything is healed. Several strands may
/// do so side by side.
pub async fn strand(
    arena: &Arena,
    mut faults: Vec<Box<dyn Fault>>,
    mut dice: Dice,
    pace: Pace,
    until: Instant,
) {
    if faults.is_empty() {
        return;
    }
    loop {
        let rest = dice.millis(pace.least_ms..=pace.most_ms);
        let left = until.saturating_duration_since(Instant::now());
        if left <= rest {
            return sleep(left).await;
        }
        sleep(rest).await;
        let number = dice.below(faults.len());
        once(arena, faults[number].as_mut(), &mut dice, until).await;
    }
}

/// Injects a fault once, and heals it: after its time, or when the run is over.
async fn once(arena: &Arena, fault: &mut dyn Fault, dice: &mut Dice, until: Instant) {
    let Some(aim) = fault.aim(arena, dice).await else { return };
    let id = arena.recorder.number();
    let lasting = aim.lasts > Duration::ZERO;
    if !fault.is_written_down() {
        let (kind, target) = (fault.name().to_owned(), aim.target);
        arena.recorder.record(What::Fault { id, kind, target, lasting });
    }
    fault.inject(arena, dice).await;
    if !lasting {
        return;
    }
    sleep(aim.lasts.min(until.saturating_duration_since(Instant::now()))).await;
    fault.heal(arena).await;
    if !fault.is_written_down() {
        arena.recorder.record(What::Healed { id });
    }
}
