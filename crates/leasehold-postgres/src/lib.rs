//! A PostgreSQL backend of leasehold: a table of leases that tells of its changes by `NOTIFY`.
//!
//! It is written as a third party would write it, by the guide in `leasehold_testkit::guide` and its public means alone, and stands in this workspace
//! as the guide's proof. So the facade has no feature for it: an application adds [`PostgresScheme`] to its `leasehold::Connector`.
//!
//! ```no_run
//! # async fn example() -> Result<(), leasehold::Error> {
//! let connector = leasehold::Connector::new().with_scheme(leasehold_postgres::PostgresScheme)?;
//! let coordinator = connector.connect("postgres://app:secret@db/prod?database=app").await?;
//! # Ok(()) }
//! ```
//!
//! # What a lock over PostgreSQL is worth
//!
//! | what happens | what it breaks | what to do |
//! |---|---|---|
//! | **A failover to an asynchronous replica.** It may not know the newest sessions, entries and numbers. | two holders; tokens that do not rise | synchronous replicas, of which alone one is ever promoted, and [`PostgresConfig::synchronous_replicas`]; without them, raise the coordinator's epoch after a failover |
//! | **A clock jump.** The server's wall clock decides when a session is over. If it is set forward by a TTL, every session is over at once, before its holder's own deadline. | two holders | let the server's clock be slewed, never stepped |
//! | **A restored backup.** | as a failover | raise the coordinator's epoch |
//!
//! One server keeps over a crash what it has answered: one whose `fsync` or `full_page_writes` is off is refused. **Fence at the resource** all the same: hand
//! the fencing token to whatever the lock protects, and let it reject tokens lower than the highest it has seen.
//!
//! # What is asked of the server
//!
//! PostgreSQL 12 or later, connections of the session's own (no pooler that hands them out by the transaction), and the layout, `src/layout.sql`, in the database. If it is
//! missing, the first session makes it, for which its user needs the right to create a schema.
//!
//! There is no TLS yet: a URL that asks for it (`sslmode=require`) is refused.

mod backend;
mod config;
mod error;
mod hub;
mod identity;
mod layout;
mod link;
mod queue;
mod records;
mod register;
mod renewal;
mod scheme;
mod session;
mod source;
mod watchman;

pub use backend::PostgresBackend;
pub use config::PostgresConfig;
pub use scheme::PostgresScheme;
