//! The layout of keys.
//!
//! The keys of a namespace have one hash tag, so that they have one slot of a cluster, and a script may see all of
//! them: a session begins, is renewed, is resumed and ends in one step there too, and a register can be written on
//! condition of any lock. It also means that a namespace depends on one primary of a cluster and not on all of them.
//!
//! A namespace is divided into [`SHARDS`] shards by the names in it, so that no key grows with all of the locks.

use leasehold_core::{BackendError, BackendErrorKind, KeyPath, Namespace};

/// All clients of a namespace divide it alike.
pub(crate) const SHARDS: usize = 16;

/// A value is an argument of a script, of which the server makes several copies.
pub(crate) const MAX_VALUE_BYTES: usize = 1024 * 1024;

/// Refuses a value that is larger than promised, even if this service is configured to take it.
pub(crate) fn check_value(what: &str, value: &[u8]) -> Result<(), BackendError> {
    if value.len() <= MAX_VALUE_BYTES {
        return Ok(());
    }
    let message = format!("{what}: {} bytes are more than {MAX_VALUE_BYTES}", value.len());
    Err(BackendError::new(BackendErrorKind::TooLarge, message))
}

/// The keys that a session uses.
#[derive(Debug)]
pub(crate) struct Keyspace {
    prefix: String,
    session: String,
    shards: Vec<Shard>,
}

/// The keys of one shard, in the order in which the scripts take them.
#[derive(Debug)]
struct Shard {
    /// What its keys begin with.
    start: String,
    keys: [String; 6],
}

/// Where a queue or a register is.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) shard: usize,
    /// `<kind>/<escaped name>`.
    pub(crate) name: String,
}

impl Keyspace {
    pub(crate) fn new(namespace: &Namespace, session: &str) -> Self {
        let shards = (0..SHARDS).map(|number| {
            let start = format!("{{{}}}:{number:x}", namespace.as_str());
            let keys = ["seq", "index", "entries", "values", "sessions"].map(|key| format!("{start}:{key}"));
            let [seq, index, entries, values, sessions] = keys;
            let session = format!("{start}:session:{session}");
            Shard { start, keys: [seq, index, entries, values, sessions, session] }
        });
        let (prefix, shards) = (format!("{}/", namespace.as_str()), shards.collect());
        Self { prefix, session: session.to_owned(), shards }
    }

    pub(crate) fn place(&self, path: &KeyPath) -> Place {
        let name = path.as_str().strip_prefix(&self.prefix).unwrap_or(path.as_str()).to_owned();
        let last_segment = name.rsplit('/').next().unwrap_or_default();
        Place { shard: shard_of(last_segment), name }
    }

    /// The keys of one shard.
    pub(crate) fn shard(&self, number: usize) -> Vec<&str> {
        self.shards[number].keys.iter().map(String::as_str).collect()
    }

    /// The keys of all shards, one shard after the other.
    pub(crate) fn all(&self) -> Vec<&str> {
        self.shards.iter().flat_map(|shard| shard.keys.iter().map(String::as_str)).collect()
    }

    /// Where the entries of a shard are.
    pub(crate) fn entries(&self, number: usize) -> &str {
        &self.shards[number].keys[2]
    }

    pub(crate) fn register(&self, place: &Place) -> String {
        format!("{}:register:{}", self.shards[place.shard].start, place.name)
    }

    /// The channel of a queue's changes.
    pub(crate) fn queue_channel(&self, place: &Place) -> String {
        format!("{}:queue:{}", self.shards[place.shard].start, place.name)
    }

    /// The channel of what concerns this session's entries of a queue.
    pub(crate) fn near_channel(&self, place: &Place) -> String {
        format!("{}:near:{}:{}", self.shards[place.shard].start, self.session, place.name)
    }

    /// The channel of a register's changes, which is called as its key is.
    pub(crate) fn register_channel(&self, place: &Place) -> String {
        self.register(place)
    }
}

/// FNV-1a (64 bits), folded. It must never change: two clients that disagree do not meet.
fn shard_of(name: &str) -> usize {
    let hash = name.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    let folded = (hash >> 32) ^ hash;
    ((folded >> 16) ^ folded) as usize % SHARDS
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use leasehold_core::Kind;

    use super::*;

    #[test]
    fn a_namespace_has_one_hash_tag_and_a_name_one_shard() {
        let namespace = Namespace::parse("team/prod").unwrap();
        let keyspace = Keyspace::new(&namespace, "5e55");
        let path = |kind, name| KeyPath::new(&namespace, kind, name).unwrap();
        let place = keyspace.place(&path(Kind::Lock, "a/b"));
        assert_eq!(place.name, "locks/a%2Fb");
        assert_eq!(place.shard, keyspace.place(&path(Kind::Register, "a/b")).shard);
        let start = format!("{{team/prod}}:{:x}:", place.shard);
        let all = keyspace.shard(place.shard);
        assert!(all.iter().all(|key| key.starts_with(&start)), "{all:?}");
        assert!(keyspace.register(&place).starts_with(&start));
        assert!(keyspace.queue_channel(&place).starts_with(&start));
        assert_eq!(keyspace.all().len(), SHARDS * 6);
        assert_eq!(keyspace.all().iter().collect::<HashSet<_>>().len(), SHARDS * 6);
    }

    #[test]
    fn the_division_is_even_and_stays() {
        assert_eq!(["cache/users", "a", "b", "nightly"].map(shard_of), DIVISION);
        let mut counts = [0; SHARDS];
        (0..16_000).for_each(|number| counts[shard_of(&format!("order-{number}"))] += 1);
        assert!(counts.iter().all(|count| (800..1200).contains(count)), "{counts:?}");
    }

    /// What clients of earlier releases compute.
    const DIVISION: [usize; 4] = [6, 2, 11, 7];
}
