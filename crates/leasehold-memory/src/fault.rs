//! Faults that a test injects into the calls of a service.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_core::{AttemptId, KeyPath};

/// What a call asks of the service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// A session is opened or resumed.
    OpenSession,
    /// A session renews itself.
    Renew,
    /// A session is closed.
    CloseSession,
    /// `Queue::enqueue`.
    Enqueue,
    /// `Queue::contenders`.
    Contenders,
    /// `Queue::changed`.
    Changed,
    /// `Queue::withdraw`.
    Withdraw,
    /// `Queue::publish`.
    Publish,
    /// `Queue::entries`.
    Entries,
    /// `Session::queues`.
    Queues,
    /// `Session::read`.
    Read,
    /// `Session::write`.
    Write,
    /// `Session::register_changed`.
    RegisterChanged,
}

impl fmt::Display for Operation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Operation::OpenSession => "open_session",
            Operation::Renew => "renew",
            Operation::CloseSession => "close",
            Operation::Enqueue => "enqueue",
            Operation::Contenders => "contenders",
            Operation::Changed => "changed",
            Operation::Withdraw => "withdraw",
            Operation::Publish => "publish",
            Operation::Entries => "entries",
            Operation::Queues => "queues",
            Operation::Read => "read",
            Operation::Write => "write",
            Operation::RegisterChanged => "register_changed",
        })
    }
}

/// One call, as the hook of [`MemoryService::on_call`](crate::MemoryService::on_call) sees it before it is sent.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct Call {
    /// What it asks for.
    pub operation: Operation,
    /// The session that calls; none where it is opened.
    pub session: Option<String>,
    /// The queue or the register.
    pub path: Option<KeyPath>,
    /// The attempt, where the call is about one.
    pub attempt: Option<AttemptId>,
    /// Its number among all calls since the hook was set, from 1.
    pub nth: u64,
}

/// What happens to a call.
///
/// `changed` and `register_changed` are waits, not requests: [`Fault::Delay`] reports the change that much later,
/// [`Fault::Refuse`] wakes the waiter at once without any change, [`Fault::Deny`] ends the wait, [`Fault::Wake`] and [`Fault::LoseEvent`]
/// are for them alone, and the others do nothing to them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// Nothing.
    None,
    /// The service refuses it: `Unavailable`, not applied.
    Refuse,
    /// The service refuses it for good: `PermissionDenied`, not applied.
    Deny,
    /// It takes that long to arrive. Beyond the request time-out the caller is told `Indeterminate`, and it arrives
    /// all the same.
    Delay(Duration),
    /// It never arrives: `Indeterminate`, not applied.
    LoseRequest,
    /// It is applied and its reply is lost: `Indeterminate`.
    LoseReply,
    /// It is applied at once and its reply takes that long: what the caller is told may be old by then. Beyond the request
    /// time-out the caller is told `Indeterminate`.
    DelayReply(Duration),
    /// The caller is told `Indeterminate` at once, and it arrives that much later: a ghost.
    DeliverLate(Duration),
    /// A wait ends that much later without any change, if it has not ended before: its watch was cancelled, or what it had to tell was compacted away.
    Wake(Duration),
    /// The report of a change is lost, and the connection with it: that much after the change it breaks, and the waiter looks again.
    LoseEvent(Duration),
    /// A look by `contenders` shows the oldest state that it may: from before all that others have done since this session last
    /// changed the queue, looked at it or was told of a change. Others are not concerned by it.
    Stale,
}

type Hook = Arc<dyn Fn(&Call) -> Fault + Send + Sync>;

/// The hook of one service and its count.
#[derive(Default)]
pub(crate) struct Faults(Mutex<Option<(Hook, u64)>>);

impl Faults {
    pub(crate) fn set(&self, hook: Option<Hook>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = hook.map(|hook| (hook, 0));
    }

    /// Asks the hook, if there is one, about a call. The hook runs outside of every lock, so it may use the service.
    pub(crate) fn next(&self, call: impl FnOnce(u64) -> Call) -> Fault {
        let (hook, nth) = {
            let mut slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            let Some((hook, count)) = slot.as_mut() else { return Fault::None };
            *count += 1;
            (Arc::clone(hook), *count)
        };
        hook(&call(nth))
    }
}
