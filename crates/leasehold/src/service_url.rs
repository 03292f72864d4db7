//! Reads the URLs that name a service.

use std::fmt;
use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Namespace};
use percent_encoding::percent_decode_str;

/// A service's URL: `scheme://[user[:password]@]host[:port][,host[:port]…][/namespace][?option=value&…]`. A backend
/// may take the first segment of the path for itself.
///
/// User, password and namespace are percent-decoded. Its `Debug` and `Display` show no password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServiceUrl {
    pub(crate) scheme: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// `host:port` each, the default port filled in by the backend's rule.
    pub(crate) hosts: Vec<String>,
    /// What is left of the path, as it was written.
    path: String,
    pub(crate) ttl: Option<Duration>,
    pub(crate) connect_timeout: Option<Duration>,
    pub(crate) request_timeout: Option<Duration>,
    pub(crate) epoch: Option<u32>,
    /// Options that are the backend's own.
    pub(crate) others: Vec<(String, String)>,
}

impl ServiceUrl {
    /// # Errors
    /// `InvalidConfig` that says which part is wrong, and never quotes the part that may hold a password.
    pub(crate) fn parse(text: &str) -> Result<Self, Error> {
        let (scheme, rest) = text
            .split_once("://")
            .ok_or_else(|| invalid("the URL has no scheme; it reads scheme://host:port/namespace"))?;
        if scheme.is_empty() || !scheme.bytes().all(|b| b.is_ascii_alphanumeric() || b"+-.".contains(&b)) {
            return Err(invalid("the URL's scheme is not a word of letters and digits"));
        }
        let (rest, options) = rest.split_once('?').unwrap_or((rest, ""));
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (user_info, hosts) = match authority.rsplit_once('@') {
            Some((user_info, hosts)) => (Some(user_info), hosts),
            None => (None, authority),
        };
        let (user, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, ""))) {
            // As everybody writes the password of Redis's default user.
            Some(("", password)) if is_redis(scheme) && !password.is_empty() => {
                (None, Some(decode("password", password)?))
            }
            Some(("", _)) => return Err(invalid("the URL has an @ but no user before it")),
            Some((user, "")) => (Some(decode("user", user)?), None),
            Some((user, password)) => (Some(decode("user", user)?), Some(decode("password", password)?)),
            None => (None, None),
        };
        let mut url = Self {
            scheme: scheme.to_ascii_lowercase(),
            user,
            password,
            hosts: hosts.split(',').filter(|host| !host.is_empty()).map(str::to_owned).collect(),
            path: path.trim_matches('/').to_owned(),
            ttl: None,
            connect_timeout: None,
            request_timeout: None,
            epoch: None,
            others: Vec::new(),
        };
        for pair in options.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            url.set_option(&decode("option", name)?, decode("option", value)?)?;
        }
        Ok(url)
    }

    fn set_option(&mut self, name: &str, value: String) -> Result<(), Error> {
        match name {
            "ttl" => self.ttl = Some(duration(name, &value)?),
            "connect_timeout" => self.connect_timeout = Some(duration(name, &value)?),
            "request_timeout" => self.request_timeout = Some(duration(name, &value)?),
            "epoch" => {
                let epoch =
                    value.parse().map_err(|_| invalid("the URL's option epoch takes a number below 2^32"))?;
                self.epoch = Some(epoch);
            }
            _ => self.others.push((name.to_owned(), value)),
        }
        Ok(())
    }

    /// The namespace, if there is one: the path without what was taken off it.
    pub(crate) fn namespace(&self) -> Result<Option<Namespace>, Error> {
        let path = decode("namespace", &self.path)?;
        if path.is_empty() {
            return Ok(None);
        }
        let namespace = Namespace::parse(&path);
        namespace
            .map(Some)
            .map_err(|error| invalid(format!("the URL's namespace {path:?} cannot be used: {error}")))
    }

    /// Takes the first segment off the path, which is called `what`, and is empty if there is none.
    #[cfg(feature = "redis")]
    pub(crate) fn take_segment(&mut self, what: &str) -> Result<String, Error> {
        let (first, rest) = self.path.split_once('/').unwrap_or((&self.path, ""));
        let first = decode(what, first)?;
        self.path = rest.to_owned();
        Ok(first)
    }

    /// Takes an option of the backend's own.
    #[cfg(feature = "redis")]
    pub(crate) fn take(&mut self, name: &str) -> Option<String> {
        let at = self.others.iter().position(|(other, _)| other == name)?;
        Some(self.others.swap_remove(at).1)
    }

    /// Takes an option of the backend's own.
    #[cfg(feature = "zookeeper")]
    pub(crate) fn take_duration(&mut self, name: &str) -> Result<Option<Duration>, Error> {
        match self.others.iter().position(|(other, _)| other == name) {
            Some(at) => duration(name, &self.others.swap_remove(at).1).map(Some),
            None => Ok(None),
        }
    }

    /// Takes an option of the backend's own that says yes or no.
    #[cfg(feature = "redis")]
    pub(crate) fn take_flag(&mut self, name: &str) -> Result<Option<bool>, Error> {
        match self.take(name).map(|value| value.parse()).transpose() {
            Ok(flag) => Ok(flag),
            Err(_) => Err(invalid(format!("the URL's option {name} is true or false"))),
        }
    }

    /// # Errors
    /// `InvalidConfig` if there are options that nobody took.
    pub(crate) fn finish(&self) -> Result<(), Error> {
        match self.others.first() {
            Some((name, _)) => Err(invalid(format!("{} has no option {name:?}", self.scheme))),
            None => Ok(()),
        }
    }

    /// The hosts, each with a port.
    ///
    /// # Errors
    /// `InvalidConfig` if there is none, or one that is not `host`, `host:port`, `[v6]` or `[v6]:port`.
    #[cfg(any(feature = "etcd", feature = "zookeeper", feature = "redis"))]
    pub(crate) fn hosts_with_port(&self, default: u16) -> Result<Vec<String>, Error> {
        if self.hosts.is_empty() {
            return Err(invalid(format!("the URL names no host; it reads {}://host:{default}", self.scheme)));
        }
        self.hosts.iter().map(|host| with_port(host, default)).collect()
    }
}

#[cfg(any(feature = "etcd", feature = "zookeeper", feature = "redis"))]
fn with_port(host: &str, default: u16) -> Result<String, Error> {
    let wrong = || invalid(format!("the URL's host {host:?} is not host, host:port or [address]:port"));
    let (name, port) = match host.rsplit_once(':') {
        _ if host.ends_with(']') => (host, None),
        Some((name, port)) => (name, Some(port)),
        None => (host, None),
    };
    let bracketed = name.starts_with('[') && name.ends_with(']') && name.len() > 2;
    let plain = !name.is_empty() && !name.contains([':', '[', ']']);
    let sound = |c: char| c.is_ascii_alphanumeric() || "-._:[]%".contains(c);
    if !(bracketed || plain) || !name.chars().all(sound) {
        return Err(wrong());
    }
    match port {
        None => Ok(format!("{name}:{default}")),
        Some(port) => match port.parse::<u16>() {
            Ok(number) if number > 0 && port.bytes().all(|b| b.is_ascii_digit()) => {
                Ok(format!("{name}:{number}"))
            }
            _ => Err(wrong()),
        },
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://", self.scheme)?;
        if let Some(user) = &self.user {
            write!(f, "{user}{}@", if self.password.is_some() { ":…" } else { "" })?;
        }
        write!(f, "{}", self.hosts.join(","))?;
        if self.path.is_empty() { Ok(()) } else { write!(f, "/{}", self.path) }
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceUrl({self})")
    }
}

/// Whether the scheme is Redis's, in one of its forms.
fn is_redis(scheme: &str) -> bool {
    let scheme = scheme.to_ascii_lowercase();
    matches!(scheme.split('+').next(), Some("redis" | "rediss"))
}

pub(crate) fn invalid(detail: impl Into<String>) -> Error {
    Error::new(ErrorKind::InvalidConfig, "connect", detail)
}

fn decode(what: &str, text: &str) -> Result<String, Error> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(invalid(format!("the URL's {what} is not UTF-8 after percent-decoding"))),
    }
}

fn duration(name: &str, value: &str) -> Result<Duration, Error> {
    humantime::parse_duration(value).map_err(|_| {
        invalid(format!("the URL's option {name} takes a duration such as 15s or 500ms, not {value:?}"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fails(url: &str) -> String {
        let error = ServiceUrl::parse(url).and_then(|url| url.namespace().and(url.finish())).expect_err(url);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
        error.to_string()
    }

    #[test]
    fn every_part_is_read() {
        let url =
            ServiceUrl::parse("ETCD://me%40x:p%3Aw%2F@a:1,b,[::1]:3/team/prod?ttl=500ms&epoch=7").unwrap();
        assert_eq!(url.scheme, "etcd");
        assert_eq!((url.user.as_deref(), url.password.as_deref()), (Some("me@x"), Some("p:w/")));
        assert_eq!(url.hosts, ["a:1", "b", "[::1]:3"]);
        assert_eq!(url.namespace().unwrap().unwrap().as_str(), "team/prod");
        assert_eq!((url.ttl, url.epoch), (Some(Duration::from_millis(500)), Some(7)));
        assert!(ServiceUrl::parse("memory://").unwrap().hosts.is_empty());
    }

    #[test]
    fn no_password_is_ever_shown() {
        let url = ServiceUrl::parse("etcd://me:secret@a/ns?ttl=1s").unwrap();
        assert_eq!(format!("{url} {url:?}"), "etcd://me:…@a/ns ServiceUrl(etcd://me:…@a/ns)");
        for bad in [
            "etcd://me:secret%FF@a",
            "etcd://:secret@a",
            "etcd:/me:secret@a",
            "e t://me:secret@a",
            "etcd://me:secret@a/a//b",
        ] {
            assert!(!fails(bad).contains("secret"), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(fails("localhost:2379").contains("scheme"));
        assert!(fails("etcd://a?ttl=fast").contains("ttl"));
        assert!(fails("etcd://a?epoch=-1").contains("epoch"));
        assert!(fails("etcd://a?tls=yes").contains("\"tls\""));
        assert!(fails("etcd://a/x%00").contains("namespace"));
    }

    #[cfg(feature = "redis")]
    #[test]
    fn a_segment_is_taken_off_the_namespace() {
        let taken = |url: &str| {
            let mut url = ServiceUrl::parse(url).unwrap();
            let first = url.take_segment("master").unwrap();
            (first, url.namespace().unwrap().map(|namespace| namespace.as_str().to_owned()))
        };
        assert_eq!(
            taken("redis+sentinel://a/my%2Fmaster/team/prod"),
            ("my/master".into(), Some("team/prod".into()))
        );
        assert_eq!(taken("redis+sentinel://:pw@a/m"), ("m".into(), None));
        assert_eq!(taken("REDISS+Sentinel://:pw@a"), (String::new(), None));
    }

    #[cfg(any(feature = "etcd", feature = "zookeeper", feature = "redis"))]
    #[test]
    fn hosts_get_their_port_or_an_error() {
        let hosts =
            |hosts: &str| ServiceUrl::parse(&format!("etcd://{hosts}")).unwrap().hosts_with_port(2379);
        assert_eq!(hosts("a,b:1,[::1],[::1]:7").unwrap(), ["a:2379", "b:1", "[::1]:2379", "[::1]:7"]);
        for bad in ["", ",", "a:", "a:0", "a:+1", "a:99999", "::1", "a:b:1", "[]:1", "a b", "a[0]:1"] {
            assert_eq!(hosts(bad).unwrap_err().kind(), ErrorKind::InvalidConfig, "{bad}");
        }
    }
}
