//! Services that have to be convinced: who may do what, and who is who, over real servers that demand it.

#![cfg(target_os = "linux")]

mod etcd;
mod hostile;
mod life;
mod logs;
mod redis;
mod secrets;
mod zookeeper;
