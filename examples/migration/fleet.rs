//! The workers together, and the operator's hands on them.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use leasehold::fencing::FencedRegister;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::options::Options;
use crate::worker::{Step, Worker, World};

/// Updates between two actions of the operator.
const UPDATES: u64 = 30;

type Failure = Box<dyn Error + Send + Sync>;

pub(crate) struct Fleet {
    world: Arc<World>,
    hands: Vec<(watch::Sender<Step>, watch::Receiver<Step>)>,
    workers: JoinSet<Result<(), Failure>>,
    shutdowns: Vec<leasehold::Coordinator>,
}

impl Fleet {
    pub(crate) async fn start(count: usize, options: &Options) -> Result<Self, Failure> {
        let connections: Vec<JoinHandle<_>> = (0..count)
            .map(|_| {
                let (old, new) = (options.from.clone(), options.to.clone());
                let options = Options { from: old, to: new };
                tokio::spawn(async move { tokio::try_join!(options.connect_old(), options.connect_new()) })
            })
            .collect();
        let mut fleet =
            Self { world: Arc::default(), hands: Vec::new(), workers: JoinSet::new(), shutdowns: Vec::new() };
        for connection in connections {
            let (old, new) = connection.await??;
            fleet.shutdowns.extend([old.clone(), new.clone()]);
            let (wants, wanted) = watch::channel(Step::Old);
            let (at, is_at) = watch::channel(Step::Old);
            fleet.hands.push((wants, is_at));
            fleet.workers.spawn(Worker { world: fleet.world.clone(), old, new, wanted, at }.run());
        }
        Ok(fleet)
    }

    pub(crate) fn store(&self) -> &FencedRegister<u64> {
        &self.world.store
    }

    /// Lets them work for a while.
    pub(crate) async fn work(&mut self) -> Result<String, Failure> {
        let mut updates = self.world.updates.subscribe();
        let until = *updates.borrow() + UPDATES;
        let updates = tokio::select! {
            updates = updates.wait_for(|updates| *updates >= until) => *updates?,
            // Nobody ends while there is work, but by an error.
            Some(ended) = self.workers.join_next() => {
                ended??;
                return Err("a worker has ended".into());
            }
        };
        Ok(format!("{updates:>4} updates, fenced by {:?}", self.store().fence().exclusive()))
    }

    /// Takes one worker after the other to the next step, and lets the fleet work in between.
    pub(crate) async fn advance(&mut self, step: Step) -> Result<(), Failure> {
        for at in 0..self.hands.len() {
            let (wants, is_at) = &mut self.hands[at];
            wants.send(step)?;
            is_at.wait_for(|at| *at == step).await?;
            self.work().await?;
        }
        Ok(())
    }

    /// Ends the work, and compares what is there with what was done.
    pub(crate) async fn finish(mut self) -> Result<String, Failure> {
        self.hands.clear();
        while let Some(ended) = self.workers.join_next().await {
            ended??;
        }
        for coordinator in self.shutdowns {
            coordinator.shutdown(Duration::from_secs(5)).await?;
        }
        let late = self.world.late_writes.load(Ordering::SeqCst);
        let (updates, fence) = (*self.world.updates.borrow(), self.world.store.fence());
        let number = self.world.store.read(fence.exclusive())?;
        if number != updates || late == 0 || fence.exclusive().epoch() != 1 {
            return Err(format!("{updates} updates gave {number}, {late} late writes, {fence}").into());
        }
        Ok(format!("{updates} updates, all there; {late} late writes, none accepted"))
    }
}
