//! Deterministic simulation of the engine and the recipes.
//!
//! One seed is one world: some processes, each a coordinator over one memory service, that lock, lead, count and wait while
//! calls fail, connections break, processes stop and die, and the service forgets. The code is that which applications run; time, order and
//! chance are the simulation's, so that a seed goes the same way each time. What must hold is looked at while it runs, and in its history afterwards.
//!
//! Which faults keep what the contract of a backend promises, and which ones break it, so that only a fence at the resource helps, is said at each of them:
//! [`CallFault`], [`Disturbance`].

mod beliefs;
mod calls;
mod dice;
mod disturbance;
mod gates;
mod holder;
mod log;
mod plan;
mod process;
mod recipes;
mod resource;
mod run;
mod step;
mod worker;
mod world;

pub use calls::CallFault;
pub use disturbance::{Disturbance, Drama};
pub use log::{Counts, Violation};
pub use plan::{CallFaults, Millis, Plan, Settings, Worker};
pub use run::{DETERMINISTIC, Outcome, run};
pub use step::{Ask, BarrierStep, End, Hold, RegisterStep, Step, Work};
