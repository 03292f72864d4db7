//! Roles that may do less than everything.

// The world's power over the service is for the conformance suite.
#[allow(dead_code)]
mod world;

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    AttemptIds, BackendError, BackendErrorKind, Enqueued, KeyPath, Kind, LockBackend, Mode, Namespace,
    NewEntry, OpenSession, Session,
};
use leasehold_postgres::{PostgresBackend, PostgresConfig};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::servers::{ProgramServer, ServerOptions};
use world::{Postgres, client};

async fn open(endpoint: &str, role: &str) -> Result<Arc<dyn Session>, BackendError> {
    let config = PostgresConfig::new([endpoint]).user(role, "").database("postgres");
    let backend = PostgresBackend::new(config).unwrap();
    let options = OpenSession {
        namespace: Namespace::default(),
        ttl: Duration::from_secs(5),
        connect_timeout: Duration::from_secs(10),
        request_timeout: Duration::from_secs(10),
        clock: backend.clock(),
        resume: None,
    };
    backend.open_session(options).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_role_may_not_is_refused_and_leaves_nothing() {
    let _cited = cites("postgres", &[29]);
    let server = ProgramServer::<Postgres>::start(ServerOptions::default()).await;
    let endpoint = server.endpoint();
    let admin = client(&endpoint).await.unwrap();
    // Nobody has made the layout yet, and a stranger may not.
    admin
        .batch_execute("CREATE ROLE stranger LOGIN; REVOKE CREATE ON DATABASE postgres FROM PUBLIC")
        .await
        .unwrap();
    let refused = open(&endpoint, "stranger").await.err().unwrap();
    assert_eq!(refused.kind(), BackendErrorKind::PermissionDenied, "{refused:?}");
    assert!(refused.to_string().contains("layout.sql"), "the remedy is named: {refused}");

    open(&endpoint, "leasehold").await.unwrap().close().await;
    let grants = "GRANT USAGE ON SCHEMA leasehold TO locker, visitor; \
        GRANT ALL ON ALL TABLES IN SCHEMA leasehold TO locker; \
        GRANT ALL ON ALL SEQUENCES IN SCHEMA leasehold TO locker, visitor; \
        GRANT SELECT ON leasehold.layout, leasehold.entries TO visitor; \
        GRANT ALL ON leasehold.sessions TO visitor";
    admin.batch_execute("CREATE ROLE locker LOGIN; CREATE ROLE visitor LOGIN").await.unwrap();
    admin.batch_execute(grants).await.unwrap();
    let refused = open(&endpoint, "stranger").await.err().unwrap();
    assert_eq!(refused.kind(), BackendErrorKind::PermissionDenied, "{refused:?}");

    let (locker, visitor) =
        (open(&endpoint, "locker").await.unwrap(), open(&endpoint, "visitor").await.unwrap());
    let path = KeyPath::new(&Namespace::default(), Kind::Lock, "permitted").unwrap();
    let ids = AttemptIds::new().unwrap();
    let entry =
        || NewEntry { attempt: ids.next(), mode: Mode::Exclusive, value: "".into(), only_if_free: false };
    let refused = visitor.queue(&path).enqueue(entry()).await.unwrap_err();
    assert_eq!(refused.kind(), BackendErrorKind::PermissionDenied, "{refused:?}");
    assert!(locker.queue(&path).entries().await.unwrap().is_empty(), "nothing is left");
    let placed = locker.queue(&path).enqueue(entry()).await.unwrap();
    assert!(matches!(placed, Enqueued::Placed { .. }), "{placed:?}");
    visitor.close().await;
    locker.close().await;
    let left: i64 = admin.query_one("SELECT count(*) FROM leasehold.sessions", &[]).await.unwrap().get(0);
    assert_eq!(left, 0);
}
