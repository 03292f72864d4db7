//! Where PostgreSQL is, who we are there, and what is believed of it.

use std::fmt;

use leasehold_core::{BackendError, BackendErrorKind};
use tokio_postgres::Config;
use tokio_postgres::config::{SslMode, TargetSessionAttrs};

const DEFAULT_PORT: u16 = 5432;

/// Where PostgreSQL is, who we are there, and what is believed of it.
///
/// ```
/// use leasehold_postgres::{PostgresBackend, PostgresConfig};
///
/// let config = PostgresConfig::new(["10.0.0.1:5432", "10.0.0.2"]).user("app", "secret").database("locks");
/// assert!(!format!("{config:?}").contains("secret"));
/// let backend = PostgresBackend::new(config)?;
/// # Ok::<(), leasehold_core::BackendError>(())
/// ```
#[derive(Clone, PartialEq, Eq)]
#[must_use]
pub struct PostgresConfig {
    hosts: Vec<String>,
    user: Option<(String, String)>,
    database: Option<String>,
    synchronous_replicas: bool,
}

impl PostgresConfig {
    /// The hosts of one cluster, each `host`, `host:port`, `[v6]` or `[v6]:port`. The one that takes writes is sought.
    pub fn new(hosts: impl IntoIterator<Item = impl Into<String>>) -> Self {
        let hosts = hosts.into_iter().map(Into::into).collect();
        Self { hosts, user: None, database: None, synchronous_replicas: false }
    }

    /// Who we are. Without it, the user of the operating system without a password.
    pub fn user(mut self, name: impl Into<String>, password: impl Into<String>) -> Self {
        self.user = Some((name.into(), password.into()));
        self
    }

    /// The database. Without it, the one that is called as the user.
    pub fn database(mut self, name: impl Into<String>) -> Self {
        self.database = Some(name.into());
        self
    }

    /// Whether whoever may be promoted has confirmed every commit (`synchronous_standby_names`). Only then are tokens declared durable; a
    /// server that waits for no replica is refused then.
    pub fn synchronous_replicas(mut self, promised: bool) -> Self {
        self.synchronous_replicas = promised;
        self
    }

    pub(crate) fn has_synchronous_replicas(&self) -> bool {
        self.synchronous_replicas
    }

    /// What is called PostgreSQL in errors.
    pub(crate) fn endpoint(&self) -> String {
        self.hosts.join(",")
    }

    /// As the client takes it.
    pub(crate) fn client(&self) -> Result<Config, BackendError> {
        let mut config = Config::new();
        if self.hosts.is_empty() {
            return Err(invalid("there is no host of PostgreSQL to connect to".to_owned()));
        }
        for host in &self.hosts {
            let (name, port) = split(host)
                .ok_or_else(|| invalid(format!("{host:?} is no host of PostgreSQL, nor host:port")))?;
            config.host(name).port(port);
        }
        if let Some((name, password)) = &self.user {
            config.user(name);
            if !password.is_empty() {
                config.password(password);
            }
        }
        if let Some(database) = &self.database {
            config.dbname(database);
        }
        config
            .application_name("leasehold")
            .ssl_mode(SslMode::Disable)
            .target_session_attrs(TargetSessionAttrs::ReadWrite);
        Ok(config)
    }
}

fn invalid(message: String) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidConfig, message)
}

/// Host and port.
fn split(host: &str) -> Option<(&str, u16)> {
    let (name, port) = match host.strip_prefix('[') {
        Some(rest) => {
            let (name, port) = rest.split_once(']')?;
            (name, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
        }
        None => match host.split_once(':') {
            Some((name, port)) => (name, Some(port)),
            None => (host, None),
        },
    };
    // The client takes a path for a socket's.
    if name.is_empty() || name.contains(['/', '@', ' ']) {
        return None;
    }
    Some((name, port.map_or(Some(DEFAULT_PORT), |port| port.parse().ok().filter(|port| *port > 0))?))
}

impl fmt::Debug for PostgresConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PostgresConfig")
            .field("hosts", &self.hosts)
            .field("user", &self.user.as_ref().map(|(name, _)| name))
            .field("database", &self.database)
            .field("synchronous_replicas", &self.synchronous_replicas)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_read() {
        for (host, read) in [
            ("db", Some(("db", 5432))),
            ("db:1", Some(("db", 1))),
            ("[::1]:7", Some(("::1", 7))),
            ("[::1]", Some(("::1", 5432))),
            ("", None),
            (":1", None),
            ("db:", None),
            ("db:0", None),
            ("db:x", None),
            ("[::1", None),
            ("[::1]7", None),
            ("/run/postgresql", None),
            ("me:secret@db", None),
        ] {
            assert_eq!(split(host), read, "{host}");
        }
    }

    #[test]
    fn nothing_shows_the_password() {
        let config = PostgresConfig::new(["db"]).user("me", "hush").database("app");
        assert!(format!("{config:?}").contains("me") && !format!("{config:?}").contains("hush"));
        assert!(!format!("{:?}", config.client().unwrap()).contains("hush"));
    }

    #[test]
    fn without_a_sound_host_there_is_no_configuration() {
        for hosts in [vec![], vec!["db", "no host"]] {
            let refused = PostgresConfig::new(hosts).client().unwrap_err();
            assert_eq!(refused.kind(), BackendErrorKind::InvalidConfig);
        }
    }
}
