//! What an administrator sees of one contender.

use std::fmt;
use std::str::FromStr;
use std::time::{Duration, SystemTime};

use bytes::Bytes;

use super::standing::Standing;
use crate::attempt::AttemptId;
use crate::backend::Entry;
use crate::entry_value::ValueForm;
use crate::holder::HolderInfo;
use crate::mode::Mode;
use crate::token::FencingToken;

/// Names one entry of a queue, and so one acquisition: never another one, whatever becomes of it.
///
/// Its text is to be passed on (to a person, a command line) and says nothing by itself.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct EntryId(pub(super) AttemptId);

impl fmt::Display for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for EntryId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EntryId({})", self.0)
    }
}

/// The text is not that of an [`EntryId`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an entry's id is 32 lower-case hexadecimal digits")]
pub struct ParseEntryIdError;

impl FromStr for EntryId {
    type Err = ParseEntryIdError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self).map_err(|_| ParseEntryIdError)
    }
}

/// One contender for a name, as [`Admin::contenders`](crate::Admin::contenders) found it.
///
/// `Display` is one line for people, without the payload.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ContenderInfo {
    /// Its entry.
    pub entry: EntryId,
    /// Whether it holds or waits.
    pub standing: Standing,
    /// What it asks for.
    pub mode: Mode,
    /// The token that it has or will have, given that it uses the epoch of the coordinator that looked.
    pub token: FencingToken,
    /// What the entry says; `None` if its value is not of this library's making.
    pub details: Option<EntryDetails>,
    /// The value of the entry as it was found.
    pub raw_value: Bytes,
}

/// What an entry says, by its maker's own account.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct EntryDetails {
    /// Who made it.
    pub holder: HolderInfo,
    /// When, by the wall clock of its maker's host.
    pub since: SystemTime,
    /// How long ago that was by the wall clock of this host; zero if that is behind.
    pub age: Duration,
    /// What its owner has published in it.
    pub payload: Bytes,
    /// Who has asked the holder to give up, if somebody has.
    pub asked_to_release: Option<String>,
    /// Who is breaking the lock, if somebody is.
    pub released_by_force: Option<String>,
}

impl ContenderInfo {
    /// `now` is the time by this host's wall clock, `epoch` that of its tokens.
    pub(super) fn new(
        form: ValueForm,
        entry: Entry,
        standing: Standing,
        epoch: u32,
        now: SystemTime,
    ) -> Self {
        let value = form.decode(&entry.value);
        let turn = value.as_ref().map_or(0, |value| value.turn);
        let details = value.map(|value| EntryDetails {
            age: now.duration_since(value.since).unwrap_or_default(),
            holder: value.holder,
            since: value.since,
            payload: value.payload,
            asked_to_release: value.asked,
            released_by_force: value.broken,
        });
        Self {
            entry: EntryId(entry.attempt),
            standing,
            mode: entry.mode,
            token: FencingToken::new(epoch, entry.order, turn),
            details,
            raw_value: entry.value,
        }
    }

    /// Whether it holds.
    pub fn holds(&self) -> bool {
        self.standing == Standing::Holds
    }
}

impl fmt::Display for ContenderInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({}), ", self.entry, self.standing, Plainly(self.mode))?;
        let Some(details) = &self.details else {
            return write!(f, "with a value of {} bytes that is not of our making", self.raw_value.len());
        };
        // Others wrote it: it must not break the line.
        let HolderInfo { host, pid, purpose } = &details.holder;
        write!(f, "{} pid {pid}", host.escape_debug())?;
        if !purpose.is_empty() {
            write!(f, ", {purpose:?}")?;
        }
        write!(f, ", for {:?}", Duration::from_millis(details.age.as_millis() as u64))?;
        if let Some(who) = &details.asked_to_release {
            write!(f, ", asked to release by {who:?}")?;
        }
        if let Some(who) = &details.released_by_force {
            write!(f, ", being released by force by {who:?}")?;
        }
        Ok(())
    }
}

/// A mode in words.
struct Plainly(Mode);

impl fmt::Display for Plainly {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Mode::Exclusive => f.write_str("exclusive"),
            Mode::Shared => f.write_str("shared"),
            Mode::Permits { count, limit, .. } => write!(f, "{count} of {limit} permits"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::AttemptIds;
    use crate::entry_value::EntryValue;

    #[test]
    fn a_line_says_who_and_cannot_be_broken_by_what_others_wrote() {
        let attempt = AttemptIds::new().unwrap().next();
        let holder = HolderInfo { host: "a\nb".into(), pid: 7, purpose: "x\ny".into() };
        let since = SystemTime::UNIX_EPOCH + Duration::from_secs(100);
        let mut value = EntryValue::new(holder, since, Bytes::from_static(b"payload"));
        value.asked = Some("ops\n".into());
        value.turn = 2;
        let entry = Entry { attempt, order: 5, mode: Mode::Exclusive, value: value.encode(), version: 9 };
        let info = |entry: &Entry, now: u64| {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(now);
            ContenderInfo::new(ValueForm::Ours, entry.clone(), Standing::Holds, 1, now)
        };
        let found = info(&entry, 103);
        assert_eq!(
            found.to_string(),
            format!(
                r#"{attempt} holds (exclusive), a\nb pid 7, "x\ny", for 3s, asked to release by "ops\n""#
            )
        );
        assert_eq!(found.token, FencingToken::new(1, 5, 2));
        assert_eq!(found.entry.to_string().parse(), Ok(found.entry));
        assert_eq!("x".parse::<EntryId>(), Err(ParseEntryIdError));
        let details = info(&entry, 50).details.unwrap();
        assert_eq!((details.age, &details.payload[..]), (Duration::ZERO, &b"payload"[..]));
        let foreign = Entry { value: Bytes::from_static(b"\xff\n"), ..entry.clone() };
        let found = info(&foreign, 103);
        assert_eq!((found.details.is_none(), &found.raw_value[..]), (true, &b"\xff\n"[..]));
        assert!(found.to_string().ends_with("with a value of 2 bytes that is not of our making"));
        let elsewhere = ContenderInfo::new(ValueForm::Bare, entry.clone(), Standing::Holds, 1, since);
        assert_eq!(
            (elsewhere.details, elsewhere.raw_value),
            (None, entry.value),
            "nobody says that it is ours"
        );
    }
}
