//! Reads the URLs that name a service.

use std::fmt;
use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::backend_error::{BackendError, BackendErrorKind};
use crate::builder::CoordinatorBuilder;
use crate::name::Namespace;

/// A service's URL: `scheme://[user[:password]@]host[:port][,host[:port]…][/namespace][?option=value&…]`. A backend may
/// take the first segment of the path for itself.
///
/// User, password and namespace are percent-decoded. Its `Debug` and `Display` show neither a password nor the options.
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
mod tests {
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn fails(url: &str) -> String {
        let error = ServiceUrl::parse(url).and_then(|url| url.finish()).expect_err(url);
        assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{url}");
        error.to_string()
    }

    #[test]
    fn every_part_is_read() {
        let url =
            ServiceUrl::parse("ETCD://me%40x:p%3Aw%2F@a:1,b,[::1]:3/team/prod?ttl=500ms&epoch=7").unwrap();
        assert_eq!(url.scheme, "etcd");
        assert_eq!(url.user_and_password().unwrap(), Some(("me@x", "p:w/")));
        assert_eq!(url.hosts, ["a:1", "b", "[::1]:3"]);
        assert_eq!(url.namespace().unwrap().unwrap().as_str(), "team/prod");
        assert_eq!((url.ttl, url.epoch), (Some(Duration::from_millis(500)), Some(7)));
        assert!(ServiceUrl::parse("memory://").unwrap().hosts.is_empty());
    }

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

    #[test]
    fn a_password_may_stand_alone_and_a_user_too() {
        let alone = ServiceUrl::parse("redis://:secret@a").unwrap();
        assert_eq!((alone.user(), alone.password()), (None, Some("secret")));
        let refused = alone.user_and_password().unwrap_err();
        assert_eq!(refused.kind(), BackendErrorKind::InvalidConfig);
        assert!(!refused.to_string().contains("secret"));
        let user = ServiceUrl::parse("redis://me@a").unwrap();
        assert_eq!(user.user_and_password().unwrap(), Some(("me", "")));
        assert_eq!(user.password(), None);
    }

    #[test]
    fn options_are_taken_once_and_what_is_left_is_named() {
        let mut url = ServiceUrl::parse("a://b?tick=2s&flag=true&word=x%26y&word=again").unwrap();
        assert_eq!(url.take_duration("tick").unwrap(), Some(Duration::from_secs(2)));
        assert_eq!(url.take_duration("tick").unwrap(), None);
        assert_eq!(url.take_flag("flag").unwrap(), Some(true));
        assert_eq!(url.take_option("word").as_deref(), Some("x&y"));
        assert!(url.finish().unwrap_err().to_string().contains("\"word\""), "given twice, taken once");
        assert_eq!(url.take_option("word").as_deref(), Some("again"));
        url.finish().unwrap();
        let mut wrong = ServiceUrl::parse("a://b?tick=soon&flag=perhaps").unwrap();
        assert!(wrong.take_duration("tick").unwrap_err().to_string().contains("tick"));
        assert!(wrong.take_flag("flag").unwrap_err().to_string().contains("flag"));
    }

    #[test]
    fn no_password_is_ever_shown() {
        let url = ServiceUrl::parse("etcd://me:secret@a/ns?ttl=1s").unwrap();
        assert_eq!(format!("{url} {url:?}"), "etcd://me:…@a/ns ServiceUrl(etcd://me:…@a/ns)");
        assert_eq!(ServiceUrl::parse("redis://:secret@a").unwrap().to_string(), "redis://:…@a");
        for bad in [
            "etcd://me:secret%FF@a",
            "etcd:/me:secret@a",
            "e t://me:secret@a",
            "etcd://me:secret@a/a//b",
            "etcd://me:secret@a?x=1",
        ] {
            assert!(!fails(bad).contains("secret"), "{bad}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        assert!(fails("localhost:2379").contains("scheme"));
        assert!(fails("etcd://:@a").contains("no user"));
        assert!(fails("etcd://@a").contains("no user"));
        assert!(fails("etcd://a?ttl=fast").contains("ttl"));
        assert!(fails("etcd://a?epoch=-1").contains("epoch"));
        assert!(fails("etcd://a?tls=yes").contains("\"tls\""));
        assert!(fails("etcd://a/x%00").contains("namespace"));
    }

    #[test]
    fn hosts_get_their_port_or_an_error() {
        let hosts =
            |hosts: &str| ServiceUrl::parse(&format!("etcd://{hosts}")).unwrap().hosts_with_port(2379);
        assert_eq!(hosts("a,b:1,[::1],[::1]:7").unwrap(), ["a:2379", "b:1", "[::1]:2379", "[::1]:7"]);
        for bad in ["", ",", "a:", "a:0", "a:+1", "a:99999", "::1", "a:b:1", "[]:1", "a b", "a[0]:1"] {
            assert_eq!(hosts(bad).unwrap_err().kind(), BackendErrorKind::InvalidConfig, "{bad}");
        }
    }

    /// Parts of URLs of all sorts: much of what means something in one, and any character.
    fn texts() -> impl Strategy<Value = String> {
        prop_oneof!["[a-z0-9:/?#@%&=,.\\[\\] +-]{0,40}", "\\PC{0,20}", any::<String>()]
    }

    fn encoded(text: &str) -> String {
        utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
    }

    fn millis() -> impl Strategy<Value = Duration> {
        (0..1_000_000_000_u64).prop_map(Duration::from_millis)
    }

    proptest! {
        #[test]
        fn whatever_is_written_it_is_read_or_refused(text in texts(), scheme in "(etcd|redis|zookeeper)://") {
            for text in [text.clone(), format!("{scheme}{text}")] {
                match ServiceUrl::parse(&text) {
                    Ok(url) => {
                        prop_assert!(url.hosts.iter().all(|host| !host.is_empty() && !host.contains([',', '/', '?', '@'])));
                        let is_sound = url.others.is_empty() && url.namespace().is_ok();
                        prop_assert_eq!(url.finish().is_ok(), is_sound);
                        prop_assert!(url.to_string().starts_with(url.scheme()));
                        for host in url.hosts_with_port(1).into_iter().flatten() {
                            let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                            prop_assert!(port.is_some_and(|port| port > 0), "{}", host);
                        }
                    }
                    Err(error) => prop_assert_eq!(error.kind(), BackendErrorKind::InvalidConfig),
                }
            }
        }

        #[test]
        fn every_part_reads_back(
            user in "\\PC{1,12}",
            password in "\\PC{1,12}",
            hosts in vec("[a-z0-9.-]{1,9}(:[1-9][0-9]{0,3})?", 1..4),
            namespace in vec("[^/\\p{Cc}]{1,8}", 1..4),
            ttl in millis(),
            epoch: u32,
            (name, value) in ("x[a-z]{0,9}", any::<String>()),
        ) {
            let path = namespace.join("/");
            let namespace = Namespace::parse(&path).unwrap();
            let ttl_text = humantime::format_duration(ttl).to_string();
            let [user_text, password_text, path, ttl_text, value_text] =
                [&user, &password, &path, &ttl_text, &value].map(|part| encoded(part));
            let authority = format!("{user_text}:{password_text}@{}", hosts.join(","));
            let options = format!("ttl={ttl_text}&epoch={epoch}&{name}={value_text}");
            let url = ServiceUrl::parse(&format!("ETCD://{authority}/{path}?{options}")).unwrap();
            prop_assert_eq!((url.user(), url.password()), (Some(&*user), Some(&*password)));
            prop_assert_eq!((url.scheme(), url.hosts()), ("etcd", &hosts[..]));
            prop_assert_eq!(url.namespace().unwrap(), Some(namespace));
            prop_assert_eq!((url.ttl, url.epoch), (Some(ttl), Some(epoch)));
            prop_assert_eq!(url.others, [(name, value)]);
        }

        /// One part is spoiled, and the error says which; the password, whatever it is spoiled with, is not shown.
        #[test]
        fn the_part_that_is_wrong_is_named_and_the_password_is_not(junk in "[g-zG-Z]{1,9}", secret in "S[0-9]{12}") {
            let whole = |scheme: &str, user: &str, path: &str, option: &str| {
                format!("{scheme}://{user}:{secret}@a:1/{path}?{option}")
            };
            let spoiled = [
                ("scheme", whole(&format!("{junk}_"), "u", "n", "")),
                ("user", whole("etcd", "u%FF", "n", "")),
                ("password", format!("etcd://u:{secret}%FF{junk}@a:1/n")),
                ("namespace", whole("etcd", "u", &format!("{junk}//{junk}"), "")),
                ("ttl", whole("etcd", "u", "n", &format!("ttl={junk}"))),
                ("connect_timeout", whole("etcd", "u", "n", &format!("connect_timeout={junk}"))),
                ("request_timeout", whole("etcd", "u", "n", "request_timeout")),
                ("epoch", whole("etcd", "u", "n", &format!("epoch={junk}"))),
                ("option", whole("etcd", "u", "n", &format!("{junk}%FF=1"))),
                (junk.as_str(), whole("etcd", "u", "n", &format!("{junk}=1"))),
            ];
            for (part, url) in spoiled {
                let error = fails(&url);
                prop_assert!(error.contains(part), "{}: {}", url, error);
                prop_assert!(!error.contains(&secret), "{}", error);
            }
            let alone = ServiceUrl::parse(&whole("etcd", "", "n", "")).unwrap();
            let error = alone.user_and_password().unwrap_err().to_string();
            prop_assert!(error.contains("no user") && !error.contains(&secret), "{}", error);
        }
    }
}
