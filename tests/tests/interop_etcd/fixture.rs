//! A server, and the clients that share a path of it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use leasehold_core::{Coordinator, WirePath, WireProfile};
use leasehold_etcd::{EtcdBackend, EtcdConfig};
use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::{EtcdServer, ServerOptions};
use tokio::process::Command;

pub(crate) const TTL: Duration = Duration::from_secs(2);

pub(crate) const PATH: &str = "/app/lock";

pub(crate) async fn server() -> EtcdServer {
    EtcdServer::start(ServerOptions::default()).await
}

pub(crate) async fn coordinator(server: &EtcdServer) -> Coordinator {
    let backend = EtcdBackend::new(EtcdConfig::new([server.endpoint()])).unwrap();
    Coordinator::builder(backend).ttl(TTL).connect().await.unwrap()
}

pub(crate) fn at(coordinator: &Coordinator) -> WirePath {
    coordinator.at(WireProfile::EtcdV3, PATH)
}

/// A program in Go, that is connected.
pub(crate) async fn go(server: &EtcdServer) -> Worker {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../ci/go-peer.sh");
    let built = Command::new(script).stderr(Stdio::inherit()).output().await.expect("ci/go-peer.sh is there");
    assert!(built.status.success(), "ci/go-peer.sh says why");
    let program = String::from_utf8(built.stdout).unwrap();
    let mut worker = Worker::start(program.trim(), [server.endpoint(), TTL.as_secs().to_string()]);
    worker.expect("ready").await;
    worker
}

/// The client in Go, as `tests/peers/go/go.mod` names it.
pub(crate) fn go_version() -> &'static str {
    let module = include_str!("../../peers/go/go.mod");
    let line = module.lines().find(|line| line.starts_with("require go.etcd.io/etcd/client/v3 "));
    line.and_then(|line| line.rsplit_once(" v")).expect("go.mod names it").1
}

/// What `etcdctl` is called with, over the current interface.
pub(crate) fn etcdctl(server: &EtcdServer, arguments: &[&str]) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg("--endpoints").arg(server.endpoint()).args(arguments);
    command
}

pub(crate) async fn etcdctl_version() -> String {
    let mut command = Command::new("etcdctl");
    let output = command.env("ETCDCTL_API", "3").arg("version").output().await;
    let output = output.expect("etcdctl (Debian package etcd-client)");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().next().and_then(|line| line.rsplit(' ').next()).expect("a version").to_owned()
}

/// What the other program answers.
pub(crate) async fn told(worker: &mut Worker, line: &str) -> String {
    worker.send(line).await;
    worker.line().await.expect("it has ended")
}
