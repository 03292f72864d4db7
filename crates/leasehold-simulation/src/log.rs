//! The log of a run: all that happened, with the time, as lines and as a hash.

use std::collections::BTreeMap;
use std::fmt;
use std::hash::{DefaultHasher, Hasher};
use std::sync::{Mutex, MutexGuard, PoisonError};

use leasehold_core::Clock;

/// Every call, every disturbance and what came of the steps.
pub(crate) struct Log {
    clock: Clock,
    inside: Mutex<Inside>,
}

#[derive(Default)]
struct Inside {
    hash: DefaultHasher,
    line: String,
    /// All of them, where somebody wants to read them.
    lines: Option<Vec<String>>,
    counts: Counts,
    faults: Counts,
    violations: Vec<Violation>,
}

/// How often what happened.
pub type Counts = BTreeMap<&'static str, u64>;

/// A promise that was not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Violation {
    /// Which, by its name in the guarantees.
    pub promise: String,
    /// What happened instead.
    pub what: String,
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.promise, self.what)
    }
}

/// What is left of a log.
pub(crate) struct Logged {
    pub(crate) hash: u64,
    pub(crate) lines: Vec<String>,
    pub(crate) counts: Counts,
    pub(crate) faults: Counts,
    pub(crate) violations: Vec<Violation>,
}

impl Log {
    pub(crate) fn new(clock: Clock, keep_lines: bool) -> Self {
        let inside = Inside { lines: keep_lines.then(Vec::new), ..Inside::default() };
        Self { clock, inside: Mutex::new(inside) }
    }

    /// Writes something down.
    pub(crate) fn say(&self, what: fmt::Arguments<'_>) {
        self.lock().say(&self.clock, what);
    }

    /// Counts something.
    pub(crate) fn count(&self, what: &'static str) {
        *self.lock().counts.entry(what).or_default() += 1;
    }

    /// Counts something that went wrong.
    pub(crate) fn fault(&self, kind: &'static str) {
        *self.lock().faults.entry(kind).or_default() += 1;
    }

    /// Writes down that a promise was not kept.
    pub(crate) fn violated(&self, promise: &'static str, what: fmt::Arguments<'_>) {
        let mut inside = self.lock();
        inside.say(&self.clock, format_args!("VIOLATED {promise}: {what}"));
        inside.violations.push(Violation { promise: promise.to_owned(), what: what.to_string() });
    }

    /// Ends it.
    pub(crate) fn take(&self) -> Logged {
        let inside = std::mem::take(&mut *self.lock());
        Logged {
            hash: inside.hash.finish(),
            lines: inside.lines.unwrap_or_default(),
            counts: inside.counts,
            faults: inside.faults,
            violations: inside.violations,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inside> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inside {
    fn say(&mut self, clock: &Clock, what: fmt::Arguments<'_>) {
        use fmt::Write;
        self.line.clear();
        let micros = clock.now().since_origin().as_micros();
        write!(self.line, "{:>6}.{:03} {what}", micros / 1000, micros % 1000).expect("text can be written");
        self.hash.write(self.line.as_bytes());
        self.hash.write_u8(b'\n');
        if let Some(lines) = &mut self.lines {
            lines.push(self.line.clone());
        }
    }
}
