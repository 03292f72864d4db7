//! What a lock goes through, whatever secures the service; and how it is refused.

use std::time::Duration;

use leasehold::{Coordinator, Error, ErrorKind, LossReason};
use leasehold_testkit::servers::ServerTls;
use leasehold_tests::certificates::{Authority, HERE, Identity};
use tempfile::TempDir;

use crate::logs;

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(30), future).await.expect("it never came")
}

pub(crate) async fn connect(url: &str) -> Coordinator {
    logs::listen();
    leasehold::connect(url).await.unwrap_or_else(|error| panic!("{url}: {error:?}"))
}

/// Why nobody connects by that URL. Nothing that is secret is in it.
pub(crate) async fn refused(url: &str) -> Error {
    logs::listen();
    let error = soon(leasehold::connect(url)).await.map(drop).expect_err(url);
    no_secret_in(&format!("{error} {error:?}"));
    error
}

/// All passwords of these tests contain this.
pub(crate) const SECRET: &str = "hunter2";

/// Neither in this nor in what this process has logged so far, at any level.
pub(crate) fn no_secret_in(text: &str) {
    assert!(!text.contains(SECRET), "{text}");
    assert_eq!(logs::leaked(), None);
}

/// A lock and what else a coordinator does, by two of them that the URLs name: taken, waited for, handed over, renewed for longer
/// than its TTL, watched, lost by the end of its session, which `end` brings about, and taken again.
pub(crate) async fn a_lock_lives(urls: [&str; 2], end: impl AsyncFnOnce(&str)) {
    let (ours, theirs) = (connect(urls[0]).await, connect(urls[1]).await);
    no_secret_in(&format!("{ours:?} {:?}", ours.status().borrow()));
    let (mutex, their_mutex) = (ours.mutex("a"), theirs.mutex("a"));
    let guard = soon(mutex.lock()).await.unwrap();
    let first = guard.fencing_token();
    assert!(soon(their_mutex.try_lock()).await.unwrap().is_none(), "they exclude each other");
    let waiting = tokio::spawn({
        let their_mutex = their_mutex.clone();
        async move { their_mutex.lock().await }
    });
    let ttl = ours.status().borrow().ttl.unwrap();
    tokio::time::sleep(ttl + ttl / 4).await;
    assert!(guard.is_held(), "it is renewed");
    assert!(!waiting.is_finished());
    guard.release().await.unwrap();
    let guard = soon(waiting).await.unwrap().unwrap();
    assert!(guard.fencing_token() > first);
    // A register, and a watch over it.
    let (register, seen) = (ours.register("r"), theirs.register("r"));
    let version = soon(register.write("v")).await.unwrap();
    let (changed, written) = soon(async { tokio::join!(seen.changed(version), register.write("w")) }).await;
    assert_eq!(changed.unwrap().unwrap().value, "w");
    written.unwrap();
    // The session ends at the service, and the holder is told.
    let session = theirs.status().borrow().session.clone().unwrap();
    end(&session).await;
    let reason = soon(guard.lost()).await;
    use LossReason::{DeadlinePassed, EntryRemoved, SessionEnded};
    assert!(matches!(reason, SessionEnded | EntryRemoved | DeadlinePassed), "{reason:?}");
    soon(mutex.lock()).await.unwrap().release().await.unwrap();
    soon(their_mutex.lock()).await.unwrap().release().await.unwrap();
    for coordinator in [ours, theirs] {
        coordinator.shutdown(Duration::from_secs(5)).await.unwrap();
    }
}

/// Certificates in files, as URLs name them.
pub(crate) struct Files {
    dir: TempDir,
    pub(crate) authority: Authority,
    pub(crate) stranger: Authority,
}

impl Files {
    pub(crate) fn new() -> Self {
        let (dir, authority, stranger) =
            (tempfile::tempdir().unwrap(), Authority::new("ours"), Authority::new("another"));
        std::fs::write(dir.path().join("ca.pem"), &authority.pem).unwrap();
        std::fs::write(dir.path().join("stranger.pem"), &stranger.pem).unwrap();
        Self { dir, authority, stranger }
    }

    /// A server that can be believed.
    pub(crate) fn server(&self) -> ServerTls {
        self.of(&self.authority.sign_for(&HERE))
    }

    pub(crate) fn of(&self, identity: &Identity) -> ServerTls {
        ServerTls::new(&*identity.certificate, &*identity.key, &*self.authority.pem)
    }

    /// The option of a URL that trusts our authority.
    pub(crate) fn trusted(&self) -> String {
        format!("tls_ca={}", self.dir.path().join("ca.pem").display())
    }

    pub(crate) fn trusted_stranger(&self) -> String {
        format!("tls_ca={}", self.dir.path().join("stranger.pem").display())
    }

    /// The options that show this certificate, and trust our authority.
    pub(crate) fn shown(&self, name: &str, identity: &Identity) -> String {
        let (certificate, key) = identity.write(self.dir.path(), name);
        format!("{}&tls_cert={}&tls_key={}", self.trusted(), certificate.display(), key.display())
    }

    /// A file that holds a password.
    pub(crate) fn password(&self, text: &str) -> String {
        let path = self.dir.path().join("password");
        std::fs::write(&path, format!("{text}\n")).unwrap();
        path.display().to_string()
    }
}

pub(crate) fn is(error: &Error, kind: ErrorKind, words: &str) {
    assert_eq!(error.kind(), kind, "{error:?}");
    assert!(error.to_string().contains(words), "{words}: {error}");
}
