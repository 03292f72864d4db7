//! The layout of keys and values.

use leasehold_core::{AttemptId, BackendError, BackendErrorKind, KeyPath, Kind, Mode, Namespace};

/// etcd's default limit for a request is 1.5 MiB; what else there is in one takes little.
pub(crate) const MAX_VALUE_BYTES: usize = 1_500_000;

/// Refuses a value that is larger than promised, even if this service is configured to take it.
pub(crate) fn check_value(what: &str, value: &[u8]) -> Result<(), BackendError> {
    if value.len() <= MAX_VALUE_BYTES {
        return Ok(());
    }
    let message = format!("{what}: {} bytes are more than {MAX_VALUE_BYTES}", value.len());
    Err(BackendError::new(BackendErrorKind::TooLarge, message))
}

/// What all entries of a queue begin with.
pub(crate) fn entries(queue: &KeyPath) -> String {
    format!("{queue}/")
}

/// The entry of an attempt in a queue whose entries begin with `prefix`.
pub(crate) fn entry(prefix: &str, attempt: AttemptId) -> String {
    format!("{prefix}{attempt}")
}

/// What the tombstones of a queue begin with. `!` occurs in no [`KeyPath`] of ours, so none is another queue's key.
pub(crate) fn tombstones(queue: &KeyPath) -> String {
    format!("{queue}!")
}

/// What the tombstones of all queues in other clients' layouts begin with.
pub(crate) fn withdrawn(namespace: &Namespace) -> String {
    format!("{}/!withdrawn/", namespace.as_str())
}

/// What tells whose a session is. `!` keeps it apart from every [`KeyPath`].
pub(crate) fn session(namespace: &Namespace, lease: i64) -> String {
    format!("{}/!sessions/{lease:x}", namespace.as_str())
}

/// The end of the range of keys that begin with `prefix`, which ends with a slash.
pub(crate) fn end_of(prefix: &str) -> String {
    let mut end = prefix.strip_suffix('/').unwrap_or(prefix).to_owned();
    end.push('0'); // what comes after '/'
    end
}

/// The attempt that `key` is the entry of, if it is one's below `prefix`.
pub(crate) fn attempt_of(prefix: &str, key: &[u8]) -> Option<AttemptId> {
    std::str::from_utf8(key.strip_prefix(prefix.as_bytes())?).ok()?.parse().ok()
}

/// The queue that `key` lies below, if it lies below one of this kind.
pub(crate) fn queue_of(namespace: &Namespace, kind: Kind, key: &[u8]) -> Option<KeyPath> {
    let rest = key.strip_prefix(KeyPath::prefix(namespace, kind).as_bytes())?;
    let (name, _) = std::str::from_utf8(rest).ok()?.split_once('/')?;
    KeyPath::from_listing(namespace, kind, name)
}

/// The value of an entry's key.
pub(crate) fn encode(mode: Mode, value: &[u8]) -> Vec<u8> {
    let mut encoded = format!("{mode}\n").into_bytes();
    encoded.extend_from_slice(value);
    encoded
}

/// Reads back what [`encode`] made.
pub(crate) fn decode(encoded: &[u8]) -> Option<(Mode, &[u8])> {
    let end = encoded.iter().position(|b| *b == b'\n')?;
    let mode = std::str::from_utf8(&encoded[..end]).ok()?.parse().ok()?;
    Some((mode, &encoded[end + 1..]))
}

/// A revision as the contract counts them. etcd's are positive; anything else is not of a stored key.
pub(crate) fn revision(revision: i64) -> Option<u64> {
    u64::try_from(revision).ok().filter(|revision| *revision > 0)
}

/// An entry as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StoredEntry<'a> {
    pub(crate) attempt: AttemptId,
    pub(crate) mode: Mode,
    pub(crate) created: u64,
    pub(crate) modified: u64,
    pub(crate) value: &'a [u8],
}

#[cfg(test)]
mod tests {
    use leasehold_core::AttemptIds;

    use super::*;

    fn path(name: &str) -> KeyPath {
        KeyPath::new(&Namespace::default(), Kind::Lock, name).unwrap()
    }

    #[test]
    fn entries_are_told_from_everything_else() {
        let queue = path("a");
        let attempt = AttemptIds::new().unwrap().next();
        let prefix = entries(&queue);
        assert_eq!(attempt_of(&prefix, entry(&prefix, attempt).as_bytes()), Some(attempt));
        for foreign in [
            format!("{}{attempt}", tombstones(&queue)),
            entry(&entries(&path("ab")), attempt),
            prefix.clone(),
            format!("{prefix}x"),
            format!("{prefix}{attempt}/x"),
            queue.to_string(),
        ] {
            assert_eq!(attempt_of(&prefix, foreign.as_bytes()), None, "{foreign}");
        }
        assert_eq!(attempt_of(&prefix, b"\xff"), None);
    }

    #[test]
    fn the_range_of_a_queue_holds_its_entries_alone() {
        let queue = path("a");
        let attempt = AttemptIds::new().unwrap().next();
        let prefix = entries(&queue);
        let end = end_of(&prefix);
        let within = |key: &str| key >= prefix.as_str() && key < end.as_str();
        assert!(within(&entry(&prefix, attempt)));
        assert!(!within(&tombstones(&queue)) && !within(queue.as_str()));
        assert!(
            !within(&entry(&entries(&path("a0")), attempt))
                && !within(&entry(&entries(&path("a-")), attempt))
        );
        assert_eq!(end_of("a//"), "a/0", "of a path that ends with a slash itself");
    }

    #[test]
    fn values_read_back() {
        let mode = Mode::Permits { count: 1, limit: 2, granted: true };
        for value in [&b""[..], b"\n", b"x\ny\xff"] {
            assert_eq!(decode(&encode(mode, value)), Some((mode, value)));
        }
        for bad in [&b""[..], b"x", b"z\n", b"\xff\n", b"\n"] {
            assert_eq!(decode(bad), None, "{bad:?}");
        }
    }
}
