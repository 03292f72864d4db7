//! The Redis backend of leasehold.

mod backend;
mod config;
mod copies;
mod error;
mod followed;
mod hub;
mod identity;
mod keys;
mod link;
mod mirror;
mod queue;
mod records;
mod register;
mod renewal;
mod report;
mod scripts;
mod session;
mod waiters;
mod watchman;

pub use backend::RedisBackend;
pub use config::RedisConfig;
pub use report::RedisReport;
