//! Who holds or waits: what people read beside an entry.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};

/// Information about a holder, kept in its entry for people and tools. It decides nothing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HolderInfo {
    /// The host's name.
    pub host: String,
    /// The process id.
    pub pid: u32,
    /// What the lock is used for, in the application's words; empty if it gave none.
    pub purpose: String,
}

impl HolderInfo {
    /// This process.
    pub fn this_process() -> Self {
        let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
        Self { host, pid: std::process::id(), purpose: String::new() }
    }

    /// The same with a purpose.
    #[must_use]
    pub fn with_purpose(mut self, purpose: impl Into<String>) -> Self {
        self.purpose = purpose.into();
        self
    }

    /// The value of an entry that is made at `since` (the wall clock of this host: for people, not for deadlines).
    pub fn encode(&self, since: SystemTime) -> Bytes {
        let text = |text: &str| utf8_percent_encode(text, NON_ALPHANUMERIC).to_string();
        let millis = since.duration_since(UNIX_EPOCH).unwrap_or_default().as_millis();
        format!("host={}&pid={}&since={millis}&purpose={}", text(&self.host), self.pid, text(&self.purpose))
            .into()
    }

    /// Reads the value of an entry; `None` if it is not of our making. Fields that a later version adds are ignored.
    pub fn decode(value: &[u8]) -> Option<(Self, SystemTime)> {
        let text = std::str::from_utf8(value).ok()?;
        let field = |name: &str| {
            let encoded = text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
            Some(percent_decode_str(encoded).decode_utf8().ok()?.into_owned())
        };
        let since = UNIX_EPOCH.checked_add(Duration::from_millis(field("since")?.parse().ok()?))?;
        Some((
            Self { host: field("host")?, pid: field("pid")?.parse().ok()?, purpose: field("purpose")? },
            since,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_reads_back_and_foreign_values_do_not() {
        let info = HolderInfo::this_process().with_purpose("naïve & a=b\n");
        let since = UNIX_EPOCH + Duration::from_millis(1_234_567);
        let value = info.encode(since);
        assert!(value.is_ascii() && !value.contains(&b'\n'));
        assert_eq!(HolderInfo::decode(&value), Some((info, since)));
        for foreign in [
            &b""[..],
            b"host=a",
            b"\xff",
            b"host=a&pid=x&since=1&purpose=",
            b"host=%FF&pid=1&since=1&purpose=",
        ] {
            assert_eq!(HolderInfo::decode(foreign), None);
        }
        assert_eq!(HolderInfo::decode(b"host=a&pid=1&since=99999999999999999999&purpose="), None);
    }
}
