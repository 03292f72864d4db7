//! The ZooKeeper backend against real servers: what the conformance suites, which know no service, cannot see.

#![cfg(target_os = "linux")]

mod access;
mod costs;
mod entries;
mod faults;
mod fixture;
mod liveness;
mod registers;
mod saturation;
mod shared_client;
