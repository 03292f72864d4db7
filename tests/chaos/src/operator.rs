//! Who looks after the servers: one whose data are not those of the others is replaced.
//!
//! ZooKeeper 3.8.0 may keep nodes whose deletion it had acknowledged, at one server and not at the others, when the leader changes under load (compare
//! ZOOKEEPER-5010 and ZOOKEEPER-4785): whoever is connected there waits for entries that are long gone. The followers notice, since every transaction
//! comes with a digest of the leader's data, and only count that. Nothing that a client does can help.

use std::time::Duration;

use leasehold_testkit::history::What;
use tokio::time::sleep;

use crate::nemesis::Arena;

/// What it is called in the history: a fault, which nobody made.
pub(crate) const ASTRAY: &str = "server-astray";

/// Between two looks.
const PACE: Duration = Duration::from_millis(500);

/// Looks after them until this is dropped, but not while [somebody else has the servers](Arena::reserve_servers).
pub(crate) async fn look_after(arena: &Arena) {
    loop {
        sleep(PACE).await;
        let Some(_reserved) = arena.reserve_servers() else { continue };
        if let Some(server) = arena.service.astray().await {
            replace(arena, server).await;
        }
    }
}

/// Has it learn everything from the others.
async fn replace(arena: &Arena, server: usize) {
    let id = arena.recorder.number();
    let (kind, target) = (ASTRAY.to_owned(), format!("server {server}"));
    arena.recorder.record(What::Fault { id, kind, target, lasting: true });
    let servers = arena.service.servers();
    servers.kill(server).await;
    // With what they have together, before one comes back that has nothing.
    while servers.leader().await.is_none() {}
    arena.service.wipe(server);
    servers.respawn(server).await;
    servers.ready().await;
    arena.recorder.record(What::Healed { id });
}
