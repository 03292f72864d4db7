//! `leasehold` at a key that is shared with redis-py: a program in Python is on the other side.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use leasehold_testkit::interop;
use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::{EtcdServer, RedisServer, ServerOptions};
use tokio::process::Command;
use tokio::time::Instant;

use crate::support::{command, document, end_of, output, talk, text, until_gone};

const PLACE: [&str; 4] = ["--path", "reports:nightly", "--profile", "redis-py"];

const KEY: &str = PLACE[1];

/// The arguments with the place after the subcommand.
fn at<'a>(subcommand: &'a str, more: &[&'a str]) -> Vec<&'a str> {
    [&[subcommand], &PLACE[..], more].concat()
}

/// A program in Python, that is connected.
async fn python(server: &RedisServer) -> Worker {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let made = Command::new(root.join("ci/python-venv.sh")).stderr(Stdio::inherit()).output();
    let made = made.await.expect("ci/python-venv.sh is there");
    assert!(made.status.success(), "ci/python-venv.sh says why");
    let endpoint = server.endpoint();
    let (_, port) = endpoint.rsplit_once(':').unwrap();
    let program = root.join("tests/tests/redis_py/worker.py");
    let mut worker = Worker::start(text(&made.stdout).trim(), [program.to_str().unwrap(), port, "0"]);
    worker.expect("ready").await;
    worker
}

async fn told(python: &mut Worker, line: &str) -> String {
    python.send(line).await;
    python.line().await.expect("it has ended")
}

#[tokio::test(flavor = "multi_thread")]
async fn python_and_the_command_keep_each_other_out() {
    let requirements = include_str!("../../../../ci/python-requirements.txt");
    let version = requirements.lines().find_map(|line| line.strip_prefix("redis=="));
    let mut met = interop::meets("redis-py", version.expect("the requirements name it"), "lock on one key");
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}/namespace", server.endpoint());
    let mut python = python(&server).await;

    // Theirs: ours waits in vain, and sees what the key tells.
    assert_eq!(told(&mut python, &format!("acquire {KEY} 30 0")).await, "got");
    assert_eq!(output(url, &at("run", &["--no-wait", "--", "true"])).await.status.code(), Some(75));
    let mut ours =
        talk(url, &at("run", &["--ttl", "2s", "--", "sh", "-c", "echo pid $$; read line; exit 3"]));
    let who = document(url, &at("who", &["--json"])).await;
    let value = server.command(&["GET", KEY]).await.text();
    assert_eq!((&who["queue"][0]["owner"], &who["queue"][0]["holds"]), (&value.clone().into(), &true.into()));
    assert!(who["queue"][0]["expires_in_seconds"].as_f64().is_some_and(|left| (1.0..=30.0).contains(&left)));
    let who = text(&output(url, &at("who", &[])).await.stdout);
    assert!(who.contains(&value) && who.contains("does not tell"), "{who}");
    assert_eq!(told(&mut python, "release").await, "released");

    // Ours: theirs waits, for longer than our TTL.
    let child = ours.expect("pid ").await.parse().unwrap();
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 3")).await, "busy");
    ours.send("end").await;
    assert_eq!(end_of(&mut ours).await, Some(3));
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "got");
    until_gone(child).await;

    // Theirs is taken away, and nobody else's is.
    let forced = document(url, &at("force-release", &["--yes", "--json"])).await;
    assert_eq!(forced["released"], "by-force");
    assert_eq!(told(&mut python, "release").await, "not owned");
    let forced = document(url, &at("force-release", &["--yes", "--json"])).await;
    assert_eq!(forced["released"], "was-free");
    met.acquired(3);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_kept_lost_and_given_up() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}?db=3&ttl=2s", server.endpoint());
    let hold = ["--", "sh", "-c", "echo pid $$; sleep 60; true"];

    // There is no token, also where that of a lock around it stands in the environment.
    let shown = ["--", "sh", "-c", "echo $LEASEHOLD_NAME-${LEASEHOLD_TOKEN-none}"];
    let mut inner = command(url, &at("run", &shown));
    inner.env("LEASEHOLD_TOKEN", "an outer one");
    assert_eq!(text(&inner.output().await.unwrap().stdout).trim(), format!("{KEY}-none"));

    // Removed: noticed at the next renewal.
    let mut lost = talk(url, &at("run", &hold));
    let child = lost.expect("pid ").await.parse().unwrap();
    let forced = document(url, &at("force-release", &["--yes", "--json"])).await;
    assert_eq!(forced["released"], "by-force");
    lost.expect(&format!("leasehold: {KEY:?} was lost")).await;
    assert_eq!(end_of(&mut lost).await, Some(74));
    until_gone(child).await;

    // Killed: free within the TTL, and the command is gone at once.
    let mut killed = talk(url, &at("run", &hold));
    let child = killed.expect("pid ").await.parse().unwrap();
    let mut next = talk(url, &at("run", &["--", "echo", "in"]));
    killed.kill().await;
    let since = Instant::now();
    until_gone(child).await;
    next.expect("in").await;
    assert!(since.elapsed() < Duration::from_millis(3500), "{:?}", since.elapsed());
    assert_eq!(end_of(&mut next).await, Some(0));

    // Stopped beyond the TTL: it has lost the key, and ends the command.
    let mut stopped = talk(url, &at("run", &hold));
    let child = stopped.expect("pid ").await.parse().unwrap();
    stopped.pause();
    assert_eq!(output(url, &at("run", &["--wait", "20s", "--", "true"])).await.status.code(), Some(0));
    stopped.resume();
    assert_eq!(end_of(&mut stopped).await, Some(74));
    until_gone(child).await;
    // Nobody is left, in that database and in no other.
    assert_eq!(server.command(&["DBSIZE"]).await.text(), "0");
    let kept = server.command(&["INFO", "keyspace"]).await.text();
    assert!(!kept.contains("keys="), "{kept}");
    let free = text(&output(url, &at("who", &[])).await.stdout);
    assert!(free.contains("nobody holds"), "{free}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_key_has_not_is_refused() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let redis = &format!("redis://{}", server.endpoint());
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    let etcd = &format!("etcd://{}", etcd.endpoint());
    let number = &format!("{redis}/3");
    server.command(&["LPUSH", "list", "a"]).await;
    let run = ["--", "true"];
    for (url, arguments, status, hint) in [
        (redis, at("run", &[&["--shared"], &run[..]].concat()), 64, "read/write lock"),
        (redis, at("run", &[&["--exclusive"], &run[..]].concat()), 64, "read/write lock"),
        (redis, at("run", &[&["--permits", "1/3"], &run[..]].concat()), 64, "semaphore"),
        (redis, at("run", &[&["--purpose", "x"], &run[..]].concat()), 64, "--profile"),
        (redis, at("elect", &["--value", "x"]), 64, "election"),
        (redis, at("observe", &[]), 64, "leader"),
        (redis, at("watch", &[]), 64, "who"),
        (redis, at("who", &["--recipe", "semaphore"]), 64, "semaphore"),
        (redis, at("force-release", &["--yes", "--recipe", "rw-lock"]), 64, "read/write lock"),
        (redis, at("force-release", &[]), 64, "--yes"),
        (redis, vec!["ls", "--profile", "redis-py"], 64, "leasehold who --path"),
        (redis, at("run", &[&["--ttl", "1ms"], &run[..]].concat()), 64, "TTL"),
        (redis, vec!["who", "--path", "list", "--profile", "redis-py"], 70, "a list"),
        (redis, vec!["run", "--path", "list", "--profile", "redis-py", "--", "true"], 70, "a list"),
        (etcd, at("run", &run), 64, "redis://"),
        (number, at("run", &run), 64, "?db=3"),
    ] {
        let ended = output(url, &arguments).await;
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(status), "{arguments:?}: {told}");
        assert!(told.contains(hint) && told.lines().count() == 1, "{arguments:?}: {told}");
    }
}
