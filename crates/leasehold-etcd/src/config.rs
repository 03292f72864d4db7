//! Where etcd is, and who we are there.

use std::fmt;
use std::time::Duration;

use etcd_client::ConnectOptions;
use leasehold_core::{BackendError, BackendErrorKind, Secret};
#[cfg(feature = "tls")]
use leasehold_tls::Tls;

/// How often HTTP/2 pings look after a silent connection. etcd answers pings that come more often than
/// every 5 s with a disconnection.
const PING_INTERVAL: Duration = Duration::from_secs(6);
const PING_TIMEOUT: Duration = Duration::from_secs(4);

/// Where etcd is, and who we are there.
///
/// ```
/// use leasehold_etcd::{EtcdBackend, EtcdConfig};
///
/// let config = EtcdConfig::new(["10.0.0.1:2379", "10.0.0.2:2379"]).user("app", "secret");
/// assert!(!format!("{config:?}").contains("secret"));
/// let backend = EtcdBackend::new(config)?;
/// # Ok::<(), leasehold_core::BackendError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct EtcdConfig {
    endpoints: Vec<String>,
    user: Option<(String, Secret)>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl EtcdConfig {
    /// The members of the cluster, each as `host:port`, `http://host:port`, or, by TLS, `https://host:port`. Give several: requests are
    /// spread over those that answer.
    pub fn new(endpoints: impl IntoIterator<Item = impl Into<String>>) -> Self {
        Self {
            endpoints: endpoints.into_iter().map(Into::into).collect(),
            user: None,
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// The name and password of etcd's own user management. It needs to read and write all keys that begin with `<namespace>/`.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<Secret>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// Has all connections secured by TLS. A server that asks for a certificate takes its common name for our user, unless
    /// [`user`](Self::user) names one.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The settings of TLS, if connections are secured.
    #[cfg(feature = "tls")]
    pub(crate) fn secured(&self) -> Option<Tls> {
        let by_scheme = || self.endpoints.iter().any(|endpoint| endpoint.starts_with(SECURE));
        self.tls.clone().or_else(|| by_scheme().then(Tls::new))
    }

    pub(crate) fn endpoints(&self) -> &[String] {
        &self.endpoints
    }

    /// The same for each member by itself.
    pub(crate) fn one_by_one(&self) -> impl Iterator<Item = Self> {
        self.endpoints.iter().map(|endpoint| Self { endpoints: vec![endpoint.clone()], ..self.clone() })
    }

    /// Checks what can be checked without a connection. No endpoint that may hold a secret is repeated.
    pub(crate) fn validate(&self) -> Result<(), BackendError> {
        let invalid = |why: String| Err(BackendError::new(BackendErrorKind::InvalidConfig, why));
        if self.endpoints.is_empty() {
            return invalid("no endpoint of etcd is given".into());
        }
        for endpoint in &self.endpoints {
            if endpoint.contains('@') {
                return invalid(
                    "an endpoint of etcd holds a user's name; give it beside the endpoints".into(),
                );
            }
            if let Err(why) = check_endpoint(endpoint) {
                return invalid(format!("{endpoint:?} is no endpoint of etcd: {why}"));
            }
        }
        #[cfg(feature = "tls")]
        if let Some(plain) = self.endpoints.iter().find(|endpoint| endpoint.starts_with(PLAIN))
            && self.secured().is_some()
        {
            return invalid(format!("{plain:?} is not reached by TLS, as the others are to be"));
        }
        if self.user.as_ref().is_some_and(|(name, _)| name.is_empty()) {
            return invalid("the name of etcd's user is empty".into());
        }
        Ok(())
    }

    pub(crate) fn connect_options(
        &self,
        connect_timeout: Duration,
        request_timeout: Duration,
    ) -> ConnectOptions {
        let options = ConnectOptions::new()
            .with_require_leader(true)
            .with_auto_token_refresh(true)
            .with_keep_alive(PING_INTERVAL, PING_TIMEOUT)
            .with_keep_alive_while_idle(false)
            .with_timeout(request_timeout)
            // An endpoint that does not answer must leave time to try another one.
            .with_connect_timeout(connect_timeout.min(request_timeout) / 2);
        match &self.user {
            Some((name, password)) => options.with_user(name, password.expose()),
            None => options,
        }
    }
}

impl fmt::Debug for EtcdConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = f.debug_struct("EtcdConfig");
        shown.field("endpoints", &self.endpoints).field("user", &self.user.as_ref().map(|(name, _)| name));
        #[cfg(feature = "tls")]
        shown.field("tls", &self.tls);
        shown.finish()
    }
}

const PLAIN: &str = "http://";
const SECURE: &str = "https://";

fn authority(endpoint: &str) -> &str {
    endpoint.strip_prefix(PLAIN).or_else(|| endpoint.strip_prefix(SECURE)).unwrap_or(endpoint)
}

/// The parts of an endpoint, the host without brackets.
#[cfg(feature = "tls")]
pub(crate) fn host_and_port(endpoint: &str) -> Option<(&str, u16)> {
    let (host, port) = authority(endpoint).rsplit_once(':')?;
    let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
    Some((host, port.parse().ok()?))
}

fn check_endpoint(endpoint: &str) -> Result<(), &'static str> {
    if cfg!(not(feature = "tls")) && endpoint.starts_with(SECURE) {
        return Err("this build has no TLS: the feature etcd-tls brings it");
    }
    let authority = authority(endpoint);
    let Some((host, port)) = authority.rsplit_once(':') else { return Err("the port is missing") };
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
        for good in
            ["localhost:2379", "http://10.0.0.1:2379", "[::1]:2379", "etcd-0.etcd.svc:1", "my_etcd:65535"]
        {
            assert!(EtcdConfig::new([good]).validate().is_ok(), "{good}");
        }
        let bad = [
            "",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:+1",
            ":2379",
            "::1:2379",
            "a b:1",
            "http://a:1/x",
            "ftp://a:1",
            "a:1,b:2",
            "https://a",
        ];
        for bad in bad {
            let error = EtcdConfig::new([bad]).validate().unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{bad}");
        }
        assert!(EtcdConfig::new([""; 0]).validate().is_err());
        assert!(EtcdConfig::new(["a:1"]).user("", "x").validate().is_err());
    }

    #[test]
    fn what_is_reached_by_tls_is_said_once() {
        let valid = |endpoints: &[&str]| EtcdConfig::new(endpoints.iter().copied()).validate().is_ok();
        assert_eq!(valid(&["https://a:1", "b:1"]), cfg!(feature = "tls"));
        #[cfg(feature = "tls")]
        {
            assert!(!valid(&["https://a:1", "http://b:1"]));
            let plain = EtcdConfig::new(["http://a:1"]);
            assert!(plain.secured().is_none() && plain.tls(Tls::new()).validate().is_err());
            assert!(EtcdConfig::new(["https://a:1"]).secured().is_some());
            assert_eq!(host_and_port("https://[::1]:7"), Some(("::1", 7)));
            assert_eq!(host_and_port("a:1"), Some(("a", 1)));
        }
    }

    #[test]
    fn no_secret_is_shown() {
        let config = EtcdConfig::new(["a:1"]).user("app", "hunter2");
        assert!(!format!("{config:?}").contains("hunter2"));
        let error = EtcdConfig::new(["app:hunter2@a:1"]).validate().unwrap_err();
        assert!(!format!("{error:?}").contains("hunter2"), "{error:?}");
    }
}
