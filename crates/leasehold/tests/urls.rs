//! URLs that lead nowhere say why.

use leasehold::{Error, ErrorKind};

fn fails(url: &str) -> Error {
    leasehold::builder(url).expect_err(url)
}

#[test]
fn an_unknown_scheme_is_named_with_those_that_are_there() {
    let error = fails("etdc://localhost");
    assert_eq!(error.kind(), ErrorKind::UnknownScheme);
    let line = error.to_string();
    assert!(line.contains("\"etdc\""), "{line}");
    #[cfg(feature = "memory")]
    assert!(line.contains("memory://"), "{line}");
}

#[cfg(not(feature = "etcd"))]
#[test]
fn a_backend_that_was_not_compiled_in_names_its_feature() {
    let error = fails("etcd://localhost");
    assert_eq!(error.kind(), ErrorKind::FeatureNotEnabled);
    assert!(error.to_string().contains("feature \"etcd\""), "{error}");
}

#[cfg(not(feature = "zookeeper"))]
#[test]
fn so_does_zookeeper() {
    assert_eq!(fails("zookeeper://localhost").kind(), ErrorKind::FeatureNotEnabled);
}

#[cfg(not(feature = "redis"))]
#[test]
fn so_does_redis() {
    for url in ["redis://localhost", "rediss://localhost"] {
        assert_eq!(fails(url).kind(), ErrorKind::FeatureNotEnabled, "{url}");
    }
}

#[cfg(feature = "redis")]
#[test]
fn redis_refuses_what_it_has_not() {
    for url in [
        "redis://",
        "redis://a,b",
        "redis://a:0",
        "redis://a?tls=on",
        "redis://a?accept_eviction=perhaps",
        "redis://:@a",
        "redis+sentinel://a",
        "redis+sentinel:///mymaster",
        "redis+sentinel://:secret@a/?sentinel_user=",
        "redis+sentinel://a/mymaster?master=mymaster",
        "redis+cluster://",
        "redis+cluster://a/?sentinel_password=secret",
        "redis://me:secret@a?ttl=",
    ] {
        let error = fails(url);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
        assert!(!error.to_string().contains("secret"), "{error}");
    }
    for url in [
        "redis://a",
        "redis://:secret@[::1]:7/team/prod?accept_eviction=true",
        "REDIS://me:secret@a",
        "redis+sentinel://a,b:1/mymaster",
        "redis+sentinel://:secret@a/mymaster/team/prod?sentinel_user=me&sentinel_password=secret",
        "redis+cluster://me:secret@a,b/team/prod",
    ] {
        let builder = leasehold::builder(url).expect(url);
        assert!(!format!("{builder:?}").contains("secret"), "{url}");
    }
}

#[cfg(all(feature = "redis", not(feature = "redis-tls")))]
#[test]
fn redis_by_tls_has_a_feature_of_its_own() {
    for url in ["rediss://me:secret@a", "rediss+sentinel://a/mymaster", "rediss+cluster://a"] {
        let error = fails(url);
        assert_eq!(error.kind(), ErrorKind::FeatureNotEnabled, "{url}");
        assert!(error.to_string().contains("feature \"redis-tls\""), "{error}");
    }
}

#[cfg(feature = "memory")]
#[tokio::test]
async fn equal_names_of_memory_meet() {
    let (a, b) = (
        leasehold::connect("memory://meet").await.unwrap(),
        leasehold::connect("memory://meet").await.unwrap(),
    );
    let stranger = leasehold::connect("memory://elsewhere").await.unwrap();
    let apart = leasehold::connect("memory://meet/another/namespace").await.unwrap();
    let held = a.mutex("one").lock().await.unwrap();
    assert!(b.mutex("one").try_lock().await.unwrap().is_none());
    assert!(stranger.mutex("one").try_lock().await.unwrap().is_some());
    assert!(apart.mutex("one").try_lock().await.unwrap().is_some());
    held.release().await.unwrap();
}

#[cfg(feature = "memory")]
#[test]
fn memory_refuses_what_it_has_not() {
    for url in ["memory://me:secret@name", "memory://a,b", "memory://?tls=on", "memory://?ttl=0s"] {
        let error = match leasehold::builder(url) {
            Err(error) => error,
            Ok(builder) => builder.connect_lazy().expect_err(url),
        };
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
        assert!(!error.to_string().contains("secret"));
    }
}

#[test]
fn each_service_by_tls_has_a_feature_of_its_own() {
    for (url, feature, enabled) in [
        ("etcds://me:secret@a", "etcd-tls", cfg!(feature = "etcd-tls")),
        ("zookeepers://me:secret@a", "zookeeper-tls", cfg!(feature = "zookeeper-tls")),
        ("rediss://me:secret@a", "redis-tls", cfg!(feature = "redis-tls")),
    ] {
        if enabled {
            continue;
        }
        let error = fails(url);
        assert_eq!(error.kind(), ErrorKind::FeatureNotEnabled, "{url}");
        assert!(error.to_string().contains(&format!("feature {feature:?}")), "{error}");
    }
}

#[cfg(any(feature = "etcd", feature = "redis", feature = "zookeeper"))]
#[test]
fn what_is_said_of_tls_is_said_of_connections_by_tls() {
    for scheme in leasehold::Connector::new().schemes().filter(|scheme| *scheme != "memory") {
        for option in ["tls_ca=/nowhere/ca.pem", "tls_cert=a", "tls_key=a", "tls_server_name=no%20name"] {
            let error = fails(&format!("{scheme}://me:secret@a/m?{option}"));
            assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{scheme} {option}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

#[cfg(feature = "redis")]
#[test]
fn a_password_that_is_elsewhere_is_read_when_the_url_is() {
    for (options, named) in [
        ("password_file=/nowhere/password", "/nowhere/password"),
        ("password_env=LEASEHOLD_NO_SUCH_VARIABLE", "LEASEHOLD_NO_SUCH_VARIABLE"),
    ] {
        let error = fails(&format!("redis://me@a?{options}"));
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{options}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let twice = fails("redis://me:secret@a?password_env=PATH").to_string();
    assert!(twice.contains("another one") && !twice.contains("secret"), "{twice}");
    let _ = leasehold::builder("redis://me@a?password_env=PATH").unwrap();
}
