//! Locks and elections that are shared with etcd's own clients: Go's package `concurrency`, `etcdctl`, and the server's lock and election calls.

#![cfg(target_os = "linux")]

mod deaths;
mod fixture;
mod mutex;
mod others;
