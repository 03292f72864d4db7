//! The servers themselves, whatever they serve.

use std::path::PathBuf;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::servers::{Cluster, Server, Service};
use tokio::time::timeout;

/// The servers of a run, by number.
#[async_trait]
pub trait Servers: Send + Sync {
    /// Where each server is, without a proxy.
    fn endpoints(&self) -> Vec<String>;

    /// The directory of a server, with its data and its log.
    fn dir(&self, server: usize) -> PathBuf;

    /// The process id of a server, unless it was killed.
    fn pid(&self, server: usize) -> Option<u32>;

    /// Kills a server with SIGKILL.
    async fn kill(&self, server: usize);

    /// Starts a server again over its data, and waits for nothing.
    async fn respawn(&self, server: usize);

    /// Returns when all servers serve and one of them leads.
    async fn ready(&self);

    /// Returns when a server serves, or has ended; whether it serves.
    async fn ready_or_ended(&self, server: usize) -> bool;

    /// Stops a server with SIGSTOP.
    fn pause(&self, server: usize);

    /// Lets it run again.
    fn resume(&self, server: usize);

    /// The server that leads, if that can be told within two seconds.
    async fn leader(&self) -> Option<usize>;
}

#[async_trait]
impl<S: Service> Servers for Cluster<S> {
    fn endpoints(&self) -> Vec<String> {
        self.endpoints()
    }

    fn dir(&self, server: usize) -> PathBuf {
        self.node(server).dir().to_owned()
    }

    fn pid(&self, server: usize) -> Option<u32> {
        self.node(server).pid()
    }

    async fn kill(&self, server: usize) {
        self.node(server).kill().await;
    }

    async fn respawn(&self, server: usize) {
        self.node(server).respawn().await;
    }

    async fn ready(&self) {
        self.ready().await;
    }

    async fn ready_or_ended(&self, server: usize) -> bool {
        self.node(server).ready_or_ended().await
    }

    fn pause(&self, server: usize) {
        self.node(server).pause();
    }

    fn resume(&self, server: usize) {
        self.node(server).resume();
    }

    async fn leader(&self) -> Option<usize> {
        timeout(Duration::from_secs(2), self.leader()).await.ok()
    }
}

/// One that leads nobody but itself.
#[async_trait]
impl<S: Service> Servers for Server<S> {
    fn endpoints(&self) -> Vec<String> {
        vec![self.endpoint()]
    }

    fn dir(&self, _server: usize) -> PathBuf {
        self.dir().to_owned()
    }

    fn pid(&self, _server: usize) -> Option<u32> {
        self.pid()
    }

    async fn kill(&self, _server: usize) {
        self.kill().await;
    }

    async fn respawn(&self, _server: usize) {
        self.respawn().await;
    }

    async fn ready(&self) {
        self.ready().await;
    }

    async fn ready_or_ended(&self, _server: usize) -> bool {
        self.ready_or_ended().await
    }

    fn pause(&self, _server: usize) {
        self.pause();
    }

    fn resume(&self, _server: usize) {
        self.resume();
    }

    async fn leader(&self) -> Option<usize> {
        Some(0)
    }
}
