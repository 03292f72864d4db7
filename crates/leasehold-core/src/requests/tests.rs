//! Requests over a session that answers as it is told, on paused time.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

use async_trait::async_trait;
use bytes::Bytes;
use tokio::runtime::Handle;
use tokio::sync::Notify;

use super::*;
use crate::backend::{Credentials, LockBackend, OpenSession, Queue, Session};
use crate::capabilities::Capabilities;
use crate::clock::Clock;
use crate::coordinator::Coordinator;
use crate::liveness::LivenessCell;
use crate::name::Kind;
use BackendErrorKind as Failure;

const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
const TTL: Duration = Duration::from_secs(3600);

/// What a call comes to.
#[derive(Clone)]
enum Answer {
    /// The register has this version, or the write makes it, or a wait ends.
    Version(u64),
    Fails(Failure),
    /// Nothing, until it is notified.
    After(Arc<Notify>),
    Never,
}

use Answer::*;

#[derive(Debug, Default)]
struct Script {
    answers: Mutex<Answers>,
    calls: AtomicUsize,
    /// How many calls have come to their end.
    ended: AtomicUsize,
    sessions: AtomicUsize,
}

/// The last one is for all further calls.
#[derive(Default)]
struct Answers(VecDeque<Answer>);

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} answers", self.0.len())
    }
}

impl Script {
    async fn call(&self) -> Result<u64, BackendError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let answer = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            if answers.0.len() > 1 { answers.0.pop_front() } else { answers.0.front().cloned() }
        };
        let version = match answer.unwrap() {
            Version(version) => Ok(version),
            Fails(kind) => Err(BackendError::new(kind, "as the script says")),
            After(notify) => {
                notify.notified().await;
                Ok(1)
            }
            Never => std::future::pending().await,
        };
        self.ended.fetch_add(1, Ordering::SeqCst);
        version
    }

    fn calls(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    fn sessions(&self) -> usize {
        self.sessions.load(Ordering::SeqCst)
    }
}

#[derive(Debug, Clone)]
struct Scripted(Arc<Script>);

struct ScriptedSession {
    script: Arc<Script>,
    liveness: Arc<LivenessCell>,
}

#[async_trait]
impl LockBackend for Scripted {
    fn name(&self) -> &'static str {
        "scripted"
    }

    fn endpoint(&self) -> String {
        "nowhere".into()
    }

    fn capabilities(&self) -> Capabilities {
        Capabilities::full(Duration::ZERO, 1 << 20)
    }

    fn clock(&self) -> Clock {
        Clock::tokio()
    }

    async fn open_session(&self, options: OpenSession) -> Result<Arc<dyn Session>, BackendError> {
        self.0.sessions.fetch_add(1, Ordering::SeqCst);
        let now = options.clock.now();
        let liveness = Arc::new(LivenessCell::new(options.clock, now, options.ttl));
        Ok(Arc::new(ScriptedSession { script: self.0.clone(), liveness }))
    }
}

#[async_trait]
impl Session for ScriptedSession {
    fn id(&self) -> String {
        "scripted".into()
    }

    fn ttl(&self) -> Duration {
        TTL
    }

    fn liveness(&self) -> &Arc<LivenessCell> {
        &self.liveness
    }

    fn credentials(&self) -> Option<Credentials> {
        None
    }

    fn queue(&self, _path: &KeyPath) -> Arc<dyn Queue> {
        unreachable!("registers only")
    }

    async fn queues(&self, _kind: Kind) -> Result<Vec<KeyPath>, BackendError> {
        unreachable!("registers only")
    }

    async fn read(&self, _register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
        let version = self.script.call().await?;
        Ok((version > 0).then_some(Versioned { value: Bytes::new(), version }))
    }

    async fn write(
        &self,
        _register: &KeyPath,
        _write: RegisterWrite,
    ) -> Result<RegisterWritten, BackendError> {
        self.script.call().await.map(|version| RegisterWritten::Written { version })
    }

    async fn register_changed(&self, _register: &KeyPath, _seen: u64) -> Result<(), BackendError> {
        self.script.call().await.map(drop)
    }

    async fn close(&self) {
        self.liveness.end(LossReason::ShutDown);
    }
}

struct Stage {
    script: Arc<Script>,
    named: Named,
    path: KeyPath,
}

async fn stage(answers: impl IntoIterator<Item = Answer>) -> Stage {
    let script = Arc::new(Script::default());
    script.answers.lock().unwrap().0.extend(answers);
    let builder = Coordinator::builder(Scripted(script.clone())).ttl(TTL).request_timeout(REQUEST_TIMEOUT);
    let coordinator = builder.runtime(Handle::current()).connect().await.unwrap();
    let named = Named::new(coordinator, Kind::Register, "one");
    let path = named.path("test").unwrap();
    Stage { script, named, path }
}

impl Stage {
    async fn read(&self) -> Result<u64, ErrorKind> {
        let read = self.named.read_register("read", &self.path).await;
        read.map(|read| read.map_or(0, |read| read.version)).map_err(|error| error.kind())
    }

    async fn write(&self) -> Result<RegisterWritten, ErrorKind> {
        let write = RegisterWrite { value: Bytes::new(), if_version: None, if_held: None };
        self.named.write_register("write", &self.path, write).await.map_err(|error| error.kind())
    }

    /// Waits for a version that is at least this one.
    async fn wait(&self, version: u64, patience: Patience) -> Result<Option<u64>, ErrorKind> {
        let enough = move |read: Option<&Versioned>| {
            read.map(|read| read.version).filter(|present| *present >= version)
        };
        let wait = self.named.until_register_within("wait", &self.path, patience, enough);
        wait.await.map_err(|error| error.kind())
    }
}

#[tokio::test(start_paused = true)]
async fn a_read_is_repeated_until_it_is_answered() {
    let stage = stage([
        Fails(Failure::Unavailable),
        Fails(Failure::Indeterminate),
        Fails(Failure::SessionLost),
        Version(7),
    ])
    .await;
    assert_eq!(stage.read().await, Ok(7));
    assert_eq!((stage.script.calls(), stage.script.sessions()), (4, 2));
}

#[tokio::test(start_paused = true)]
async fn a_write_is_repeated_only_if_it_was_not_applied() {
    let stage = stage([
        Fails(Failure::Unavailable),
        Fails(Failure::SessionLost),
        Version(7),
        Fails(Failure::Indeterminate),
        Version(9),
    ])
    .await;
    assert_eq!(stage.write().await, Ok(RegisterWritten::Written { version: 7 }));
    assert_eq!((stage.script.calls(), stage.script.sessions()), (3, 2));
    assert_eq!(stage.write().await, Err(ErrorKind::Indeterminate));
    assert_eq!(stage.script.calls(), 4);
}

#[tokio::test(start_paused = true)]
async fn a_refusal_for_good_is_told_at_once() {
    for (failure, kind) in [
        (Failure::PermissionDenied, ErrorKind::PermissionDenied),
        (Failure::TooLarge, ErrorKind::TooLarge),
        (Failure::Corrupt, ErrorKind::Corrupt),
    ] {
        let stage = stage([Fails(failure)]).await;
        assert_eq!(stage.read().await, Err(kind));
        assert_eq!(stage.write().await, Err(kind));
        assert_eq!(stage.wait(1, Patience::Forever).await, Err(kind));
        assert_eq!(stage.script.calls(), 3);
    }
}

/// A session that is lost each time is no lock that is lost.
#[tokio::test(start_paused = true)]
async fn what_is_not_answered_in_time_is_unavailable() {
    for failure in [Failure::Unavailable, Failure::SessionLost] {
        let stage = stage([Fails(failure)]).await;
        let start = Instant::now();
        assert_eq!(stage.read().await, Err(ErrorKind::Unavailable));
        assert_eq!(stage.write().await, Err(ErrorKind::Unavailable));
        assert!(start.elapsed() <= 2 * REQUEST_TIMEOUT, "{:?}", start.elapsed());
        assert!(stage.script.calls() > 6, "it was tried more than once");
    }
    let stage = stage([Never]).await;
    let start = Instant::now();
    assert_eq!(stage.read().await, Err(ErrorKind::Unavailable));
    assert_eq!(start.elapsed(), REQUEST_TIMEOUT, "a read that hangs is given up");
}

#[tokio::test(start_paused = true)]
async fn a_write_goes_on_without_its_caller_and_a_read_does_not() {
    let answer = Arc::new(Notify::new());
    let stage = stage([After(answer.clone())]).await;
    let shortly = Duration::from_millis(1);
    assert!(tokio::time::timeout(shortly, stage.write()).await.is_err());
    assert!(tokio::time::timeout(shortly, stage.read()).await.is_err());
    assert!(tokio::time::timeout(shortly, stage.wait(9, Patience::Forever)).await.is_err());
    assert_eq!(stage.script.calls(), 3);
    for _ in 0..3 {
        answer.notify_one();
        sleep(shortly).await;
    }
    assert_eq!(stage.script.ended.load(Ordering::SeqCst), 1, "the write alone");
}

#[tokio::test(start_paused = true)]
async fn a_wait_reads_again_after_every_waking() {
    // Read 1, woken, read 1, woken, …: a waking tells nothing.
    let stage = stage([
        Version(1),
        Version(0),
        Version(1),
        Fails(Failure::SessionLost),
        Fails(Failure::Indeterminate),
        Version(1),
        Version(0),
        Version(2),
    ])
    .await;
    assert_eq!(stage.wait(2, Patience::Forever).await, Ok(Some(2)));
    assert_eq!((stage.script.calls(), stage.script.sessions()), (8, 2));
}

#[tokio::test(start_paused = true)]
async fn patience_tells_not_yet_from_no_answer() {
    let patience = Duration::from_secs(3);
    for (answers, expected) in [
        (vec![Version(1), Never], Ok(None)),
        (vec![Never], Err(ErrorKind::Unavailable)),
        (vec![Fails(Failure::Unavailable)], Err(ErrorKind::Unavailable)),
    ] {
        let stage = stage(answers).await;
        let start = Instant::now();
        assert_eq!(stage.wait(2, Patience::For(patience)).await, expected);
        assert_eq!(start.elapsed(), patience);
    }
    let stage = stage([Version(1)]).await;
    assert_eq!(stage.wait(2, Patience::Try).await, Ok(None));
    assert_eq!(stage.script.calls(), 1, "one look");
    assert_eq!(stage.wait(1, Patience::Try).await, Ok(Some(1)));
}

#[tokio::test(start_paused = true)]
async fn a_shutdown_ends_waits_and_lets_requests_end() {
    let answer = Arc::new(Notify::new());
    let stage = stage([After(answer.clone())]).await;
    let coordinator = stage.named.coordinator().clone();
    let (written, waited, down, ()) = tokio::join!(
        stage.write(),
        async {
            sleep(Duration::from_millis(1)).await;
            stage.wait(9, Patience::Forever).await
        },
        async {
            sleep(Duration::from_millis(2)).await;
            coordinator.shutdown(Duration::from_secs(1)).await
        },
        async {
            sleep(Duration::from_millis(3)).await;
            answer.notify_waiters();
        },
    );
    assert_eq!(written, Ok(RegisterWritten::Written { version: 1 }));
    assert_eq!(waited, Err(ErrorKind::Closed));
    assert!(down.is_ok(), "it has waited for the write");
    assert_eq!(stage.read().await, Err(ErrorKind::Closed));
}
