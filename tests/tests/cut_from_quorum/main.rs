//! A member is cut from its quorum while clients stay attached to it: nothing else is wrong, no process is paused and no clock is off.

#![cfg(target_os = "linux")]

mod etcd;
mod scene;
mod zookeeper;
