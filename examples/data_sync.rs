//! A replica is kept in step with its source by one of two syncers, and refuses the one that is late: `cargo run --example data_sync`.
//!
//! Syncer A has read a batch of changes, and loses its lock before it writes them: its session expires (over a service, an administrator takes the lock from
//! it). B goes on from where the replica is, to the end. Then A's batch arrives, which is out of date by now. The replica has a fence
//! and rejects it; a second one that has none takes it, and is wrong from then on.
//!
//! `--url URL` runs it over a real service, with the feature of its name.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold::fencing::{FencedRegister, Stale};
use leasehold::memory::MemoryService;
use leasehold::{Coordinator, FencingToken, MutexGuard, Recipe};
use leasehold_examples::{fresh_name, url_argument};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const BATCH: usize = 10;

/// What the rows are after so many changes of the source.
#[derive(Debug, Clone, Default, PartialEq)]
struct Table {
    rows: BTreeMap<usize, usize>,
    changes: usize,
}

/// Changes of the source, in order: which row, and to what.
#[derive(Clone)]
struct Batch {
    from: usize,
    changes: Vec<(usize, usize)>,
}

#[derive(Default)]
struct World {
    source: Mutex<Vec<(usize, usize)>>,
    fenced: FencedRegister<Table>,
    unfenced: Mutex<Table>,
}

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let url = url_argument()?;
    let (a, b) = (leasehold::connect(&url).await?, leasehold::connect(&url).await?);
    let (world, lock) = (Arc::new(World::default()), fresh_name("data_sync"));
    world.change(60);

    let guard = a.mutex(&lock).lock().await?;
    let token = guard.fencing_token();
    let behind = world.sync_batches(token, 2)?;
    println!("A, token {token:?}: has written 2 batches, read the third, and {behind} changes are to come");
    let batch = world.read(token)?.ok_or("there is nothing to be read")?;
    let takes_over = tokio::spawn({
        let (mutex, world) = (b.mutex(&lock), world.clone());
        async move {
            let guard = mutex.lock().await?;
            let behind = world.sync_batches(guard.fencing_token(), usize::MAX)?;
            println!("B, token {:?}: has written the rest, {behind} are to come", guard.fencing_token());
            let token = guard.fencing_token();
            guard.release().await?;
            Ok::<_, AnyError>(token)
        }
    });
    lose(&guard, &a, &b, &url).await?;
    println!("A: has lost the lock: {}", guard.lost().await);
    let next = takes_over.await??;

    // A had no chance to look: its batch was on its way.
    let late = world.write(token, &batch);
    assert_eq!(late, Err(Stale { token, highest: next }));
    println!("A: its third batch arrives late, and is rejected");
    assert!(guard.release().await.is_err_and(|error| error.is_lost()));

    world.change(5);
    let guard = a.mutex(&lock).lock().await?;
    let behind = world.sync_batches(guard.fencing_token(), usize::MAX)?;
    println!(
        "A, token {:?}: has locked anew and written the rest, {behind} are to come",
        guard.fencing_token()
    );
    let replica = world.fenced.read(guard.fencing_token())?;
    guard.release().await?;

    let (source, unfenced) = (world.whole_source(), lock_up(&world.unfenced).clone());
    assert_eq!(replica, source);
    println!(
        "The replica is equal to its source: {} rows after {} changes.",
        source.rows.len(),
        source.changes
    );
    let wrong = source.rows.iter().filter(|(row, value)| unfenced.rows.get(row) != Some(value)).count();
    assert!(wrong > 0, "the run shows nothing: the replica without a fence is right");
    println!("The one without a fence has {wrong} rows that are out of date.");

    for syncer in [a, b] {
        syncer.shutdown(Duration::from_secs(5)).await?;
    }
    Ok(())
}

/// Takes the lock away from A.
async fn lose(guard: &MutexGuard, a: &Coordinator, b: &Coordinator, url: &str) -> Result<(), AnyError> {
    if let Some(name) = url.strip_prefix("memory://") {
        let session = a.status().borrow().session.clone().ok_or("A has no session")?;
        let service = MemoryService::named(name.split('/').next().unwrap_or_default());
        assert!(service.expire_session(&session));
    } else {
        b.admin().force_release(Recipe::Mutex, guard.name(), "whoever shows this").await?;
    }
    Ok(())
}

impl World {
    /// The source changes so many times, each of its ten rows in turn.
    fn change(&self, times: usize) {
        let mut source = lock_up(&self.source);
        let from = source.len();
        source.extend((from..from + times).map(|change| (change % 10, change)));
    }

    fn whole_source(&self) -> Table {
        let mut table = Table::default();
        table.apply(&Batch { from: 0, changes: lock_up(&self.source).clone() });
        table
    }

    /// Writes up to so many batches under one hold; answers how many changes are left.
    fn sync_batches(&self, token: FencingToken, batches: usize) -> Result<usize, Stale> {
        for _ in 0..batches {
            let Some(batch) = self.read(token)? else { break };
            self.write(token, &batch)?;
        }
        Ok(lock_up(&self.source).len() - self.fenced.read(token)?.changes)
    }

    /// What comes next, by the replica itself: from this touch on it takes nothing of earlier holders.
    fn read(&self, token: FencingToken) -> Result<Option<Batch>, Stale> {
        let from = self.fenced.update(token, |replica| replica.changes)?;
        let changes: Vec<_> = lock_up(&self.source).iter().skip(from).take(BATCH).copied().collect();
        Ok(if changes.is_empty() { None } else { Some(Batch { from, changes }) })
    }

    fn write(&self, token: FencingToken, batch: &Batch) -> Result<(), Stale> {
        lock_up(&self.unfenced).apply(batch);
        // Rows and position change in one step with the check.
        self.fenced.update(token, |replica| replica.apply(batch))
    }
}

impl Table {
    fn apply(&mut self, batch: &Batch) {
        self.rows.extend(batch.changes.iter().copied());
        self.changes = batch.from + batch.changes.len();
    }
}

fn lock_up<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
