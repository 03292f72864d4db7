//! Histories in few words.

use std::collections::BTreeSet;
use std::time::Duration;

use leasehold_core::{FencingToken, Mode};
use leasehold_testkit::history::{Call, Checker, Event, History, Kind, OpId, Outcome, Removal, What};

pub(crate) const X: Mode = Mode::Exclusive;
pub(crate) const S: Mode = Mode::Shared;

/// One of three permits.
pub(crate) const P: Mode = Mode::Permits { count: 1, limit: 3, granted: false };

const MS: u64 = 1_000_000;

/// The grace of all scripts.
pub(crate) const GRACE: Duration = Duration::from_millis(50);

/// The bound on progress of all scripts.
pub(crate) const PROGRESS: Duration = Duration::from_secs(5);

pub(crate) fn token(order: u64) -> FencingToken {
    FencingToken::new(0, order, 0)
}

/// An operation that was asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) process: &'static str,
    pub(crate) op: OpId,
}

/// A hold.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hold {
    pub(crate) process: &'static str,
    pub(crate) op: OpId,
    pub(crate) token: FencingToken,
    pub(crate) shared: bool,
}

/// Writes a history. There is one lock, `L`, one resource, `R`, and one register, `V`; each event comes a millisecond after the one before.
#[derive(Debug, Default)]
pub(crate) struct Script {
    pub(crate) events: Vec<Event>,
    now: u64,
    last: u64,
}

impl Script {
    pub(crate) fn wait(&mut self, ms: u64) -> &mut Self {
        self.now += ms * MS;
        self
    }

    /// A time that many milliseconds from now.
    pub(crate) fn later(&self, ms: u64) -> u64 {
        self.now + ms * MS
    }

    pub(crate) fn note(&mut self, process: &str, what: What) -> &mut Self {
        self.now += MS;
        self.events.push(Event { at: self.now, process: process.into(), what });
        self
    }

    pub(crate) fn invoke(&mut self, process: &'static str, call: Call) -> Asked {
        self.last += 1;
        let op = self.last;
        self.note(process, What::Invoke { op, call });
        Asked { process, op }
    }

    pub(crate) fn ok(&mut self, asked: Asked, outcome: Outcome) -> &mut Self {
        self.note(asked.process, What::Ok { op: asked.op, outcome })
    }

    pub(crate) fn fail(&mut self, asked: Asked, error: &str) -> &mut Self {
        self.note(asked.process, What::Fail { op: asked.op, error: error.into() })
    }

    pub(crate) fn info(&mut self, asked: Asked, error: &str) -> &mut Self {
        self.note(asked.process, What::Info { op: asked.op, error: error.into() })
    }

    // Locks.

    pub(crate) fn ask(&mut self, process: &'static str, mode: Mode) -> Asked {
        self.invoke(process, Call::Acquire { lock: "L".into(), mode, only_if_free: false })
    }

    pub(crate) fn ask_try(&mut self, process: &'static str) -> Asked {
        self.invoke(process, Call::Acquire { lock: "L".into(), mode: X, only_if_free: true })
    }

    pub(crate) fn grant(&mut self, asked: Asked, order: u64) -> Hold {
        self.grant_in(asked, order, None)
    }

    pub(crate) fn grant_in(&mut self, asked: Asked, order: u64, session: Option<&str>) -> Hold {
        let session = session.map(str::to_owned);
        self.ok(asked, Outcome::Granted { token: token(order), session });
        Hold { process: asked.process, op: asked.op, token: token(order), shared: false }
    }

    pub(crate) fn lock(&mut self, process: &'static str, order: u64) -> Hold {
        self.lock_as(process, X, order)
    }

    pub(crate) fn lock_as(&mut self, process: &'static str, mode: Mode, order: u64) -> Hold {
        let asked = self.ask(process, mode);
        Hold { shared: mode == S, ..self.grant(asked, order) }
    }

    /// Locks in a session whose deadline is so many milliseconds from now.
    pub(crate) fn lock_until(&mut self, process: &'static str, order: u64, ms: u64) -> Hold {
        self.live(process, ms);
        let asked = self.ask(process, X);
        self.grant_in(asked, order, Some("s"))
    }

    pub(crate) fn live(&mut self, process: &str, ms: u64) -> &mut Self {
        let until = self.later(ms);
        self.note(process, What::SessionLive { session: "s".into(), until })
    }

    pub(crate) fn session_lost(&mut self, process: &str) -> &mut Self {
        self.note(process, What::SessionLost { session: "s".into(), reason: "SessionEnded".into() })
    }

    pub(crate) fn release(&mut self, hold: Hold) -> &mut Self {
        let asked = self.invoke(hold.process, Call::Release { hold: hold.op });
        self.ok(asked, Outcome::Done)
    }

    pub(crate) fn lost(&mut self, hold: Hold) -> &mut Self {
        self.note(hold.process, What::Lost { hold: hold.op, reason: "DeadlinePassed".into() })
    }

    // The resource.

    pub(crate) fn ask_read(&mut self, hold: Hold) -> Asked {
        let (token, shared) = (hold.token, hold.shared);
        self.invoke(hold.process, Call::Read { resource: "R".into(), token, shared })
    }

    pub(crate) fn read(&mut self, hold: Hold, version: u64, value: u64) -> &mut Self {
        let asked = self.ask_read(hold);
        self.ok(asked, Outcome::Value { version, value })
    }

    pub(crate) fn ask_write(&mut self, hold: Hold, based_on: u64, value: u64) -> Asked {
        let resource = "R".into();
        self.invoke(hold.process, Call::Write { resource, token: hold.token, based_on, value })
    }

    /// A write that makes `version`, with ten times its number as value.
    pub(crate) fn write(&mut self, hold: Hold, based_on: u64, version: u64) -> &mut Self {
        let asked = self.ask_write(hold, based_on, 10 * version);
        self.ok(asked, Outcome::Written { version })
    }

    /// A write whose answer is lost.
    pub(crate) fn write_lost(&mut self, hold: Hold, based_on: u64, value: u64) -> &mut Self {
        let asked = self.ask_write(hold, based_on, value);
        self.info(asked, "Indeterminate")
    }

    pub(crate) fn stale_read(&mut self, hold: Hold) -> &mut Self {
        let asked = self.ask_read(hold);
        self.fail(asked, "Stale")
    }

    pub(crate) fn verdict(&mut self, version: u64, value: u64) -> &mut Self {
        self.note("judge", What::Verdict { resource: "R".into(), version, value })
    }

    // The tap.

    pub(crate) fn entry(&mut self, order: u64, mode: Mode) -> &mut Self {
        let (lock, entry) = ("L".into(), order.to_string());
        self.note("tap", What::EntryCreated { lock, entry, order, position: order, mode })
    }

    pub(crate) fn gone(&mut self, order: u64, why: Removal) -> &mut Self {
        self.note("tap", What::EntryRemoved { lock: "L".into(), entry: order.to_string(), why })
    }

    // Disturbances.

    pub(crate) fn pause(&mut self, whom: &str) -> &mut Self {
        self.note("harness", What::Paused { whom: whom.into() })
    }

    pub(crate) fn resume(&mut self, whom: &str) -> &mut Self {
        self.note("harness", What::Resumed { whom: whom.into() })
    }

    pub(crate) fn kill(&mut self, whom: &str) -> &mut Self {
        self.note("harness", What::Killed { whom: whom.into() })
    }

    pub(crate) fn fault(&mut self, id: u64) -> &mut Self {
        let (kind, target) = ("partition".into(), "a".into());
        self.note("harness", What::Fault { id, kind, target, lasting: true })
    }

    pub(crate) fn heal(&mut self, id: u64) -> &mut Self {
        self.note("harness", What::Healed { id })
    }

    pub(crate) fn quiescent(&mut self, left: &[&str]) -> &mut Self {
        let left = left.iter().map(|left| left.to_string()).collect();
        self.note("judge", What::Quiescent { left })
    }

    // The register.

    pub(crate) fn ask_register_write(
        &mut self,
        process: &'static str,
        value: &str,
        if_version: Option<u64>,
    ) -> Asked {
        let (register, value) = ("V".into(), value.into());
        self.invoke(process, Call::RegisterWrite { register, value, if_version })
    }

    pub(crate) fn register_write(&mut self, process: &'static str, value: &str, version: u64) -> &mut Self {
        let asked = self.ask_register_write(process, value, None);
        self.ok(asked, Outcome::Written { version })
    }

    pub(crate) fn ask_register_read(&mut self, process: &'static str) -> Asked {
        self.invoke(process, Call::RegisterRead { register: "V".into() })
    }

    pub(crate) fn answer_register(&mut self, asked: Asked, version: u64, value: &str) -> &mut Self {
        let value = (version > 0).then(|| value.to_owned());
        self.ok(asked, Outcome::Register { version, value })
    }

    pub(crate) fn register_read(&mut self, process: &'static str, version: u64, value: &str) -> &mut Self {
        let asked = self.ask_register_read(process);
        self.answer_register(asked, version, value)
    }
}

/// The checker of the scripts and of what is generated.
pub(crate) fn checker() -> Checker {
    Checker::new().grace(GRACE).progress_within(PROGRESS)
}

/// What a checker finds, each kind once.
pub(crate) fn kinds(checker: &Checker, events: Vec<Event>) -> BTreeSet<Kind> {
    let report = checker.check(&History::new(events));
    report.violations.iter().map(|violation| violation.kind).collect()
}
