//! What becomes of the session.

use std::time::Duration;

use leasehold::memory::{Fault, Operation};
use leasehold::{Coordinator, ErrorKind};
use tokio::runtime::Handle;
use tracing::Level;

use crate::world::{TTL, World, settle};

fn changes(world: &World, change: &str) -> f64 {
    world
        .measures
        .value(&format!("leasehold_session_changes_total{{backend=\"memory\",change=\"{change}\"}}"))
}

#[tokio::test(start_paused = true)]
async fn opened_and_closed() {
    let world = World::new();
    let node = world.node().await;
    settle().await;
    let id = node.status().borrow().session.clone().unwrap();
    let opened = world.trace.event("session opened");
    assert_eq!(opened.level, Level::INFO);
    assert_eq!((&opened.fields["session"], opened.seconds("ttl")), (&id, TTL.as_secs_f64()));
    node.shutdown(Duration::from_secs(1)).await.unwrap();
    assert_eq!(world.trace.event("session closed").fields["session"], id);
    assert_eq!((changes(&world, "opened"), changes(&world, "closed")), (1.0, 1.0));
}

#[tokio::test(start_paused = true)]
async fn suspect_and_recovered_by_a_late_renewal() {
    let world = World::new();
    let backend = world.service.backend();
    let _node = world.connect(backend.clone()).await;
    // Some time after a renewal.
    tokio::time::sleep(TTL * 3 + Duration::from_secs(1)).await;
    assert!(world.trace.events("renewal late").is_empty(), "all is well");
    backend.cut();
    settle().await;
    let suspect = world.trace.event("session suspect");
    assert_eq!(suspect.level, Level::WARN);
    let rest = suspect.seconds("rest");
    assert!(rest > 0.0 && rest < TTL.as_secs_f64(), "{suspect:?}");
    tokio::time::sleep(Duration::from_secs_f64(rest) - Duration::from_secs(2)).await;
    backend.heal();
    settle().await;
    let late = world.trace.event("renewal late");
    assert_eq!(late.level, Level::WARN);
    assert!(late.seconds("rest") < TTL.as_secs_f64() / 4.0, "{late:?}");
    assert!(world.trace.event("session recovered").seconds("rest") > TTL.as_secs_f64() / 2.0);
    assert_eq!(world.measures.value(r#"leasehold_late_renewals_total{backend="memory"}"#), 1.0);
    assert_eq!((changes(&world, "suspect"), changes(&world, "recovered")), (1.0, 1.0));
    assert_eq!(changes(&world, "lost"), 0.0);
}

#[tokio::test(start_paused = true)]
async fn lost_and_opened_anew() {
    let world = World::new();
    let _node = world.node().await;
    settle().await;
    let [session] = &world.service.sessions()[..] else { panic!("one session") };
    assert!(world.service.expire_session(session));
    settle().await;
    let lost = world.trace.event("session lost");
    assert_eq!(lost.level, Level::WARN);
    assert_eq!((&lost.fields["session"], lost.fields["reason"].as_str()), (session, "session_ended"));
    assert_eq!(world.trace.events("session opened").len(), 2);
    assert_eq!((changes(&world, "opened"), changes(&world, "lost")), (2.0, 1.0));
}

#[tokio::test(start_paused = true)]
async fn refused() {
    let world = World::new();
    world.service.on_call(|call| match call.operation {
        Operation::OpenSession => Fault::Deny,
        _ => Fault::None,
    });
    let builder = Coordinator::builder(world.service.backend()).runtime(Handle::current());
    let error = builder.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied);
    let refused = world.trace.event("session refused");
    assert_eq!(refused.level, Level::WARN);
    assert!(!refused.fields["error"].is_empty());
    assert_eq!(changes(&world, "refused"), 1.0);
}
