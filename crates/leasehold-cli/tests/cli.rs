//! The command itself, over real servers: turns, deaths, losses, statuses, and what it prints.

use std::fs;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::{EtcdServer, RedisServer, ServerOptions, ZooKeeperServer};
use tokio::process::Command;
use tokio::time::{Instant, sleep, timeout};

const BINARY: &str = env!("CARGO_BIN_EXE_leasehold");

/// Longer than anything that is waited for here takes.
const PATIENCE: Duration = Duration::from_secs(30);

fn command(url: &str, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env("LEASEHOLD_URL", url).stdin(Stdio::null()).kill_on_drop(true);
    command
}

async fn output(url: &str, arguments: &[&str]) -> Output {
    match timeout(PATIENCE, command(url, arguments).output()).await {
        Ok(output) => output.unwrap(),
        Err(_) => panic!("{arguments:?} does not end"),
    }
}

async fn status(url: &str, arguments: &[&str]) -> Option<i32> {
    output(url, arguments).await.status.code()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Starts a holder that says when its command runs, and the process id of that.
async fn holder(url: &str, name: &str, more: &[&str]) -> (Worker, u32) {
    let mut command = Command::new(BINARY);
    command.args(["run", name]).args(more).args(["--", "sh", "-c", "echo pid $$; sleep 60; true"]);
    command.env("LEASEHOLD_URL", url);
    let mut worker = Worker::spawn(command);
    let pid = worker.expect("pid ").await.parse().unwrap();
    (worker, pid)
}

/// Whether a process is there and has not ended.
fn runs(pid: u32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(") ").is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

async fn until_gone(pid: u32) {
    let deadline = Instant::now() + PATIENCE;
    while runs(pid) {
        assert!(Instant::now() < deadline, "process {pid} goes on");
        sleep(Duration::from_millis(20)).await;
    }
}

/// Two that run at once would find each other's directory.
async fn takes_turns(url: &str, directory: &Path) {
    let inside = directory.join("inside");
    let script = format!("mkdir {0} && sleep 0.3 && rmdir {0}", inside.display());
    let turn = ["run", "turns", "--", "sh", "-c", &script];
    let (a, b, c) = tokio::join!(output(url, &turn), output(url, &turn), output(url, &turn));
    for run in [a, b, c] {
        assert_eq!(run.status.code(), Some(0), "{}", text(&run.stderr));
    }
}

/// What is the same over every service.
async fn over(url: &str) {
    let directory = tempfile::tempdir().unwrap();
    takes_turns(url, directory.path()).await;

    assert_eq!(status(url, &["run", "status", "--", "sh", "-c", "exit 7"]).await, Some(7));
    assert_eq!(status(url, &["run", "status", "--", "sh", "-c", "kill -9 $$"]).await, Some(137));
    assert_eq!(status(url, &["run", "status", "--", "leasehold-no-such-program"]).await, Some(127));
    let told = output(url, &["run", "named", "--", "sh", "-c", "echo $LEASEHOLD_NAME $LEASEHOLD_TOKEN"]);
    let told = text(&told.await.stdout);
    let token = told.trim().strip_prefix("named ").unwrap();
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{told}");

    let (mut first, child) = holder(url, "taken", &["--ttl", "2s"]).await;
    assert_eq!(status(url, &["run", "taken", "--no-wait", "--", "true"]).await, Some(75));
    assert_eq!(status(url, &["run", "taken", "--wait", "300ms", "--", "true"]).await, Some(75));
    let who = output(url, &["who", "taken", "--json"]).await;
    let who: serde_json::Value = serde_json::from_slice(&who.stdout).unwrap();
    assert_eq!((&who["recipe"], &who["name"]), (&"mutex".into(), &"taken".into()));
    let entry = &who["queue"][0];
    assert_eq!((&entry["holds"], &entry["pid"]), (&true.into(), &first.pid().into()));
    assert_eq!((&entry["purpose"], &entry["place"]), (&"sh".into(), &1.into()));
    let names = text(&output(url, &["ls", "ta"]).await.stdout);
    assert!(names.contains("mutex") && names.contains("taken"), "{names}");

    // Killed: the command goes with it, and the lock is free within the TTL.
    first.kill().await;
    until_gone(child).await;
    assert_eq!(status(url, &["run", "taken", "--wait", "25s", "--", "true"]).await, Some(0));

    // Stopped beyond the TTL: others get the lock, and it hears of that when it goes on.
    let (mut stopped, child) = holder(url, "stopped", &["--ttl", "2s", "--grace", "1s"]).await;
    stopped.pause();
    assert_eq!(status(url, &["run", "stopped", "--wait", "25s", "--", "true"]).await, Some(0));
    stopped.resume();
    assert_eq!(timeout(PATIENCE, stopped.wait()).await.unwrap().code(), Some(74));
    until_gone(child).await;

    // Taken away by force.
    let (mut broken, child) = holder(url, "broken", &[]).await;
    let forced = output(url, &["force-release", "broken", "--yes", "--json"]).await;
    let forced: serde_json::Value = serde_json::from_slice(&forced.stdout).unwrap();
    assert_eq!(forced["released"], "by-holder");
    assert_eq!(timeout(PATIENCE, broken.wait()).await.unwrap().code(), Some(74));
    until_gone(child).await;

    // A signal is passed on, once, to all that the command has started.
    let (mut told, child) = holder(url, "told", &[]).await;
    told.terminate();
    assert_eq!(timeout(PATIENCE, told.wait()).await.unwrap().code(), Some(128 + 15));
    until_gone(child).await;
    assert_eq!(status(url, &["run", "told", "--no-wait", "--", "true"]).await, Some(0));

    let held = output(url, &["run", "long", "--max-hold", "300ms", "--", "sleep", "60"]).await;
    assert_eq!(held.status.code(), Some(74), "{}", text(&held.stderr));

    let led =
        output(url, &["elect", "boss", "--value", "a:1", "--", BINARY, "observe", "boss", "--once"]).await;
    assert_eq!(text(&led.stdout).trim(), "a:1", "{}", text(&led.stderr));
    let nobody = output(url, &["observe", "boss", "--once", "--json"]).await;
    let nobody: serde_json::Value = serde_json::from_slice(&nobody.stdout).unwrap();
    assert_eq!(nobody["leader"], serde_json::Value::Null);
}

#[tokio::test(flavor = "multi_thread")]
async fn over_etcd() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    over(&format!("etcd://{}/cli", server.endpoint())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_zookeeper() {
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    over(&format!("zookeeper://{}/cli?tick=500ms", server.endpoint())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn over_redis() {
    let server = RedisServer::start(ServerOptions::default()).await;
    over(&format!("redis://{}/cli", server.endpoint())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_told_in_a_line() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("", &["who", "a"], "LEASEHOLD_URL"),
        ("memory:", &["run", "a", "--", "true"], "one process"),
        ("etdc://127.0.0.1:1", &["who", "a"], "etcd://"),
        ("127.0.0.1:2379", &["who", "a"], "scheme"),
        ("redis://127.0.0.1:1", &["run", "a", "--wait", "soon", "--", "true"], "30s"),
        ("redis://127.0.0.1:1", &["run", "a", "--permits", "4/3", "--", "true"], "K/N"),
        ("redis://127.0.0.1:1", &["run", "a"], "CMD"),
        ("redis://127.0.0.1:1", &["force-release", "a"], "--yes"),
        ("redis://127.0.0.1:1", &["whoo", "a"], "'who'"),
    ];
    for (url, arguments, hint) in cases {
        let ended = output(url, arguments).await;
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(64), "{url} {arguments:?}: {told}");
        assert!(told.contains(hint) && told.lines().count() == 1, "{url} {arguments:?}: {told}");
    }
    let nobody = output("redis://127.0.0.1:1", &["who", "a"]).await;
    assert_eq!((nobody.status.code(), text(&nobody.stderr).lines().count()), (Some(69), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn help_completions_and_manual_name_every_subcommand_in_80_columns() {
    let subcommands = [
        "run",
        "elect",
        "observe",
        "ls",
        "who",
        "force-release",
        "watch",
        "doctor",
        "bench",
        "completions",
        "man",
    ];
    let bash = text(&output("", &["completions", "bash"]).await.stdout);
    let manual = text(&output("", &["man"]).await.stdout);
    let help = text(&output("", &["--help"]).await.stdout);
    assert!(manual.contains("Exit status") && help.contains("Exit status"), "{manual}");
    for subcommand in subcommands {
        assert!(bash.contains(subcommand) && help.contains(&format!("\n  {subcommand} ")), "{subcommand}");
        assert!(manual.contains(&format!("LEASEHOLD {}", subcommand.to_uppercase())), "{subcommand}");
        let own = text(&output("", &[subcommand, "--help"]).await.stdout);
        assert!(own.contains("Usage: leasehold"), "{own}");
        for line in own.lines().chain(help.lines()) {
            assert!(line.chars().count() <= 80, "{subcommand}: {line}");
        }
    }
}
