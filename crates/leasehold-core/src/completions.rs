//! What a register remembers of things that were done once.
//!
//! One line for each: `occurrence=<text>&at=<milliseconds since 1970>&by=<attempt>&result=<bytes>`, percent-encoded, so that people can read
//! it with any tool of the service. The empty occurrence stands for the thing itself, done once and for all. Fields that a later version adds
//! are ignored.
//!
//! Who did it is known by the attempt alone: two runners may come to the same result in the same millisecond.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::attempt::AttemptId;

/// So many of the newest completed occurrences are kept whatever the retention: a clock that is far ahead must not make a job
/// forget what it has just done.
pub(crate) const KEPT: usize = 10;

/// One thing that was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Done {
    /// Which occurrence; empty for the thing itself.
    pub(crate) occurrence: String,
    /// When, by the wall clock of the one who did it.
    pub(crate) at: SystemTime,
    /// Whose place in line it was done in.
    pub(crate) by: AttemptId,
    /// What came of it.
    pub(crate) result: Bytes,
}

/// What was done, in no order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Completions(Vec<Done>);

impl Completions {
    /// Reads a register's value; `None` if it is not of our making.
    pub(crate) fn decode(value: Option<&Bytes>) -> Option<Self> {
        let Some(value) = value else { return Some(Self::default()) };
        let text = std::str::from_utf8(value).ok()?;
        text.lines().map(Done::decode).collect::<Option<_>>().map(Self)
    }

    pub(crate) fn encode(&self) -> Bytes {
        self.0.iter().map(Done::encode).collect::<String>().into()
    }

    /// What was done of this occurrence.
    pub(crate) fn of(&self, occurrence: &str) -> Option<&Done> {
        self.0.iter().find(|done| done.occurrence == occurrence)
    }

    pub(crate) fn add(&mut self, done: Done) {
        self.0.push(done);
    }

    /// Forgets the occurrences that were completed longer than `retention` before `now`, but for the newest ones and for what was
    /// done once and for all.
    pub(crate) fn prune(&mut self, now: SystemTime, retention: Duration) {
        // A time before all times forgets nothing.
        let Some(horizon) = now.checked_sub(retention) else { return };
        self.0.sort_by_key(|done| std::cmp::Reverse(done.at));
        let mut occurrences = 0;
        self.0.retain(|done| {
            occurrences += usize::from(!done.occurrence.is_empty());
            done.occurrence.is_empty() || occurrences <= KEPT || done.at >= horizon
        });
    }
}

impl Done {
    fn encode(&self) -> String {
        let millis = self.at.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let (occurrence, result) = (encoded(self.occurrence.as_bytes()), encoded(&self.result));
        format!("occurrence={occurrence}&at={millis}&by={}&result={result}\n", self.by)
    }

    fn decode(line: &str) -> Option<Self> {
        let field = |name: &str| line.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        Some(Self {
            occurrence: percent_decode_str(field("occurrence")?).decode_utf8().ok()?.into_owned(),
            at: UNIX_EPOCH.checked_add(Duration::from_millis(field("at")?.parse().ok()?))?,
            by: field("by")?.parse().ok()?,
            result: percent_decode_str(field("result")?).collect::<Vec<u8>>().into(),
        })
    }
}

fn encoded(bytes: &[u8]) -> String {
    percent_encode(bytes, NON_ALPHANUMERIC).to_string()
}

/// What is read is written, and read again, as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub fn check_completions(bytes: &[u8]) -> bool {
    let Some(completions) = Completions::decode(Some(&Bytes::copy_from_slice(bytes))) else { return false };
    assert_eq!(Completions::decode(Some(&completions.encode())), Some(completions));
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    const BY: &str = "00000000000000070000000000000001";
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    fn day(number: u32) -> SystemTime {
        UNIX_EPOCH + DAY * number
    }

    fn done(occurrence: impl ToString, at: SystemTime) -> Done {
        let (by, result) = (BY.parse().unwrap(), Bytes::from_static(b"\xff\n&=done"));
        Done { occurrence: occurrence.to_string(), at, by, result }
    }

    fn days(completions: &Completions) -> Vec<String> {
        let mut days: Vec<_> = completions.0.iter().map(|done| done.occurrence.clone()).collect();
        days.sort();
        days
    }

    #[test]
    fn what_is_written_reads_back_and_foreign_values_do_not() {
        let completions = Completions(vec![
            done("", day(1)),
            done("2026-11-23", day(2)),
            done("naïve & a=b\n", UNIX_EPOCH),
        ]);
        assert_eq!(Completions::decode(Some(&completions.encode())), Some(completions));
        assert_eq!(Completions::decode(None), Some(Completions::default()));
        let decode = |value: &[u8]| Completions::decode(Some(&Bytes::copy_from_slice(value)));
        let line = |occurrence: &str, at: &str, by: &str| {
            format!("occurrence={occurrence}&at={at}&by={by}&result=&later=x\n")
        };
        for foreign in [
            "\n".to_owned(),
            "x".to_owned(),
            format!("occurrence=a&at=1&by={BY}"),
            "occurrence=a&at=1&result=".to_owned(),
            line("a", "x", BY),
            line("a", "1", "x"),
            line("%FF", "1", BY),
        ] {
            assert_eq!(decode(foreign.as_bytes()), None, "{foreign:?}");
        }
        assert_eq!(decode(b"\xff"), None);
        assert!(decode(line("a", "1", BY).as_bytes()).is_some());
    }

    #[test]
    fn what_is_old_is_forgotten_but_for_the_newest() {
        let all = |days: std::ops::Range<u32>| {
            Completions(days.map(|number| done(format!("{number:03}"), day(number))).collect())
        };
        let mut completions = all(100..130);
        completions.add(done("", day(1)));
        completions.prune(day(129), DAY * 15);
        let expected: Vec<_> =
            std::iter::once(String::new()).chain((114..130).map(|n| format!("{n:03}"))).collect();
        assert_eq!(days(&completions), expected);
        // A clock that is years ahead.
        completions.prune(day(9999), DAY);
        let expected: Vec<_> =
            std::iter::once(String::new()).chain((120..130).map(|n| format!("{n:03}"))).collect();
        assert_eq!(days(&completions), expected, "the newest {KEPT} stay");
        // One that is years behind, and a retention beyond all times.
        for (now, retention) in [(day(2), DAY), (day(9999), Duration::MAX)] {
            let mut completions = all(100..130);
            completions.prune(now, retention);
            assert_eq!(days(&completions).len(), 30);
        }
    }
}
