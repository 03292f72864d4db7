//! What certifies a backend of leasehold: real servers, faults between client and server, processes that die.
//!
//! * [`guide`] says how to write a backend, from the first line to a green suite;
//! * [`conformance`] runs all suites from one test file;
//! * [`contract`] is the conformance suite of a backend, [`mutex`] that of the mutex over any backend, [`recipes`]
//!   those of all the other recipes;
//! * [`worlds`] are real servers as the suites need them;
//! * [`servers`] starts etcd, Redis and ZooKeeper, alone or as three, on free ports, and kills, restarts and pauses them;
//! * [`network`] runs the servers of a cluster in network namespaces of their own, between which packets can be dropped;
//! * [`proxy`] stands between a client and a server and cuts, holds back, swallows and delays;
//! * [`process`] runs worker processes that are killed and paused;
//! * [`history`] records what happens in a run and checks that it kept the promises;
//! * [`interop`] records which other programs' clients the locks were shared with;
//! * [`counting`] counts what the engine asks of a backend;
//! * [`polls`] drops a future at each of its polls.
//!
//! The fixtures need Linux and, for the servers, the Debian packages `etcd-server`, `redis-server`, `zookeeper` and
//! `default-jre-headless`.

#[cfg(target_os = "linux")]
mod base64;
pub mod conformance;
pub mod contract;
pub mod counting;
#[cfg(target_os = "linux")]
pub mod guide;
pub mod history;
pub mod interop;
pub mod mutex;
#[cfg(target_os = "linux")]
pub mod network;
pub mod polls;
#[cfg(target_os = "linux")]
pub mod process;
#[cfg(target_os = "linux")]
pub mod proxy;
pub mod recipes;
mod scene;
#[cfg(target_os = "linux")]
pub mod servers;
#[cfg(target_os = "linux")]
mod signals;
#[cfg(target_os = "linux")]
pub mod worlds;
