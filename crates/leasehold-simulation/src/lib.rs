//! Deterministic simulation of the engine and the recipes.
//!
//! One seed is one world: some processes, each a coordinator over one memory service, that lock, lead, count and wait while
//! calls fail, connections break, processes stop and die, and the service forgets. The code is that which applications run; time, order and
//! chance are the simulation's, so that a seed goes the same way each time. What must hold is looked at while it runs, and in its history afterwards.
//!
//! All faults but one keep what the contract of a backend promises. The one is a service that acknowledges renewals and does not carry them out:
//! then two may believe, and only the fence at the resource keeps them apart; so the run expects no more than that.

mod beliefs;
mod calls;
mod cancellation;
mod dice;
mod disturbance;
mod endings;
mod gates;
mod holder;
mod judgement;
mod log;
mod minimise;
mod plan;
mod process;
mod recipes;
mod resource;
mod run;
mod step;
mod worker;
mod world;

pub use cancellation::{Enumerated, enumerate_cancellations};
pub use log::{Counts, Violation};
pub use minimise::{Minimised, minimise};
pub use plan::Plan;
pub use run::{DETERMINISTIC, Outcome, run};
