//! A connector that knows more backends than the library brings.

#![cfg(feature = "memory")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold::memory::MemoryService;
use leasehold::{Connector, Error, ErrorKind};
use leasehold_core::{BackendError, BackendErrorKind, LockBackend, Scheme, ServiceUrl};

/// What a URL said to the scheme.
type Seen = Arc<Mutex<Vec<(Option<String>, Option<Duration>)>>>;

#[derive(Debug, Clone)]
struct Mine {
    names: &'static [&'static str],
    service: MemoryService,
    seen: Seen,
}

impl Mine {
    fn named(names: &'static [&'static str]) -> Self {
        Self { names, service: MemoryService::new(), seen: Seen::default() }
    }
}

impl Scheme for Mine {
    fn names(&self) -> &'static [&'static str] {
        self.names
    }

    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
        if url.hosts().is_empty() {
            return Err(BackendError::new(BackendErrorKind::InvalidConfig, "mine:// takes a host"));
        }
        let pace = url.take_duration("pace")?;
        self.seen.lock().unwrap().push((url.user().map(str::to_owned), pace));
        Ok(Arc::new(self.service.backend()))
    }
}

fn knows(mine: &Mine) -> Connector {
    Connector::new().with_scheme(mine.clone()).expect("the names are free")
}

fn fails(connector: &Connector, url: &str) -> Error {
    connector.builder(url).expect_err(url)
}

#[tokio::test]
async fn another_backend_is_reached_by_each_of_its_names_and_told_what_is_its_own() {
    let mine = Mine::named(&["mine", "my+own"]);
    let connector = knows(&mine);
    let a = connector.connect("mine://me:secret@host/team?pace=2s&ttl=7s").await.unwrap();
    let b = connector.connect("MY+OWN://host/team").await.unwrap();
    assert_eq!(a.status().borrow().ttl, Some(Duration::from_secs(7)), "that is the coordinator's");
    let held = a.mutex("one").lock().await.unwrap();
    assert!(b.mutex("one").try_lock().await.unwrap().is_none(), "one service, one namespace");
    held.release().await.unwrap();
    let seen = mine.seen.lock().unwrap().clone();
    assert_eq!(seen, [(Some("me".to_owned()), Some(Duration::from_secs(2))), (None, None)]);
    // Those of the library are there as ever.
    connector.connect("memory://").await.unwrap();
    let lazy = connector.connect_lazy("mine://host/team").unwrap();
    assert!(lazy.mutex("one").try_lock().await.unwrap().is_some());
}

#[test]
fn an_unknown_scheme_lists_those_that_are_known() {
    let error = fails(&knows(&Mine::named(&["mine"])), "mime://host");
    assert_eq!(error.kind(), ErrorKind::UnknownScheme);
    let line = error.to_string();
    assert!(line.contains("\"mime\"") && line.contains("memory://") && line.contains("mine://"), "{line}");
    // A connector that was not told knows nothing of it.
    assert_eq!(fails(&Connector::new(), "mine://host").kind(), ErrorKind::UnknownScheme);
}

#[test]
fn a_scheme_is_taken_once() {
    let twice = knows(&Mine::named(&["mine", "my+own"])).with_scheme(Mine::named(&["other", "my+own"]));
    let error = twice.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::SchemeTaken);
    assert!(error.to_string().contains("my+own://"), "{error}");
    let built_in = Connector::new().with_scheme(Mine::named(&["memory"])).map(drop).unwrap_err();
    assert_eq!(built_in.kind(), ErrorKind::SchemeTaken);
    assert!(built_in.to_string().contains("MemoryScheme"), "{built_in}");
    let within_one = Connector::new().with_scheme(Mine::named(&["mine", "mine"])).map(drop).unwrap_err();
    assert_eq!(within_one.kind(), ErrorKind::SchemeTaken);
}

#[test]
fn a_name_that_no_url_could_have_is_refused() {
    for names in [&[][..], &[""], &["Mine"], &["my own"], &["1mine"], &["mine://"], &["mïne"]] {
        let error = Connector::new().with_scheme(Mine::named(names)).map(drop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{names:?}");
    }
}

#[test]
fn what_the_scheme_refuses_and_what_nobody_takes_is_an_error_of_that_backend() {
    let connector = knows(&Mine::named(&["mine"]));
    for (url, word) in [
        ("mine://", "host"),
        ("mine://host?pace=fast", "pace"),
        ("mine://me:secret@host?colour=red", "colour"),
    ] {
        let error = fails(&connector, url);
        assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{url}");
        let line = error.to_string();
        assert!(line.contains(word) && line.contains("mine") && !line.contains("secret"), "{line}");
    }
}

#[cfg(not(feature = "etcd"))]
#[tokio::test]
async fn the_name_of_a_backend_that_was_not_compiled_in_is_free() {
    assert_eq!(fails(&Connector::new(), "etcd://host").kind(), ErrorKind::FeatureNotEnabled);
    knows(&Mine::named(&["etcd"])).connect("etcd://host").await.unwrap();
}

#[test]
fn a_program_without_async_connects_too() {
    let connector = knows(&Mine::named(&["mine"]));
    let coordinator =
        leasehold::blocking::Coordinator::open(connector.builder("mine://host").unwrap()).unwrap();
    coordinator.mutex("one").lock().unwrap().release().unwrap();
}
