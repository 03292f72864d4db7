//! What the services themselves take, asked as directly as can be.

mod etcd;
mod jute;
mod redis;
mod zookeeper;

pub(crate) use self::etcd::EtcdFloor;
pub(crate) use self::redis::RedisFloor;
pub(crate) use self::zookeeper::ZooKeeperFloor;
