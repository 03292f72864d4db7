//! [Worlds](crate::contract::World) around real servers.
//!
//! Each takes a function that makes the backend for an endpoint, so that this crate needs none of them.

mod etcd;
mod laid_out;
mod redis;
mod zookeeper;

pub use etcd::EtcdWorld;
pub use laid_out::LaidOutWorld;
pub use redis::{RedisAddress, RedisWorld};
pub use zookeeper::{ZooKeeperWorld, end_zookeeper_session};
