//! The signals that this process is sent, to be passed on.
//!
//! # Implementation
//!
//! A signal that is ignored as the process starts (`nohup`, a shell's `&`) is left so, and the child inherits that.

use std::fs;
use std::future::poll_fn;
use std::task::Poll;

use rustix::process::Signal;
use tokio::signal::unix::{self, SignalKind, signal};

use crate::exit::Failure;

/// Those that ask a process for something. SIGTSTP is the terminal's Ctrl-Z.
const PASSED_ON: [Signal; 7] =
    [Signal::HUP, Signal::INT, Signal::QUIT, Signal::TERM, Signal::USR1, Signal::USR2, Signal::TSTP];

/// The signals as they come.
pub(crate) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
}

impl Signals {
    /// From now on they do nothing by themselves.
    pub(crate) fn listen() -> Result<Self, Failure> {
        let ignored = ignored();
        let heard = PASSED_ON.into_iter().filter(|signal| ignored & bit(*signal) == 0);
        let stream = |kind: Signal| {
            let stream = signal(SignalKind::from_raw(kind.as_raw()));
            stream
                .map(|stream| (kind, stream))
                .map_err(|error| Failure::os(&format!("cannot listen to {kind:?}"), error))
        };
        Ok(Self { streams: heard.map(stream).collect::<Result<_, _>>()? })
    }

    /// The next one.
    ///
    /// # Cancel safety
    /// Dropping it loses none.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (kind, stream) in &mut self.streams {
                if stream.poll_recv(context).is_ready() {
                    return Poll::Ready(*kind);
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next one that asks to end; at one that asks to stop, the process stops.
    pub(crate) async fn ending(&mut self) -> Signal {
        loop {
            match self.next().await {
                Signal::TSTP => stop_ourselves(),
                other => return other,
            }
        }
    }
}

/// The exit status of what a signal has ended.
pub(crate) fn status_of(signal: i32) -> u8 {
    u8::try_from(128 + signal).unwrap_or(u8::MAX)
}

/// Stops this process; returns when it is continued.
pub(crate) fn stop_ourselves() {
    // It cannot be refused: the process is our own.
    let _ = rustix::process::kill_process(rustix::process::getpid(), Signal::STOP);
}

fn bit(signal: Signal) -> u64 {
    1 << (signal.as_raw() - 1)
}

/// The signals that this process ignores, as bits; none where the system does not tell.
fn ignored() -> u64 {
    let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0)
}
