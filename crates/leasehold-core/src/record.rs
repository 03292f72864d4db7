//! What a register holds: a value, and the marks of the writes that made it.
//!
//! # Implementation
//!
//! A write whose reply was lost has been applied, has not, or is still on its way. The service's version tells that somebody wrote, not
//! who did. So a value has a header with the newest writes, newest first: of each the version that it was made on, and a random number
//! that is its own.
//!
//! *Why this decides.* A write made on condition of version `b` is applied only while the register has that version, and versions never
//! return while a register exists (contract, session 5); nothing here deletes one. So at most one write is ever made on `b`, and all others on that condition are void for ever, also
//! one that is still on its way. Whoever finds the mark with base `b` therefore knows the fate of its own write for good: it is that one,
//! or it is not and never will be. While the version still is `b`, nothing is decided, and the same write, with the same mark, may
//! be sent again: whichever of the two arrives first makes the other void. This much needs no fresh view: the marks that are
//! found are history, however old the view.
//!
//! *What it cannot decide.* The header keeps [`MARKS`] writes. After more of them, or after a write that did not know the header before (an
//! unconditional one, or one on a bare version), the mark with base `b` may be gone; then the fate is unknown. An unconditional write is
//! known to have been applied by its mark, and never known not to have been.
//!
//! The header is one line of ASCII, for people who look at the register with a tool of the service:
//! `leasehold/1 <base>:<mark> <base>:<mark> …`, with `-` for the base of an unconditional write. The value follows after the line's end.

use std::fmt;

use bytes::Bytes;

use crate::backend::Versioned;

/// How many writes the header keeps.
pub(crate) const MARKS: usize = 16;

const FORMAT: &str = "leasehold/1";

/// One write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The version that the register had before, 0 if it was absent; none if the write did not ask.
    pub(crate) base: Option<u64>,
    /// Its own number.
    pub(crate) number: u64,
}

/// What is known of a write whose reply was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It made this version.
    Applied {
        /// The version.
        version: u64,
    },
    /// It was not applied and never will be.
    Void,
    /// It has not been applied as far as this view goes, and may still be.
    Open,
    /// That is forgotten.
    Unknown,
}

/// A register as it was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Its version; 0 if it is absent.
    pub(crate) version: u64,
    /// Its value; none if it is absent.
    pub(crate) value: Option<Bytes>,
    /// Newest first.
    marks: Vec<Mark>,
}

impl Record {
    /// Reads a register; `None` if its value is not of our making.
    pub(crate) fn read(register: Option<&Versioned>) -> Option<Self> {
        let Some(Versioned { value, version }) = register else {
            return Some(Self { version: 0, value: None, marks: Vec::new() });
        };
        let line = value.iter().position(|byte| *byte == b'\n')?;
        let mut words = std::str::from_utf8(&value[..line]).ok()?.split(' ');
        if words.next()? != FORMAT {
            return None;
        }
        let marks = words.map(Mark::parse).collect::<Option<_>>()?;
        Some(Self { version: *version, value: Some(value.slice(line + 1..)), marks })
    }

    /// The value and its version, if there is one.
    pub(crate) fn versioned(&self) -> Option<Versioned> {
        self.value.clone().map(|value| Versioned { value, version: self.version })
    }

    /// What became of a write with this mark.
    pub(crate) fn fate(&self, of: Mark) -> Fate {
        let mut version = self.version;
        for mark in &self.marks {
            if mark.number == of.number {
                return Fate::Applied { version };
            }
            match mark.base {
                Some(base) if of.base == Some(base) => return Fate::Void,
                Some(base) => version = base,
                // Whatever was before it is not known.
                None => break,
            }
        }
        match of.base {
            Some(base) if self.version > base => Fate::Unknown,
            _ => Fate::Open,
        }
    }

    /// The register's content after a write with this mark on top of this one.
    pub(crate) fn followed_by(&self, mark: Mark, value: &[u8]) -> Bytes {
        encode(std::iter::once(&mark).chain(&self.marks), value)
    }
}

/// The register's content after a write that does not know what was there.
pub(crate) fn alone(mark: Mark, value: &[u8]) -> Bytes {
    encode(std::iter::once(&mark), value)
}

fn encode<'a>(marks: impl Iterator<Item = &'a Mark>, value: &[u8]) -> Bytes {
    let mut text = String::from(FORMAT);
    for mark in marks.take(MARKS) {
        text.push(' ');
        text.push_str(&mark.to_string());
    }
    text.push('\n');
    [text.as_bytes(), value].concat().into()
}

impl Mark {
    fn parse(word: &str) -> Option<Self> {
        let (base, number) = word.split_once(':')?;
        let base = match base {
            "-" => None,
            base => Some(base.parse().ok()?),
        };
        let mark = Self { base, number: u64::from_str_radix(number, 16).ok()? };
        // Only what ours are written as: `+0:1` would be read too.
        (mark.to_string() == word).then_some(mark)
    }
}

impl fmt::Display for Mark {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.base {
            Some(base) => write!(f, "{base}:{:016x}", self.number),
            None => write!(f, "-:{:016x}", self.number),
        }
    }
}

/// There is one way to write a register, and a write on top of what was read is found again.
#[cfg(any(test, feature = "fuzzing"))]
pub fn check_record(bytes: &[u8]) -> bool {
    let read = |value, version| Record::read(Some(&Versioned { value, version }));
    let Some(mut record) = read(Bytes::copy_from_slice(bytes), 1) else { return false };
    let value = record.value.clone().expect("it is there");
    assert!(bytes.ends_with(&value));
    if record.marks.len() <= MARKS {
        assert_eq!(encode(record.marks.iter(), &value), bytes, "there is one way to write it");
    }
    // A version and a number that no mark in it has, since whoever wrote it may have written anything.
    let is_new = |new: &u64| record.marks.iter().all(|mark| mark.number != *new && mark.base != Some(*new));
    let new = (1..u64::MAX).find(is_new).expect("there are fewer marks than numbers");
    let mark = Mark { base: Some(new), number: new };
    record.version = new;
    assert_eq!(record.fate(mark), Fate::Open);
    let next = read(record.followed_by(mark, b"next"), new + 1).expect("it is ours");
    assert_eq!((next.fate(mark), next.value), (Fate::Applied { version: new + 1 }, Some("next".into())));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(base: impl Into<Option<u64>>, number: u64) -> Mark {
        Mark { base: base.into(), number }
    }

    fn stored(content: Bytes, version: u64) -> Record {
        Record::read(Some(&Versioned { value: content, version })).expect("of our making")
    }

    fn absent() -> Record {
        Record::read(None).expect("nothing is there")
    }

    #[test]
    fn what_is_written_reads_back_and_foreign_values_do_not() {
        for value in [&b""[..], b"value", b"\n\n", b"\xff\0", b"leasehold/1\n"] {
            let first = stored(absent().followed_by(mark(0, 1), value), 7);
            let second = stored(first.followed_by(mark(7, u64::MAX), value), 9);
            let blind = stored(alone(mark(None, 5), value), 12);
            for (record, version) in [(first, 7), (second, 9), (blind, 12)] {
                let expected = Versioned { value: Bytes::copy_from_slice(value), version };
                assert_eq!(record.versioned(), Some(expected));
            }
        }
        assert_eq!(absent().versioned(), None);
        for foreign in [
            &b""[..],
            b"7",
            b"leasehold/1",
            b"leasehold/2 0:1\nx",
            b"\xff\n",
            b"leasehold/1 0\n",
            b"leasehold/1 x:1\n",
            b"leasehold/1 +0:0000000000000001\n",
            b"leasehold/1 0:1\n",
            b"leasehold/1 0:000000000000000A\n",
        ] {
            let foreign = Versioned { value: Bytes::copy_from_slice(foreign), version: 1 };
            assert_eq!(Record::read(Some(&foreign)), None, "{foreign:?}");
        }
    }

    #[test]
    fn the_mark_on_the_same_base_decides() {
        let (mine, theirs) = (mark(3, 1), mark(3, 2));
        let before = stored(absent().followed_by(mark(0, 9), b"a"), 3);
        assert_eq!(before.fate(mine), Fate::Open);
        let after_mine = stored(before.followed_by(mine, b"b"), 5);
        assert_eq!(after_mine.fate(mine), Fate::Applied { version: 5 });
        assert_eq!(after_mine.fate(theirs), Fate::Void);
        let later = stored(after_mine.followed_by(mark(5, 4), b"c"), 8);
        assert_eq!(later.fate(mine), Fate::Applied { version: 5 });
        assert_eq!(later.fate(theirs), Fate::Void);
        assert_eq!(before.fate(mark(0, 9)), Fate::Applied { version: 3 });
        assert_eq!(before.fate(mark(0, 8)), Fate::Void);
    }

    #[test]
    fn what_the_header_has_forgotten_is_unknown() {
        let mine = mark(1, 1);
        let mut record = stored(absent().followed_by(mark(0, 7), b"a"), 1);
        let mut number = 100;
        let mut write = |record: &Record, mark: Option<Mark>| {
            number += 1;
            let mark = mark.unwrap_or(Mark { base: Some(record.version), number });
            stored(record.followed_by(mark, b"x"), record.version + 1)
        };
        record = write(&record, Some(mine));
        for _ in 0..MARKS - 1 {
            record = write(&record, None);
            assert_eq!(record.fate(mine), Fate::Applied { version: 2 });
        }
        record = write(&record, None);
        assert_eq!(record.fate(mine), Fate::Unknown);
        // An unconditional write forgets at once, and is itself never known not to be on its way.
        let blind = mark(None, 3);
        let record = stored(alone(blind, b"x"), 90);
        assert_eq!(record.fate(mark(80, 4)), Fate::Unknown);
        assert_eq!(record.fate(mark(None, 4)), Fate::Open);
        let record = stored(record.followed_by(mark(90, 5), b"x"), 91);
        assert_eq!(record.fate(blind), Fate::Applied { version: 90 });
    }

    /// A view that is older than the version that the write was made on tells nothing.
    #[test]
    fn an_old_view_decides_nothing() {
        let old = stored(absent().followed_by(mark(0, 9), b"a"), 3);
        assert_eq!(old.fate(mark(4, 1)), Fate::Open);
        assert_eq!(absent().fate(mark(4, 1)), Fate::Open);
        assert_eq!(absent().fate(mark(0, 1)), Fate::Open);
    }
}
