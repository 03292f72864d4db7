//! Multi-locks with members on several services at once.

#![cfg(target_os = "linux")]

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use leasehold::fencing::FencedRegister;
use leasehold::memory::MemoryService;
use leasehold::{Coordinator, ErrorKind, MultiLock};
use leasehold_testkit::servers::{EtcdServer, ServerOptions, ZooKeeperServer};
use tokio::time::timeout;

const PATIENCE: Duration = Duration::from_secs(30);

async fn soon<T>(happens: impl Future<Output = T>) -> T {
    timeout(PATIENCE, happens).await.expect("in time")
}

/// Several tasks over connections of their own lock both, in both orders of asking.
async fn exclude_each_other(urls: [String; 2]) {
    const ROUNDS: u64 = 25;
    let number = Arc::new(AtomicU64::new(0));
    let stores = Arc::new([FencedRegister::new(0), FencedRegister::new(0)]);
    let mut tasks = Vec::new();
    for task in 0..4 {
        let [first, second] = [leasehold::connect(&urls[0]).await, leasehold::connect(&urls[1]).await];
        let first = ("first", first.unwrap().mutex("x"));
        let second = ("second", second.unwrap().mutex("x"));
        let asked = if task % 2 == 0 { [first, second] } else { [second, first] };
        let multi =
            asked.into_iter().fold(MultiLock::new(), |multi, (label, mutex)| multi.member(label, mutex));
        let (number, stores) = (number.clone(), stores.clone());
        tasks.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let guard = multi.lock().await.unwrap();
                let read = number.load(Ordering::SeqCst);
                tokio::task::yield_now().await;
                number.store(read + 1, Ordering::SeqCst);
                for (store, token) in stores.iter().zip(guard.tokens()) {
                    store.update(token, |value| *value += 1).expect("each service's tokens rise");
                }
                guard.release().await.unwrap();
            }
        }));
    }
    for task in tasks {
        soon(task).await.unwrap();
    }
    assert_eq!(number.load(Ordering::SeqCst), 4 * ROUNDS);
    for store in &*stores {
        assert_eq!(store.update(store.fence().exclusive(), |value| *value), Ok(4 * ROUNDS));
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn etcd_and_zookeeper() {
    let (etcd, zookeeper) = tokio::join!(
        EtcdServer::start(ServerOptions::default()),
        ZooKeeperServer::start(ServerOptions::default())
    );
    let urls = [format!("etcd://{}", etcd.endpoint()), format!("zookeeper://{}", zookeeper.endpoint())];
    exclude_each_other(urls).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn memory_and_etcd() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    exclude_each_other(["memory://two-services".into(), format!("etcd://{}", etcd.endpoint())]).await;
}

/// What an attempt has taken at the one service is given back when the other one is down; when that one is back, so is the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_second_service_is_down() {
    let (etcd, zookeeper) = tokio::join!(
        EtcdServer::start(ServerOptions::default()),
        ZooKeeperServer::start(ServerOptions::default())
    );
    let zookeeper_url = format!("zookeeper://{}?ttl=2s&request_timeout=1s", zookeeper.endpoint());
    let etcd_url = format!("etcd://{}?ttl=2s&request_timeout=1s", etcd.endpoint());
    let (old, new) = tokio::join!(leasehold::connect(&zookeeper_url), leasehold::connect(&etcd_url));
    let (old, new) = (old.unwrap(), new.unwrap());
    let other = leasehold::connect(&zookeeper_url).await.unwrap();
    let both = MultiLock::new().member("1 old", old.mutex("x")).member("2 new", new.mutex("x"));
    let guard = both.lock().await.unwrap();
    etcd.kill().await;
    let loss = soon(guard.lost()).await;
    assert_eq!(loss.label, "2 new");
    assert!(other.mutex("x").try_lock().await.unwrap().is_none(), "the other member stays");
    let error = guard.release().await.unwrap_err();
    let failures: Vec<_> = error.failures().map(|(label, error)| (label, error.is_lost())).collect();
    assert_eq!(failures, [("2 new", true)], "{error}");
    soon(other.mutex("x").try_lock())
        .await
        .unwrap()
        .expect("the other member was released")
        .release()
        .await
        .unwrap();

    let start = Instant::now();
    let error = both.try_lock().await.unwrap_err();
    assert_eq!((error.kind(), error.backend()), (ErrorKind::Unavailable, Some("etcd")), "{error}");
    assert!(error.to_string().contains("member \"2 new\""), "{error}");
    assert!(start.elapsed() < Duration::from_secs(2), "the one request time-out: {:?}", start.elapsed());
    let free = other.mutex("x").try_lock().await.unwrap().expect("given back before it returned");
    free.release().await.unwrap();

    let (patience, start) = (Duration::from_millis(700), Instant::now());
    let error = both.try_lock_for(patience).await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(start.elapsed() < patience * 2, "one budget: {:?}", start.elapsed());
    soon(other.mutex("x").lock()).await.unwrap().release().await.unwrap();

    // Who waits is served when the service is back, and whoever drops the wait leaves nothing at the other one.
    assert!(timeout(Duration::from_millis(300), both.lock()).await.is_err());
    soon(other.mutex("x").lock()).await.unwrap().release().await.unwrap();
    let waiting = tokio::spawn(async move { both.lock().await });
    etcd.restart().await;
    let guard = soon(waiting).await.unwrap().unwrap();
    assert!(guard.is_held());
    guard.release().await.unwrap();
}

/// The steps of a migration as `MultiLock` documents them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Step {
    /// Locks old.
    Old,
    /// Locks both, and sends old's token.
    BothByOld,
    /// Locks both, and sends the token that the fence asks for.
    BothByFence,
    /// Locks new.
    New,
}

const STEPS: [Step; 4] = [Step::Old, Step::BothByOld, Step::BothByFence, Step::New];

/// The tokens of one tenure, as its worker sends them.
#[derive(Debug)]
struct Tenure {
    step: Step,
    old: Option<leasehold::FencingToken>,
    new: Option<leasehold::FencingToken>,
}

impl Tenure {
    fn accepted<T>(
        &self,
        store: &FencedRegister<u64>,
        access: impl Fn(leasehold::FencingToken) -> Result<T, leasehold::fencing::Stale>,
    ) -> Option<T> {
        let by_fence = || {
            let handed_over = store.fence().exclusive().epoch() >= self.new?.epoch();
            if handed_over { self.new } else { self.old }
        };
        let token = match self.step {
            Step::Old | Step::BothByOld => self.old,
            Step::BothByFence => by_fence(),
            Step::New => self.new,
        };
        match access(token?) {
            Ok(done) => Some(done),
            // The hand-over may have come between the look and the access.
            Err(_) if self.step == Step::BothByFence => access(by_fence()?).ok(),
            Err(_) => None,
        }
    }
}

/// Several workers add to one number over the whole migration, each going on to its next step at a time of its own; some lose their locks
/// in the middle of their work and write all the same. What was accepted is what is there in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_migration_loses_no_update_and_accepts_nothing_stale() {
    const WORKERS: usize = 4;
    let services = [MemoryService::new(), MemoryService::new()];
    let store = Arc::new(FencedRegister::new(0));
    let (accepted, rejected) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let open = |service: usize| {
        // The new service's tokens beat the old one's by their epoch, from the beginning.
        Coordinator::builder(services[service].backend()).epoch(service as u32).connect()
    };
    // The step that nobody may be beyond, and where each one is.
    let most = tokio::sync::watch::channel(0);
    let at: Arc<[AtomicU64; WORKERS]> = Arc::default();
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers = Vec::new();
    for worker in 0..WORKERS {
        let (old, new) = (open(0).await.unwrap(), open(1).await.unwrap());
        let (services, store, stop, at) = (services.clone(), store.clone(), stop.clone(), at.clone());
        let (accepted, rejected, most) = (accepted.clone(), rejected.clone(), most.1.clone());
        workers.push(tokio::spawn(async move {
            let mut late = tokio::task::JoinSet::new();
            for round in 0.. {
                if stop.load(Ordering::SeqCst) {
                    late.join_all().await;
                    return;
                }
                // Each hears of the next step in its own time.
                let step = at[worker].load(Ordering::SeqCst);
                if step < *most.borrow() && round % (worker + 2) == 0 {
                    at[worker].fetch_add(1, Ordering::SeqCst);
                    continue;
                }
                let step = STEPS[step as usize];
                let mut locks = MultiLock::new();
                if step != Step::New {
                    locks = locks.member("old", old.mutex("the number"));
                }
                if step != Step::Old {
                    locks = locks.member("new", new.mutex("the number"));
                }
                let guard = locks.lock().await.unwrap();
                let [token_of_old, token_of_new] =
                    ["old", "new"].map(|label| guard.token(label, "the number"));
                let tenure = Tenure { step, old: token_of_old, new: token_of_new };
                let Some(read) = tenure.accepted(&store, |token| store.read(token)) else {
                    panic!("{step:?}: a holder is not rejected, {tenure:?} {:?}", store.fence());
                };
                tokio::task::yield_now().await;
                if round % 5 != worker {
                    let written = tenure.accepted(&store, |token| store.write(token, read + 1));
                    assert!(written.is_some(), "{step:?}: a holder is not rejected");
                    accepted.fetch_add(1, Ordering::SeqCst);
                    guard.release().await.unwrap();
                    continue;
                }
                // It loses its locks, and writes when the others have gone on, perhaps by some steps.
                for (service, node) in services.iter().zip([&old, &new]) {
                    let session = node.status().borrow().session.clone();
                    session.map(|session| service.expire_session(&session));
                }
                let (store, accepted, rejected) = (store.clone(), accepted.clone(), rejected.clone());
                late.spawn(async move {
                    tokio::time::sleep(Duration::from_millis((round as u64 * 7) % 150)).await;
                    let written = tenure.accepted(&store, |token| store.write(token, read + 1));
                    let counter = if written.is_some() { accepted } else { rejected };
                    counter.fetch_add(1, Ordering::SeqCst);
                    drop(guard);
                });
            }
        }));
    }
    let (old, new) = (open(0).await.unwrap(), open(1).await.unwrap());
    let progress = async |rounds: u64| {
        let until = accepted.load(Ordering::SeqCst) + rounds;
        while accepted.load(Ordering::SeqCst) < until {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    for step in 1..STEPS.len() as u64 {
        soon(progress(60)).await;
        if STEPS[step as usize] == Step::New {
            // Nobody is before the step that asks the fence: now it is handed over, under both.
            let both = MultiLock::new()
                .member("old", old.mutex("the number"))
                .member("new", new.mutex("the number"));
            let guard = both.lock().await.unwrap();
            let [from, to] = ["old", "new"].map(|label| guard.token(label, "the number").unwrap());
            store.hand_over(from, to).unwrap();
            guard.release().await.unwrap();
            soon(progress(60)).await;
        }
        most.0.send(step).unwrap();
        let all_there = async {
            while at.iter().any(|at| at.load(Ordering::SeqCst) < step) {
                tokio::time::sleep(Duration::from_millis(1)).await;
            }
        };
        soon(all_there).await;
    }
    soon(progress(60)).await;
    stop.store(true, Ordering::SeqCst);
    for worker in workers {
        soon(worker).await.unwrap();
    }
    assert_eq!(store.fence().exclusive().epoch(), 1, "fenced by the new service");
    let last = store.fence().exclusive();
    assert_eq!(store.read(last).unwrap(), accepted.load(Ordering::SeqCst), "every accepted update is there");
    assert!(rejected.load(Ordering::SeqCst) > 0, "some had lost their locks");
}
