//! The signals that this process is sent, to be passed on, and the two by which it ends or stops itself.
//!
//! # Implementation
//!
//! A signal that is ignored as the process starts (`nohup`, a shell's `&`) is left so, and the child inherits that.
//!
//! Being continued undoes a stop that was sent before, as the system undoes those that it has not delivered yet (POSIX, *Signal Generation
//! and Delivery*): what hears of the signals may be slower than the shell is, which by then has seen another of our group stop, and the
//! user's `fg`. So the handlers note which of the two came last.
//!
//! Who is stopped needs somebody to continue him. The terminal's Ctrl-Z stops nobody in a process group that no shell looks after (an
//! orphaned one); since we stop ourselves by SIGSTOP, which asks no such question, we ask it.

use std::fs;
use std::future::poll_fn;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Poll;

use rustix::process::{
    Pid, Resource, Rlimit, Signal, getpgid, getpgrp, getpid, getppid, getsid, kill_process,
    kill_process_group, setrlimit,
};
use tokio::signal::unix::{self, SignalKind, signal};

use crate::exit::Failure;

/// Those that ask a process for something. SIGTSTP is the terminal's Ctrl-Z; SIGWINCH says that it has another size now.
const PASSED_ON: [Signal; 8] = [
    Signal::HUP,
    Signal::INT,
    Signal::QUIT,
    Signal::TERM,
    Signal::USR1,
    Signal::USR2,
    Signal::TSTP,
    Signal::WINCH,
];

const STOP: usize = 1;
const GO: usize = 2;

/// The signals as they come.
pub(crate) struct Signals {
    streams: Vec<(Signal, unix::Signal)>,
    /// The last of those that ask us to stop or have us go on: [`STOP`], [`GO`], or none.
    last: Arc<AtomicUsize>,
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
        let last = Arc::<AtomicUsize>::default();
        for (kind, value) in [(Signal::TSTP, STOP), (Signal::CONT, GO)] {
            if ignored & bit(kind) == 0 {
                signal_hook::flag::register_usize(kind.as_raw(), last.clone(), value)
                    .map_err(|error| Failure::os(&format!("cannot listen to {kind:?}"), error))?;
            }
        }
        Ok(Self { streams: heard.map(stream).collect::<Result<_, _>>()?, last })
    }

    /// Whether we were asked to stop, and not continued since.
    pub(crate) fn is_to_stop(&self) -> bool {
        self.last.load(Ordering::SeqCst) == STOP
    }

    /// We were stopped, and are continued. The handler says so as well, but perhaps on another thread and a little later.
    pub(crate) fn continued(&self) {
        self.last.store(GO, Ordering::SeqCst);
    }

    /// The next one.
    ///
    /// # Cancel safety
    /// Dropping it loses none.
    pub(crate) async fn next(&mut self) -> Signal {
        poll_fn(|context| {
            for (kind, stream) in &mut self.streams {
                while stream.poll_recv(context).is_ready() {
                    if *kind != Signal::TSTP || self.last.load(Ordering::SeqCst) == STOP {
                        return Poll::Ready(*kind);
                    }
                }
            }
            Poll::Pending
        })
        .await
    }

    /// The next one that asks to end; at one that asks to stop, the process stops, after `tidy`.
    pub(crate) async fn ending(&mut self, tidy: impl Fn()) -> Signal {
        loop {
            match self.next().await {
                Signal::WINCH => {}
                Signal::TSTP => {
                    tidy();
                    stop_ourselves();
                    self.continued();
                }
                other => return other,
            }
        }
    }
}

/// Stops this process, and returns when it is continued; at once where nobody would continue it.
pub(crate) fn stop_ourselves() {
    if !is_orphaned() {
        // It cannot be refused: the process is our own.
        let _ = kill_process(getpid(), Signal::STOP);
    }
}

/// The same for all of our process group, as the terminal would.
pub(crate) fn stop_our_group() {
    if !is_orphaned() {
        // It is refused where we are not even allowed to stop one of them; we are among those that are.
        let _ = kill_process_group(getpgrp(), Signal::STOP);
    }
}

/// Sends a signal that the terminal has sent to the command's group to ours, which has the terminal otherwise.
pub(crate) fn share_with_our_group(signal: Signal) {
    let _ = kill_process_group(getpgrp(), signal);
}

/// Whether no shell looks after our process group: whoever started it is gone, or in another session.
pub(crate) fn is_orphaned() -> bool {
    let (Ok(session), group) = (getsid(None), getpgrp()) else { return false };
    let mut above = getppid();
    // Of the same group are the script that started us and whoever started that.
    while let Some(process) = above.filter(|process| getpgid(Some(*process)) == Ok(group)) {
        above = parent_of(process);
    }
    above.is_none_or(|process| getsid(Some(process)) != Ok(session))
}

/// `None` where the system does not tell.
fn parent_of(process: Pid) -> Option<Pid> {
    let status = fs::read_to_string(format!("/proc/{}/status", process.as_raw_nonzero())).ok()?;
    let parent = status.lines().find_map(|line| line.strip_prefix("PPid:"))?;
    parent.trim().parse().ok().and_then(Pid::from_raw)
}

/// Ends this process by that signal. Returns if the system refuses.
pub(crate) fn end_by(signal: Signal) {
    // The one whose state is of interest was the command; of us no core is to be written.
    let _ = setrlimit(Resource::Core, Rlimit { current: Some(0), maximum: Some(0) });
    let _ = signal_hook::low_level::emulate_default_handler(signal.as_raw());
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
