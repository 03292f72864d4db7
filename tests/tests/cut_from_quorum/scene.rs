//! Who held when, as a history that the checker judges.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_core::{Clock, Mode, Mutex, MutexGuard};
use leasehold_testkit::history::{Call, Checker, History, Kind, OpId, Outcome, Recorder, Report, What};
use tokio::time::timeout;

/// How late a process may be told of a loss on a busy machine.
const GRACE: Duration = Duration::from_millis(150);

/// Longer than anything here takes.
const PATIENCE: Duration = Duration::from_secs(40);

pub(crate) fn recorder() -> Recorder {
    Recorder::in_memory("harness", Clock::system())
}

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(PATIENCE, future).await.expect("it never came")
}

/// Each history is of one lock.
pub(crate) fn ask(recorder: &Recorder) -> OpId {
    recorder.invoke(Call::Acquire { lock: "the lock".into(), mode: Mode::Exclusive, only_if_free: false })
}

/// One hold, and who is to say when it ends.
pub(crate) struct Hold {
    recorder: Recorder,
    op: OpId,
    guard: MutexGuard,
}

/// Locks by the library, and records it.
pub(crate) async fn lock(recorder: &Recorder, who: &str, mutex: Mutex) -> Hold {
    let recorder = recorder.process(who);
    let op = ask(&recorder);
    let guard = soon(mutex.lock()).await.unwrap();
    recorder.ok(op, Outcome::Granted { token: guard.fencing_token(), session: None });
    Hold { recorder, op, guard }
}

impl Hold {
    pub(crate) fn is_held(&self) -> bool {
        self.guard.held().is_held()
    }

    /// Waits until the holder is told that it is lost, and records it.
    pub(crate) async fn lost(&self) -> leasehold_core::LossReason {
        let reason = soon(self.guard.lost()).await;
        self.recorder.record(What::Lost { hold: self.op, reason: format!("{reason:?}") });
        assert!(!self.is_held());
        reason
    }

    pub(crate) async fn release(self) {
        let op = self.recorder.invoke(Call::Release { hold: self.op });
        soon(self.guard.release()).await.unwrap();
        self.recorder.ok(op, Outcome::Done);
    }
}

pub(crate) fn judge(recorder: &Recorder) -> Report {
    Checker::new().grace(GRACE).check(&History::new(recorder.events()))
}

pub(crate) fn assert_exactly(recorder: &Recorder, expected: &[Kind]) {
    let report = judge(recorder);
    let found: BTreeSet<_> = report.violations.iter().map(|violation| violation.kind).collect();
    assert_eq!(found, BTreeSet::from_iter(expected.iter().copied()), "{report}");
}
