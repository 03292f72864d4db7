//! The layouts of other programs' clients.

use std::fmt;
use std::str::FromStr;

use crate::name::Kind;

/// Another client's way to lay out a lock in a service.
///
/// The libraries of this list know nothing of ours. A lock that is shared with one of them lies at the path that the other program uses,
/// in the form that it expects: see [`Coordinator::at`](crate::Coordinator::at).
///
/// ```
/// use leasehold_core::WireProfile;
/// assert_eq!("etcd-v3".parse(), Ok(WireProfile::EtcdV3));
/// assert_eq!(WireProfile::Kazoo.to_string(), "kazoo");
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub enum WireProfile {
    /// etcd's own: Go's package `concurrency`, `etcdctl lock` and `elect`, and the server's lock and election calls.
    EtcdV3,
    /// ZooKeeper: Apache Curator's recipes.
    Curator,
    /// ZooKeeper: kazoo's recipes.
    Kazoo,
}

impl WireProfile {
    /// All of them.
    pub const ALL: [WireProfile; 3] = [WireProfile::EtcdV3, WireProfile::Curator, WireProfile::Kazoo];

    fn text(self) -> &'static str {
        match self {
            WireProfile::EtcdV3 => "etcd-v3",
            WireProfile::Curator => "curator",
            WireProfile::Kazoo => "kazoo",
        }
    }

    /// Whether that client's contenders for it enter the queue under a lock, one at a time.
    pub(crate) fn has_entrance(self, kind: Kind) -> bool {
        match self {
            WireProfile::EtcdV3 => false,
            WireProfile::Curator | WireProfile::Kazoo => kind == Kind::Semaphore,
        }
    }

    /// Why no lock of that client is at this path, if so.
    pub(crate) fn objection(self, path: &str) -> Option<&'static str> {
        match self {
            // Any key may be the prefix.
            WireProfile::EtcdV3 => None,
            WireProfile::Curator | WireProfile::Kazoo => {
                let Some(below) = path.strip_prefix('/') else {
                    return Some("a path of ZooKeeper begins with a slash");
                };
                if below.split('/').any(|segment| matches!(segment, "" | "." | "..")) {
                    return Some("a path of ZooKeeper has no segment that is empty, \".\" or \"..\"");
                }
                let is_its_own = below.split('/').next() == Some("zookeeper");
                is_its_own.then_some("what is below /zookeeper is ZooKeeper's own")
            }
        }
    }
}

impl fmt::Display for WireProfile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

/// The text is not that of a [`WireProfile`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a wire profile is etcd-v3, curator or kazoo")]
pub struct ParseWireProfileError;

impl FromStr for WireProfile {
    type Err = ParseWireProfileError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|profile| profile.text() == text).ok_or(ParseWireProfileError)
    }
}

/// How a queue at a verbatim path is laid out: what [`KeyPath::wire`](crate::KeyPath::wire) tells a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[non_exhaustive]
pub struct WireLayout {
    /// Whose layout.
    pub profile: WireProfile,
    /// What of it: the queue of a mutex is another one than that of a semaphore at the same path.
    pub kind: Kind,
    /// How many permits a semaphore has; the other client's entries do not say.
    pub limit: Option<u32>,
    /// Whether it is the lock under which that client's contenders enter the queue one by one, and not the queue itself.
    pub entrance: bool,
}

impl WireLayout {
    /// The layout of a queue without permits.
    pub const fn new(profile: WireProfile, kind: Kind) -> Self {
        Self { profile, kind, limit: None, entrance: false }
    }

    /// The same for a semaphore with so many permits.
    #[must_use]
    pub const fn with_limit(mut self, limit: u32) -> Self {
        self.limit = Some(limit);
        self
    }

    /// The lock at that queue's entrance.
    #[must_use]
    pub const fn at_entrance(mut self) -> Self {
        self.entrance = true;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_reads_back_and_nothing_else_is_accepted() {
        for profile in WireProfile::ALL {
            assert_eq!(profile.to_string().parse(), Ok(profile));
        }
        for bad in ["", "etcd", "Curator", "kazoo "] {
            assert_eq!(bad.parse::<WireProfile>(), Err(ParseWireProfileError), "{bad:?}");
        }
    }

    #[test]
    fn a_path_of_zookeeper_is_one_and_a_prefix_of_etcd_is_anything() {
        for profile in [WireProfile::Curator, WireProfile::Kazoo] {
            for good in ["/a", "/a/b", "/a b/ä", "/a/zookeeper", "/zookeepers"] {
                assert_eq!(profile.objection(good), None, "{good}");
            }
            for bad in ["a", "/", "/a/", "//a", "/a//b", "/a/./b", "/..", "/zookeeper", "/zookeeper/a"] {
                assert!(profile.objection(bad).is_some(), "{bad}");
            }
        }
        for good in ["a", "/", "/a/", "//a", ".."] {
            assert_eq!(WireProfile::EtcdV3.objection(good), None, "{good}");
        }
    }
}
