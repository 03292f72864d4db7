//! What ZooKeeper itself takes, on a bare socket.
//!
//! A lock and its unlock are a creation and a listing, sent together, and a deletion. Of a handoff, nothing but the deletion and the event
//! of it that the next one gets has to come one after the other: two clients delete nodes that were there and
//! watched before, each as soon as it is told of the other's.

use std::time::{Duration, Instant};

use async_trait::async_trait;

use super::jute::{Message, Wire, text};
use crate::Failure;
use crate::measure::{Contended, Started, Took, Waits};
use crate::peers::Peer;
use crate::process;

/// So many nodes are made and watched at once, while nobody measures.
const BLOCK: u64 = 200;

/// As long as those of leasehold.
const VALUE: &[u8] = b"host=a%2Dserver%2Din%2Da%2Drack&pid=12345&since=1764181234567&purpose=";

const DIRECTORY: &str = "/floor";

pub(crate) struct ZooKeeperFloor {
    wires: [Wire; 2],
}

impl ZooKeeperFloor {
    pub(crate) async fn connect(endpoint: &str) -> Result<Self, Failure> {
        let mut wires = [Wire::connect(endpoint).await?, Wire::connect(endpoint).await?];
        wires[0].make_directory(DIRECTORY).await?;
        Ok(Self { wires })
    }

    /// Makes the nodes of a block, in turns for each client to delete, each watched by the other.
    async fn make_nodes(&mut self) -> Result<Vec<String>, Failure> {
        for _ in 0..BLOCK {
            self.wires[0].create("/floor/handoff-", VALUE, true);
        }
        self.wires[0].send().await?;
        let mut paths = Vec::new();
        for _ in 0..BLOCK {
            paths.push(text(&self.wires[0].done().await?)?);
        }
        for (path, watcher) in paths.iter().zip([1, 0].into_iter().cycle()) {
            self.wires[watcher].watch_data(path);
        }
        for wire in &mut self.wires {
            wire.send().await?;
            for _ in 0..BLOCK / 2 {
                wire.done().await?;
            }
        }
        Ok(paths)
    }

    /// Deletes them one after the other, each when the one before was seen to go.
    async fn chain(&mut self, paths: &[String]) -> Result<(), Failure> {
        let mut unanswered = [0_u64; 2];
        for (path, deleter) in paths.iter().zip([0, 1].into_iter().cycle()) {
            self.wires[deleter].delete(path);
            self.wires[deleter].send().await?;
            unanswered[deleter] += 1;
            let watcher = 1 - deleter;
            while let Message::Reply { code, .. } = self.wires[watcher].message().await? {
                // Of its own deletion before.
                unanswered[watcher] -= 1;
                if code != 0 {
                    return Err(format!("a deletion of the floor was answered {code}").into());
                }
            }
        }
        for (wire, unanswered) in self.wires.iter_mut().zip(unanswered) {
            for _ in 0..unanswered {
                wire.done().await?;
            }
        }
        Ok(())
    }
}

#[async_trait]
impl Peer for ZooKeeperFloor {
    fn name(&self) -> String {
        "the floor".to_owned()
    }

    fn contends(&self, contenders: usize) -> bool {
        contenders == 2
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        let wire = &mut self.wires[0];
        let started = Started::now()?;
        for _ in 0..rounds {
            wire.create("/floor/alone-", VALUE, true);
            wire.children(DIRECTORY);
            wire.send().await?;
            let path = text(&wire.done().await?)?;
            wire.done().await?;
            wire.delete(&path);
            wire.send().await?;
            wire.done().await?;
        }
        started.took()
    }

    async fn prepare(&mut self, _contenders: usize) -> Result<(), Failure> {
        Ok(())
    }

    async fn contend(&mut self, _contenders: usize, time: Duration) -> Result<Contended, Failure> {
        let (mut took, mut deleted, mut slept) = (Duration::ZERO, 0, 0);
        while took < time {
            let paths = self.make_nodes().await?;
            let (before, began) = (process::own_wake_ups()?, Instant::now());
            self.chain(&paths).await?;
            took += began.elapsed();
            slept += process::own_wake_ups()? - before;
            deleted += BLOCK;
        }
        let each = took / u32::try_from(deleted)?;
        let (grants, waits) = (vec![deleted / 2; 2], Waits { median: each, p99: each });
        Ok(Contended { grants, changes: deleted, took, acquisitions: deleted, wake_ups: slept, waits })
    }
}
