//! Who looks after the servers: one that says itself that its data are not its leader's is started again.
//!
//! ZooKeeper 3.8.0 may leave a follower with nodes that its leader has not, or without some that it has, when the leader changes under load (ZOOKEEPER-5010,
//! ZOOKEEPER-4785): whoever is connected to it waits for entries that are long gone. It notices, since every transaction brings a digest of the leader's
//! data, and only counts that. Nothing that a client does can help; what it has written to its disk is right.

use std::time::Duration;

use leasehold_testkit::history::What;
use tokio::time::sleep;

use crate::nemesis::Arena;

/// What it is called in the history: a fault, which nobody made.
pub(crate) const ASTRAY: &str = "server-astray";

/// Between two looks.
const PACE: Duration = Duration::from_millis(500);

/// Looks after them until this is dropped; not while a fault has them. While the [servers are reserved](Arena::reserve_servers) by somebody else, it does nothing.
pub(crate) async fn look_after(arena: &Arena) {
    loop {
        sleep(PACE).await;
        let Some(_reserved) = arena.reserve_servers() else { continue };
        for server in 0..arena.service.servers().endpoints().len() {
            if arena.service.is_astray(server).await {
                start_again(arena, server).await;
            }
        }
    }
}

async fn start_again(arena: &Arena, server: usize) {
    let id = arena.recorder.number();
    let (kind, target) = (ASTRAY.to_owned(), format!("server {server}"));
    arena.recorder.record(What::Fault { id, kind, target, lasting: true });
    let servers = arena.service.servers();
    servers.kill(server).await;
    servers.respawn(server).await;
    servers.ready().await;
    arena.recorder.record(What::Healed { id });
}
