//! TLS: the right certificate, and each of the wrong ones.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use leasehold_core::{AttemptIds, BackendErrorKind, Certainty, LockBackend, OpenSession};
use leasehold_redis::{RedisBackend, RedisConfig, Tls};
use leasehold_testkit::servers::RedisServer;
use leasehold_tests::certificates::{Authority, Flaw, HERE, Identity};
use tempfile::TempDir;

use crate::fixture::*;

fn trusts(authority: &Authority) -> Tls {
    Tls::new().authorities(&*authority.pem)
}

/// A server with a port for TLS beside the one that the test looks through.
struct Secured {
    server: RedisServer,
    port: u16,
    dir: TempDir,
}

impl Secured {
    /// `clients` says whether clients must show a certificate by `authority`.
    async fn start(identity: &Identity, authority: &Authority, clients: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, pem: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, pem).unwrap();
            path.into_os_string().into_string().unwrap()
        };
        let (certificate, key) = (file("cert.pem", &identity.certificate), file("key.pem", &identity.key));
        let authorities = file("ca.pem", &authority.pem);
        let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let server = server_with(&[
            "--tls-port",
            &port.to_string(),
            "--tls-cert-file",
            &certificate,
            "--tls-key-file",
            &key,
            "--tls-ca-cert-file",
            &authorities,
            "--tls-auth-clients",
            clients,
        ])
        .await;
        Self { server, port, dir }
    }

    fn config(&self, tls: Tls) -> RedisConfig {
        RedisConfig::new(format!("127.0.0.1:{}", self.port)).tls(tls)
    }

    fn file(&self, name: &str, pem: &str) -> PathBuf {
        let path = self.dir.path().join(name);
        std::fs::write(&path, pem).unwrap();
        path
    }

    /// The error of a client with this configuration and a password, of which the server learns nothing.
    async fn refuses(&self, tls: Tls) -> (BackendErrorKind, String) {
        let error = try_open(self.config(tls).password("hunter2")).await.map(drop).unwrap_err();
        assert!(error.to_string().contains(&format!("127.0.0.1:{}", self.port)), "{error}");
        assert!(!format!("{error:?}").contains("hunter2"));
        assert_eq!(self.server.calls("auth").await, 0, "the password was not told");
        assert_eq!(self.server.keys("*").await, [""; 0]);
        (error.kind(), error.to_string())
    }
}

#[tokio::test]
async fn a_server_with_the_right_certificate_is_used_for_everything() {
    let authority = Authority::new("ours");
    let secured = Secured::start(&authority.sign_for(&HERE), &authority, "no").await;
    let (session, other) = (
        try_open(secured.config(trusts(&authority))).await.unwrap(),
        try_open(secured.config(trusts(&authority))).await.unwrap(),
    );
    let ids = AttemptIds::new().unwrap();
    let (queue, theirs) = (session.queue(&lock("a")), other.queue(&lock("a")));
    let (first, second) = (place(&*queue, &ids).await, place(&*theirs, &ids).await);
    assert_eq!(contenders(&*theirs).await, [first, second], "subscriptions are secured too");
    queue.withdraw(first, Certainty::Placed).await.unwrap();
    soon(theirs.changed(gone(first))).await.unwrap();
    // Everybody but who asks came by TLS.
    let clients = secured.server.command(&["CLIENT", "LIST"]).await.text();
    let by_tls = clients.lines().filter(|line| line.contains(&format!("laddr=127.0.0.1:{}", secured.port)));
    assert_eq!((by_tls.count(), clients.lines().count()), (4 - 1, 4), "{clients}");
    session.close().await;
    other.close().await;
    let file = secured.file("trusted.pem", &authority.pem);
    let url = format!("rediss://localhost:{}/?tls_ca={}", secured.port, file.display());
    let coordinator = leasehold::connect(&url).await.unwrap();
    coordinator.mutex("a").lock().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_server_that_cannot_be_believed_is_told_nothing() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    for (identity, trusted, why) in [
        (authority.sign_for(&HERE), trusts(&other), "by an authority that is not trusted"),
        (authority.sign_for(&HERE), Tls::new(), "by an authority that is not trusted"),
        (authority.sign_flawed(Flaw::OtherHost), trusts(&authority), "for another host"),
        (authority.sign_flawed(Flaw::Expired), trusts(&authority), "has expired"),
        (authority.sign_flawed(Flaw::Early), trusts(&authority), "is not valid yet"),
    ] {
        let secured = Secured::start(&identity, &authority, "no").await;
        let (kind, message) = secured.refuses(trusted).await;
        assert_eq!(kind, BackendErrorKind::Untrusted, "{message}");
        assert!(message.contains(why), "{why}: {message}");
    }
}

#[tokio::test]
async fn a_server_that_asks_who_we_are() {
    let (authority, other) = (Authority::new("ours"), Authority::new("another"));
    let secured = Secured::start(&authority.sign_for(&HERE), &authority, "yes").await;
    let (kind, message) = secured.refuses(trusts(&authority)).await;
    assert_eq!(kind, BackendErrorKind::Unauthenticated, "{message}");
    assert!(message.contains("certificate of ours"), "{message}");
    let stranger = other.sign_client("app");
    let shown = trusts(&authority).identity(stranger.certificate, stranger.key);
    let (kind, message) = secured.refuses(shown).await;
    assert_eq!(kind, BackendErrorKind::Unauthenticated, "{message}");
    assert!(message.contains("does not accept our certificate"), "{message}");

    let ours = authority.sign_client("app");
    let [ca, certificate, key] = [
        secured.file("trusted.pem", &authority.pem),
        secured.file("ours.pem", &ours.certificate),
        secured.file("ours-key.pem", &ours.key),
    ];
    let tls = Tls::new().authorities_file(&ca).unwrap().identity_files(&certificate, &key).unwrap();
    try_open(secured.config(tls)).await.unwrap().close().await;
    let url = format!(
        "rediss://127.0.0.1:{}?tls_ca={}&tls_cert={}&tls_key={}",
        secured.port,
        ca.display(),
        certificate.display(),
        key.display()
    );
    leasehold::connect(&url).await.unwrap().mutex("a").lock().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn one_side_only_speaks_tls() {
    let authority = Authority::new("ours");
    let secured = Secured::start(&authority.sign_for(&HERE), &authority, "no").await;
    // It waits for the rest of what it takes for a command.
    let plain = RedisConfig::new(secured.server.endpoint()).tls(trusts(&authority));
    let options = OpenSession { connect_timeout: Duration::from_secs(1), ..options(TTL) };
    let began = Instant::now();
    let opened = RedisBackend::new(plain).unwrap().open_session(options).await;
    assert_eq!(kind(opened), BackendErrorKind::Unavailable);
    assert!(began.elapsed() < Duration::from_secs(2));
    let unsecured = RedisConfig::new(format!("127.0.0.1:{}", secured.port));
    let error = try_open(unsecured).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), BackendErrorKind::Unavailable, "{error:?}");
}

#[tokio::test]
async fn what_a_url_says_wrongly_is_named() {
    for (options, named) in [
        ("tls_ca=/nowhere/ca.pem", "/nowhere/ca.pem"),
        ("tls_cert=a.pem", "tls_key"),
        ("tls_key=a.pem", "tls_cert"),
    ] {
        let error = leasehold::builder(&format!("rediss://a:1?{options}")).map(drop).unwrap_err();
        assert_eq!(error.kind(), leasehold::ErrorKind::InvalidConfig, "{options}");
        assert!(error.to_string().contains(named), "{error}");
    }
    let error = leasehold::builder("redis://a:1?tls_ca=/x").map(drop).unwrap_err();
    assert!(error.to_string().contains("tls_ca"), "it does nothing without TLS: {error}");
}
