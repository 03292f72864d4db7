//! The conformance suite of the items that a group divides.
//!
//! | case | what it proves |
//! |---|---|
//! | `every_item_has_one_owner` | never two at once, and one in the end, while members join, leave and die |
//! | `only_the_share_of_the_newcomer_moves` | a member that comes takes about its share, and nothing else moves |
//! | `a_handover_waits_for_the_work` | an item goes on only when the work on it has ended |
//! | `items_come_and_go` | the set can be changed while it is divided; bad items are refused |
//! | `what_is_lost_is_owned_again` | a lost session drops the work, which is begun anew under a higher token |
//! | `work_that_ends_is_not_begun_again` | nor does its item go elsewhere |
//! | `plain_members_get_nothing` | who only joined takes no items |
//! | `a_shutdown_ends_the_run` | of the coordinator, or by the drop of the future: nothing is left |

use std::collections::BTreeMap;
use std::sync::Arc;

use leasehold_core::{Coordinator, Error, ErrorKind, FencingToken, Kind, OwnedItem};
use tokio::sync::{oneshot, watch};
use tokio::task::JoinHandle;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::table;
use crate::contract::World;
use crate::scene::{PATIENCE, Scene, soon};

table! {
    every_item_has_one_owner [63]
    only_the_share_of_the_newcomer_moves
    a_handover_waits_for_the_work
    items_come_and_go
    what_is_lost_is_owned_again
    work_that_ends_is_not_begun_again
    plain_members_get_nothing
    a_shutdown_ends_the_run
}

/// Who owns what, as the works themselves say it. It fails as soon as an item has two owners, or a token does not
/// rise.
#[derive(Clone)]
struct Ledger(Arc<watch::Sender<Owners>>);

#[derive(Default)]
struct Owners {
    now: BTreeMap<String, &'static str>,
    tokens: BTreeMap<String, FencingToken>,
    /// What tells the owners that they should give up.
    stops: BTreeMap<String, CancellationToken>,
    /// How often an item was taken.
    taken: usize,
    /// Why the history is wrong: a panic in a work would only end that one.
    wrong: Vec<String>,
}

/// The time in which an item is owned: it ends also when the work is dropped.
struct Tenure(Ledger, String);

impl Ledger {
    fn new() -> Self {
        Self(Arc::new(watch::Sender::new(Owners::default())))
    }

    fn take(&self, owner: &'static str, item: &OwnedItem) -> Tenure {
        let (name, token) = (item.item().to_owned(), item.held().fencing_token());
        self.0.send_modify(|owners| {
            if let Some(other) = owners.now.insert(name.clone(), owner) {
                owners.wrong.push(format!("{name} belongs to {other} and to {owner}"));
            }
            if owners.tokens.insert(name.clone(), token).is_some_and(|last| last >= token) {
                owners.wrong.push(format!("the token of {name} does not rise"));
            }
            owners.stops.insert(name.clone(), item.cancellation_token());
            owners.taken += 1;
        });
        Tenure(self.clone(), name)
    }

    /// Waits until the owners are such.
    async fn until(&self, what: &str, such: impl Fn(&BTreeMap<String, &'static str>) -> bool) {
        self.until_they_are(what, |owners| such(&owners.now)).await;
    }

    async fn until_they_are(&self, what: &str, such: impl Fn(&Owners) -> bool) {
        let mut owners = self.0.subscribe();
        let happens = owners.wait_for(|owners| !owners.wrong.is_empty() || such(owners));
        let wrong = soon(what, happens).await.expect("the ledger has the sender").wrong.clone();
        assert!(wrong.is_empty(), "{wrong:?}");
    }

    /// Waits until each of so many items has an owner among these, each of these has an item, and none is about to give one up.
    ///
    /// If one had all of them and another came, nothing moves any more then: the newcomer has an item because the first knows of it,
    /// and that one has told the works on all that it is going to give up before it gave up anything.
    async fn divided(&self, items: usize, among: &[&'static str]) {
        self.until_they_are(&format!("{items} items are divided among {among:?}"), |owners| {
            let now = &owners.now;
            now.len() == items
                && now.values().all(|owner| among.contains(owner))
                && among.iter().all(|member| now.values().any(|owner| owner == member))
                && owners.stops.values().all(|stop| !stop.is_cancelled())
        })
        .await;
    }

    fn now(&self) -> BTreeMap<String, &'static str> {
        self.0.borrow().now.clone()
    }

    fn tokens(&self) -> BTreeMap<String, FencingToken> {
        self.0.borrow().tokens.clone()
    }

    /// Waits until each of these items has an owner again, under another token. That tokens rise is seen to in any
    /// case.
    async fn owned_anew(&self, lost: &BTreeMap<String, FencingToken>) {
        let mut owners = self.0.subscribe();
        let anew = owners.wait_for(|owners| {
            lost.iter().all(|(item, token)| {
                owners.now.contains_key(item) && owners.tokens.get(item).is_some_and(|now| now != token)
            })
        });
        soon("what was lost is owned anew", anew).await.expect("the ledger has the sender");
    }

    fn taken(&self) -> usize {
        self.0.borrow().taken
    }
}

impl Drop for Tenure {
    fn drop(&mut self) {
        self.0.0.send_modify(|owners| {
            owners.now.remove(&self.1);
            owners.stops.remove(&self.1);
        });
    }
}

/// A run in a task.
struct Running {
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<Result<(), Error>>,
}

impl Running {
    async fn stop(mut self) -> Result<(), Error> {
        if let Some(stop) = self.stop.take() {
            // Whoever listened may have ended.
            let _ = stop.send(());
        }
        soon("the run ends", self.task).await.expect("no panic")
    }
}

fn items(count: usize) -> Vec<String> {
    (0..count).map(|number| format!("item {number}")).collect()
}

/// Runs works that own their item until they are asked to give it up.
fn run(node: &Coordinator, name: &'static str, count: usize, ledger: &Ledger) -> Running {
    run_until(node, name, count, ledger, watch::channel(true).1)
}

/// Runs works that own their item until they are asked to give it up, and `allowed` says that they may.
fn run_until(
    node: &Coordinator,
    name: &'static str,
    count: usize,
    ledger: &Ledger,
    allowed: watch::Receiver<bool>,
) -> Running {
    let partition = node.group("one").partition(items(count)).expect("sound names").value(name);
    let (stop, stopped) = oneshot::channel::<()>();
    let ledger = ledger.clone();
    let task = tokio::spawn(async move {
        let shutdown = async {
            // A case that has dropped the sender does not stop it.
            if stopped.await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        let work = |item: OwnedItem| {
            let (ledger, mut allowed) = (ledger.clone(), allowed.clone());
            async move {
                let _tenure = ledger.take(name, &item);
                item.cancellation_token().cancelled().await;
                // The last value stays when the sender is gone.
                let _ = allowed.wait_for(|allowed| *allowed).await;
            }
        };
        partition.run(shutdown, work).await
    });
    Running { stop: Some(stop), task }
}

async fn every_item_has_one_owner(world: Arc<dyn World>) {
    const ITEMS: usize = 24;
    let scene = Scene::new(&world);
    let (first, second, third) = (scene.node().await, scene.node().await, scene.node().await);
    let ledger = Ledger::new();
    let a = run(&first, "a", ITEMS, &ledger);
    ledger.divided(ITEMS, &["a"]).await;
    let b = run(&second, "b", ITEMS, &ledger);
    ledger.divided(ITEMS, &["a", "b"]).await;
    let mut mortal = scene.mortal().await;
    let dying = run(&mortal.coordinator, "dying", ITEMS, &ledger);
    // In the middle of it another one comes, and one goes.
    let c = run(&third, "c", ITEMS, &ledger);
    a.stop().await.expect("stopped");
    ledger.divided(ITEMS, &["b", "c", "dying"]).await;
    mortal.kill();
    assert_eq!(
        soon("the run is told", dying.task).await.expect("no panic").map_err(|e| e.kind()),
        Err(ErrorKind::DriverGone)
    );
    ledger.divided(ITEMS, &["b", "c"]).await;
    // Two runs of one process are two members.
    let d = run(&third, "d", ITEMS, &ledger);
    ledger.divided(ITEMS, &["b", "c", "d"]).await;
    for run in [b, c, d] {
        run.stop().await.expect("stopped");
    }
    ledger.until("nobody owns anything", BTreeMap::is_empty).await;
    scene.nothing_is_left().await;
}

async fn only_the_share_of_the_newcomer_moves(world: Arc<dyn World>) {
    const ITEMS: usize = 60;
    let scene = Scene::new(&world);
    let nodes = [scene.node().await, scene.node().await, scene.node().await];
    let ledger = Ledger::new();
    let _a = run(&nodes[0], "a", ITEMS, &ledger);
    ledger.divided(ITEMS, &["a"]).await;
    let _b = run(&nodes[1], "b", ITEMS, &ledger);
    ledger.divided(ITEMS, &["a", "b"]).await;
    let (before, taken) = (ledger.now(), ledger.taken());
    let c = run(&nodes[2], "c", ITEMS, &ledger);
    // Once c has something of each of the others, each of them has heard of it. That one has nothing for c has a chance of
    // (2/3)^30, if it has its half.
    let gave = |now: &BTreeMap<_, _>, one| {
        before.iter().any(|(item, owner)| *owner == one && now.get(item) == Some(&"c"))
    };
    ledger.until("c has a share of both", |now| gave(now, "a") && gave(now, "b")).await;
    ledger.divided(ITEMS, &["a", "b", "c"]).await;
    let settled = ledger.now();
    let moved: Vec<_> = before.iter().filter(|(item, owner)| settled[*item] != **owner).collect();
    assert!(moved.iter().all(|(item, _)| settled[*item] == "c"), "between a and b nothing moves");
    assert_eq!(ledger.taken() - taken, moved.len(), "what stays is not even let go");
    // A third of 60 is 20, its standard deviation 3.7.
    assert!((4..=36).contains(&moved.len()), "{} of {ITEMS} moved", moved.len());
    c.stop().await.expect("stopped");
    ledger.divided(ITEMS, &["a", "b"]).await;
    ledger.until("all is as it was before c came", |now| *now == before).await;
}

async fn a_handover_waits_for_the_work(world: Arc<dyn World>) {
    const ITEMS: usize = 12;
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let (ledger, (allow, allowed)) = (Ledger::new(), watch::channel(false));
    let slow = run_until(&node, "slow", ITEMS, &ledger, allowed);
    ledger.divided(ITEMS, &["slow"]).await;
    let before = ledger.now();
    let quick = run(&other, "quick", ITEMS, &ledger);
    // The newcomer waits for the items that are its own.
    let waited_for = contended(&scene, ITEMS).await;
    sleep(world.ttl() / 4).await;
    assert_eq!(ledger.now(), before, "{waited_for} is not taken from under the work");
    allow.send_replace(true);
    ledger.divided(ITEMS, &["slow", "quick"]).await;
    let moved = |now: &BTreeMap<String, &str>| now.get(&waited_for) == Some(&"quick") && now.len() == ITEMS;
    ledger.until("the newcomer gets it", moved).await;
    slow.stop().await.expect("stopped");
    ledger.divided(ITEMS, &["quick"]).await;
    quick.stop().await.expect("stopped");
    scene.nothing_is_left().await;
}

/// Waits until one of the items has an owner and another one who waits for it.
async fn contended(scene: &Scene, count: usize) -> String {
    let observer = scene.observer().await;
    let waits: Vec<_> = items(count)
        .into_iter()
        .map(|item| {
            let observer = &observer;
            Box::pin(async move {
                observer.contenders_of(Kind::Partition, &format!("one/{item}"), 2).await;
                item
            })
        })
        .collect();
    futures::future::select_all(waits).await.0
}

async fn items_come_and_go(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let ledger = Ledger::new();
    let partition = node.group("one").partition(["a", "b/c", ""]).expect("sound names");
    let running = tokio::spawn({
        let (partition, ledger) = (partition.clone(), ledger.clone());
        async move {
            let work = |item: OwnedItem| {
                let ledger = ledger.clone();
                async move {
                    let _tenure = ledger.take("it", &item);
                    item.cancellation_token().cancelled().await;
                }
            };
            partition.run(std::future::pending(), work).await
        }
    });
    let are = |expected: &'static [&'static str]| {
        let ledger = ledger.clone();
        async move {
            let what = format!("the items are {expected:?}");
            ledger.until(&what, |now| now.keys().map(String::as_str).eq(expected.iter().copied())).await;
        }
    };
    are(&["", "a", "b/c"]).await;
    partition.set_items(["a", "d", "d"]).expect("sound names");
    are(&["a", "d"]).await;
    for bad in ["\n", &"x".repeat(253)] {
        let error = partition.set_items(["e", bad]).expect_err("a bad name");
        assert_eq!(error.kind(), ErrorKind::InvalidName, "{error}");
        let error = node.group("one").partition([bad]).expect_err("a bad name");
        assert_eq!(error.kind(), ErrorKind::InvalidName, "{error}");
    }
    are(&["a", "d"]).await;
    let nothing: [&str; 0] = [];
    partition.set_items(nothing).expect("sound names");
    are(&[]).await;
    partition.set_items(["a"]).expect("sound names");
    are(&["a"]).await;
    running.abort();
    are(&[]).await;
    scene.nothing_is_left().await;
    let bad = node.group("\n").partition(nothing).expect("no item is refused");
    let error = bad.run(std::future::pending(), |_| async {}).await.expect_err("a bad name");
    assert_eq!(error.kind(), ErrorKind::InvalidName);
}

async fn what_is_lost_is_owned_again(world: Arc<dyn World>) {
    const ITEMS: usize = 6;
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let ledger = Ledger::new();
    let a = run(&node, "a", ITEMS, &ledger);
    ledger.divided(ITEMS, &["a"]).await;
    let lost = ledger.tokens();
    scene.expire(&node).await;
    ledger.owned_anew(&lost).await;
    // One item alone, removed by an administrator.
    let mut lost = ledger.tokens();
    lost.retain(|item, _| item == "item 0");
    world.remove_queue(&scene.path_of(Kind::Partition, "one/item 0")).await;
    ledger.owned_anew(&lost).await;
    ledger.divided(ITEMS, &["a"]).await;
    a.stop().await.expect("stopped");
    scene.nothing_is_left().await;
}

async fn work_that_ends_is_not_begun_again(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let (begun, mut times) = watch::channel(0);
    let (stop, stopped) = oneshot::channel::<()>();
    let partition = node.group("one").partition(["a"]).expect("sound names");
    let running = tokio::spawn(async move {
        let work = |_item: OwnedItem| {
            begun.send_modify(|times| *times += 1);
            async {}
        };
        partition.run(async { stopped.await.expect("the case stops it") }, work).await
    });
    soon("the work begins", times.wait_for(|times| *times == 1)).await.expect("it runs");
    // Changes of the group make the run look again.
    for _ in 0..3 {
        let member = other.group("one").join("b").await.expect("joined");
        observer.contenders_of(Kind::Group, "one", 2).await;
        member.release().await.expect("released");
        observer.contenders_of(Kind::Group, "one", 1).await;
    }
    observer.contenders_of(Kind::Partition, "one/a", 1).await;
    assert_eq!(*times.borrow(), 1);
    stop.send(()).expect("it listens");
    soon("the run ends", running).await.expect("no panic").expect("stopped");
    scene.nothing_is_left().await;
}

async fn plain_members_get_nothing(world: Arc<dyn World>) {
    const ITEMS: usize = 8;
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let mut plain = Vec::new();
    for _ in 0..4 {
        plain.push(node.group("one").join("plain").await.expect("joined"));
    }
    let ledger = Ledger::new();
    let a = run(&node, "a", ITEMS, &ledger);
    ledger.divided(ITEMS, &["a"]).await;
    let members = node.group("one").members().await.expect("answered");
    assert!(members.len() == 5 && members[4].value == "a", "it is a member like the others");
    a.stop().await.expect("stopped");
    drop(plain);
    scene.nothing_is_left().await;
}

async fn a_shutdown_ends_the_run(world: Arc<dyn World>) {
    const ITEMS: usize = 4;
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let ledger = Ledger::new();
    let a = run(&node, "a", ITEMS, &ledger);
    let b = run(&other, "b", ITEMS, &ledger);
    ledger.until("all are owned", |now| now.len() == ITEMS).await;
    node.shutdown(PATIENCE).await.expect("the works end when they are asked to");
    let error = soon("the run ends", a.task).await.expect("no panic").expect_err("shut down");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    ledger.divided(ITEMS, &["b"]).await;
    // Dropped, works and all.
    b.task.abort();
    ledger.until("nobody owns anything", BTreeMap::is_empty).await;
    scene.nothing_is_left().await;
    // A run that is over before it began joins nothing.
    let partition = other.group("one").partition(["a"]).expect("sound names");
    partition.run(std::future::ready(()), |_| async {}).await.expect("stopped");
    scene.nothing_is_left().await;
}
