//! The etcd backend of leasehold.
//!
//! A session is a lease, an entry of a queue is a key attached to it, a fencing token's order is the entry's
//! `create_revision`. Needs etcd 3.4 or later.
//!
//! # Keys
//!
//! | key | value | lease | is |
//! |---|---|---|---|
//! | `<path>/<attempt>` | the mode's text, a line feed, the entry's value | the session's | an entry of the queue `<path>` |
//! | `<path>!<attempt>` | empty | the session's | a tombstone: this attempt was withdrawn while its enqueue was still on its way |
//! | `<path>` | the value | none | a register |
//! | `<namespace>/!sessions/<lease>` | a secret | the session's | what tells whose the session is, and who may resume it |
//!
//! Other keys below a queue's path are ignored.
//!
//! # Locks that are shared with other clients
//!
//! Mutexes and elections can lie at a path of a program that uses etcd's client in Go (its package `concurrency`), `etcdctl lock` or `elect`,
//! or the server's lock and election calls: [`Coordinator::at`](leasehold_core::Coordinator::at) with
//! [`WireProfile::EtcdV3`](leasehold_core::WireProfile::EtcdV3). Such a path `<path>` has
//!
//! | key | value | lease | is |
//! |---|---|---|---|
//! | `<path>/<lease>-<attempt>` | empty; in an election what is proclaimed | the session's | an entry of ours |
//! | `<path>/…` | any | any | an entry of another client, which makes `<path>/<lease>` |
//! | `<namespace>/!withdrawn/<attempt>` | empty | the session's | a tombstone |
//!
//! Those clients count *every* key below the path, in the order of creation, and so does this one: what lies deeper, or was put there by hand,
//! holds the lock. Nothing but entries is written there. The order of a fencing token is the `Rev` that the client in Go has of its own entries.
//! Looking for the entry of another session by its id lists the queue.
//!
//! # What it costs
//!
//! An uncontended acquisition is one transaction, its release another. A queue that somebody waits in is mirrored:
//! the first waiter of a session opens a watch over its keys and lists them once, and from then on the events keep the copy up to
//! date for all waiters of the session. All watches of a session share one stream, and one of them is over the session's own key.
//! A renewal, each third of the TTL, is one message over a stream and the read of that key.
//!
//! # What it promises
//!
//! etcd counts a lease from the arrival of the renewal, this crate from before its sending, so the
//! local deadline passes first; a change of etcd's leader only makes leases live longer. Two bugs of etcd break
//! this from the server's side, and only a fence at the resource helps against them: a former leader that revokes leases
//! which were renewed at the new one (etcd issue 15247, fixed in 3.4.31 and 3.5.13), and a renewal that succeeds although the
//! lease was revoked (issue 20590, fixed in 3.4.38, 3.5.23 and 3.6.5). In the second case the watch on the own
//! entry still tells the holder. Tokens rise as long as the store's revision does, that is unless a snapshot is
//! restored without `--bump-revision`; raise the epoch then.
//!
//! # Users and TLS
//!
//! With etcd's authentication enabled, a user needs to read and write the keys that begin with `<namespace>/`, and nothing else; who
//! has no such role can neither see, take, release nor forge what is there. An expired token is replaced, for requests and for the
//! stream of watches alike. A session whose user loses the right to its namespace ends at its local deadline.
//!
//! A session can be resumed with its credentials by another process that uses the same namespace. Whoever reads the session's
//! key learns them, so a role that only reads the namespace sees them; to resume takes the right to write too. What etcd's roles do not
//! prevent: any user that can connect may prolong any lease whose number it guesses, so that what a dead process held stays held.
//!
//! With the feature `tls` of this crate, [`EtcdConfig::tls`] has all connections secured, by TLS 1.2 or later. A server that is not known to
//! be the right one by its certificate is told nothing. A server that asks for a certificate of ours takes its common name for the user,
//! if no other is named.
//!
//! # Building
//!
//! The client crate compiles etcd's protocol files, which takes `protoc` (Debian: `protobuf-compiler`).

mod backend;
mod config;
mod enqueue;
mod error;
mod examination;
#[cfg(any(test, feature = "fuzzing"))]
#[doc(hidden)]
pub mod fuzzing;
mod hub;
mod incarnation;
mod keys;
mod layout;
mod lease;
mod link;
mod listing;
mod mirror;
mod queue;
mod register;
mod scheme;
#[cfg(feature = "tls")]
mod secured;
mod session;

pub use backend::EtcdBackend;
pub use config::EtcdConfig;
#[cfg(feature = "tls")]
pub use leasehold_tls::{Tls, TlsFault};
pub use scheme::EtcdScheme;
