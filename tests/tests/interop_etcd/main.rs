//! Locks and elections that are shared with etcd's own clients: Go's package `concurrency`, `etcdctl`, and the server's lock call.

#![cfg(target_os = "linux")]

mod fixture;
mod mutex;
mod others;
