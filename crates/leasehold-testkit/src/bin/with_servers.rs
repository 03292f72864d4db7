//! Runs a command with one etcd, one Redis and one ZooKeeper: `leasehold-with-servers [--tmpfs|--disk] COMMAND [ARGUMENT…]`.
//!
//! The command finds them by `LEASEHOLD_ETCD_URL`, `LEASEHOLD_REDIS_URL` and `LEASEHOLD_ZOOKEEPER_URL`. Its exit status is passed on (128 + n
//! if signal n ended it), and the servers are gone when it ends.

use std::ffi::OsString;
use std::io::IsTerminal;
use std::os::unix::process::ExitStatusExt;
use std::process::{ExitCode, ExitStatus};

use leasehold_testkit::servers::{
    EtcdServer, RedisServer, ServerOptions, StartError, Storage, ZooKeeperServer,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::signal::unix::{Signal as Signals, SignalKind, signal};

const USAGE: &str = "usage: leasehold-with-servers [--tmpfs|--disk] COMMAND [ARGUMENT...]";

/// What shells answer for a command that they cannot run, and for wrong usage.
const CANNOT_RUN: u8 = 127;
const WRONG_USAGE: u8 = 2;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let mut arguments = std::env::args_os().skip(1).peekable();
    let mut storage = Storage::Tmpfs;
    while let Some(option) = arguments.next_if(|argument| argument.as_encoded_bytes().starts_with(b"--")) {
        match option.to_str() {
            Some("--tmpfs") => storage = Storage::Tmpfs,
            Some("--disk") => storage = Storage::Disk,
            Some("--") => break,
            _ => {
                eprintln!("{USAGE}");
                return ExitCode::from(WRONG_USAGE);
            }
        }
    }
    let Some(program) = arguments.next() else {
        eprintln!("{USAGE}");
        return ExitCode::from(WRONG_USAGE);
    };
    run(storage, program, arguments.collect()).await
}

async fn run(storage: Storage, program: OsString, arguments: Vec<OsString>) -> ExitCode {
    // Listened to from here on, so that a signal during the start does not leave the command running unseen.
    let signals = signal(SignalKind::interrupt()).and_then(|int| Ok((int, signal(SignalKind::terminate())?)));
    let (mut interrupts, mut terminations) = match signals {
        Ok(signals) => signals,
        Err(error) => return failed(&format!("cannot listen to signals: {error}")),
    };
    let servers = tokio::select! {
        servers = start(storage) => servers,
        _ = interrupts.recv() => return exit_code(ExitStatus::from_raw(Signal::INT.as_raw())),
        _ = terminations.recv() => return exit_code(ExitStatus::from_raw(Signal::TERM.as_raw())),
    };
    let (etcd, redis, zookeeper) = match servers {
        Ok(servers) => servers,
        Err(error) => {
            let source = std::error::Error::source(&error).map(|s| format!(": {s}")).unwrap_or_default();
            return failed(&format!("{error}{source}"));
        }
    };
    let etcd_url = format!("etcd://{}", etcd.endpoint());
    let redis_url = format!("redis://{}", redis.endpoint());
    let zookeeper_url = format!("zookeeper://{}", zookeeper.endpoint());
    let medium = if etcd.storage() == Storage::Disk { "disk" } else { "tmpfs" };
    eprintln!("with {etcd_url}, {redis_url} and {zookeeper_url}, data on {medium}");
    let child = Command::new(&program)
        .args(arguments)
        .env("LEASEHOLD_ETCD_URL", etcd_url)
        .env("LEASEHOLD_REDIS_URL", redis_url)
        .env("LEASEHOLD_ZOOKEEPER_URL", zookeeper_url)
        .spawn();
    match child {
        Ok(child) => attend(child, &mut interrupts, &mut terminations).await,
        Err(error) => {
            eprintln!("cannot run {}: {error}", program.display());
            ExitCode::from(CANNOT_RUN)
        }
    }
}

async fn start(storage: Storage) -> Result<(EtcdServer, RedisServer, ZooKeeperServer), StartError> {
    let options = ServerOptions::default().storage(storage);
    tokio::try_join!(
        EtcdServer::try_start(options.clone()),
        RedisServer::try_start(options.clone()),
        ZooKeeperServer::try_start(options)
    )
}

/// Waits for the command and passes signals on to it.
async fn attend(mut child: Child, interrupts: &mut Signals, terminations: &mut Signals) -> ExitCode {
    // The terminal sends Ctrl-C to the command itself; twice would read as impatience.
    let from_terminal = std::io::stdin().is_terminal();
    loop {
        let signal = tokio::select! {
            status = child.wait() => return match status {
                Ok(status) => exit_code(status),
                Err(error) => failed(&format!("cannot wait for the command: {error}")),
            },
            _ = interrupts.recv() => Signal::INT,
            _ = terminations.recv() => Signal::TERM,
        };
        if signal == Signal::INT && from_terminal {
            continue;
        }
        // No id: it has ended just now, and the next turn sees it.
        if let Some(pid) = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw) {
            let _ = kill_process(pid, signal);
        }
    }
}

fn exit_code(status: ExitStatus) -> ExitCode {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    ExitCode::from(code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1))
}

fn failed(why: &str) -> ExitCode {
    eprintln!("leasehold-with-servers: {why}");
    ExitCode::FAILURE
}
