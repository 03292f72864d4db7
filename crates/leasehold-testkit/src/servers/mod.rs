//! Real servers for tests: etcd, Redis and ZooKeeper, from the packages of the distribution, and any other [`Program`].
//!
//! Each server has ports of its own and a fresh data directory, and is gone with both when its fixture is dropped,
//! and also when the test process is killed. Starting one answers when the server itself says that it serves.
//! A missing binary fails the test and names the package to install; nothing is ever skipped.
//!
//! ```no_run
//! # async fn test() {
//! use leasehold_testkit::servers::{EtcdServer, ServerOptions, Storage};
//!
//! let etcd = EtcdServer::start(ServerOptions::default().storage(Storage::Disk)).await;
//! let url = format!("etcd://{}", etcd.endpoint());
//! etcd.kill().await; // SIGKILL
//! etcd.restart().await; // the same data, the same port
//! # }
//! ```
//!
//! | variable | says | default |
//! |---|---|---|
//! | `LEASEHOLD_ETCD_BIN` | the etcd binary | `etcd` in `PATH` |
//! | `LEASEHOLD_REDIS_BIN` | the Redis binary | `redis-server` in `PATH` |
//! | `LEASEHOLD_JAVA_BIN` | the Java binary | `java` in `PATH` |
//! | `LEASEHOLD_ZOOKEEPER_CLASSPATH` | ZooKeeper's jars | those of Debian's package |
//! | `LEASEHOLD_STRACE_BIN` | the strace binary, for [`SyncFault`] | `strace` in `PATH` |
//! | `LEASEHOLD_DISK_DIR` | where [`Storage::Disk`] is | the first of the temporary directories that is on a disk |

mod cluster;
mod error;
mod etcd;
mod http;
mod metrics;
mod options;
mod ports;
mod program;
mod redis;
mod redis_cluster;
mod resp;
mod sentinel;
mod server;
mod site;
mod small_disk;
mod storage;
mod sync_fault;
mod wall_clock;
mod watchdog;
mod zookeeper;

pub use cluster::Cluster;
pub use error::StartError;
pub use etcd::{Etcd, EtcdCluster, EtcdServer};
pub use metrics::Metrics;
pub use options::{ServerOptions, ServerTls, Storage};
pub use program::{Place, Program, ProgramServer, Programmed, find_program};
pub use redis::{Redis, RedisServer, SpeaksRedis};
pub use redis_cluster::{RedisCluster, RedisNode};
pub use resp::{RedisClient, RedisReply};
pub use sentinel::{RedisSentinels, Sentinel};
pub use server::{Server, Service};
pub use small_disk::{fill_disk, free_disk};
pub use sync_fault::SyncFault;
pub use wall_clock::{Set, WallClock};
pub use zookeeper::{ZooKeeper, ZooKeeperCluster, ZooKeeperServer};

pub(crate) use ports::Port;
