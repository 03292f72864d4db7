//! What cannot be used is told in a line, and whatever stands on the command line, nothing breaks.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::os::unix::ffi::OsStrExt;
use std::process::{Output, Stdio};

use leasehold_testkit::servers::{RedisServer, ServerOptions};
use tokio::time::timeout;

use crate::support::{PATIENCE, command, output, text};

/// Nobody listens there.
const NOWHERE: &str = "redis://127.0.0.1:1";

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_used_is_told_in_a_line() {
    let cases: &[(&str, &[&str], &str)] = &[
        ("", &["who", "a"], "LEASEHOLD_URL"),
        ("memory:", &["run", "a", "--", "true"], "one process"),
        ("etdc://127.0.0.1:1", &["who", "a"], "did you mean etcd://"),
        ("zokeeper://127.0.0.1:1", &["ls"], "did you mean zookeeper://"),
        ("Redsi://127.0.0.1:1", &["doctor"], "did you mean redis://"),
        ("redis+sentinal://127.0.0.1:1/m", &["watch", "a"], "did you mean redis+sentinel://"),
        ("127.0.0.1:2379", &["who", "a"], "scheme"),
        ("redis://", &["who", "a"], "redis://host:6379"),
        ("redis://127.0.0.1:port", &["who", "a"], "host:port"),
        ("redis://127.0.0.1:1?tll=3s", &["who", "a"], "tll"),
        ("redis://127.0.0.1:1?ttl=soon", &["who", "a"], "15s"),
        (NOWHERE, &["run", "a", "--wait", "soon", "--", "true"], "30s"),
        (NOWHERE, &["run", "a", "--ttl", "-1s", "--", "true"], "'-1'"),
        (NOWHERE, &["run", "a", "--max-hold", "1", "--", "true"], "30s"),
        (NOWHERE, &["run", "a", "--wait", "1s", "--no-wait", "--", "true"], "cannot be used with"),
        (NOWHERE, &["run", "a", "--permits", "4/3", "--", "true"], "K/N"),
        (NOWHERE, &["run", "a", "--permits", "0/3", "--", "true"], "K/N"),
        (NOWHERE, &["run", "a", "--permits", "1/99999999999", "--", "true"], "K/N"),
        (NOWHERE, &["run", "a", "--shared", "--permits", "1/3", "--", "true"], "cannot be used with"),
        (NOWHERE, &["run", "a", "--on-lost", "panic", "--", "true"], "term, kill, warn"),
        (NOWHERE, &["run", "a"], "CMD"),
        (NOWHERE, &["run", "--", "true"], "NAME"),
        (NOWHERE, &["elect", "a"], "--value"),
        (NOWHERE, &["who", "a", "--recipe", "mutx"], "'mutex'"),
        (NOWHERE, &["force-release", "a"], "--yes"),
        (NOWHERE, &["bench", "--contenders", "0"], "1..=256"),
        (NOWHERE, &["completions", "csh"], "bash"),
        (NOWHERE, &["whoo", "a"], "'who'"),
        (NOWHERE, &[], "subcommand"),
    ];
    for (url, arguments, hint) in cases {
        let ended = output(url, arguments).await;
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(64), "{url} {arguments:?}: {told}");
        assert!(told.contains(hint) && told.lines().count() == 1, "{url} {arguments:?}: {told}");
        assert!(ended.stdout.is_empty(), "{url} {arguments:?}");
    }
    let nobody = output(NOWHERE, &["who", "a"]).await;
    assert_eq!((nobody.status.code(), text(&nobody.stderr).lines().count()), (Some(69), 1));
}

#[tokio::test(flavor = "multi_thread")]
async fn names_and_times_that_the_service_cannot_have_are_told_in_a_line() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}/usage", server.endpoint());
    let (long, empty) = ("x".repeat(256), "");
    for (arguments, hint) in [
        (&["run", &long, "--", "true"][..], "255"),
        (&["run", empty, "--", "true"], "at least one"),
        (&["who", &long], "255"),
        (&["watch", empty], "at least one"),
        (&["force-release", empty, "--yes"], "at least one"),
        (&["run", "a", "--ttl", "0s", "--", "true"], "TTL"),
    ] {
        let ended = output(url, arguments).await;
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(64), "{arguments:?}: {told}");
        assert!(told.contains(hint) && told.lines().count() == 1, "{arguments:?}: {told}");
    }
}

/// With arguments that are no text.
async fn ended(arguments: &[&OsStr], url: &OsStr) -> Output {
    let mut command = command("", &[]);
    command.args(arguments).env("LEASEHOLD_URL", url).env("RUST_BACKTRACE", "1");
    timeout(PATIENCE, command.output()).await.expect("it ends").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_text_is_refused_where_text_is_needed_and_passed_on_where_not() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = OsString::from(format!("redis://{}/usage", server.endpoint()));
    let (odd, word) = (OsStr::from_bytes(b"a\xffb"), OsStr::new);
    for (arguments, url) in [
        (&[word("who"), odd][..], &*url),
        (&[word("run"), word("a"), word("--purpose"), odd, word("--"), word("true")], &url),
        (&[odd], &url),
        (&[word("--url"), odd, word("ls")], &url),
        (&[word("ls")], odd),
    ] {
        let ended = ended(arguments, url).await;
        let told = String::from_utf8_lossy(&ended.stderr);
        assert_eq!(ended.status.code(), Some(64), "{arguments:?}: {told}");
        assert!(told.lines().count() == 1 && !told.contains("panicked"), "{arguments:?}: {told}");
    }
    let passed = ended(&[word("run"), word("a"), word("--"), word("printf"), word("%s"), odd], &url).await;
    assert_eq!((passed.status.code(), &*passed.stdout), (Some(0), odd.as_bytes()));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_command_is_told_with_the_status_of_shells_and_frees_the_lock() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}/usage", server.endpoint());
    let directory = tempfile::tempdir().unwrap();
    let text_file = directory.path().join("text");
    std::fs::write(&text_file, "no program").unwrap();
    for (program, status) in [
        ("leasehold-no-such-program", 127),
        ("/no/such/program", 127),
        (text_file.to_str().unwrap(), 126),
        (directory.path().to_str().unwrap(), 126),
    ] {
        let ended = output(url, &["run", "a", "--no-wait", "--", program]).await;
        let told = text(&ended.stderr);
        assert_eq!(ended.status.code(), Some(status), "{program}: {told}");
        assert!(told.contains(program) && told.lines().count() == 1, "{program}: {told}");
    }
}

/// What is printed goes there.
async fn printing_to(place: Stdio, url: &str, arguments: &[&str]) -> Output {
    let mut command = command(url, arguments);
    let child = command.stdout(place).stderr(Stdio::piped()).spawn().unwrap();
    // Its own end of a pipe is still the command's.
    drop(command);
    timeout(PATIENCE, child.wait_with_output()).await.expect("it ends").unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn output_that_nobody_takes_is_no_failure_and_one_that_fails_is() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = &format!("redis://{}/usage", server.endpoint());
    for arguments in
        [&["man"][..], &["--help"], &["ls", "--json"], &["who", "a"], &["elect", "a", "--value", "x"]]
    {
        // As of a reader that has ended: `leasehold man | head -1`.
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = printing_to(Stdio::from(writer), url, arguments).await;
        let told = text(&ended.stderr);
        // Of no names there is nothing to print.
        let status = if arguments[0] == "ls" { 0 } else { 141 };
        assert_eq!((ended.status.code(), &*told), (Some(status), ""), "{arguments:?}");
    }
    // The leadership that nobody heard of is nobody's.
    let free = output(url, &["who", "a"]).await;
    assert!(text(&free.stdout).contains("nobody"), "{}", text(&free.stdout));

    let full = File::options().write(true).open("/dev/full").unwrap();
    let ended = printing_to(Stdio::from(full), url, &["who", "a"]).await;
    assert_eq!((ended.status.code(), text(&ended.stderr).lines().count()), (Some(71), 1));
}
