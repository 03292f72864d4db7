//! A program in another language that uses its own library's recipes.

use std::path::Path;
use std::process::Stdio;

use leasehold::WireProfile;
use leasehold_testkit::interop::{self, Meets};
use leasehold_testkit::process::Worker;
use tokio::process::Command;

use crate::fixture::TTL;

/// A program of one library; it is connected.
pub(crate) struct Peer {
    library: &'static str,
    version: String,
    worker: Worker,
}

impl Peer {
    pub(crate) async fn start(profile: WireProfile, endpoint: &str) -> Self {
        let timeout = TTL.as_millis().to_string();
        let (library, mut worker) = match profile {
            WireProfile::Curator => {
                let class_path = made_by("curator-peer.sh").await;
                // It lives for seconds: compiling it well costs more processor than it saves.
                let options = ["-Xmx64m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData"];
                let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
                let java = std::env::var_os("LEASEHOLD_JAVA_BIN").unwrap_or_else(|| "java".into());
                let mut command = Command::new(java);
                command.args(options).args([quiet, "-cp", &class_path, "CuratorPeer", endpoint, &timeout]);
                ("Curator (Java)", Worker::spawn(command))
            }
            WireProfile::Kazoo => {
                let interpreter = made_by("python-venv.sh").await;
                let program = here().join("tests/interop_zookeeper/kazoo_peer.py");
                (
                    "kazoo (Python)",
                    Worker::start(interpreter, [program.to_str().unwrap(), endpoint, &timeout]),
                )
            }
            other => panic!("{other} is no profile of ZooKeeper"),
        };
        let version = worker.expect("ready").await;
        Self { library, version, worker }
    }

    /// At the head of a test that shares `recipe` with it.
    pub(crate) fn meets(&self, recipe: &str) -> Meets {
        interop::meets(self.library, &self.version, recipe)
    }

    pub(crate) async fn send(&mut self, line: &str) {
        self.worker.send(line).await;
    }

    pub(crate) async fn line(&mut self) -> String {
        self.worker.line().await.expect("it has ended")
    }

    /// What it answers.
    pub(crate) async fn told(&mut self, line: &str) -> String {
        self.send(line).await;
        self.line().await
    }

    pub(crate) async fn kill(&mut self) {
        self.worker.kill().await;
    }

    pub(crate) fn pause(&self) {
        self.worker.pause();
    }

    pub(crate) fn resume(&self) {
        self.worker.resume();
    }
}

fn here() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// What one of the scripts in `ci` makes, or finds.
async fn made_by(script: &str) -> String {
    let script = here().join("../ci").join(script);
    let made = Command::new(&script).stderr(Stdio::inherit()).output().await;
    let made = made.unwrap_or_else(|error| panic!("{}: {error}", script.display()));
    assert!(made.status.success(), "{} says why", script.display());
    String::from_utf8(made.stdout).unwrap().trim().to_owned()
}
