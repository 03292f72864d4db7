//! Reads the URLs that name a service.

use std::fmt;
use std::time::Duration;

use leasehold_core::{Error, ErrorKind, Namespace};
use percent_encoding::percent_decode_str;

/// A service's URL: `scheme://[user[:password]@]host[:port][,host[:port]…][/namespace][?option=value&…]`.
///
/// User, password and namespace are percent-decoded. Its `Debug` and `Display` show no password.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct ServiceUrl {
    pub(crate) scheme: String,
    pub(crate) user: Option<String>,
    pub(crate) password: Option<String>,
    /// `host:port` each, the default port filled in by the backend's rule.
    pub(crate) hosts: Vec<String>,
    pub(crate) namespace: Option<Namespace>,
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
            Some(("", password)) if scheme.eq_ignore_ascii_case("redis") && !password.is_empty() => {
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
            namespace: None,
            ttl: None,
            connect_timeout: None,
            request_timeout: None,
            epoch: None,
            others: Vec::new(),
        };
        let path = decode("namespace", path.trim_matches('/'))?;
        if !path.is_empty() {
            let namespace = Namespace::parse(&path)
                .map_err(|error| invalid(format!("the URL's namespace {path:?} cannot be used: {error}")))?;
            url.namespace = Some(namespace);
        }
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
        match self.others.iter().position(|(other, _)| other == name) {
            Some(at) => match self.others.swap_remove(at).1.parse() {
                Ok(flag) => Ok(Some(flag)),
                Err(_) => Err(invalid(format!("the URL's option {name} is true or false"))),
            },
            None => Ok(None),
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
        match &self.namespace {
            Some(namespace) => write!(f, "/{}", namespace.as_str()),
            None => Ok(()),
        }
    }
}

impl fmt::Debug for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ServiceUrl({self})")
    }
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
    use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn fails(url: &str) -> String {
        let error = ServiceUrl::parse(url).and_then(|url| url.finish()).expect_err(url);
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
        assert_eq!(url.namespace.as_ref().unwrap().as_str(), "team/prod");
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
                        let separators = [',', '/', '?', '@'];
                        prop_assert!(url.hosts.iter().all(|host| !host.is_empty() && !host.contains(separators)));
                        prop_assert_eq!(url.finish().is_ok(), url.others.is_empty());
                        prop_assert!(url.to_string().starts_with(&url.scheme));
                        #[cfg(any(feature = "etcd", feature = "zookeeper", feature = "redis"))]
                        for host in url.hosts_with_port(1).into_iter().flatten() {
                            let port = host.rsplit_once(':').and_then(|(_, port)| port.parse::<u16>().ok());
                            prop_assert!(port.is_some_and(|port| port > 0), "{}", host);
                        }
                    }
                    Err(error) => prop_assert_eq!(error.kind(), ErrorKind::InvalidConfig),
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
            prop_assert_eq!((url.user, url.password), (Some(user), Some(password)));
            prop_assert_eq!((url.scheme, url.hosts), ("etcd".to_owned(), hosts));
            prop_assert_eq!(url.namespace, Some(namespace));
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
                ("no user", whole("etcd", "", "n", "")),
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
        }
    }
}
