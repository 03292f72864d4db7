//! What the tests share: runs of the command, and looks at what it has started.

use std::fs;
use std::process::{Output, Stdio};
use std::time::Duration;

use leasehold_testkit::process::Worker;
use serde_json::Value;
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_leasehold");

/// Longer than anything that is waited for here takes.
pub(crate) const PATIENCE: Duration = Duration::from_secs(30);

/// The command without anything that it could read.
pub(crate) fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env("LEASEHOLD_URL", url).stdin(Stdio::null()).kill_on_drop(true);
    command
}

pub(crate) async fn output(url: &str, arguments: &[&str]) -> Output {
    match timeout(PATIENCE, command(url, arguments).output()).await {
        Ok(output) => output.unwrap(),
        Err(_) => panic!("{arguments:?} does not end"),
    }
}

pub(crate) async fn status(url: &str, arguments: &[&str]) -> Option<i32> {
    output(url, arguments).await.status.code()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// The one document that it prints.
pub(crate) async fn document(url: &str, arguments: &[&str]) -> Value {
    let output = output(url, arguments).await;
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    serde_json::from_slice(&output.stdout).unwrap()
}

/// A run that is talked to; its two outputs are one.
pub(crate) fn talk(url: &str, arguments: &[&str]) -> Worker {
    let mut command = Command::new("sh");
    command.args(["-c", r#"exec "$0" "$@" 2>&1"#, BINARY]).args(arguments).env("LEASEHOLD_URL", url);
    Worker::spawn(command)
}

/// Starts a holder that says when its command runs, and the process id of that.
pub(crate) async fn holder(url: &str, name: &str, more: &[&str]) -> (Worker, u32) {
    let command = ["--", "sh", "-c", "echo pid $$; sleep 60; true"];
    let mut worker = talk(url, &[&["run", name], more, &command].concat());
    let pid = worker.expect("pid ").await.parse().unwrap();
    (worker, pid)
}

/// How it ends.
pub(crate) async fn end_of(worker: &mut Worker) -> Option<i32> {
    timeout(PATIENCE, worker.wait()).await.expect("it ends").code()
}

/// Whether a process is there and has not ended.
pub(crate) fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

pub(crate) async fn until_gone(pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    while runs(pid) {
        assert!(Instant::now() < deadline, "process {pid} goes on");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Waits until so many are in the queue of that mutex.
pub(crate) async fn until_queued(url: &str, name: &str, count: usize) {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let told = output(url, &["who", name, "--recipe", "mutex", "--json"]).await;
        let queue: Value = serde_json::from_slice(&told.stdout).unwrap_or_default();
        if queue["queue"].as_array().map_or(0, Vec::len) == count {
            return;
        }
        assert!(Instant::now() < deadline, "{count} are never in the queue: {queue}");
    }
}
