//! The value of an entry: who stands there, since when, and what they and others have to say.
//!
//! The text is a list of `name=value` pairs, percent-encoded, so that people can read it with any tool of the service. An entry
//! has several writers, which may be of different versions: fields that a later version adds are kept as they are.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, percent_encode};

use crate::holder::HolderInfo;
use crate::name::KeyPath;

/// What an entry says beside its place and its mode.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct EntryValue {
    /// Who made the entry.
    pub(crate) holder: HolderInfo,
    /// When, by the wall clock of that host: for people, not for deadlines.
    pub(crate) since: SystemTime,
    /// What the application publishes: a candidate's proclamation, a member's value.
    pub(crate) payload: Bytes,
    /// How often a restarted process has taken the entry over.
    pub(crate) turn: u32,
    /// Who asks the holder to give up, if somebody does.
    pub(crate) asked: Option<String>,
    /// Who is about to remove the entry by force, if somebody is.
    pub(crate) broken: Option<String>,
    /// The pairs that this version does not know, as they were found.
    others: String,
}

/// The names that this version knows.
const KNOWN: [&str; 8] = ["host", "pid", "since", "purpose", "value", "turn", "asked", "broken"];

impl EntryValue {
    /// The value of a new entry.
    pub(crate) fn new(holder: HolderInfo, since: SystemTime, payload: Bytes) -> Self {
        Self { holder, since, payload, turn: 0, asked: None, broken: None, others: String::new() }
    }

    pub(crate) fn encode(&self) -> Bytes {
        let millis = self.since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        let mut text = String::with_capacity(128 + self.payload.len());
        let mut add = |name: &str, value: &[u8]| {
            if !text.is_empty() {
                text.push('&');
            }
            text.push_str(name);
            text.push('=');
            text.extend(percent_encode(value, NON_ALPHANUMERIC));
        };
        add("host", self.holder.host.as_bytes());
        add("pid", self.holder.pid.to_string().as_bytes());
        add("since", millis.to_string().as_bytes());
        add("purpose", self.holder.purpose.as_bytes());
        if !self.payload.is_empty() {
            add("value", &self.payload);
        }
        if self.turn > 0 {
            add("turn", self.turn.to_string().as_bytes());
        }
        for (name, who) in [("asked", &self.asked), ("broken", &self.broken)] {
            if let Some(who) = who {
                add(name, who.as_bytes());
            }
        }
        if !self.others.is_empty() {
            text.push('&');
            text.push_str(&self.others);
        }
        text.into()
    }

    /// Reads the value of an entry; `None` if it is not of our making.
    pub(crate) fn decode(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let raw = |name: &str| text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let decoded = |raw: &str| Some(percent_decode_str(raw).decode_utf8().ok()?.into_owned());
        let optional = |name: &str| match raw(name) {
            Some(raw) => decoded(raw).map(Some),
            None => Some(None),
        };
        let is_known = |pair: &&str| KNOWN.contains(&pair.split_once('=').map_or(*pair, |(name, _)| name));
        let others: Vec<_> = text.split('&').filter(|pair| !is_known(pair)).collect();
        let holder = HolderInfo {
            host: decoded(raw("host")?)?,
            pid: raw("pid")?.parse().ok()?,
            purpose: decoded(raw("purpose")?)?,
        };
        Some(Self {
            holder,
            since: UNIX_EPOCH.checked_add(Duration::from_millis(raw("since")?.parse().ok()?))?,
            payload: raw("value")
                .map(|raw| percent_decode_str(raw).collect::<Vec<u8>>().into())
                .unwrap_or_default(),
            turn: match raw("turn") {
                Some(turn) => turn.parse().ok()?,
                None => 0,
            },
            asked: optional("asked")?,
            broken: optional("broken")?,
            others: others.join("&"),
        })
    }
}

/// How the values of a queue's entries are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ValueForm {
    /// As [`EntryValue`] writes them.
    Ours,
    /// As another program reads them: the payload and nothing else. What it has written may look like anything.
    Bare,
}

impl ValueForm {
    pub(crate) fn of(path: &KeyPath) -> Self {
        if path.wire().is_some() { Self::Bare } else { Self::Ours }
    }

    pub(crate) fn encode(self, value: &EntryValue) -> Bytes {
        match self {
            Self::Ours => value.encode(),
            Self::Bare => value.payload.clone(),
        }
    }

    /// `None` if it is not of our making, or does not say.
    pub(crate) fn decode(self, value: &[u8]) -> Option<EntryValue> {
        match self {
            Self::Ours => EntryValue::decode(value),
            Self::Bare => None,
        }
    }
}

/// What is read of an entry is written, and read again, as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub fn check_entry_value(bytes: &[u8]) -> bool {
    let Some(value) = EntryValue::decode(bytes) else { return false };
    let encoded = value.encode();
    assert!(encoded.is_ascii() || !value.others.is_ascii(), "{value:?}");
    assert_eq!(EntryValue::decode(&encoded).as_ref(), Some(&value), "{encoded:?}");
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_foreign_values_do_not() {
        let holder = HolderInfo::this_process().with_purpose("naïve & a=b\n");
        let since = UNIX_EPOCH + Duration::from_millis(1_234_567);
        let plain = EntryValue::new(holder, since, Bytes::new());
        let full = EntryValue {
            payload: Bytes::from_static(b"\xff\0&value=x\n"),
            turn: 7,
            asked: Some("somebody & co".into()),
            broken: Some(String::new()),
            ..plain.clone()
        };
        for value in [plain, full] {
            let encoded = value.encode();
            assert!(encoded.is_ascii() && !encoded.contains(&b'\n'));
            assert_eq!(EntryValue::decode(&encoded), Some(value));
        }
        for foreign in [
            &b""[..],
            b"host=a",
            b"\xff",
            b"host=a&pid=x&since=1&purpose=",
            b"host=%FF&pid=1&since=1&purpose=",
            b"host=a&pid=1&since=99999999999999999999&purpose=",
            b"host=a&pid=1&since=1&purpose=&turn=-1",
            b"host=a&pid=1&since=1&purpose=&asked=%FF",
        ] {
            assert_eq!(EntryValue::decode(foreign), None);
        }
    }

    #[test]
    fn what_a_later_version_has_written_is_kept() {
        let found = b"host=a&later=1%26&pid=1&since=1&purpose=&flag&broken=b";
        let mut value = EntryValue::decode(found).unwrap();
        value.asked = Some("somebody".into());
        let written = value.encode();
        assert_eq!(written, "host=a&pid=1&since=1&purpose=&asked=somebody&broken=b&later=1%26&flag");
        assert_eq!(EntryValue::decode(&written), Some(value));
    }
}
