//! Once: things that are done by one of many nodes, and are then done for all.
//!
//! # Implementation
//!
//! **Who runs** is decided by a queue of its own for each thing and each occurrence, by the rule of the mutex. **What was done** is in a
//! register, one for all occurrences of a name ([`crate::completions`]).
//!
//! ```text
//! look at the register ─ done ───────────────────────────────────────────────────────→ its result
//!   └─ not done → first in line? ─ yes → look again ─ not done → work → record → leave → its result
//!                   └─ no → wait for the place in line, or for the register to say done ─→ its result
//! ```
//!
//! *Recorded at most once.* The record is a write on condition of the place in line (`if_held`) and of the version that was read, decided by the service in
//! one transaction. A runner that was paused until its place was lost has its record refused; two occurrences that are recorded at the same time
//! are written one after the other, each on top of the other. What is done is not thrown away for a service that does not answer: the record is tried
//! for as long as the place lasts, and repeating it is harmless, since what was recorded meanwhile is found and left as it is. Whose it
//! is says the attempt that is recorded with it, and nothing else: the next runner may have come to the same result in the same moment.
//!
//! *Run at least once.* If the runner dies, its place goes with its session, and the next in line looks, finds nothing, and runs. What the dead
//! one had done by then has happened.
//!
//! *Not run after it was recorded.* A runner records before it leaves the line. Whoever comes first after it has seen it leave, on a session that
//! sees the service's history in order, so its look at the register, made after the grant, sees the record. Were the session lost in between,
//! the look might be older; but then the place is lost too, and the work is not begun.
//!
//! *Who wakes whom.* The record wakes all who wait for it, by one event of the service for each process; they leave the line, each on its own. A runner
//! that dies or whose work fails wakes the next in line, as in the mutex.
//!
//! **At each await.** Everything runs in the caller's future. Dropped, it drops the work, and leaves the line in the background. A record
//! that was sent is decided by the service.

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use crate::acquisition::Patience;
use crate::attempt::AttemptId;
use crate::backend::Versioned;
use crate::commit::Amendment;
use crate::completions::{Completions, Done};
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::guard::HeldGuard;
use crate::held::Held;
use crate::mode::Mode;
use crate::mutex::FirstInLine;
use crate::name::{KeyPath, Kind, joined};
use crate::named::{Acquire, Named};
use crate::own_entry::transient_backoff;
use crate::record::Record;
use crate::stats::Stats;

/// Something that one of many nodes does, and that is then done for all: once and for all, or once for each occurrence.
///
/// ```
/// # async fn example(coordinator: leasehold_core::Coordinator) -> Result<(), Box<dyn std::error::Error>> {
/// let billing = coordinator.once("billing").occurrence("2026-11-23");
/// let bills = billing.run(|_held| async {
///     // … write the bills …
///     Ok::<_, std::io::Error>("42 bills")
/// }).await??;
/// assert_eq!(bills.result(), "42 bills"); // on every node, whichever of them wrote the bills
/// # Ok(()) }
/// ```
///
/// # What it promises, and what it cannot
///
/// *Completion is recorded at most once, and execution is at least once.* If a runner dies, or is taken for dead, the next one runs the work
/// from its beginning, although the first may have done part of it, or all of it but for the record. No service can promise more for effects
/// outside of it: make the work one that bears repetition, or hand the [fencing token](Held::fencing_token) to what it works on. What *is* promised is
/// that once it is recorded nobody begins it again, and that nobody records it who is not the runner any more, however long it was paused.
///
/// # Occurrences
///
/// [`Once::occurrence`] makes one of many: a day of a daily job, a number of a batch. Occurrences of one name neither block each other nor share
/// results. A job that is done in no time is not run twice because a peer's clock is late: the peer finds the occurrence recorded. (A mere lock would be
/// free again by then.)
///
/// Completed occurrences are remembered for a [retention](Once::retention), in one register for each name; then they are forgotten by the next
/// who completes one, so that nothing piles up. Who comes with a forgotten occurrence runs it again. So the retention must be longer than the
/// latest that any node can come with an occurrence after it was completed, that is, **longer than the largest difference between the
/// nodes' clocks and the largest delay of the schedule together**. The newest 10 are kept in any case.
#[derive(Clone)]
pub struct Once {
    /// The register.
    named: Named,
    /// The line of those who want to run.
    runs: Named,
    /// Empty for the thing itself.
    occurrence: Arc<str>,
    /// Whether that is one of many.
    recurs: bool,
    retention: Duration,
}

/// Something was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Completion {
    result: Bytes,
    at: SystemTime,
    ran_here: bool,
}

impl Completion {
    /// What the work had to say.
    pub fn result(&self) -> &Bytes {
        &self.result
    }

    /// When it was done, by the wall clock of the node that did it, to the millisecond.
    pub fn completed_at(&self) -> SystemTime {
        self.at
    }

    /// Whether it was this very call that did it.
    pub fn ran_here(&self) -> bool {
        self.ran_here
    }

    fn of(done: &Done) -> Self {
        Self { result: done.result.clone(), at: done.at, ran_here: false }
    }

    /// The same for the one that had this place in line.
    fn seen_by(attempt: AttemptId, done: &Done) -> Self {
        Self { ran_here: done.by == attempt, ..Self::of(done) }
    }
}

impl Once {
    /// The largest result that is kept, in bytes.
    pub const MAX_RESULT_BYTES: usize = 4096;

    /// How long a completed occurrence is remembered unless said otherwise: 7 days.
    pub const DEFAULT_RETENTION: Duration = Duration::from_secs(7 * 24 * 60 * 60);

    pub(crate) fn new(coordinator: Coordinator, name: &str) -> Self {
        Self {
            named: Named::new(coordinator.clone(), Kind::Once, name),
            runs: Named::new(coordinator, Kind::OnceRun, &joined(name, "")),
            occurrence: "".into(),
            recurs: false,
            retention: Self::DEFAULT_RETENTION,
        }
    }

    /// One occurrence of it, such as a date.
    ///
    /// The names of the occurrence and of what it occurs of may have 254 bytes together, where `/` and `%` in the latter count for three. So may the
    /// latter alone, where it has no occurrences.
    #[must_use]
    pub fn occurrence(&self, occurrence: impl AsRef<str>) -> Self {
        let (coordinator, occurrence) = (self.named.coordinator().clone(), occurrence.as_ref());
        Self {
            runs: Named::new(coordinator, Kind::OnceRun, &joined(self.name(), occurrence)),
            occurrence: occurrence.into(),
            recurs: true,
            ..self.clone()
        }
    }

    /// The same, remembering completed occurrences for so long, by the wall clock of whoever completes the next one: see
    /// [what it has to be longer than](Once#occurrences). What was done once and for all is remembered for ever.
    ///
    /// The register of a name holds all that is remembered, some 100 bytes and the result for each: keep less of a job that is
    /// run every minute.
    #[must_use]
    pub fn retention(mut self, time: Duration) -> Self {
        self.retention = time;
        self
    }

    /// The name, as it was given, without the occurrence.
    pub fn name(&self) -> &str {
        self.named.name()
    }

    /// What became of the places in line through this handle and its clones, and how long they waited and ran. Whoever has to wait for
    /// a runner counts as contended first, and, if that one completes it, as cancelled or as acquired for a moment; whoever finds it done is
    /// not in line. An [occurrence](Once::occurrence) counts for itself.
    pub fn stats(&self) -> Stats {
        self.runs.stats()
    }

    /// Runs `work` unless it is done, and answers what came of it, here or elsewhere. Whoever comes while another one runs it waits for that one's
    /// end, and takes over if that one fails.
    ///
    /// `work` is given the [`Held`] of its place, and is dropped at the await it is at if the place is lost. If it fails, nothing is recorded,
    /// its error is answered, and the next in line runs. Its result, up to [`Once::MAX_RESULT_BYTES`], is given to everybody.
    ///
    /// # Errors
    /// The inner result is that of `work`. Of the outer one, with these `work` did not run: [`ErrorKind::InvalidName`];
    /// [`ErrorKind::Unsupported`] if the service cannot write on condition of a hold; [`ErrorKind::Closed`] if the coordinator is shut down;
    /// [`ErrorKind::Corrupt`] if the register is not of this recipe's making; [`ErrorKind::TooLarge`] if so many completed
    /// occurrences are remembered that no other fits; [`ErrorKind::Unavailable`] and the service's refusals.
    ///
    /// With these it may have run, and will be run again by the next who comes: [`ErrorKind::Lost`] if the place was lost before the completion was recorded,
    /// also because the service could not be reached, or not within the grace of a shutdown; [`ErrorKind::TooLarge`] if the result is too large; the service's refusals again. With
    /// [`ErrorKind::Indeterminate`] it has run, and was recorded or not.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, if it runs, and gives up the place in line, as in [`Mutex::lock`](crate::Mutex::lock). A completion that was about to be
    /// recorded may be.
    pub async fn run<F, W, R, E>(&self, work: F) -> Result<Result<Completion, E>, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future<Output = Result<R, E>>,
        R: Into<Bytes>,
    {
        const OPERATION: &str = "run";
        self.check(OPERATION)?;
        if let Some(done) = self.look(OPERATION).await? {
            return Ok(Ok(done));
        }
        let guard = match self.enter(OPERATION, Patience::Try).await? {
            Some(guard) => guard,
            None => {
                tokio::select! {
                    biased;
                    done = self.until_done(OPERATION, Patience::Forever) => match done? {
                        Some(done) => return Ok(Ok(done)),
                        None => return Err(self.given_up(OPERATION)),
                    },
                    guard = self.enter(OPERATION, Patience::Forever) => match guard? {
                        Some(guard) => guard,
                        None => return Err(self.given_up(OPERATION)),
                    },
                }
            }
        };
        self.run_first_in_line(OPERATION, guard, work).await
    }

    /// As [`Once::run`], but `Ok(None)` at once if another one is about to run it.
    ///
    /// # Errors
    /// As [`Once::run`].
    ///
    /// # Cancel safety
    /// As [`Once::run`].
    pub async fn try_run<F, W, R, E>(&self, work: F) -> Result<Option<Result<Completion, E>>, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future<Output = Result<R, E>>,
        R: Into<Bytes>,
    {
        const OPERATION: &str = "try_run";
        self.check(OPERATION)?;
        if let Some(done) = self.look(OPERATION).await? {
            return Ok(Some(Ok(done)));
        }
        match self.enter(OPERATION, Patience::Try).await? {
            Some(guard) => self.run_first_in_line(OPERATION, guard, work).await.map(Some),
            // The other one may have been on its way out.
            None => Ok(self.look(OPERATION).await?.map(Ok)),
        }
    }

    /// What came of it, if it is done.
    ///
    /// # Errors
    /// As [`Register::read`](crate::Register::read).
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn completion(&self) -> Result<Option<Completion>, Error> {
        const OPERATION: &str = "completion";
        self.check_name(OPERATION)?;
        self.look(OPERATION).await
    }

    /// Waits until it is done, without doing it.
    ///
    /// It outlasts disconnections, restarts of the service and the loss of the session. An occurrence that is completed and forgotten while the service is not
    /// reached is waited for until somebody completes it again: see [what the retention has to be longer than](Once#occurrences).
    ///
    /// # Errors
    /// As [`Register::changed`](crate::Register::changed).
    ///
    /// # Cancel safety
    /// Dropping the future changes nothing.
    pub async fn wait(&self) -> Result<Completion, Error> {
        const OPERATION: &str = "wait";
        let done = self.until_done(OPERATION, Patience::Forever).await?;
        done.ok_or_else(|| self.given_up(OPERATION))
    }

    /// As [`Once::wait`], for at most `patience`; `Ok(None)` if it was not done by then. No patience at all is one look.
    ///
    /// # Errors
    /// As [`Once::wait`], and [`ErrorKind::Unavailable`] if the service did not answer within `patience`.
    ///
    /// # Cancel safety
    /// As [`Once::wait`].
    pub async fn wait_for(&self, patience: Duration) -> Result<Option<Completion>, Error> {
        self.until_done("wait_for", patience.into()).await
    }

    /// Works, records, and leaves the line: whoever asks after that finds the place free. A release that nobody confirms in time
    /// is no error.
    async fn run_first_in_line<F, W, R, E>(
        &self,
        operation: &'static str,
        guard: HeldGuard,
        work: F,
    ) -> Result<Result<Completion, E>, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future<Output = Result<R, E>>,
        R: Into<Bytes>,
    {
        let outcome = self.run_holding(operation, guard.held(), work).await;
        let _ = guard.release().await;
        outcome
    }

    /// Works and records.
    async fn run_holding<F, W, R, E>(
        &self,
        operation: &'static str,
        held: &Held,
        work: F,
    ) -> Result<Result<Completion, E>, Error>
    where
        F: FnOnce(Held) -> W,
        W: Future<Output = Result<R, E>>,
        R: Into<Bytes>,
    {
        let record = self.named.load(operation).await?;
        let mut completions = self.completions(operation, &record)?;
        if let Some(done) = completions.of(&self.occurrence) {
            return Ok(Ok(Completion::of(done)));
        }
        completions.prune(self.named.coordinator().engine().options.clock.wall_time(), self.retention);
        self.check_room(operation, &completions)?;
        let output = held.work(work).await.map_err(|error| self.named.with_name(error))?;
        let result: Bytes = match output {
            Ok(result) => result.into(),
            Err(error) => return Ok(Err(error)),
        };
        if result.len() > Self::MAX_RESULT_BYTES {
            let detail = format!("a result of {} bytes; {} are kept", result.len(), Self::MAX_RESULT_BYTES);
            return Err(self.named.error(ErrorKind::TooLarge, operation, &detail));
        }
        let (occurrence, at) = (
            self.occurrence.to_string(),
            whole_millis(self.named.coordinator().engine().options.clock.wall_time()),
        );
        let done = Done { occurrence, at, by: held.state().entry().1, result };
        self.record(operation, held, &done).await.map(Ok)
    }

    /// Records that it is done, as long as the place lasts.
    async fn record(&self, operation: &'static str, held: &Held, done: &Done) -> Result<Completion, Error> {
        let mut backoff = transient_backoff(&self.named.coordinator().engine().entropy);
        let mut in_doubt = None;
        let error = loop {
            let recorded = self.named.amend_patiently(operation, Some(held), |record| {
                let mut completions = self.completions(operation, record)?;
                if let Some(recorded) = completions.of(&self.occurrence) {
                    return Ok(Amendment::Keep(Completion::seen_by(done.by, recorded)));
                }
                completions.prune(done.at, self.retention);
                completions.add(done.clone());
                Ok(Amendment::Write(completions.encode(), Completion::seen_by(done.by, done)))
            });
            match recorded.await {
                Ok(completion) => return Ok(completion),
                Err(error) if matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate) => {
                    if error.kind() == ErrorKind::Indeterminate {
                        in_doubt = Some(error);
                    }
                }
                // The shutdown was not waiting any longer, and took the place along.
                Err(error) if error.kind() == ErrorKind::Closed => break self.named.lost(operation, held),
                Err(error) => break error,
            }
            if !held.is_held() {
                break self.named.lost(operation, held);
            }
            self.named.pause(backoff.next_delay()).await;
        };
        // The error is that of the last try; an earlier one may have been applied.
        let Some(in_doubt) = in_doubt else { return Err(error) };
        match self.find(operation).await {
            Ok(Some(recorded)) => Ok(Completion::seen_by(done.by, &recorded)),
            // Not yet, as far as anybody can tell.
            Ok(None) | Err(_) => Err(in_doubt),
        }
    }

    /// A place in line, if the patience goes that far.
    async fn enter(&self, operation: &'static str, patience: Patience) -> Result<Option<HeldGuard>, Error> {
        let acquire = Acquire::new(operation, &FirstInLine, Mode::Exclusive, patience);
        self.runs.acquire(acquire).await.map_err(|error| self.named.with_name(error))
    }

    async fn look(&self, operation: &'static str) -> Result<Option<Completion>, Error> {
        Ok(self.find(operation).await?.as_ref().map(Completion::of))
    }

    async fn find(&self, operation: &'static str) -> Result<Option<Done>, Error> {
        let record = self.named.load(operation).await?;
        Ok(self.completions(operation, &record)?.of(&self.occurrence).cloned())
    }

    async fn until_done(
        &self,
        operation: &'static str,
        patience: Patience,
    ) -> Result<Option<Completion>, Error> {
        self.check_name(operation)?;
        let (path, occurrence) = (self.named.path(operation)?, self.occurrence.clone());
        let look = move |register: Option<&Versioned>| {
            let record = Record::read(register);
            match record.and_then(|record| Completions::decode(record.value.as_ref())) {
                Some(completions) => completions.of(&occurrence).map(|done| Some(Completion::of(done))),
                None => Some(None),
            }
        };
        match self.named.until_register_within(operation, &path, patience, look).await? {
            Some(Some(done)) => Ok(Some(done)),
            Some(None) => Err(self.named.foreign(operation)),
            None => Ok(None),
        }
    }

    fn completions(&self, operation: &'static str, record: &Record) -> Result<Completions, Error> {
        Completions::decode(record.value.as_ref()).ok_or_else(|| self.named.foreign(operation))
    }

    fn check(&self, operation: &'static str) -> Result<(), Error> {
        self.check_name(operation)?;
        self.named.check_conditional_writes(operation)
    }

    /// A name and an occurrence are names like any other, and so is what they are joined to. Where nobody can run, nobody may wait.
    fn check_name(&self, operation: &'static str) -> Result<(), Error> {
        self.named.path(operation)?;
        let namespace = self.named.coordinator().namespace();
        let check = |name: &str, what: &str| {
            KeyPath::new(namespace, Kind::OnceRun, name).map(drop).map_err(|error| {
                let detail = format!("{what}: {error}");
                self.named.error(ErrorKind::InvalidName, operation, &detail).with_source(error)
            })
        };
        if self.recurs {
            check(&self.occurrence, "its occurrence")?;
        }
        check(self.runs.name(), "together with its occurrence, and with slashes as %2F")
    }

    /// Work whose completion cannot be recorded must not begin: it would be done again and again.
    fn check_room(&self, operation: &'static str, completions: &Completions) -> Result<(), Error> {
        // What a completion takes at most: everything is escaped.
        const ROOM: usize = 3 * (Once::MAX_RESULT_BYTES + crate::name::MAX_NAME_BYTES) + 1024;
        let (taken, limit) =
            (completions.encode().len(), self.named.coordinator().capabilities().max_value_bytes);
        if taken.saturating_add(ROOM) <= limit {
            return Ok(());
        }
        let detail =
            format!("{taken} bytes of completed occurrences are remembered, and the service takes {limit}");
        Err(self.named.error(ErrorKind::TooLarge, operation, &detail))
    }

    fn given_up(&self, operation: &'static str) -> Error {
        self.named.error(ErrorKind::Closed, operation, "the wait was given up")
    }
}

/// As it is recorded, so that the one who did it and the others see the same time.
fn whole_millis(time: SystemTime) -> SystemTime {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    SystemTime::UNIX_EPOCH + Duration::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl fmt::Debug for Once {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Once")
            .field("name", &self.named)
            .field("occurrence", &self.occurrence)
            .finish_non_exhaustive()
    }
}
