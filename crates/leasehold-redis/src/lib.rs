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
//! | **A clock jump.** Redis expires keys by the server's wall clock. If it is set forward by a TTL, every session is over at once, up to a TTL before its holder's own deadline ([more](#a-clock-that-is-set)). | two holders | let the server's clock be slewed, never stepped (`makestep` of chrony, `-x` of ntpd) |
//! | **An eviction policy.** A server that is short of memory and may evict keys evicts those of sessions first, since they expire. | two holders | `maxmemory-policy noeviction`; anything else together with `maxmemory` is refused unless [`RedisConfig::accept_eviction`] says so |
//!
//! So a lock here is a good way to *save work*, and no way to protect data by itself. **Fence at the resource**: hand
//! the fencing token to whatever the lock protects, with every read and write, and let it reject tokens lower than
//! the highest it has seen. That makes all three harmless as far as tokens rise, and they rise whatever happens
//! except for one case: the server has lost its counter *and* its clock was set back (or the promoted replica's clock
//! is behind), both since the last grant. `Capabilities` declares it: neither are the tokens durable nor is the
//! deadline safe. After a `FLUSHALL` or a restored backup, raise the coordinator's epoch.
//!
//! [`RedisBackend::inspect`] asks a server what it promises; the [`RedisReport`] is for health checks and for logs. What
//! is refused is refused when a session is opened, so see to it that replicas are set up as their primary is.
//!
//! # A clock that is set
//!
//! What a jump of the server's wall clock does, to a session with a TTL of its own:
//!
//! * **Forward, by what is left of the TTL or more.** The session is over at that moment, and the next who asks has its
//!   locks. Its holder is told by that grant, or at its next renewal, a third of the TTL later at most; one that cannot
//!   reach the server believes in its lock until its local deadline, which is within a TTL of its last renewal. So long
//!   there are two holders, and the fencing token of the second is the greater one. Sessions that wait are over as well: each
//!   learns it at its next renewal, and waits on behind whoever asks meanwhile, with another session.
//! * **Forward, by less.** A live session is as before from its next renewal on, unless that comes too late for what is left.
//! * **Back.** Nothing is given away early, and live sessions go on: a renewal sets the expiry by the clock as it is now.
//!   What a *dead* holder left is free as much later as the clock was set back, beyond its TTL; an administrator can release
//!   it by force. Handing over is by messages and takes no longer than ever.
//!
//! Tokens rise over all of it: a number is never below the shard's newest, whichever way the clock goes.
//!
//! # Failovers
//!
//! [`RedisConfig::sentinel`] takes a primary that sentinels watch. For every connection all sentinels are asked where it
//! is; what most of them say is believed, and only if the server says itself that it is a primary. A connection is
//! given up when the server says that it has become a replica, that it may not write without enough replicas
//! (`min-replicas-to-write`, which is what makes an old primary that was cut off step aside), or says nothing. Waiting
//! goes on over a failover. A session outlives it if it is over within the TTL, and a renewal with it; so give the TTL
//! more than `down-after-milliseconds` and some seconds.
//!
//! What a promoted replica had not been told yet is gone, and nothing can tell that it was ever there. This can be
//! lost or fall back, each by itself, up to what was answered in the last moments before the failover (and, where an old
//! primary is cut off with some clients, all that it answered since):
//!
//! * **Entries.** A holder whose entry is gone is told within a third of its TTL that its lock is lost, mostly at once,
//!   but another may hold it by then. A waiter whose entry is gone stands at the end of the queue again. An entry that was
//!   withdrawn can be back: whoever withdrew it within the last TTL removes it again as soon as it has reconnected, and if it
//!   cannot, the entry goes with its session.
//! * **Sessions.** One that is not known to the promoted replica is over, with all that it had, and its guards are lost
//!   for good, also if the old primary comes back. If its *resumption* is forgotten, the resumed one ends too.
//! * **Tokens.** They rise by the clocks, as above. The case where they do not, a promoted replica whose clock is behind
//!   the old primary's by more than the failover took, is the operator's: keep the clocks of all servers together, or
//!   raise the coordinator's epoch (`epoch=1` in its URL) after a failover, in all clients at once: every token of a
//!   greater epoch is above all of a lower one.
//! * **Registers.** A read can show an older version than somebody was told before, and a write on condition of that
//!   older version succeeds: the clause of the contract by which a read is as new as all that any session was told
//!   (`Session` 5) holds as long as one primary serves, over its restarts if it syncs every write, and not over a
//!   failover. While an old primary is cut off and still answers, its clients also read what is out of date. Whatever is
//!   decided by a register alone (that a job was done *once*, that a latch has opened) can be decided again. A wait for a
//!   version other than one that was lost ends with the next write.
//!
//! # In a cluster
//!
//! [`RedisConfig::cluster`] takes some nodes of a cluster. All keys of a namespace have one slot, so a coordinator
//! depends on that slot's primary and its replicas, and everything is as over one server, failovers included; several
//! namespaces are spread over the primaries by their names. Give the TTL more than `cluster-node-timeout` and some
//! seconds: the default of 15 s is longer than most TTLs.
//!
//! While the slot is moved to another node, nothing is done and nothing is lost: requests are tried again within their
//! time-out, and are `Unavailable` then. A session outlives it if it takes less than the TTL. What moves key by key must arrive
//! whole before the new node is asked, so a slot must not be left half moved, nor be given to a node without its keys.
//!
//! Messages are published as everywhere, and subscribed to at the primary itself. The nodes also tell each other of
//! every message, which costs the cluster one a node; sharded channels would not, but take Redis 7.
//!
//! # What is asked of the server
//!
//! Redis 6.0 or later, or what calls itself so (Valkey); a primary, or a cluster of them. Scripts, `INFO` and subscriptions must be allowed ([`RedisConfig::user`] lists the rights); the server needs
//! memory to spare, since a full one refuses renewals too, and locks are lost then.
//!
//! With the feature `tls` of this crate, `RedisConfig::tls` has all connections secured, those to sentinels and among a
//! cluster's nodes included. A server that is not known to be the right one, by its certificate, is told nothing.
//!
//! # Keys
//!
//! A namespace is divided by its names into 16 shards. All its keys have one hash tag, and those of a shard begin
//! with `{<namespace>}:<0…f>`:
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
//! Nothing stays that bears a lock's name. Changes of a queue are published on `…:queue:<kind>/<name>`, and what
//! concerns a session's entries of it, those next ahead of them included, on `…:near:<session>:<kind>/<name>`. What is in these keys and is not of our making is ignored, but members of a sorted set with a score of their own spoil its
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
//! up to date for all waiters of the session; a handoff is the release and its message. Mutexes and elections mind only whoever is
//! next ahead, and follow that alone: a release is told to one session, however many wait. The other recipes follow the whole queue, so
//! that each waiting session hears of every change. All subscriptions of a
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
mod departed;
mod dial;
mod endpoint;
mod error;
mod examination;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
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
mod scheme;
mod scripts;
mod session;
mod shared_key;
mod topology;
mod watchman;
mod wire;

pub use backend::RedisBackend;
pub use config::RedisConfig;
#[cfg(feature = "tls")]
pub use leasehold_tls::{Tls, TlsFault};
pub use report::RedisReport;
pub use scheme::RedisScheme;
pub use shared_key::{SharedKeyGuard, SharedKeyHolder, SharedKeyLock, SharedKeys, SharedKeysBuilder};
