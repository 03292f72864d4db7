//! What an administrator writes into the row of a session.

// The world's power over the service is for the conformance suite.
#[allow(dead_code)]
mod world;

use std::time::Duration;

use leasehold_core::{Coordinator, LossReason};
use leasehold_testkit::servers::{ProgramServer, ServerOptions};
use tokio::time::{Instant, timeout};
use tokio_postgres::error::SqlState;
use world::{Postgres, client, connect};

const TTL: Duration = Duration::from_secs(1);

async fn coordinator(server: &ProgramServer<Postgres>) -> Coordinator {
    let builder = Coordinator::builder(connect(&server.endpoint())).ttl(TTL);
    builder.connect().await.unwrap()
}

async fn soon<T>(future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.expect("it never came")
}

#[tokio::test]
async fn an_end_that_is_never_or_was_always_is_refused_and_nothing_changes() {
    let server = ProgramServer::<Postgres>::start(ServerOptions::default()).await;
    let (holder, node) = (coordinator(&server).await, coordinator(&server).await);
    let guard = holder.mutex("a").lock().await.unwrap();
    let mutex = node.mutex("a");
    let waiting = tokio::spawn(async move { mutex.lock().await });
    let admin = client(&server.endpoint()).await.unwrap();
    for end in ["infinity", "-infinity"] {
        let statement = format!("UPDATE leasehold.sessions SET expires_at = '{end}'");
        let refused = admin.execute(&statement, &[]).await.unwrap_err();
        let refused = refused.as_db_error().unwrap();
        assert_eq!(refused.code(), &SqlState::CHECK_VIOLATION, "{refused}");
        assert_eq!(refused.constraint(), Some("sessions_end"));
    }
    assert!(guard.held().is_held());
    soon(guard.release()).await.unwrap();
    soon(waiting).await.unwrap().unwrap().release().await.unwrap();
}

/// Of a live session any end but the past is corrected by the next renewal.
#[tokio::test]
async fn an_end_that_is_far_away_lasts_until_the_next_renewal() {
    let server = ProgramServer::<Postgres>::start(ServerOptions::default()).await;
    let (holder, node) = (coordinator(&server).await, coordinator(&server).await);
    let guard = holder.mutex("a").lock().await.unwrap();
    let mutex = node.mutex("a");
    let waiting = tokio::spawn(async move { mutex.lock().await });
    let admin = client(&server.endpoint()).await.unwrap();
    // The last one that there is.
    let set = "UPDATE leasehold.sessions SET expires_at = '294276-12-31 23:59:59.999999+00'";
    assert_eq!(admin.execute(set, &[]).await.unwrap(), 2);
    soon(async {
        let far = "SELECT count(*) FROM leasehold.sessions WHERE expires_at > clock_timestamp() + 2 * ttl";
        while admin.query_one(far, &[]).await.unwrap().get::<_, i64>(0) > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    })
    .await;
    assert!(guard.held().is_held());
    // And the past is an end.
    let began = Instant::now();
    let id = holder.status().borrow().session.clone().unwrap();
    let end = "UPDATE leasehold.sessions SET expires_at = clock_timestamp() WHERE id = $1";
    admin.execute(end, &[&id]).await.unwrap();
    let lost = soon(guard.lost()).await;
    assert!(matches!(lost, LossReason::SessionEnded | LossReason::EntryRemoved), "{lost:?}");
    assert!(began.elapsed() < TTL, "by the server's word");
    soon(waiting).await.unwrap().unwrap().release().await.unwrap();
}
