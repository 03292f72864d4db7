//! Reads the URLs that name a service.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::backend_error::{BackendError, BackendErrorKind};
use crate::builder::CoordinatorBuilder;
use crate::name::Namespace;
use crate::secret::Secret;

/// A service's URL: `scheme://[user[:password]@]host[:port][,host[:port]…][/namespace][?option=value&…]`. A backend may
/// take the first segment of the path for itself.
///
/// User, password and namespace are percent-decoded; an `@` of the namespace is written `%40`. Its `Debug` and `Display` show
/// neither a password nor the options. The password can also stand elsewhere: `password_file=PATH` and
/// `password_env=VARIABLE` are options of every service that has users.
///
/// ```
/// use leasehold_core::ServiceUrl;
///
/// let mut url = ServiceUrl::parse("Mine://me:pass%40word@a,b:7/team/prod?ttl=5s&tls=true").unwrap();
/// assert_eq!(url.scheme(), "mine");
/// assert_eq!(url.user_and_password().unwrap(), Some(("me", "pass@word")));
/// assert_eq!(url.hosts_with_port(4711).unwrap(), ["a:4711", "b:7"]);
/// assert_eq!(url.take_flag("tls").unwrap(), Some(true));
/// url.finish().unwrap(); // no option is left that nobody knows
/// assert_eq!(url.to_string(), "mine://me:…@a,b:7/team/prod");
/// ```
#[derive(Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    scheme: String,
    user: Option<String>,
    password: Option<String>,
    /// As they stand in the URL: the default port is the backend's to know.
    hosts: Vec<String>,
    /// What is left of the path, as it was written.
    path: String,
    ttl: Option<Duration>,
    connect_timeout: Option<Duration>,
    request_timeout: Option<Duration>,
    epoch: Option<u32>,
    /// Options that are the backend's own.
    others: Vec<(String, String)>,
}

impl ServiceUrl {
    /// Reads a URL.
    ///
    /// # Errors
    /// `InvalidConfig` that says which part is wrong, and never quotes the part that may hold a password.
    pub fn parse(text: &str) -> Result<Self, BackendError> {
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
        if holds_a_password(hosts, path, options) {
            return Err(invalid(
                "the URL has an @ behind its hosts; it is %40 there, and in a password / is %2F and ? is %3F",
            ));
        }
        let (user, password) = match user_info.map(|info| info.split_once(':').unwrap_or((info, ""))) {
            Some(("", "")) => return Err(invalid("the URL has an @ but no user before it")),
            Some((user, password)) => (text_of("user", user)?, text_of("password", password)?),
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

    fn set_option(&mut self, name: &str, value: String) -> Result<(), BackendError> {
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

    /// The scheme, in lower case.
    pub fn scheme(&self) -> &str {
        &self.scheme
    }

    /// The user, where there is one.
    pub fn user(&self) -> Option<&str> {
        self.user.as_deref()
    }

    /// The password, where there is one; it may stand without a user, as in `scheme://:password@host`.
    pub fn password(&self) -> Option<&str> {
        self.password.as_deref()
    }

    /// User and password for a service that knows no password without a user; without one it is empty.
    ///
    /// # Errors
    /// `InvalidConfig` if there is a password and no user.
    pub fn user_and_password(&self) -> Result<Option<(&str, &str)>, BackendError> {
        match (self.user(), self.password()) {
            (Some(user), password) => Ok(Some((user, password.unwrap_or_default()))),
            (None, Some(_)) => Err(invalid("the URL has a password but no user before it")),
            (None, None) => Ok(None),
        }
    }

    /// The option `ttl`, where it is given.
    pub fn ttl(&self) -> Option<Duration> {
        self.ttl
    }

    /// The option `connect_timeout`, where it is given.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    /// The option `request_timeout`, where it is given.
    pub fn request_timeout(&self) -> Option<Duration> {
        self.request_timeout
    }

    /// Takes the options `password_file` and `password_env`, and reads the password from there; from then on it is the URL's. Whoever
    /// parses a URL calls this before a backend is made.
    ///
    /// # Errors
    /// Those of [`Secret`]; `InvalidConfig` if there is more than one password.
    pub fn read_password(&mut self) -> Result<(), BackendError> {
        let Some(secret) = self.secret_elsewhere("password")? else { return Ok(()) };
        if self.password.is_some() {
            return Err(invalid("the URL has a password, and says where another one is"));
        }
        self.password = Some(secret.expose().to_owned());
        Ok(())
    }

    /// Takes a secret of the backend's own: the option `name`, or what the options `name_file` and `name_env` name.
    ///
    /// # Errors
    /// As [`read_password`](Self::read_password).
    pub fn take_secret(&mut self, name: &str) -> Result<Option<Secret>, BackendError> {
        match (self.take_option(name), self.secret_elsewhere(name)?) {
            (Some(_), Some(_)) => Err(invalid(format!("the URL says twice what {name} is"))),
            (here, elsewhere) => Ok(here.map(Secret::from).or(elsewhere)),
        }
    }

    fn secret_elsewhere(&mut self, name: &str) -> Result<Option<Secret>, BackendError> {
        match (self.take_option(&format!("{name}_file")), self.take_option(&format!("{name}_env"))) {
            (Some(_), Some(_)) => {
                Err(invalid(format!("the URL's options {name}_file and {name}_env exclude each other")))
            }
            (Some(path), None) => Secret::from_file(path).map(Some),
            (None, Some(variable)) => Secret::from_env(&variable).map(Some),
            (None, None) => Ok(None),
        }
    }

    /// The hosts as they stand in the URL; there may be none.
    pub fn hosts(&self) -> &[String] {
        &self.hosts
    }

    /// The hosts, each with a port.
    ///
    /// # Errors
    /// `InvalidConfig` if there is none, or one that is not `host`, `host:port`, `[v6]` or `[v6]:port`.
    pub fn hosts_with_port(&self, default: u16) -> Result<Vec<String>, BackendError> {
        if self.hosts.is_empty() {
            return Err(invalid(format!("the URL names no host; it reads {}://host:{default}", self.scheme)));
        }
        self.hosts.iter().map(|host| with_port(host, default)).collect()
    }

    /// The namespace, if there is one: the path without what was taken off it.
    ///
    /// # Errors
    /// `InvalidConfig` if it cannot be one.
    pub fn namespace(&self) -> Result<Option<Namespace>, BackendError> {
        let Some(path) = text_of("namespace", &self.path)? else { return Ok(None) };
        let namespace = Namespace::parse(&path);
        namespace
            .map(Some)
            .map_err(|error| invalid(format!("the URL's namespace {path:?} cannot be used: {error}")))
    }

    /// Takes the first segment off the path, which is called `what` and is empty if there is none.
    ///
    /// # Errors
    /// `InvalidConfig` if it is not UTF-8 after percent-decoding.
    pub fn take_segment(&mut self, what: &str) -> Result<String, BackendError> {
        let (first, rest) = self.path.split_once('/').unwrap_or((&self.path, ""));
        let first = decode(what, first)?;
        self.path = rest.to_owned();
        Ok(first)
    }

    /// Takes an option of the backend's own.
    pub fn take_option(&mut self, name: &str) -> Option<String> {
        let at = self.others.iter().position(|(other, _)| other == name)?;
        Some(self.others.remove(at).1)
    }

    /// Takes an option of the backend's own that is a duration such as `15s`.
    ///
    /// # Errors
    /// `InvalidConfig` if it is none.
    pub fn take_duration(&mut self, name: &str) -> Result<Option<Duration>, BackendError> {
        self.take_option(name).map(|value| duration(name, &value)).transpose()
    }

    /// Takes an option of the backend's own that says yes or no.
    ///
    /// # Errors
    /// `InvalidConfig` if it is neither `true` nor `false`.
    pub fn take_flag(&mut self, name: &str) -> Result<Option<bool>, BackendError> {
        let flag = |value: String| {
            value.parse().map_err(|_| invalid(format!("the URL's option {name} is true or false")))
        };
        self.take_option(name).map(flag).transpose()
    }

    /// Whoever reads the URL has taken what it knows.
    ///
    /// # Errors
    /// `InvalidConfig` if there are options that nobody took, or what is left of the path is no namespace.
    pub fn finish(&self) -> Result<(), BackendError> {
        self.namespace()?;
        match self.others.first() {
            Some((name, _)) => Err(invalid(format!("{}:// has no option {name:?}", self.scheme))),
            None => Ok(()),
        }
    }

    /// Sets a builder up with what is the coordinator's own: namespace, TTL, time-outs and epoch, as far as the URL gives them.
    ///
    /// # Errors
    /// As [`namespace`](Self::namespace).
    pub fn configure(&self, mut builder: CoordinatorBuilder) -> Result<CoordinatorBuilder, BackendError> {
        if let Some(namespace) = self.namespace()? {
            builder = builder.namespace(namespace);
        }
        if let Some(ttl) = self.ttl {
            builder = builder.ttl(ttl);
        }
        if let Some(timeout) = self.connect_timeout {
            builder = builder.connect_timeout(timeout);
        }
        if let Some(timeout) = self.request_timeout {
            builder = builder.request_timeout(timeout);
        }
        if let Some(epoch) = self.epoch {
            builder = builder.epoch(epoch);
        }
        Ok(builder)
    }
}

/// Whether what was read as hosts, path and options may be the rest of a password that should have been percent-encoded: then no error
/// may quote it.
fn holds_a_password(hosts: &str, path: &str, options: &str) -> bool {
    let name_of = |option: &str| option.split('=').next().is_some_and(|name| name.contains('@'));
    let are_none = || hosts.split(',').any(|host| !host.is_empty() && with_port(host, 1).is_err());
    path.contains('@') || options.split('&').any(name_of) || (options.contains('@') && are_none())
}

fn with_port(host: &str, default: u16) -> Result<String, BackendError> {
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
        if self.user.is_some() || self.password.is_some() {
            let user = self.user.as_deref().unwrap_or_default();
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

fn invalid(message: impl Into<String>) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidConfig, message)
}

/// A part of the URL, decoded, unless it is empty.
fn text_of(what: &str, text: &str) -> Result<Option<String>, BackendError> {
    if text.is_empty() { Ok(None) } else { decode(what, text).map(Some) }
}

fn decode(what: &str, text: &str) -> Result<String, BackendError> {
    match percent_decode_str(text).decode_utf8() {
        Ok(decoded) => Ok(decoded.into_owned()),
        Err(_) => Err(invalid(format!("the URL's {what} is not UTF-8 after percent-decoding"))),
    }
}

fn duration(name: &str, value: &str) -> Result<Duration, BackendError> {
    humantime::parse_duration(value).map_err(|_| {
        invalid(format!("the URL's option {name} takes a duration such as 15s or 500ms, not {value:?}"))
    })
}

#[cfg(test)]
mod tests;
