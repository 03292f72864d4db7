//! A hundred requesters find that an entry of a cache has expired, and one of them loads it anew: `cargo run --example cache_refresh`.
//!
//! The pattern is a [`once`](Coordinator::once) with one occurrence for each generation of the entry. Who has nothing that can be served waits (`run`), and
//! who has the old value serves that at once (`try_run`). A mutex would do as well, but each of the hundred would get its turn, one after the
//! other, only to see that there is nothing left to do; here one event releases all, and who was slow to come does not load it once more either. If
//! the one that loads dies, the next in line takes over.
//!
//! `--url URL` runs it over a real service, with the feature of its name.

use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use leasehold::Coordinator;
use leasehold_examples::node_thread::NodeThread;
use leasehold_examples::{fresh_name, url_argument};
use tokio::sync::{Barrier, oneshot, watch};
use tokio::task::JoinSet;

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const NODES: usize = 4;
const REQUESTERS: usize = 100;
const TTL: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, PartialEq)]
struct Entry {
    generation: u64,
    expired: bool,
}

/// What the nodes share, beside the service.
struct World {
    /// The name of the entry.
    key: String,
    /// The cache has this entry only.
    cache: Mutex<Option<Entry>>,
    /// How many loads the database was asked for.
    loads: watch::Sender<usize>,
    /// Whether the database answers.
    answers: watch::Sender<bool>,
}

/// What a requester got, and whether it was the one that loaded it.
type Served = (Entry, bool);

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let url = url_argument()?;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(leasehold::builder(&url)?.ttl(TTL).connect().await?);
    }
    let world = Arc::new(World {
        key: fresh_name("users"),
        cache: Mutex::default(),
        loads: watch::Sender::new(0),
        answers: watch::Sender::new(true),
    });
    println!("{REQUESTERS} requesters on {NODES} nodes over {}", nodes[0].backend_name());

    let start = Instant::now();
    let served = collect(crowd(&nodes, &world, false)).await?;
    assert!(served.iter().all(|(entry, _)| entry.generation == 1));
    assert_eq!((world.loads(), loaders(&served)), (1, 1));
    println!("  nothing to serve:       one loads it, the others wait; {:.1?}", start.elapsed());

    world.expire();
    // The database answers only after somebody was served.
    world.answers.send_replace(false);
    let mut requesters = crowd(&nodes, &world, true);
    let first = requesters.join_next().await.ok_or("nobody came")???;
    assert_eq!((first.0.generation, first.1), (1, false), "while one loads, the old value is served");
    world.answers.send_replace(true);
    let mut served = collect(requesters).await?;
    served.push(first);
    let old = served.iter().filter(|(entry, _)| entry.generation == 1).count();
    assert!(served.iter().all(|(entry, _)| entry.generation <= 2));
    assert_eq!((world.loads(), loaders(&served)), (2, 1));
    println!("  the old one will do:    one loads it, {old} are served the old one meanwhile");

    world.expire();
    world.answers.send_replace(false);
    let (ended, has_ended) = oneshot::channel();
    let doomed = NodeThread::start("doomed".into(), {
        let (url, world) = (url.clone(), world.clone());
        async move |runtime| {
            let refreshed = async {
                let node = leasehold::builder(&url)?.ttl(TTL).runtime(runtime).connect().await?;
                let seen = world.look();
                get(&node, &world, seen, false).await
            };
            let _ = ended.send(refreshed.await);
        }
    })?;
    tokio::select! {
        loads = world.begun(3) => loads?,
        how = has_ended => return Err(format!("it should load, and ended: {how:?}").into()),
    }
    doomed.kill()?;
    let start = Instant::now();
    world.answers.send_replace(true);
    let served = collect(crowd(&nodes, &world, false)).await?;
    assert!(served.iter().all(|(entry, _)| entry.generation == 3));
    assert_eq!((world.loads(), loaders(&served)), (4, 1), "one more load than refreshes");
    println!("  the loader dies:        another takes over, the others wait; {:.1?}", start.elapsed());

    for node in nodes {
        node.shutdown(Duration::from_secs(5)).await?;
    }
    Ok(())
}

/// All look at the cache before any of them does something about it.
fn crowd(nodes: &[Coordinator], world: &Arc<World>, old_will_do: bool) -> JoinSet<Result<Served, AnyError>> {
    let together = Arc::new(Barrier::new(REQUESTERS));
    let mut requesters = JoinSet::new();
    for number in 0..REQUESTERS {
        let (node, world, together) = (nodes[number % NODES].clone(), world.clone(), together.clone());
        requesters.spawn(async move {
            let seen = world.look();
            together.wait().await;
            get(&node, &world, seen, old_will_do).await
        });
    }
    requesters
}

/// Serves the entry as a requester saw it, or refreshes it.
async fn get(
    node: &Coordinator,
    world: &World,
    seen: Option<Entry>,
    old_will_do: bool,
) -> Result<Served, AnyError> {
    let generation = match &seen {
        Some(entry) if !entry.expired => return Ok((entry.clone(), false)),
        Some(entry) => entry.generation + 1,
        None => 1,
    };
    let refresh = node.once(&world.key).occurrence(generation.to_string());
    let load = async |_| {
        world.load(generation).await;
        Ok::<_, Infallible>("")
    };
    let Ok(done) = match seen.filter(|_| old_will_do) {
        Some(old) => match refresh.try_run(load).await? {
            Some(done) => done,
            None => return Ok((old, false)),
        },
        None => refresh.run(load).await?,
    };
    Ok((world.look().ok_or("it was loaded, and is not there")?, done.ran_here()))
}

async fn collect(mut requesters: JoinSet<Result<Served, AnyError>>) -> Result<Vec<Served>, AnyError> {
    let mut served = Vec::new();
    while let Some(each) = requesters.join_next().await {
        served.push(each??);
    }
    Ok(served)
}

fn loaders(served: &[Served]) -> usize {
    served.iter().filter(|(_, loaded)| *loaded).count()
}

impl World {
    fn look(&self) -> Option<Entry> {
        self.cache.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn expire(&self) {
        if let Some(entry) = &mut *self.cache.lock().unwrap_or_else(PoisonError::into_inner) {
            entry.expired = true;
        }
    }

    fn loads(&self) -> usize {
        *self.loads.borrow()
    }

    /// Resolves when the database was asked so many times.
    async fn begun(&self, loads: usize) -> Result<(), AnyError> {
        self.loads.subscribe().wait_for(|begun| *begun == loads).await?;
        Ok(())
    }

    /// Asks the database, and puts what it answers into the cache.
    async fn load(&self, generation: u64) {
        self.loads.send_modify(|loads| *loads += 1);
        // The sender is here.
        let _ = self.answers.subscribe().wait_for(|answers| *answers).await;
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        // Only on top of the generation before: the fence here. (Each occurrence is a line of its own, and tokens of different lines
        // do not compare.) One that was taken for dead and wakes up late finds its generation there, or a later one.
        if cache.as_ref().map_or(0, |entry| entry.generation) + 1 == generation {
            *cache = Some(Entry { generation, expired: false });
        }
    }
}
