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
    let url = ServiceUrl::parse("ETCD://me%40x:p%3Aw%2F@a:1,b,[::1]:3/team/prod?ttl=500ms&epoch=7").unwrap();
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
        "etcd://me:secret/word@a",
        "etcd://me:2/secret@a",
        "etcd://me:x@b/secret@a",
        "etcd://me:secret?word@a",
        "etcd://me:secret?word=x@a",
    ] {
        assert!(!fails(bad).contains("secret"), "{bad}");
    }
}

#[test]
fn a_password_may_stand_elsewhere() {
    let read = |text: &str| {
        let mut url = ServiceUrl::parse(text).unwrap();
        url.read_password().map(|()| url)
    };
    let text = std::env::var("PATH").unwrap();
    let url = read("etcd://me@a?password_env=PATH").unwrap();
    assert_eq!(url.user_and_password().unwrap(), Some(("me", &*text)));
    url.finish().unwrap();
    assert!(!format!("{url} {url:?}").contains(&text));
    assert_eq!(read("redis://a?password_env=PATH").unwrap().password(), Some(&*text));
    assert_eq!(read("etcd://me:pw@a").unwrap().password(), Some("pw"));
    for bad in [
        "etcd://me:secret@a?password_env=PATH",
        "etcd://me@a?password_env=PATH&password_file=/x",
        "etcd://me@a?password_file=/nowhere/secret",
        "etcd://me@a?password_env=",
    ] {
        let error = read(bad).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::InvalidConfig, "{bad}");
        assert!(!error.to_string().contains(&text), "{error}");
    }
    assert!(fails("etcd://me@a?password_env=X").contains("password_env"), "nobody has read it");
    let mut url = ServiceUrl::parse("a://b?x_env=PATH&y=2&z=1&z_file=/x").unwrap();
    assert_eq!(url.take_secret("x").unwrap(), Some((&text).into()));
    assert_eq!(url.take_secret("y").unwrap(), Some("2".into()));
    assert_eq!(url.take_secret("x").unwrap(), None);
    assert!(url.take_secret("z").is_err());
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
    assert!(fails("etcd://a/x@y").contains("%40"));
    let team = ServiceUrl::parse("etcd://a/x%40y?mail=b@c").unwrap();
    assert_eq!(team.namespace().unwrap(), Some(Namespace::parse("x@y").unwrap()));
}

#[test]
fn hosts_get_their_port_or_an_error() {
    let hosts = |hosts: &str| ServiceUrl::parse(&format!("etcd://{hosts}")).unwrap().hosts_with_port(2379);
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
