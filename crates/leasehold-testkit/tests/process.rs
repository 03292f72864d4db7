//! Workers that are talked to, stopped and killed.

use std::io::Write;
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leasehold_testkit::process::{Worker, commands};

/// Signal numbers, the same on all Linux machines.
const KILL: i32 = 9;
const TERM: i32 = 15;

fn start(role: &str) -> Worker {
    Worker::start(std::env::current_exe().unwrap(), ["--exact", role, "--ignored", "--nocapture"])
}

async fn eventually_gone(pid: u32) {
    let deadline = Instant::now() + Duration::from_secs(10);
    // An orphan is collected by whoever adopts it, or stays a zombie.
    while std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z ")) {
        assert!(Instant::now() < deadline, "process {pid} lives");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// Answers every line; its first line stands apart from what the harness writes.
#[tokio::test]
#[ignore = "the worker that the tests start"]
async fn worker() {
    println!("\nready");
    let mut commands = commands();
    while let Some(command) = commands.recv().await {
        println!("did {command}");
    }
}

/// Starts workers, says who they are, and waits for its death.
#[tokio::test]
#[ignore = "the owner that workers_die_with_a_killed_owner kills"]
async fn owner() {
    let _commands = commands();
    let mut running = start("worker");
    let mut stopped = start("worker");
    running.expect("ready").await;
    stopped.expect("ready").await;
    stopped.pause();
    println!("\nworkers {} {}", running.pid().unwrap(), stopped.pid().unwrap());
    std::io::stdout().flush().unwrap();
    std::future::pending().await
}

#[tokio::test]
async fn talks_by_lines() {
    let mut worker = start("worker");
    worker.expect("ready").await;
    assert_eq!(worker.ask("this", "did").await, "this");
    worker.send("that").await;
    assert_eq!(worker.line().await.unwrap(), "did that");
    worker.close_input();
    assert!(worker.wait().await.success());
    assert_eq!(worker.line().await, None);
}

#[tokio::test]
async fn a_paused_worker_says_nothing_until_resumed() {
    let mut worker = start("worker");
    worker.expect("ready").await;
    worker.pause();
    worker.send("late").await;
    assert!(tokio::time::timeout(Duration::from_millis(200), worker.line()).await.is_err());
    worker.resume();
    assert_eq!(worker.line().await.unwrap(), "did late");
}

#[tokio::test]
async fn is_killed_and_terminated() {
    let mut worker = start("worker");
    worker.expect("ready").await;
    assert_eq!(worker.kill().await.signal(), Some(KILL));
    assert_eq!(worker.pid(), None);
    let mut worker = start("worker");
    worker.expect("ready").await;
    worker.terminate();
    assert_eq!(worker.wait().await.signal(), Some(TERM));
}

#[tokio::test]
async fn dies_when_dropped_even_if_stopped() {
    let mut worker = start("worker");
    worker.expect("ready").await;
    worker.pause();
    let pid = worker.pid().unwrap();
    drop(worker);
    eventually_gone(pid).await;
}

#[tokio::test]
async fn workers_die_with_a_killed_owner() {
    let mut owner = start("owner");
    let pids: Vec<u32> = owner.expect("workers").await.split(' ').map(|pid| pid.parse().unwrap()).collect();
    assert!(pids.iter().all(|pid| Path::new("/proc").join(pid.to_string()).exists()));
    owner.kill().await;
    for pid in pids {
        eventually_gone(pid).await;
    }
}

#[tokio::test]
#[should_panic(expected = "cannot start /nowhere/worker")]
async fn a_missing_program_is_named() {
    Worker::start("/nowhere/worker", [""; 0]);
}

fn with_servers(args: &[&str]) -> std::process::Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold-with-servers"));
    command.args(args).stdin(Stdio::null()).output().unwrap()
}

#[test]
fn with_servers_runs_a_command_and_passes_its_status_on() {
    let script = r#"case $LEASEHOLD_ETCD_URL,$LEASEHOLD_REDIS_URL,$LEASEHOLD_ZOOKEEPER_URL in
        etcd://127.0.0.1:*,redis://127.0.0.1:*,zookeeper://127.0.0.1:*) exit 7 ;;
    esac"#;
    let output = with_servers(&["--disk", "sh", "-c", script]);
    assert_eq!(output.status.code(), Some(7));
    assert!(String::from_utf8_lossy(&output.stderr).contains("data on disk"));
    assert_eq!(with_servers(&["sh", "-c", "kill -9 $$"]).status.code(), Some(128 + KILL));
    assert_eq!(with_servers(&["/nowhere/command"]).status.code(), Some(127));
    assert_eq!(with_servers(&[]).status.code(), Some(2));
    assert_eq!(with_servers(&["--no-such-option"]).status.code(), Some(2));
}

#[tokio::test]
async fn with_servers_passes_signals_on() {
    let script = r#"trap 'echo heard; exit 3' TERM; echo ready; while :; do read -r _; done"#;
    let mut worker = Worker::start(env!("CARGO_BIN_EXE_leasehold-with-servers"), ["sh", "-c", script]);
    worker.expect("ready").await;
    worker.terminate();
    worker.expect("heard").await;
    assert_eq!(worker.wait().await.code(), Some(3));
}
