//! Where Redis is, who we are there, and what is accepted of it.

use std::collections::BTreeMap;
use std::fmt;

use leasehold_core::{BackendError, BackendErrorKind, Secret};
#[cfg(feature = "tls")]
use leasehold_tls::Tls;

use crate::endpoint;

/// Where Redis is, who we are there, and what is accepted of it.
///
/// ```
/// use leasehold_redis::{RedisBackend, RedisConfig};
///
/// let config = RedisConfig::new("10.0.0.1:6379").user("app", "secret");
/// assert!(!format!("{config:?}").contains("secret"));
/// let backend = RedisBackend::new(config)?;
///
/// let watched = RedisConfig::sentinel("mymaster", ["10.0.0.1:26379", "10.0.0.2:26379", "10.0.0.3:26379"]);
/// let backend = RedisBackend::new(watched.password("of the servers").sentinel_password("of the sentinels"))?;
///
/// let cluster = RedisConfig::cluster(["10.0.0.1:6379", "10.0.0.2:6379"]);
/// let backend = RedisBackend::new(cluster)?;
/// # Ok::<(), leasehold_core::BackendError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct RedisConfig {
    servers: Servers,
    user: Option<User>,
    accept_eviction: bool,
    reached_at: BTreeMap<String, String>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

/// Which servers there are, and so how the primary is found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Servers {
    Single(String),
    Sentinel { master: String, sentinels: Vec<String>, user: Option<User> },
    Cluster(Vec<String>),
}

/// A user, or the default one, and the password. `Debug` shows the name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct User {
    pub(crate) name: Option<String>,
    pub(crate) password: Secret,
}

impl fmt::Debug for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name.as_deref().unwrap_or("default"))
    }
}

impl RedisConfig {
    /// One server, as `host:port`; `[address]:port` for IPv6.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self::of(Servers::Single(endpoint.into()))
    }

    /// The primary that sentinels watch by the name `master`, and these sentinels, as `host:port` each. Whenever a
    /// connection is made, they are asked where the primary is, and the server is asked whether it is one.
    pub fn sentinel(
        master: impl Into<String>,
        sentinels: impl IntoIterator<Item = impl Into<String>>,
    ) -> Self {
        let sentinels = sentinels.into_iter().map(Into::into).collect();
        Self::of(Servers::Sentinel { master: master.into(), sentinels, user: None })
    }

    /// A cluster, and some of its nodes, as `host:port` each; they tell of the others. All keys of a namespace are on
    /// the primary of one slot, and that is where sessions connect.
    pub fn cluster(nodes: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self::of(Servers::Cluster(nodes.into_iter().map(Into::into).collect()))
    }

    fn of(servers: Servers) -> Self {
        Self {
            servers,
            user: None,
            accept_eviction: false,
            reached_at: BTreeMap::new(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// A user of Redis's access control lists, and the password. It needs `+@read +@write +@scripting +@pubsub
    /// +@connection -@dangerous +time +info`, in a cluster also `+cluster|slots`, the keys `~{<namespace>}:*` and the channels
    /// `&{<namespace>}:*`. Without `-@dangerous`, which has to stand behind the others, the users of one server can flush it and end each
    /// other's connections. The names of all keys can be seen by any of them.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.user = Some(User { name: Some(name.into()), password: password.into() });
        self
    }

    /// The password of the default user (`requirepass`).
    pub fn password(mut self, password: impl Into<Secret>) -> Self {
        self.user = Some(User { name: None, password: password.into() });
        self
    }

    /// A user of the sentinels themselves, and the password. It needs `+sentinel|get-master-addr-by-name`. The one of
    /// the servers is not shown to sentinels. Without sentinels this is ignored.
    pub fn sentinel_user(self, name: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.known_to_sentinels(Some(name.into()), password.into())
    }

    /// The password of the sentinels' default user. Without sentinels this is ignored.
    pub fn sentinel_password(self, password: impl Into<Secret>) -> Self {
        self.known_to_sentinels(None, password.into())
    }

    fn known_to_sentinels(mut self, name: Option<String>, password: Secret) -> Self {
        if let Servers::Sentinel { user, .. } = &mut self.servers {
            *user = Some(User { name, password });
        }
        self
    }

    /// The server that sentinels or a cluster's nodes tell of as `told` is reached at `at`, both `host:port`: behind
    /// an address translation, servers know other addresses of each other than we can use.
    pub fn reach(mut self, told: impl Into<String>, at: impl Into<String>) -> Self {
        self.reached_at.insert(told.into(), at.into());
        self
    }

    /// Has all connections secured by TLS, those to sentinels included.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Whether to use a server that may evict our keys: one with `maxmemory` and a `maxmemory-policy` other than
    /// `noeviction`. Unless this says so, sessions are not opened there. If the server evicts the key of a session, a
    /// lock is given away while its holder believes to hold it; if it evicts a counter, only the server's clock keeps
    /// tokens rising.
    pub fn accept_eviction(mut self, accept: bool) -> Self {
        self.accept_eviction = accept;
        self
    }

    /// What is called Redis in errors: where it is, or how it is found.
    pub(crate) fn endpoint(&self) -> String {
        match &self.servers {
            Servers::Single(endpoint) => endpoint.clone(),
            Servers::Sentinel { master, sentinels, .. } => format!("{master} of {}", sentinels.join(",")),
            Servers::Cluster(nodes) => nodes.join(","),
        }
    }

    pub(crate) fn servers(&self) -> &Servers {
        &self.servers
    }

    pub(crate) fn credentials(&self) -> Option<&User> {
        self.user.as_ref()
    }

    #[cfg(feature = "tls")]
    pub(crate) fn secured(&self) -> Option<&Tls> {
        self.tls.as_ref()
    }

    pub(crate) fn accepts_eviction(&self) -> bool {
        self.accept_eviction
    }

    /// Where a server is reached that is said to be there.
    pub(crate) fn reached_at<'a>(&'a self, told: &'a str) -> &'a str {
        self.reached_at.get(told).map_or(told, String::as_str)
    }

    /// As this one, for one of its servers.
    pub(crate) fn only(&self, endpoint: String) -> Self {
        Self { servers: Servers::Single(endpoint), ..self.clone() }
    }

    /// Checks what can be checked without a connection.
    pub(crate) fn validate(&self) -> Result<(), BackendError> {
        let invalid = |why: &str| Err(BackendError::new(BackendErrorKind::InvalidConfig, why));
        let (what, endpoints) = match &self.servers {
            Servers::Single(endpoint) => ("Redis", std::slice::from_ref(endpoint)),
            Servers::Sentinel { master, .. } if master.is_empty() => {
                return invalid("the name by which sentinels watch the primary is empty");
            }
            Servers::Sentinel { sentinels, .. } => ("a sentinel", &sentinels[..]),
            Servers::Cluster(nodes) => ("a node of Redis", &nodes[..]),
        };
        if endpoints.is_empty() {
            return invalid("there is no endpoint to ask where the primary is");
        }
        endpoints.iter().try_for_each(|one| endpoint::check(what, one))?;
        for one in self.reached_at.iter().flat_map(|(told, at)| [told, at]) {
            endpoint::check("Redis", one)?;
        }
        let sentinel_user = match &self.servers {
            Servers::Sentinel { user, .. } => user.as_ref(),
            _ => None,
        };
        let mut users = self.user.iter().chain(sentinel_user);
        if users.any(|user| user.name.as_deref() == Some("")) {
            return invalid("the name of Redis's user is empty");
        }
        Ok(())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("RedisConfig");
        shown
            .field("servers", &self.servers)
            .field("user", &self.user)
            .field("accept_eviction", &self.accept_eviction)
            .field("reached_at", &self.reached_at);
        #[cfg(feature = "tls")]
        shown.field("tls", &self.tls);
        shown.finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(config: RedisConfig) -> BackendError {
        let error = config.validate().unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{config:?}");
        error
    }

    #[test]
    fn what_cannot_work_is_refused_without_a_connection() {
        let none: [&str; 0] = [];
        for config in [
            RedisConfig::new("a"),
            RedisConfig::new("a:1").user("", "x"),
            RedisConfig::sentinel("", ["a:1"]),
            RedisConfig::sentinel("m", none),
            RedisConfig::sentinel("m", ["a:1", "b"]),
            RedisConfig::sentinel("m", ["a:1"]).sentinel_user("", "x"),
            RedisConfig::cluster(none),
            RedisConfig::cluster(["a:1", "b:0"]),
            RedisConfig::cluster(["a:1"]).reach("a:1", "b"),
            RedisConfig::cluster(["a:1"]).reach("a", "b:1"),
        ] {
            refused(config);
        }
        for config in [
            RedisConfig::new("a:1").password("x"),
            RedisConfig::sentinel("m", ["a:1", "b:1"]).sentinel_password("x"),
            RedisConfig::cluster(["a:1", "[::1]:1"]).reach("a:1", "b:1"),
        ] {
            config.validate().unwrap();
        }
    }

    #[test]
    fn no_secret_is_shown() {
        for config in [
            RedisConfig::new("a:1").user("app", "hunter2"),
            RedisConfig::new("a:1").password("hunter2"),
            RedisConfig::sentinel("m", ["a:1"]).sentinel_user("me", "hunter2"),
            RedisConfig::sentinel("m", ["a:1"]).sentinel_password("hunter2"),
        ] {
            assert!(!format!("{config:?} {}", config.endpoint()).contains("hunter2"));
        }
        let error = refused(RedisConfig::new("app:hunter2@a:1"));
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
