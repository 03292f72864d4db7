//! What etcd itself takes, over the client crate that leasehold stands on.
//!
//! A lock and its unlock are two commits, a transaction that creates a key and counts the queue, and a deletion. Of a handoff, nothing but
//! the deletion and the event of it that the next one gets has to come one after the other: two clients delete keys that
//! were there before, each as soon as it is told of the other's.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use etcd_client::{
    Client, Compare, CompareOp, EventType, GetOptions, PutOptions, Txn, TxnOp, WatchOptions, WatchStream,
};

use crate::Failure;
use crate::measure::{Contended, Started, Took, Waits};
use crate::peers::Peer;
use crate::process;

const TTL: i64 = 3_600;

/// So many keys are made at once, while nobody measures; etcd takes 128 operations in a transaction.
const BLOCK: u64 = 120;

/// As long as those of leasehold.
const VALUE: &str = "x\nhost=a%2Dserver%2Din%2Da%2Drack&pid=12345&since=1764181234567&purpose=";

pub(crate) struct EtcdFloor {
    clients: [Client; 2],
    lease: i64,
    attempts: u64,
}

impl EtcdFloor {
    pub(crate) async fn connect(endpoint: &str) -> Result<Self, Failure> {
        let mut first = Client::connect([endpoint], None).await?;
        let lease = first.lease_grant(TTL, None).await?.id();
        Ok(Self { clients: [first, Client::connect([endpoint], None).await?], lease, attempts: 0 })
    }

    fn with_lease(&self) -> Option<PutOptions> {
        Some(PutOptions::new().with_lease(self.lease))
    }

    /// Makes the keys of a block, half of them for each client to be told of.
    async fn make_keys(&mut self) -> Result<(), Failure> {
        let puts = (0..BLOCK).map(|number| TxnOp::put(key(number), VALUE, self.with_lease()));
        let made = Txn::new().and_then(puts.collect::<Vec<_>>());
        self.clients[0].txn(made).await?;
        Ok(())
    }

    /// Deletes a block's keys one after the other, each when the one before was seen to go.
    async fn chain(&mut self, watches: &mut [WatchStream; 2]) -> Result<(), Failure> {
        let mut answered: Option<tokio::task::JoinHandle<_>> = None;
        for number in 0..BLOCK {
            let mut client = self.clients[(number % 2) as usize].clone();
            let deleted = tokio::spawn(async move { client.delete(key(number), None).await });
            until_deleted(&mut watches[(number % 2) as usize], &key(number)).await?;
            // The answer comes with the event; the next deletion does not wait for it.
            if let Some(answered) = answered.replace(deleted) {
                answered.await??;
            }
        }
        if let Some(answered) = answered {
            answered.await??;
        }
        Ok(())
    }
}

/// The key that is deleted by one client, and watched by the other.
fn key(number: u64) -> String {
    format!("floor/{}/{number:08}", number % 2)
}

async fn until_deleted(watch: &mut WatchStream, key: &str) -> Result<(), Failure> {
    loop {
        let answer = watch.message().await?.ok_or("the floor's watch has ended")?;
        let gone = answer.events().iter().filter(|event| event.event_type() == EventType::Delete);
        if gone.filter_map(|event| event.kv()).any(|kv| kv.key() == key.as_bytes()) {
            return Ok(());
        }
    }
}

#[async_trait]
impl Peer for EtcdFloor {
    fn name(&self) -> String {
        "the floor".to_owned()
    }

    fn contends(&self, contenders: usize) -> bool {
        contenders == 2
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        let started = Started::now()?;
        for _ in 0..rounds {
            self.attempts += 1;
            let key = format!("leasehold/floor/alone/f10000000000000f{:016x}", self.attempts);
            let counted = GetOptions::new().with_prefix().with_limit(1).with_keys_only();
            let enqueue =
                Txn::new().when([Compare::create_revision(key.as_str(), CompareOp::Equal, 0)]).and_then([
                    TxnOp::put(key.as_str(), VALUE, self.with_lease()),
                    TxnOp::get("leasehold/floor/alone/", Some(counted)),
                ]);
            if !self.clients[0].txn(enqueue).await?.succeeded() {
                return Err("a key of the floor was there before".into());
            }
            self.clients[0].delete(key, None).await?;
        }
        started.took()
    }

    async fn prepare(&mut self, _contenders: usize) -> Result<(), Failure> {
        Ok(())
    }

    async fn contend(&mut self, _contenders: usize, time: Duration) -> Result<Contended, Failure> {
        let mut watches = Vec::new();
        for side in [0, 1] {
            let options = WatchOptions::new().with_prefix();
            let watch = self.clients[1 - side].watch(format!("floor/{side}/"), Some(options)).await?;
            watches.push(watch);
        }
        let mut watches: [WatchStream; 2] = watches.try_into().map_err(|_| "there are two")?;
        let (mut took, mut blocks, mut slept) = (Duration::ZERO, 0, 0);
        while took < time {
            self.make_keys().await?;
            let (before, began) = (process::own_wake_ups()?, Instant::now());
            self.chain(&mut watches).await?;
            took += began.elapsed();
            slept += process::own_wake_ups()? - before;
            blocks += 1;
        }
        let deleted = blocks * BLOCK;
        let each = took / u32::try_from(deleted)?;
        let (grants, waits) = (vec![deleted / 2; 2], Waits { median: each, p99: each });
        Ok(Contended { grants, changes: deleted, took, acquisitions: deleted, wake_ups: slept, waits })
    }
}
