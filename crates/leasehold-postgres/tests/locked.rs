//! What an administrator's open transaction holds up, and what it does not.

// The world's power over the service is for the conformance suite.
#[allow(dead_code)]
mod world;

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    AttemptIds, Certainty, Enqueued, KeyPath, Kind, LockBackend, Mode, Namespace, NewEntry, OpenSession,
    Session, Withdrawn,
};
use leasehold_testkit::servers::{ProgramServer, ServerOptions};
use tokio::time::sleep;
use world::{Postgres, client, connect};

const TTL: Duration = Duration::from_secs(1);

async fn session(backend: &Arc<dyn LockBackend>) -> Arc<dyn Session> {
    let options = OpenSession {
        namespace: Namespace::default(),
        ttl: TTL,
        connect_timeout: Duration::from_secs(10),
        request_timeout: TTL * 10,
        clock: backend.clock(),
        resume: None,
    };
    backend.open_session(options).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_renewal_stands_behind_the_lock_of_a_queue() {
    let server = ProgramServer::<Postgres>::start(ServerOptions::default()).await;
    let backend = connect(&server.endpoint());
    let (dead, alive) = (session(&backend).await, session(&backend).await);
    let path = KeyPath::new(&Namespace::default(), Kind::Lock, "locked").unwrap();
    let attempt = AttemptIds::new().unwrap().next();
    let entry = NewEntry { attempt, mode: Mode::Exclusive, value: "".into(), only_if_free: false };
    assert!(matches!(dead.queue(&path).enqueue(entry).await, Ok(Enqueued::Placed { .. })));

    // Whoever buries the dead session waits for this transaction.
    let mut admin = client(&server.endpoint()).await.unwrap();
    let open = admin.transaction().await.unwrap();
    open.execute("SELECT leasehold.alone($1)", &[&path.as_str()]).await.unwrap();
    let (other, id) = (client(&server.endpoint()).await.unwrap(), dead.id());
    drop(dead);
    other
        .execute("UPDATE leasehold.sessions SET expires_at = clock_timestamp() WHERE id = $1", &[&id])
        .await
        .unwrap();
    sleep(TTL * 3).await;
    let waiting = "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND NOT granted";
    let waiting: i64 = other.query_one(waiting, &[]).await.unwrap().get(0);
    assert!(waiting > 0, "a burial waits");
    assert!(alive.liveness().is_alive(), "{:?}", alive.liveness().current());

    open.commit().await.unwrap();
    let withdrawn = alive.queue(&path).withdraw(attempt, Certainty::Placed).await.unwrap();
    assert_eq!(withdrawn, Withdrawn::WasGone, "the burial came first");
}
