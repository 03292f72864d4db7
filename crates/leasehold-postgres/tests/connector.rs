//! The backend as an application uses it: by URL.

// The world's power over the service is for the conformance suite.
#[allow(dead_code)]
mod world;

use leasehold::{Connector, ErrorKind};
use leasehold_postgres::PostgresScheme;
use leasehold_testkit::servers::{ProgramServer, ServerOptions};
use world::Postgres;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lock_is_taken_by_url_on_a_server_without_a_layout() {
    let server = ProgramServer::<Postgres>::start(ServerOptions::default()).await;
    let connector = Connector::new().with_scheme(PostgresScheme).unwrap();
    let url =
        |rest: &str| format!("postgres://leasehold@{}/team/prod?ttl=5s&database={rest}", server.endpoint());
    // Those who come at once make one layout.
    let (one, other) = (url("postgres"), url("postgres&sslmode=disable"));
    let (one, other) = tokio::join!(connector.connect(&one), connector.connect(&other));
    let (one, other) = (one.unwrap(), other.unwrap());
    let held = one.mutex("job").lock().await.unwrap();
    assert!(other.mutex("job").try_lock().await.unwrap().is_none(), "it is held");
    let before = held.fencing_token();
    held.release().await.unwrap();
    let held = other.mutex("job").lock().await.unwrap();
    assert!(held.fencing_token() > before);
    held.release().await.unwrap();

    let refused = connector.connect(&url("absent")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfig, "{refused}");
    let refused = connector.connect(&url("postgres&sslmode=require")).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::InvalidConfig, "{refused}");
}
