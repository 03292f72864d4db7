//! Every recipe between processes of their own, on real servers: some of them are killed in the middle, or stopped for longer than
//! their TTL. What the workers do is told them line by line: see the worker's own documentation for the commands.

#![cfg(target_os = "linux")]

mod admin;
mod barriers;
mod double_barrier;
mod elections;
mod group;
mod multi_lock;
mod once;
mod partition;
mod process;
mod registers;
mod rw_lock;
mod semaphore;

use std::io::Write;
use std::process::{Child, Command, Output, Stdio};

use process::{Service, on_every_service};

on_every_service!(a_worker_says_what_it_does_not_understand);

fn worker(arguments: &[&str]) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold-test-recipe-worker"));
    command.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().expect("it starts")
}

fn refuses(output: Output, what: &str) {
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    let message = String::from_utf8_lossy(&output.stderr);
    assert!(message.starts_with("recipe worker: ") && message.contains(what), "{what}: {message}");
}

async fn a_worker_says_what_it_does_not_understand(service: Service) {
    let url = service.url(15);
    for (arguments, what) in
        [(vec![], "usage"), (vec!["nothing://"], "UnknownScheme"), (vec![url.as_str(), "more"], "usage")]
    {
        refuses(worker(&arguments).wait_with_output().expect("it ends"), what);
    }
    for (line, what) in [
        ("one", "\"one\""),
        ("one two", "\"two\""),
        ("one mutex", "\"mutex\""),
        ("one mutex lock", "\"mutex lock\""),
        ("one semaphore acquire pool many 1", "\"many\" is no u32"),
        ("one admin ask lock name who", "\"lock\""),
        ("one election resume one 00f", "ticket"),
    ] {
        let mut worker = worker(&[&url]);
        // Kept open: its end would be the worker's.
        let mut input = worker.stdin.take().expect("it is a pipe");
        writeln!(input, "{line}").expect("it reads");
        refuses(worker.wait_with_output().expect("it ends"), what);
    }
    let output = worker(&[&url]).wait_with_output().expect("it ends with its input");
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}
