//! `leasehold` at a path of another program's: `etcdctl lock` is on the other side.

use std::process::{Output, Stdio};

use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::{EtcdServer, ServerOptions};
use tokio::process::Command;
use tokio::time::timeout;

use crate::support::{BINARY, PATIENCE};

const PLACE: [&str; 4] = ["--path", "/app/lock", "--profile", "etcd-v3"];

async fn ended(mut command: Command) -> Output {
    command.stdin(Stdio::null()).kill_on_drop(true);
    timeout(PATIENCE, command.output()).await.expect("it ends").unwrap()
}

fn leasehold(server: &EtcdServer, arguments: &[&str]) -> Command {
    let mut command = Command::new(BINARY);
    command.args(arguments).env("LEASEHOLD_URL", format!("etcd://{}", server.endpoint()));
    command
}

fn etcdctl(server: &EtcdServer, arguments: &[&str]) -> Command {
    let mut command = Command::new("etcdctl");
    command.env("ETCDCTL_API", "3").arg("--endpoints").arg(server.endpoint()).args(arguments);
    command.env("LEASEHOLD_URL", format!("etcd://{}", server.endpoint()));
    command
}

#[tokio::test]
async fn etcdctl_and_the_command_keep_each_other_out() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    // Ours inside theirs: it is taken, and somebody is there.
    let script = format!(
        "{BINARY} run {place} --no-wait -- true; echo $?; {BINARY} who {place} --json",
        place = PLACE.join(" ")
    );
    let inside = ended(etcdctl(&server, &["lock", "/app/lock", "--", "sh", "-c", &script])).await;
    let told = String::from_utf8(inside.stdout).unwrap();
    let (status, shown) = told.split_once('\n').unwrap();
    assert_eq!(status, "75", "{told}");
    let shown: serde_json::Value = serde_json::from_str(shown).unwrap();
    assert_eq!((&shown["name"], &shown["recipe"]), (&"/app/lock".into(), &"mutex".into()));
    assert_eq!(shown["queue"].as_array().map(Vec::len), Some(1), "{shown}");
    assert_eq!(shown["queue"][0]["holds"], true);

    // Theirs while ours runs: it waits until that one has ended.
    let mut holding = leasehold(
        &server,
        &[&["run"], &PLACE[..], &["--", "sh", "-c", "echo in; read line; echo out"]].concat(),
    );
    holding.stdin(Stdio::piped());
    let mut holding = Worker::spawn(holding);
    holding.expect("in").await;
    let mut waiting = etcdctl(&server, &["lock", "/app/lock", "echo", "theirs"]);
    waiting.stdin(Stdio::null()).stdout(Stdio::piped()).kill_on_drop(true);
    let mut waiting = waiting.spawn().unwrap();
    let two = [&["who"], &PLACE[..], &["--json"]].concat();
    timeout(PATIENCE, async {
        loop {
            let shown = ended(leasehold(&server, &two)).await;
            let shown: serde_json::Value = serde_json::from_slice(&shown.stdout).unwrap();
            if shown["queue"].as_array().map(Vec::len) == Some(2) {
                return;
            }
        }
    })
    .await
    .expect("etcdctl waits in the queue");
    assert!(waiting.try_wait().unwrap().is_none(), "it waits");
    holding.send("go on").await;
    holding.expect("out").await;
    let theirs = timeout(PATIENCE, waiting.wait_with_output()).await.expect("it gets its turn").unwrap();
    assert_eq!(String::from_utf8_lossy(&theirs.stdout).trim(), "theirs");
    assert_eq!(timeout(PATIENCE, holding.wait()).await.unwrap().code(), Some(0));
}

#[tokio::test]
async fn what_cannot_be_shared_is_refused() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    for (place, status, hint) in [
        (&["--path", "/a", "--profile", "zoo"][..], 64, "etcd-v3"),
        (&["--path", "/a"][..], 64, "--profile"),
        (&["a", "--path", "/a", "--profile", "etcd-v3"][..], 64, "cannot be used with"),
        (&["--path", "/a", "--profile", "kazoo"][..], 70, "kazoo"),
        (&["--path", "/a", "--profile", "etcd-v3", "--shared"][..], 70, "read/write lock"),
    ] {
        let arguments = [&["run"], place, &["--no-wait", "--", "true"]].concat();
        let ended = ended(leasehold(&server, &arguments)).await;
        let told = String::from_utf8(ended.stderr).unwrap();
        assert_eq!(ended.status.code(), Some(status), "{place:?}: {told}");
        assert!(told.contains(hint) && told.lines().count() == 1, "{place:?}: {told}");
    }
}
