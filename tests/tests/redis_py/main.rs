//! Keys of Redis as locks, shared with programs in Python that use redis-py, and what they do when things break.

#![cfg(target_os = "linux")]

mod blocking;
mod deaths;
mod faults;
mod fixture;
mod sharing;
