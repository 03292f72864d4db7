//! What is the same over every service: turns, deaths, losses, signals.

use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::time::Duration;

use leasehold_testkit::servers::{EtcdServer, RedisServer, ServerOptions, ZooKeeperServer};
use tokio::time::{Instant, timeout};

use crate::support::{
    BINARY, PATIENCE, document, end_of, holder, output, status, talk, text, until_gone, until_queued,
};

/// What the holders ask for that are killed and stopped.
const TTL: Duration = Duration::from_secs(2);

/// By when after the TTL another has what a killed one held: the services look for the dead in steps.
const SLACK: Duration = Duration::from_millis(2500);

/// Two that run at once would find each other's directory.
async fn takes_turns(url: &str, directory: &Path) {
    let inside = directory.join("inside");
    let script = format!("mkdir {0} && date && sleep 0.3 && rmdir {0}", inside.display());
    let turn = ["run", "nightly", "--", "sh", "-c", &script];
    let (a, b, c) = tokio::join!(output(url, &turn), output(url, &turn), output(url, &turn));
    for run in [a, b, c] {
        assert_eq!(
            (run.status.code(), text(&run.stdout).lines().count()),
            (Some(0), 1),
            "{}",
            text(&run.stderr)
        );
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
    assert_eq!(status(url, &["run", "taken", "--wait", "2s", "--", "true"]).await, Some(75));
    let who = document(url, &["who", "taken", "--json"]).await;
    assert_eq!((&who["recipe"], &who["name"]), (&"mutex".into(), &"taken".into()));
    let entry = &who["queue"][0];
    assert_eq!((&entry["holds"], &entry["pid"]), (&true.into(), &first.pid().into()));
    assert_eq!((&entry["purpose"], &entry["place"]), (&"sh".into(), &1.into()));
    let names = text(&output(url, &["ls", "ta"]).await.stdout);
    assert!(names.contains("mutex") && names.contains("taken"), "{names}");

    // Killed: the command goes with it at once, and the lock is free within the TTL.
    let mut next = talk(url, &["run", "taken", "--", "echo", "in"]);
    until_queued(url, "taken", 2).await;
    first.kill().await;
    let killed = Instant::now();
    until_gone(child).await;
    assert!(killed.elapsed() < TTL, "it is not the TTL that ends the command: {:?}", killed.elapsed());
    next.expect("in").await;
    assert!(killed.elapsed() < TTL + SLACK, "{:?}", killed.elapsed());
    assert_eq!(end_of(&mut next).await, Some(0));

    // Stopped beyond the TTL: others get the lock, and it hears of that when it goes on.
    let (mut stopped, child) = holder(url, "stopped", &["--ttl", "2s", "--grace", "1s"]).await;
    stopped.pause();
    assert_eq!(status(url, &["run", "stopped", "--wait", "25s", "--", "true"]).await, Some(0));
    stopped.resume();
    assert_eq!(end_of(&mut stopped).await, Some(74));
    until_gone(child).await;

    // Taken away by force.
    let (mut broken, child) = holder(url, "broken", &[]).await;
    let forced = document(url, &["force-release", "broken", "--yes", "--json"]).await;
    assert_eq!(forced["released"], "by-holder");
    assert_eq!(end_of(&mut broken).await, Some(74));
    until_gone(child).await;

    // A signal is passed on, once, to all that the command has started; who was ended by it ends us by it.
    let (mut told, child) = holder(url, "told", &[]).await;
    told.terminate();
    assert_eq!(timeout(PATIENCE, told.wait()).await.unwrap().signal(), Some(15));
    until_gone(child).await;
    assert_eq!(status(url, &["run", "told", "--no-wait", "--", "true"]).await, Some(0));

    let held = output(url, &["run", "long", "--max-hold", "300ms", "--", "sleep", "60"]).await;
    assert_eq!(held.status.code(), Some(74), "{}", text(&held.stderr));

    let led =
        output(url, &["elect", "boss", "--value", "a:1", "--", BINARY, "observe", "boss", "--once"]).await;
    assert_eq!(text(&led.stdout).trim(), "a:1", "{}", text(&led.stderr));
    let nobody = document(url, &["observe", "boss", "--once", "--json"]).await;
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
