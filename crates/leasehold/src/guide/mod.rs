//! The guide: what to know before a lock goes into production.
//!
//! | page | answers |
//! |---|---|
//! | [`choosing`] | which service to use, and when to use no lock |
//! | [`timeouts`] | how long is a TTL, and what are the other times |
//! | [`promises`] | what a lock can promise, and what no lock can |
//! | [`fencing`] | how to use the token |
//! | [`shutdown`] | signals, and what to do at the end of a process |
//! | [`kubernetes`] | the same in pods, and probes, limits, names |
//! | [`forking`] | what `fork` breaks |
//! | [`scaling`] | what a lock costs, and what many of them cost |
//! | [`migrating`] | from Curator, from Go's `concurrency`, from redis-py, and from one service to another |
//! | [`troubleshooting`] | each error: what it means, what to do |
//! | [`servers`] | versions of the services, and their known bugs |
//! | [`architecture`] | how it works inside |
//!
//! # Words
//!
//! A **service** is etcd, ZooKeeper or Redis; a **backend** is this library's connection to one. A [`Coordinator`](crate::Coordinator)
//! keeps one **session** there, which ends when the service does not hear of the process for a **TTL**. What is locked has a **name**.
//! Who wants it has an **entry** in the name's **queue**. Being first is a **grant**; what the application has of it is a
//! **guard**, and the time until its end is a **hold**. Every grant has a **fencing token**, a number higher than those of all grants
//! of that name before it.

pub mod architecture {
    //! How it works inside.
    //!
    //! <div>
    #![doc = include_str!("architecture.svg")]
    //! </div>
    //!
    #![doc = include_str!("architecture.md")]
}
pub mod choosing {
    #![doc = include_str!("choosing.md")]
}
pub mod fencing {
    #![doc = include_str!("fencing.md")]
}
pub mod forking {
    #![doc = include_str!("forking.md")]
}
pub mod kubernetes {
    #![doc = include_str!("kubernetes.md")]
}
pub mod migrating {
    #![doc = include_str!("migrating.md")]
}
pub mod promises {
    #![doc = include_str!("promises.md")]
}
pub mod scaling {
    #![doc = include_str!("scaling.md")]
}
pub mod servers {
    #![doc = include_str!("servers.md")]
}
pub mod shutdown {
    #![doc = include_str!("shutdown.md")]
}
pub mod timeouts {
    #![doc = include_str!("timeouts.md")]
}
pub mod troubleshooting {
    #![doc = include_str!("troubleshooting.md")]
}
