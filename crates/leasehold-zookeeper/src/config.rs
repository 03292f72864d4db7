//! Where the ensemble is and who we are there.

use std::fmt;
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Secret};
#[cfg(feature = "tls")]
use leasehold_tls::Tls;

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
    pub(crate) login: Option<Login>,
    pub(crate) sharing: Sharing,
    pub(crate) tick: Option<Duration>,
    #[cfg(feature = "tls")]
    pub(crate) tls: Option<Tls>,
}

/// Who we are, and how it is said.
#[derive(Clone)]
pub(crate) struct Login {
    pub(crate) by: LoginBy,
    pub(crate) user: String,
    pub(crate) password: Secret,
}

/// How a user is authenticated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoginBy {
    Digest,
    #[cfg(feature = "sasl")]
    Sasl,
}

/// Whose the nodes are, besides their creator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Sharing {
    /// These users', each a scheme and an id.
    With(Vec<(String, String)>),
    WithEverybody,
}

impl ZooKeeperConfig {
    /// The servers of the ensemble as `host:port`; without a port, 2181.
    pub fn new(hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            hosts: hosts.into_iter().map(Into::into).collect(),
            chroot: None,
            login: None,
            sharing: Sharing::With(Vec::new()),
            tick: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Puts everything below this node, which has to exist already.
    #[must_use]
    pub fn chroot(mut self, path: impl Into<String>) -> Self {
        self.chroot = Some(path.into());
        self
    }

    /// Authenticates by the digest scheme. All nodes that are created then belong to this user alone.
    ///
    /// The servers know no users of that scheme: whoever shows another password is another user, to whom the nodes of the first are
    /// closed. The password goes over the network as it is.
    #[must_use]
    pub fn digest(self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        let (by, user, password) = (LoginBy::Digest, user.into(), password.into());
        Self { login: Some(Login { by, user, password }), ..self }
    }

    /// Authenticates by SASL, with the mechanism DIGEST-MD5; the servers' JAAS file names the users. All nodes that are created then belong
    /// to this user alone. The password itself is not sent.
    #[cfg(feature = "sasl")]
    #[must_use]
    pub fn sasl(self, user: impl Into<String>, password: impl Into<Secret>) -> Self {
        let (by, user, password) = (LoginBy::Sasl, user.into(), password.into());
        Self { login: Some(Login { by, user, password }), ..self }
    }

    /// Has all connections secured by TLS. A server that asks for a certificate takes its subject for a user of the scheme `x509`;
    /// then all nodes that are created belong to this user, so programs that show different certificates have to
    /// [share](Self::share_with) them. The servers are known by their hosts, whatever [`Tls::server_name`] says.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Gives the nodes that are created from now on to one more user, by ZooKeeper's name for it: its scheme and its id, as
    /// `x509` and `CN=worker-2`, or `sasl` and `locks`. It has no effect on a session that does not say who it is.
    #[must_use]
    pub fn share_with(mut self, scheme: impl Into<String>, id: impl Into<String>) -> Self {
        if let Sharing::With(others) = &mut self.sharing {
            others.push((scheme.into(), id.into()));
        }
        self
    }

    /// Gives the nodes that are created from now on to everybody, although we say who we are.
    #[must_use]
    pub fn share_with_everybody(mut self) -> Self {
        self.sharing = Sharing::WithEverybody;
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

    /// Where it is, for people.
    pub(crate) fn endpoint(&self) -> String {
        self.prefixed("")
    }

    /// The connect string of the client crate.
    pub(crate) fn connect_string(&self) -> String {
        #[cfg(feature = "tls")]
        if self.tls.is_some() {
            return self.prefixed("tcp+tls://");
        }
        self.prefixed("")
    }

    fn prefixed(&self, prefix: &str) -> String {
        let hosts: Vec<_> = self.hosts.iter().map(|host| format!("{prefix}{host}")).collect();
        format!("{}{}", hosts.join(","), self.chroot.as_deref().unwrap_or_default())
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
        if let Some(login) = &self.login {
            login.check()?;
        }
        if let Sharing::With(others) = &self.sharing
            && let Some((scheme, id)) = others.iter().find(|(scheme, id)| scheme.is_empty() || id.is_empty())
        {
            return bad(format!("{scheme:?} and {id:?} are no scheme and id of a ZooKeeper user"));
        }
        if self.tick.is_some_and(|tick| tick.is_zero()) {
            return bad("the tick is zero".into());
        }
        Ok(())
    }
}

impl Login {
    fn check(&self) -> Result<(), BackendError> {
        let unsound = match self.by {
            LoginBy::Digest => self.user.contains(':'),
            // The client puts the name between quotation marks.
            #[cfg(feature = "sasl")]
            LoginBy::Sasl => self.user.contains(['"', '\\', ',']) || self.user.contains(char::is_control),
        };
        if self.user.is_empty() || unsound {
            return Err(invalid(
                "the name of ZooKeeper's user is empty, or holds what it cannot hold".into(),
            ));
        }
        Ok(())
    }
}

pub(crate) fn invalid(why: String) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidConfig, why)
}

/// The parts of a host that was checked, the address without brackets.
pub(crate) fn host_and_port(host: &str) -> (&str, u16) {
    let (name, port) = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) => (address, port),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    (name, port.strip_prefix(':').and_then(|port| port.parse().ok()).unwrap_or(DEFAULT_PORT))
}

const DEFAULT_PORT: u16 = 2181;

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
            .field("login", &self.login.as_ref().map(|login| (login.by, &login.user)))
            .field("sharing", &self.sharing)
            .field("tick", &self.tick)
            .finish_non_exhaustive()
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
        assert_eq!(
            ["a", "a:1", "[::1]", "[::1]:2"].map(host_and_port),
            [("a", 2181), ("a", 1), ("::1", 2181), ("::1", 2)]
        );
        let config = ZooKeeperConfig::new(["a:1", "b"]).chroot("/c").digest("u", "hidden");
        assert_eq!(config.connect_string(), "a:1,b/c");
        #[cfg(feature = "tls")]
        {
            let secure = config.clone().tls(Tls::new());
            assert_eq!(secure.connect_string(), "tcp+tls://a:1,tcp+tls://b/c");
            assert_eq!(secure.endpoint(), "a:1,b/c");
        }
        #[cfg(feature = "sasl")]
        for bad in ["", "a\"b", "a,b", "a\\"] {
            assert!(ZooKeeperConfig::new(["a"]).sasl(bad, "c").check().is_err(), "{bad}");
        }
        assert!(ZooKeeperConfig::new(["a"]).share_with("x509", "").check().is_err());
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
