//! Where the ensemble is and who we are there.

use std::fmt;
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind};

/// The tick that is assumed where none is configured: ZooKeeper's own sample configuration has 2 s, its documentation 3 s.
const LARGEST_ASSUMED_TICK: Duration = Duration::from_secs(3);

/// How to reach a ZooKeeper ensemble.
///
/// ```
/// # use std::time::Duration;
/// use leasehold_zookeeper::ZooKeeperConfig;
/// let config = ZooKeeperConfig::new(["zk1:2181", "zk2:2181", "zk3:2181"])
///     .chroot("/apps")
///     .digest("locks", "secret")
///     .tick(Duration::from_secs(2));
/// assert!(!format!("{config:?}").contains("secret"));
/// ```
#[derive(Clone)]
pub struct ZooKeeperConfig {
    pub(crate) hosts: Vec<String>,
    pub(crate) chroot: Option<String>,
    pub(crate) digest: Option<Digest>,
    pub(crate) tick: Option<Duration>,
}

/// A user of ZooKeeper's digest scheme.
#[derive(Clone)]
pub(crate) struct Digest {
    user: String,
    password: String,
}

impl Digest {
    /// What the scheme is given.
    pub(crate) fn auth(&self) -> Vec<u8> {
        format!("{}:{}", self.user, self.password).into_bytes()
    }
}

impl ZooKeeperConfig {
    /// The servers of the ensemble as `host:port`; without a port, 2181.
    pub fn new(hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self { hosts: hosts.into_iter().map(Into::into).collect(), chroot: None, digest: None, tick: None }
    }

    /// Puts everything below this node, which has to exist already.
    #[must_use]
    pub fn chroot(mut self, path: impl Into<String>) -> Self {
        self.chroot = Some(path.into());
        self
    }

    /// Authenticates by the digest scheme. All nodes that are created then belong to this user alone.
    #[must_use]
    pub fn digest(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.digest = Some(Digest { user: user.into(), password: password.into() });
        self
    }

    /// The servers' `tickTime`, or anything longer.
    ///
    /// A session counts as renewed from about a tick before the last proof, so a shorter tick leaves more of the TTL to
    /// bridge an outage with; one that is shorter than the servers' is **unsafe**. Without it, the smaller of
    /// 3 s and half the granted TTL is assumed, which holds unless the servers' `minSessionTimeout` or `tickTime` was changed
    /// against the defaults (a server grants no TTL below two ticks).
    #[must_use]
    pub fn tick(mut self, tick: Duration) -> Self {
        self.tick = Some(tick);
        self
    }

    /// The connect string of the client crate.
    pub(crate) fn connect_string(&self) -> String {
        format!("{}{}", self.hosts.join(","), self.chroot.as_deref().unwrap_or_default())
    }

    pub(crate) fn check(&self) -> Result<(), BackendError> {
        let bad = |why: String| Err(BackendError::new(BackendErrorKind::InvalidConfig, why));
        if self.hosts.is_empty() {
            return bad("a ZooKeeper ensemble has at least one host".into());
        }
        if let Some(host) = self.hosts.iter().find(|host| !is_host(host)) {
            return bad(format!("{host:?} is not a ZooKeeper server: expected host:port"));
        }
        if let Some(chroot) = &self.chroot {
            let sound = chroot.strip_prefix('/').is_some_and(|path| {
                path.split('/').all(|s| !["", ".", ".."].contains(&s)) && !path.contains(['\0', ','])
            });
            if !sound {
                return bad(format!("{chroot:?} is not a chroot: expected an absolute path like /apps"));
            }
        }
        if self.digest.as_ref().is_some_and(|digest| digest.user.is_empty() || digest.user.contains(':')) {
            return bad("the user of the digest scheme is empty or holds a colon".into());
        }
        if self.tick.is_some_and(|tick| tick.is_zero()) {
            return bad("the tick is zero".into());
        }
        Ok(())
    }
}

fn is_host(text: &str) -> bool {
    // An IPv6 address stands in brackets, so a colon outside them begins the port.
    let (host, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, port))) => (address, port),
        Some(None) => return false,
        None => text.split_at(text.find(':').unwrap_or(text.len())),
    };
    let port_is_sound = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok_and(|port| port != 0));
    let foreign = |c: char| matches!(c, '/' | ',' | '@' | '[' | ']') || c.is_whitespace() || c.is_control();
    !host.is_empty() && !host.contains(foreign) && port_is_sound
}

/// The tick to count with.
pub(crate) fn tick(configured: Option<Duration>, ttl: Duration) -> Duration {
    configured.unwrap_or_else(|| LARGEST_ASSUMED_TICK.min(ttl / 2))
}

impl fmt::Debug for ZooKeeperConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ZooKeeperConfig")
            .field("hosts", &self.hosts)
            .field("chroot", &self.chroot)
            .field("digest_user", &self.digest.as_ref().map(|digest| &digest.user))
            .field("tick", &self.tick)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sound_and_unsound_configurations() {
        let check = |config: ZooKeeperConfig| config.check().map_err(|e| e.kind());
        for host in ["a", "a:2181", "127.0.0.1:1", "[::1]:2181", "[::1]"] {
            assert_eq!(check(ZooKeeperConfig::new([host])), Ok(()), "{host}");
        }
        for host in
            ["", ":2181", "a:", "a:0", "a:65536", "a:x", "a:1:2", "::1", "[::1", "a/b", "a,b", "u@a", "a b"]
        {
            assert_eq!(check(ZooKeeperConfig::new([host])), Err(BackendErrorKind::InvalidConfig), "{host}");
        }
        assert!(ZooKeeperConfig::new(Vec::<String>::new()).check().is_err());
        for chroot in ["/a", "/a/b"] {
            assert_eq!(check(ZooKeeperConfig::new(["a"]).chroot(chroot)), Ok(()), "{chroot}");
        }
        for chroot in ["", "a", "/", "/a/", "//a", "/a/../b", "/."] {
            assert!(ZooKeeperConfig::new(["a"]).chroot(chroot).check().is_err(), "{chroot}");
        }
        assert!(ZooKeeperConfig::new(["a"]).digest("a:b", "c").check().is_err());
        assert!(ZooKeeperConfig::new(["a"]).tick(Duration::ZERO).check().is_err());
        let config = ZooKeeperConfig::new(["a:1", "b"]).chroot("/c").digest("u", "hidden");
        assert_eq!(config.connect_string(), "a:1,b/c");
        assert!(format!("{config:?}").contains("\"u\"") && !format!("{config:?}").contains("hidden"));
    }

    #[test]
    fn the_assumed_tick_is_never_more_than_half_the_ttl() {
        let seconds = Duration::from_secs;
        assert_eq!(tick(None, seconds(10)), seconds(3));
        assert_eq!(tick(None, seconds(4)), seconds(2));
        assert_eq!(tick(Some(seconds(9)), seconds(4)), seconds(9));
    }
}
