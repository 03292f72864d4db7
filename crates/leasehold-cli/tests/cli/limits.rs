//! What becomes of the command when the lock is lost or held for too long, and the locks that several have together.

use std::fs;
use std::time::Duration;

use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::{EtcdServer, RedisServer, ServerOptions};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tokio::time::Instant;

use crate::support::{document, end_of, holder, output, runs, status, talk, text, until_gone};

/// A command that says when it is asked to end, and goes on.
const STUBBORN: &str = "trap 'echo asked' TERM; echo pid $$; while :; do sleep 0.05; done";

/// Starts the stubborn command; its process id.
async fn stubborn(url: &str, name: &str, more: &[&str]) -> (Worker, u32) {
    let mut worker = talk(url, &[&["run", name], more, &["--", "sh", "-c", STUBBORN]].concat());
    let pid = worker.expect("pid ").await.parse().unwrap();
    (worker, pid)
}

/// The rest of what it says.
async fn rest(worker: &mut Worker) -> Vec<String> {
    let mut lines = Vec::new();
    while let Some(line) = worker.line().await {
        lines.push(line);
    }
    lines
}

fn asked(lines: &[String]) -> usize {
    lines.iter().filter(|line| *line == "asked").count()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_lock_ends_the_command_as_was_chosen() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}/limits", server.endpoint());
    let grace = Duration::from_millis(500);

    // Asked first, and killed when the grace is over.
    let (mut run, child) = stubborn(url, "term", &["--grace", "500ms"]).await;
    let lost = Instant::now();
    assert_eq!(status(url, &["force-release", "term", "--yes"]).await, Some(0));
    let said = rest(&mut run).await;
    assert_eq!((end_of(&mut run).await, asked(&said)), (Some(74), 1), "{said:?}");
    assert!(lost.elapsed() >= grace, "{:?}", lost.elapsed());
    assert!(said.iter().any(|line| line.contains("\"term\" was lost")), "{said:?}");
    until_gone(child).await;

    // Killed at once, whatever the grace.
    let (mut run, child) = stubborn(url, "kill", &["--on-lost", "kill", "--grace", "1h"]).await;
    assert_eq!(status(url, &["force-release", "kill", "--yes"]).await, Some(0));
    let said = rest(&mut run).await;
    assert_eq!((end_of(&mut run).await, asked(&said)), (Some(74), 0), "{said:?}");
    until_gone(child).await;

    // Told to people, and no more: others have the lock while it goes on, and its status is ours.
    let command = ["--", "sh", "-c", "echo pid $$; read line; exit 7"];
    let mut run = talk(url, &[&["run", "warn", "--on-lost", "warn"][..], &command].concat());
    let child = run.expect("pid ").await.parse().unwrap();
    assert_eq!(status(url, &["force-release", "warn", "--yes"]).await, Some(0));
    run.expect("leasehold: \"warn\" was lost").await;
    assert_eq!(status(url, &["run", "warn", "--no-wait", "--", "true"]).await, Some(0));
    assert!(runs(child));
    run.send("end").await;
    assert_eq!(end_of(&mut run).await, Some(7));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_holds_for_too_long_is_ended_and_the_lock_is_free() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let url = &format!("etcd://{}/limits", server.endpoint());
    let limits = ["--max-hold", "300ms", "--grace", "200ms"];
    let begun = Instant::now();
    let (mut run, child) = stubborn(url, "long", &limits).await;
    let said = rest(&mut run).await;
    assert_eq!((end_of(&mut run).await, asked(&said)), (Some(74), 1), "{said:?}");
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    assert!(said.iter().any(|line| line.contains("held for 300ms")), "{said:?}");
    until_gone(child).await;
    assert_eq!(status(url, &["run", "long", "--no-wait", "--", "true"]).await, Some(0), "it was released");
    // Who ends in time is not ended.
    assert_eq!(status(url, &["run", "long", "--max-hold", "1h", "--", "sh", "-c", "exit 3"]).await, Some(3));
    // No clock reaches these.
    let far = ["--max-hold", "500000000000y", "--grace", "500000000000y", "--wait", "500000000000y"];
    assert_eq!(status(url, &[&["run", "long"], &far[..], &["--", "true"]].concat()).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn readers_hold_together_and_a_writer_alone() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}/limits", server.endpoint());
    let now = |how: &'static str| async move {
        status(url, &["run", "table", how, "--no-wait", "--", "true"]).await
    };
    let (mut one, _) = holder(url, "table", &["--shared"]).await;
    let (mut two, _) = holder(url, "table", &["--shared"]).await;
    assert_eq!((now("--exclusive").await, now("--shared").await), (Some(75), Some(0)));
    let who = document(url, &["who", "table", "--recipe", "rw-lock", "--json"]).await;
    let modes: Vec<&Value> = who["queue"].as_array().unwrap().iter().map(|entry| &entry["mode"]).collect();
    assert_eq!(modes, ["shared", "shared"], "{who}");
    // Another lock than the mutex of that name.
    assert_eq!(status(url, &["run", "table", "--no-wait", "--", "true"]).await, Some(0));
    one.kill().await;
    two.terminate();
    end_of(&mut two).await;

    let (mut writer, _) = holder(url, "other", &["--exclusive"]).await;
    assert_eq!(status(url, &["run", "other", "--shared", "--no-wait", "--", "true"]).await, Some(75));
    writer.terminate();
    end_of(&mut writer).await;
    assert_eq!(status(url, &["run", "other", "--shared", "--no-wait", "--", "true"]).await, Some(0));
}

#[tokio::test(flavor = "multi_thread")]
async fn permits_are_counted_over_all_and_a_dissenter_is_told() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}/limits", server.endpoint());
    let now = |permits: &'static str| async move {
        output(url, &["run", "export", "--permits", permits, "--no-wait", "--", "true"]).await
    };
    let (mut two, _) = holder(url, "export", &["--permits", "2/3", "--purpose", "the big one"]).await;
    let who = document(url, &["who", "export", "--json"]).await;
    assert_eq!((&who["recipe"], &who["queue"][0]["mode"]), (&"semaphore".into(), &"2/3".into()));
    assert_eq!(who["queue"][0]["purpose"], "the big one");
    assert_eq!(now("1/3").await.status.code(), Some(0));
    assert_eq!(now("2/3").await.status.code(), Some(75));
    let dissenter = now("1/4").await;
    let told = text(&dissenter.stderr);
    assert_eq!((dissenter.status.code(), told.lines().count()), (Some(64), 1), "{told}");
    two.terminate();
    end_of(&mut two).await;
    assert_eq!(now("3/3").await.status.code(), Some(0));
}

/// Killed before the leash knew of the command, or with it: the kernel ends the command.
#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn a_command_without_its_leash_ends_with_us_too() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}/limits", server.endpoint());
    let (mut run, child) = holder(url, "a", &[]).await;
    let words = |pid: u32| fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    assert!(words(child).starts_with("sh\0"), "it has become the command: {:?}", words(child));
    let us = run.pid().expect("it runs");
    let children = fs::read_to_string(format!("/proc/{us}/task/{us}/children")).expect("Linux has it");
    let children = children.split_whitespace().map(|pid| pid.parse().expect("a number"));
    let leash = children.into_iter().find(|pid| words(*pid).contains("__leash")).expect("a leash");
    let killed = Pid::from_raw(i32::try_from(leash).expect("small")).expect("not zero");
    kill_process(killed, Signal::KILL).expect("it runs");
    until_gone(leash).await;
    assert!(runs(child));
    run.kill().await;
    until_gone(child).await;
    // At the first word that it says.
    for round in 0..10 {
        let (mut run, child) = holder(url, &format!("round {round}"), &[]).await;
        run.kill().await;
        until_gone(child).await;
    }
}
