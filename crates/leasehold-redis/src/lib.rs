//! The Redis backend of leasehold: scripts over keys that expire.
//!
//! # What a lock over Redis is worth
//!
//! One Redis server orders the contenders of a lock as well as any service does: first come, first served, and a dead
//! holder's place passes on within its TTL. But Redis does not promise to keep what it has answered. Three things can
//! give a lock away while its holder believes, with good reason, that it still holds it; none of them is seen by a
//! client:
//!
//! | what happens | what it breaks | what to do |
//! |---|---|---|
//! | **A failover.** Replication is asynchronous: a replica that is promoted may not know the newest entries, sessions and numbers. The same goes for a crash of a server that does not sync its append-only file at every write. | two holders; in the worst case tokens that do not rise | one server with `appendonly yes` and `appendfsync always` loses nothing in a crash; with replicas, `min-replicas-to-write` narrows the gap and does not close it |
//! | **A clock jump.** Redis expires keys by the server's wall clock. If it is set forward by a TTL, every session is over at once, up to a TTL before its holder's own deadline. | two holders | let the server's clock be slewed, never stepped (`makestep` of chrony, `-x` of ntpd) |
//! | **An eviction policy.** A server that is short of memory and may evict keys evicts those of sessions first, since they expire. | two holders | `maxmemory-policy noeviction`; anything else together with `maxmemory` is refused unless [`RedisConfig::accept_eviction`] says so |
//!
//! So a lock here is a good way to *save work*, and no way to protect data by itself. **Fence at the resource**: hand
//! the fencing token to whatever the lock protects, with every read and write, and let it reject tokens lower than
//! the highest it has seen. That makes all three harmless as far as tokens rise, and they rise whatever happens
//! except for one case: the server has lost its counter *and* its clock was set back (or the promoted replica's clock
//! is behind), both since the last grant. `Capabilities` declares it: neither are the tokens durable nor is the
//! deadline safe. After a `FLUSHALL` or a restored backup, raise the coordinator's epoch.
//!
//! [`RedisBackend::inspect`] asks a server what it promises; the [`RedisReport`] is for health checks and for logs.
//!
//! # What is asked of the server
//!
//! Redis 6.0 or later, or what calls itself so (Valkey); a primary; not a node of a cluster. There is no TLS.
//! Scripts, `INFO` and subscriptions must be allowed ([`RedisConfig::user`] lists the rights); the server needs
//! memory to spare, since a full one refuses renewals too, and locks are lost then.
//!
//! # Keys
//!
//! A namespace is divided by its names into 16 shards. The keys of a shard begin with one hash tag,
//! `{<namespace>/<0…f>}`, so that they could live in a cluster:
//!
//! | key | type | expires | holds |
//! |---|---|---|---|
//! | `…:session:<id>` | string | with its session | a session's secret and its incarnation |
//! | `…:sessions` | sorted set | with the last session | when each session runs out |
//! | `…:entries` | hash | with the last session | by attempt: order, version, session, mode, queue; tombstones by `!<attempt>` |
//! | `…:values` | hash | with the last session | by attempt: the value |
//! | `…:index` | sorted set | with the last session | `<kind>/<name>/<order>/<attempt>`, and what each session has, as `!<session>/…` |
//! | `…:seq` | string | never | the newest number of the shard |
//! | `…:register:<kind>/<name>` | hash | never | a register: version and value |
//!
//! Nothing stays that bears a lock's name. Changes of a queue are published on `…:queue:<kind>/<name>`. What is in
//! these keys and is not of our making is ignored, but members of a sorted set with a score of their own spoil its
//! order. To break a lock, use the library: entries that are deleted by hand are missed within a third of the TTL
//! only, since Redis tells nobody.
//!
//! The numbers, which order the entries and are the tokens' order, are the greater of the shard's newest plus one and
//! the server's clock in microseconds: they go on after a counter was lost.
//!
//! # What it costs
//!
//! An uncontended acquisition is one script, its release another. A queue that somebody waits in is mirrored: the
//! first waiter of a session subscribes to its changes and lists it once, and from then on the messages keep the copy
//! up to date for all waiters of the session; a handoff is the release and its message. All subscriptions of a
//! session share one connection, which exists only while there are such. A session is renewed by one script a third
//! of the TTL. Since Redis says nothing when a session runs out, whoever waits looks for it when it may have, by one
//! timer a session; whoever finds it removes what it had, and tells the others.
//!
//! A session's end, and its renewal, are atomic over all shards; a value is at most 1 MiB.
//!
//! # A key that is shared with Python
//!
//! [`SharedKeys`] are something else than all that: locks that are one key each, as redis-py's `Lock` makes them, for an
//! application whose other half is written in Python. They have no session, no queue and no fencing token.

mod backend;
mod config;
mod copies;
mod error;
mod followed;
mod hub;
mod identity;
mod keys;
mod link;
mod mirror;
mod queue;
mod records;
mod register;
mod renewal;
mod report;
mod scripts;
mod session;
mod shared_key;
mod waiters;
mod watchman;

pub use backend::RedisBackend;
pub use config::RedisConfig;
pub use report::RedisReport;
pub use shared_key::{SharedKeyGuard, SharedKeyLock, SharedKeys, SharedKeysBuilder};
