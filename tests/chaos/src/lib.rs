//! Real clusters, real faults, and a checker that can say no.
//!
//! A [run](run::run) starts the servers of one service, a [resource] that checks tokens in a process of its own, and
//! [worker processes](worker) that lock, work on the resource and let go, each through proxies of its own. A [nemesis] stops and kills processes and
//! servers, breaks connections and takes things away, seeded. Everybody writes a history by one clock, and so does a [tap] on the service; at the
//! end all is healed, everybody lets go, and the [judgement](judge) is the history checker's.
//!
//! In every run processes are stopped for longer than their TTL, so that leases expire all the time. The run fails if too few did, if nothing was
//! rejected by the fence where only the fence can help, and if anything is wrong.

pub mod census;
pub mod crew;
pub mod dice;
pub mod judge;
pub mod nemesis;
mod operator;
pub mod page;
pub mod resource;
pub mod run;
pub mod scenario;
pub mod service;
mod steadiness;
pub mod tap;
pub mod worker;
