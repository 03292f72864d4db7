//! The Redis backend against real servers: what the conformance suites, which know no service, cannot see.

#![cfg(target_os = "linux")]

mod access;
mod clock_jumps;
mod cluster;
mod costs;
mod fairness;
mod faults;
mod fixture;
mod leftovers;
mod near;
mod oddities;
mod sentinel;
mod tls;
