//! The connection is cut after every number of bytes of a conversation that connects, locks, unlocks and leaves: once of what the server receives,
//! once of what the client receives.
//!
//! Every number is tried with `LEASEHOLD_NIGHTLY=1`; otherwise every n-th, where n is the service's, or `LEASEHOLD_SWEEP_STRIDE`. What was swept is
//! printed. Each service has one server for its sweep; the conversations run some at a time, each over a proxy and a lock of its own.

#![cfg(target_os = "linux")]

mod conversation;
mod etcd;
mod redis;
mod sweep;
mod zookeeper;
