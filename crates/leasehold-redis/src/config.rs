//! Where Redis is, who we are there, and what is accepted of it.

use std::fmt;

use leasehold_core::{BackendError, BackendErrorKind};

/// Where Redis is, who we are there, and what is accepted of it.
///
/// ```
/// use leasehold_redis::{RedisBackend, RedisConfig};
///
/// let config = RedisConfig::new("10.0.0.1:6379").user("app", "secret");
/// assert!(!format!("{config:?}").contains("secret"));
/// let backend = RedisBackend::new(config)?;
/// # Ok::<(), leasehold_core::BackendError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct RedisConfig {
    endpoint: String,
    user: Option<(Option<String>, String)>,
    accept_eviction: bool,
}

impl RedisConfig {
    /// One server, as `host:port`; `[address]:port` for IPv6. With several, name the primary.
    pub fn new(endpoint: impl Into<String>) -> Self {
        Self { endpoint: endpoint.into(), user: None, accept_eviction: false }
    }

    /// A user of Redis's access control lists, and the password. It needs `+@read +@write +@scripting +@pubsub
    /// +@connection +time +info`, the keys `~{<namespace>/*` and the channels `&{<namespace>/*`.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((Some(name.into()), password.into()));
        self
    }

    /// The password of the default user (`requirepass`).
    pub fn password(mut self, password: impl Into<String>) -> Self {
        self.user = Some((None, password.into()));
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

    pub(crate) fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// Name and password.
    pub(crate) fn credentials(&self) -> Option<(Option<&str>, &str)> {
        self.user.as_ref().map(|(name, password)| (name.as_deref(), password.as_str()))
    }

    pub(crate) fn accepts_eviction(&self) -> bool {
        self.accept_eviction
    }

    /// Checks what can be checked without a connection. No endpoint that may hold a secret is repeated.
    pub(crate) fn validate(&self) -> Result<(), BackendError> {
        let invalid = |why: String| Err(BackendError::new(BackendErrorKind::InvalidConfig, why));
        if self.endpoint.contains('@') {
            return invalid("the endpoint of Redis holds a user's name; give it beside the endpoint".into());
        }
        if let Err(why) = check_endpoint(&self.endpoint) {
            return invalid(format!("{:?} is no endpoint of Redis: {why}", self.endpoint));
        }
        if self.user.as_ref().is_some_and(|(name, _)| name.as_deref() == Some("")) {
            return invalid("the name of Redis's user is empty".into());
        }
        Ok(())
    }
}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("endpoint", &self.endpoint)
            .field("user", &self.user.as_ref().map(|(name, _)| name.as_deref().unwrap_or("default")))
            .field("accept_eviction", &self.accept_eviction)
            .finish()
    }
}

fn check_endpoint(endpoint: &str) -> Result<(), &'static str> {
    let Some((host, port)) = endpoint.rsplit_once(':') else { return Err("the port is missing") };
    if !port.bytes().all(|b| b.is_ascii_digit()) || !port.parse::<u16>().is_ok_and(|port| port != 0) {
        return Err("the port is no number of 1 to 65535");
    }
    let in_brackets = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
    let sound = match in_brackets {
        Some(address) => address.parse::<std::net::Ipv6Addr>().is_ok(),
        None => {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !host.is_empty() && host.bytes().all(allowed)
        }
    };
    if sound { Ok(()) } else { Err("the host is neither a name nor an address; IPv6 goes into brackets") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn endpoints_are_checked_without_a_connection() {
        for good in ["localhost:6379", "10.0.0.1:6379", "[::1]:6379", "redis-0.redis.svc:1", "my_redis:65535"]
        {
            assert!(RedisConfig::new(good).validate().is_ok(), "{good}");
        }
        for bad in [
            "",
            "localhost",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            ":1",
            "::1:1",
            "a b:1",
            "redis://a:1",
            "a:1,b:2",
        ] {
            let error = RedisConfig::new(bad).validate().unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{bad}");
        }
        assert!(RedisConfig::new("a:1").user("", "x").validate().is_err());
        assert!(RedisConfig::new("a:1").password("x").validate().is_ok());
    }

    #[test]
    fn no_secret_is_shown() {
        for config in
            [RedisConfig::new("a:1").user("app", "hunter2"), RedisConfig::new("a:1").password("hunter2")]
        {
            assert!(!format!("{config:?}").contains("hunter2"));
        }
        let error = RedisConfig::new("app:hunter2@a:1").validate().unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
