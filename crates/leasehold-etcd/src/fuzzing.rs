//! What must hold of whatever bytes a decoder is given: checks for a fuzzer, and no part of the API.
//!
//! Each takes any bytes, answers whether the decoder takes them for ours, and panics if it does and they are not.

use leasehold_core::{Credentials, KeyPath, Kind, Namespace};

use crate::incarnation;
use crate::keys;

fn queue() -> KeyPath {
    KeyPath::new(&Namespace::default(), Kind::Lock, "a").expect("a name")
}

/// A key, or what comes after the path of a queue in one.
pub fn entry_key(bytes: &[u8]) -> bool {
    let queue = queue();
    let prefix = keys::entries(&queue);
    let below = [prefix.as_bytes(), bytes].concat();
    [&below[..], bytes].into_iter().any(|key| {
        let attempt = keys::attempt_of(&prefix, key);
        if let Some(attempt) = attempt {
            assert_eq!(keys::entry(&prefix, attempt).as_bytes(), key);
        }
        attempt.is_some()
    })
}

/// The value of an entry's key.
pub fn entry_value(bytes: &[u8]) -> bool {
    let Some((mode, value)) = keys::decode(bytes) else { return false };
    assert_eq!(keys::encode(mode, value), bytes);
    true
}

/// A key in the listing of all queues of a kind.
pub fn listed_key(bytes: &[u8]) -> bool {
    let (namespace, kind) = (Namespace::default(), Kind::Lock);
    let Some(path) = keys::queue_of(&namespace, kind, bytes) else { return false };
    let prefix = keys::entries(&path);
    assert!(bytes.starts_with(prefix.as_bytes()), "{path}");
    assert!(prefix.starts_with(&KeyPath::prefix(&namespace, kind)));
    true
}

/// The credentials of a session, as an application kept them.
pub fn credentials(bytes: &[u8]) -> bool {
    let Some((lease, secret)) = incarnation::parse(&Credentials::from_bytes(bytes)) else { return false };
    assert_eq!(incarnation::credentials(lease, &secret).as_bytes(), bytes);
    true
}

#[cfg(test)]
mod tests {
    use leasehold_core::{AttemptId, Mode};
    use proptest::prelude::*;

    use super::*;

    fn modes() -> impl Strategy<Value = Mode> {
        let permits = (1..=u32::MAX, any::<bool>()).prop_flat_map(|(limit, granted)| {
            (1..=limit).prop_map(move |count| Mode::Permits { count, limit, granted })
        });
        prop_oneof![Just(Mode::Exclusive), Just(Mode::Shared), permits]
    }

    fn attempts() -> impl Strategy<Value = AttemptId> {
        any::<u128>().prop_map(|id| format!("{id:032x}").parse().expect("an attempt's text"))
    }

    proptest! {
        #[test]
        fn whatever_the_service_holds(bytes: Vec<u8>, key in "[-/!0-9a-z%]{0,80}") {
            for check in [entry_key, entry_value, listed_key, credentials] {
                check(&bytes);
                check(key.as_bytes());
            }
        }

        #[test]
        fn entries_read_back(attempt in attempts(), mode in modes(), value: Vec<u8>, other in "[a-z]{1,9}") {
            let queue = queue();
            let prefix = keys::entries(&queue);
            let key = keys::entry(&prefix, attempt);
            prop_assert_eq!(keys::attempt_of(&prefix, key.as_bytes()), Some(attempt));
            prop_assert!(key.as_str() >= prefix.as_str() && key < keys::end_of(&prefix));
            let encoded = keys::encode(mode, &value);
            prop_assert_eq!(keys::decode(&encoded), Some((mode, &value[..])));
            prop_assert!(entry_key(key.as_bytes()) && listed_key(key.as_bytes()));
            // Of another queue, or a tombstone.
            let namespace = Namespace::default();
            let other = KeyPath::new(&namespace, Kind::Lock, &format!("a{other}")).unwrap();
            for foreign in [keys::entry(&keys::entries(&other), attempt), format!("{}{attempt}", keys::tombstones(&queue))] {
                prop_assert_eq!(keys::attempt_of(&prefix, foreign.as_bytes()), None);
            }
            prop_assert_eq!(keys::queue_of(&namespace, Kind::Lock, key.as_bytes()), Some(queue));
        }

        #[test]
        fn a_revision_is_positive(revision: i64) {
            let read = keys::revision(revision);
            prop_assert_eq!(read.is_some(), revision > 0);
            prop_assert!(read.is_none_or(|read| read == revision.unsigned_abs()));
        }
    }
}
