//! The ZooKeeper backend of leasehold: ephemeral sequential nodes.
//!
//! Applications use the crate `leasehold`, by a URL such as `zookeeper://zk1:2181,zk2:2181/prod`. This crate is for who
//! composes a backend by hand, from a [`ZooKeeperConfig`] or over
//! [a client of its own](ZooKeeperBackend::from_client).
//!
//! # What it looks like at the service
//!
//! | what | node |
//! |---|---|
//! | a queue | `/<namespace>/<kind>/<name>`, a container: the server removes it some time after it has become empty |
//! | an entry | `<queue>/<attempt>-<mode>-<sequence>`, ephemeral and sequential; its data is the value |
//! | the same after a change of mode | `<queue>/<attempt>-<mode>-<first zxid>-<sequence>`, ephemeral |
//! | a register | `/<namespace>/<kind>/<name>`, persistent; its data is the value |
//! | whose a session is | `/<namespace>/!sessions/<id>`, ephemeral; its data is what resumes the session, and changes of it count the resumptions |
//! | beside it | `/<namespace>/!sessions/<id>!zxid`, ephemeral |
//!
//! Above these stand persistent nodes. Other children of such a queue are ignored. Over a
//! [client of the application's](ZooKeeperBackend::from_client) there is nothing below `!sessions`.
//!
//! # Whose the nodes are
//!
//! Where the session says who it is (a user of the digest scheme or of SASL, or the certificate that it shows over TLS) every node is
//! created for that user alone, and for those that it is [shared with](ZooKeeperConfig::share_with); otherwise for everybody, and then
//! everybody who reaches the servers can also resume sessions. What is missing *above* the namespace, or above a lock at a path of
//! another program, everybody may list and create in, so that `team/prod` does not lock others out of `team`; only its creator
//! may change it or remove nodes from it.
//!
//! Another user can neither list, read, release nor forge what is there. Three things ZooKeeper's access rights do not prevent. Whoever can
//! connect sees whether a node exists, and whose session it is of. And the servers make the password of a session from its number
//! alone, so whoever knows ZooKeeper's source can move a session to a connection of his own, and end it: the holder is told that its lock is
//! lost. And over SASL's DIGEST-MD5 the servers (3.8 was looked at) remember the name that logs in for all connections together, so that a name
//! which their JAAS file does not have gets in with the password of whoever logged in last, as a user of that name, to whom our nodes are
//! closed. Let nobody connect who is not to be trusted that far: by `ssl.clientAuth=need`, or `enforce.auth.enabled`.
//!
//! The digest scheme knows no wrong password: another password is another user. Over connections without TLS it is sent as it is; SASL
//! does not send it.
//!
//! With the feature `tls` of this crate, [`ZooKeeperConfig::tls`] has all connections secured. The client crate takes the process's provider of
//! cryptography (`rustls`), so a process without one gets that of the crate `ring` installed when it first connects. A server is known by
//! its host, since the client crate can ask for no other name. With a log at the level `debug`, the client crate (`zookeeper_client`) writes the
//! passwords of *sessions*, never those of users; whoever reads it can resume them.
//!
//! # Locks shared with Curator and kazoo
//!
//! By [`Coordinator::at`](leasehold_core::Coordinator::at) a lock lies where programs with another client have it, in its layout:
//!
//! | profile | recipe | the other client's | node |
//! |---|---|---|---|
//! | Curator | mutex | `InterProcessMutex` | `<path>/_c_<uuid>-lock-<sequence>` |
//! | Curator | read/write lock | `InterProcessReadWriteLock` | the same with `__READ__` or `__WRIT__` for `lock-` |
//! | Curator | semaphore | `InterProcessSemaphoreV2` | `<path>/leases/_c_<uuid>-lease-<sequence>`, made under a mutex in `<path>/locks` |
//! | Curator | election | `LeaderLatch` | `<path>/_c_<uuid>-latch-<sequence>` |
//! | kazoo | mutex | `Lock` | `<path>/<uuid>__lock__<sequence>` |
//! | kazoo | read/write lock | `ReadLock`, `WriteLock` | the same, with `__rlock__` for readers |
//! | kazoo | election | `Election` | as the mutex |
//!
//! Kazoo's directories are persistent, as kazoo makes them. Everything said here of tokens, order and liveness holds of our side; each
//! program believes as long as its own client does. Refused, with what was asked or found in the error, are:
//!
//! * a directory in which the clients would not exclude each other: with nodes of another client or recipe, or any other in Curator's, to which
//!   every child is a contender. It is looked at before and after the creation of an entry and at every look that may grant; what comes
//!   while the lock is held is for the directory's keeper to prevent. Kazoo's `extra_lock_patterns` are no way out: Curator puts kazoo's
//!   nodes where it likes;
//! * a directory whose sequence has run out, for then the other clients' order, which is that of the text, is not that of the creations,
//!   and two of kazoo's hold at once. It is refused from 16,777,216 numbers before the end on, so that it does not run out behind a node of
//!   ours. Nodes of theirs that have such numbers are waited for. A new directory begins at zero;
//! * downgrading, which would need a name that the other client does not make;
//! * proclaiming anew in Curator's election: its latch stops listening to the participant ahead when that one's data changes;
//! * more than one permit at once of Curator's semaphore, which takes them one by one and so can stand there with half of them; and
//!   kazoo's semaphore.
//!
//! Who waits for a permit of Curator's semaphore waits in `locks`, and has no node in `leases` until it is granted: Curator's own
//! contender, which waits with one, counts every other as a permit in use. The fencing token is of the node in `leases`. Curator's
//! semaphore may also have its limit from a `SharedCount`; ours has the one that it is given.
//!
//! # What is promised
//!
//! * **Tokens.** The order in a fencing token is the zxid that created the entry: it rises over everything, also when the
//!   queue's directory was removed in between. Only a restored backup takes it back (raise the epoch then).
//! * **Order.** First come, first served, in the order in which the service took the creations; also at the end of the
//!   sequence's 32 bits, where ZooKeeper's counter sticks. From there a look at the queue costs a request an entry,
//!   until the directory has been empty for long enough to be removed.
//! * **Liveness.** The local deadline counts from a `sync` that provably reached the leader, and never from pings, which a
//!   follower answers although its leader has given up on it. It relies on the servers' tick being no longer than
//!   [believed](ZooKeeperConfig::tick). Without an outage, a deadline is about a tick and a sixth of the TTL nearer than the TTL.
//! * **Registers.** A read is at least as new as all that anybody was answered before it began, but for the moment in which a leader
//!   that was deposed does not know it yet.
//! * **What is asked of the servers.** ZooKeeper 3.5 or later, with containers.
//!
//! * **Resumption.** Another process takes a session over by its credentials, in the same namespace. That takes ZooKeeper 3.6, and a
//!   loopback interface on the host of both, because the client crate gives and takes a session's password only in a handshake.
//!   Where there is none, sessions have no credentials. A resumption waits up to a quarter of a second for the earlier incarnation to
//!   leave. One that was cut off or stopped and comes back breaks the newer one's connection once, before it is told; requests of
//!   the newer one that are under way then are unavailable or indeterminate, and the session goes on.
//!
//! Not promised: a value is at most about 1 MB (the servers' `jute.maxbuffer`, if it was not lowered).
//!
//! # What an operation costs
//!
//! Entering a queue is a creation and a listing, sent one behind the other without waiting; leaving is a deletion. Every write is a
//! transaction, which checks that nobody has resumed the session. Who
//! waits has one one-shot watch, on the entry that it waits for, shared with whoever waits for the same in this
//! process. A handoff is the deletion and its event; the queue is listed again only if it was not listed within the last 50 ms.
//! Reading a register is a `sync` and a read, sent in the same way.
//! A session is one connection, which sends a `sync` a sixth of the TTL or a tick after the other, whichever is shorter, and
//! with it a look whether somebody has resumed the session. Closing a session takes one more connection.
//!
//! The client crate does not switch off Nagle's algorithm. It polls its socket and its requests in no particular order, so
//! that now and then the two requests go out as two writes, and the listing is held back until the creation is
//! answered. With the server's data on disk and two busy cores, the medians of 3,000 entries lay between 0.46 and 0.62 ms, and
//! between 0.44 and 0.57 ms with the remedy, which is one line upstream, in `connect_endpoint` of
//! `session/connection.rs` of zookeeper-client 0.11.2:
//!
//! ```diff
//! -        TcpStream::connect((endpoint.host, endpoint.port)).await.map(Connection::new_raw)
//! +        TcpStream::connect((endpoint.host, endpoint.port)).await.and_then(|s| s.set_nodelay(true).map(|()| Connection::new_raw(s)))
//! ```

mod access;
mod backend;
mod changes;
mod cleanup;
mod config;
mod ending;
mod examination;
mod failure;
mod fenced;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod incarnation;
mod layout;
mod ledger;
mod link;
mod listing;
mod mirror;
mod publishing;
mod queue;
mod register;
mod renewal;
mod renewal_window;
mod scheme;
#[cfg(feature = "tls")]
mod secured;
mod session;
mod version;
mod view;
mod waiting;
mod watches;

pub use backend::ZooKeeperBackend;
pub use config::ZooKeeperConfig;
#[cfg(feature = "tls")]
pub use leasehold_tls::{Tls, TlsFault};
pub use scheme::ZooKeeperScheme;
