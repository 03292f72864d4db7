//! How the entries of one queue are laid out: as ours, or as etcd's own client in Go does it.
//!
//! | | ours | [`EtcdV3`](leasehold_core::WireProfile::EtcdV3) |
//! |---|---|---|
//! | an entry | `<path>/<attempt>` | `<path>/<lease>-<attempt>`, the lease in hexadecimal digits |
//! | its value | the mode's text, a line feed, the value | the value |
//! | what else counts as one | nothing | every key below the path, exclusive |
//! | a tombstone | `<path>!<attempt>` | `<namespace>/!withdrawn/<attempt>` |
//!
//! The client in Go makes one key a session, `<path>/<lease>`, and so do `etcdctl` and the server's lock and election calls. All of them order what lies below
//! the path by its create revision and look at no name. So an attempt of ours can have a key of its own, which says whose it is, and two
//! tasks of one session exclude each other.

use etcd_client::KeyValue;
use leasehold_core::{AttemptId, KeyPath, Mode, Namespace};

use crate::keys::{self, StoredEntry};

/// The keys and values of one queue.
#[derive(Debug, Clone)]
pub(crate) struct Layout {
    /// What all keys of the queue begin with.
    prefix: String,
    tombstones: String,
    is_wire: bool,
}

impl Layout {
    pub(crate) fn of(namespace: &Namespace, queue: &KeyPath) -> Self {
        let is_wire = queue.wire().is_some();
        // An attempt withdraws from one queue alone, so that they can lie together.
        let tombstones = if is_wire { keys::withdrawn(namespace) } else { keys::tombstones(queue) };
        Self { prefix: keys::entries(queue), tombstones, is_wire }
    }

    pub(crate) fn is_wire(&self) -> bool {
        self.is_wire
    }

    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// The key of an attempt of the session with this lease.
    pub(crate) fn entry(&self, lease: i64, attempt: AttemptId) -> String {
        let prefix = &self.prefix;
        if self.is_wire { format!("{prefix}{lease:x}-{attempt}") } else { keys::entry(prefix, attempt) }
    }

    pub(crate) fn tombstone(&self, attempt: AttemptId) -> String {
        format!("{}{attempt}", self.tombstones)
    }

    /// The value of an entry's key.
    pub(crate) fn encode(&self, mode: Mode, value: &[u8]) -> Vec<u8> {
        if self.is_wire { value.to_vec() } else { keys::encode(mode, value) }
    }

    /// The attempt whose entry a key is; `None` for keys that are none's. A removed key has to be given as it was.
    pub(crate) fn attempt_of(&self, kv: &KeyValue) -> Option<AttemptId> {
        self.attempt(kv.key(), kv.create_revision())
    }

    fn attempt(&self, key: &[u8], created: i64) -> Option<AttemptId> {
        if !self.is_wire {
            return keys::attempt_of(&self.prefix, key);
        }
        let below = key.strip_prefix(self.prefix.as_bytes())?;
        let own = || {
            let (lease, attempt) = std::str::from_utf8(below).ok()?.split_once('-')?;
            let number = i64::from_str_radix(lease, 16).ok()?;
            // By its name alone, so that it stays the same whatever somebody else puts into it.
            if format!("{number:x}") == lease { attempt.parse().ok() } else { None }
        };
        let created = keys::revision(created)?;
        Some(own().unwrap_or_else(|| AttemptId::of_stranger(key, created)))
    }

    /// `None` for keys that are no entries.
    pub(crate) fn read<'a>(&self, kv: &'a KeyValue) -> Option<StoredEntry<'a>> {
        let attempt = self.attempt_of(kv)?;
        let (mode, value) =
            if self.is_wire { (Mode::Exclusive, kv.value()) } else { keys::decode(kv.value())? };
        Some(StoredEntry {
            attempt,
            mode,
            created: keys::revision(kv.create_revision())?,
            modified: keys::revision(kv.mod_revision())?,
            value,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use leasehold_core::{AttemptIds, Kind, WireLayout, WireProfile};

    use super::*;

    fn wire(path: &str) -> Layout {
        let (namespace, layout) = (Namespace::default(), WireLayout::new(WireProfile::EtcdV3, Kind::Lock));
        Layout::of(&namespace, &KeyPath::verbatim(&namespace, layout, path).unwrap())
    }

    #[test]
    fn every_key_below_the_path_is_an_entry_and_keeps_its_attempt() {
        let layout = wire("/app/lock");
        let attempt = AttemptIds::new().unwrap().next();
        let own = layout.entry(0x7f, attempt);
        assert_eq!(own, format!("/app/lock/7f-{attempt}"));
        let read = |key: &str, created| layout.attempt(key.as_bytes(), created);
        assert_eq!(read(&own, 5), Some(attempt));
        let odd = [format!("/app/lock/7F-{attempt}"), format!("/app/lock/07f-{attempt}"), format!("{own}/x")];
        let others = ["/app/lock/7f", "/app/lock/", "/app/lock/a/b", "/app/lock/7f-"].into_iter();
        let others: Vec<&str> = others.chain(odd.iter().map(String::as_str)).collect();
        let seen: HashSet<_> = others.iter().map(|key| read(key, 5).expect("it counts")).collect();
        assert!(seen.len() == others.len() && !seen.contains(&attempt));
        assert_ne!(read("/app/lock/7f", 5), read("/app/lock/7f", 9), "another lock of one session");
        assert_eq!(read("/app/locks/7f", 5), None);
    }

    #[test]
    fn nothing_of_ours_lies_below_the_path_but_entries() {
        let attempt = AttemptIds::new().unwrap().next();
        let tombstone = wire("/app/lock").tombstone(attempt);
        assert_eq!(tombstone, format!("leasehold/!withdrawn/{attempt}"));
        assert_eq!(wire("/app/lock").encode(Mode::Exclusive, b""), b"");
        assert_eq!(wire("a//").prefix(), "a///");
    }
}
