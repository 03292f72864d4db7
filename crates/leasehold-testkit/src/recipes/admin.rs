//! The conformance suite of administration: listing, asking for a release, breaking a lock.
//!
//! | case | what it proves |
//! |---|---|
//! | `contenders_are_listed_with_what_they_say` | order, standing, token, holder, time |
//! | `readers_and_writers_stand_by_their_rule` | standing by the recipe's own rule; all holders of a lock are asked and broken |
//! | `a_queue_is_followed` | every change comes to be seen, also within an entry; the stream ends with the coordinator |
//! | `names_are_listed_by_recipe_and_prefix` | hostile names too |
//! | `entries_of_strangers_are_shown_as_such` | neither dropped nor a crash, and can be broken |
//! | `an_asked_holder_hears_it_once_and_may_go_on` | asking is a request and no more |
//! | `asked_in_the_moment_of_the_grant`, `asked_while_waiting` | not missed before the watch of the entry is armed |
//! | `marks_and_other_writers_merge` | compare-and-set merge: nobody's write is lost |
//! | `a_mark_leaves_the_entry_to_its_owner` | the entry stays tied to its owner's session |
//! | `what_cannot_be_asked_for_is_refused` | bad names and arguments; nobody there |
//! | `a_live_holder_is_released_by_force` | the holder hears why, and gives up itself |
//! | `a_dead_holder_is_released_by_force`, `a_cut_holder_is_released_by_force` | the entry is removed; the old holder harms nobody |
//! | `force_races_the_release` | the next holder's entry is never touched |
//! | `a_waiter_is_removed_and_queues_again` | at the end |

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use leasehold_core::{
    AttemptIds, ContenderInfo, Coordinator, EntryId, ErrorKind, HolderInfo, Kind, LossReason, MAX_NAME_BYTES,
    Mode, NewEntry, Publish, Published, QueueStream, Recipe, ReleaseError, Released, Standing,
};

use super::table;
use crate::contract::World;
use crate::scene::{PATIENCE, Scene, soon};

table! {
    contenders_are_listed_with_what_they_say
    readers_and_writers_stand_by_their_rule
    a_queue_is_followed
    names_are_listed_by_recipe_and_prefix
    entries_of_strangers_are_shown_as_such [13]
    an_asked_holder_hears_it_once_and_may_go_on
    asked_in_the_moment_of_the_grant
    asked_while_waiting
    marks_and_other_writers_merge
    a_mark_leaves_the_entry_to_its_owner
    what_cannot_be_asked_for_is_refused
    a_live_holder_is_released_by_force
    a_dead_holder_is_released_by_force [5]
    a_cut_holder_is_released_by_force [5]
    force_races_the_release
    a_waiter_is_removed_and_queues_again
}

/// The entries of a lock, first to last.
async fn ids(node: &Coordinator, name: &str) -> Vec<EntryId> {
    let contenders = node.mutex(name).contenders().await.expect("listed");
    contenders.iter().map(|contender| contender.entry).collect()
}

async fn contenders_are_listed_with_what_they_say(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let observer = scene.observer().await;
    let named = async |purpose: &str| {
        let holder = HolderInfo::this_process().with_purpose(purpose);
        scene.builder().holder(holder).connect().await.expect("the service is reached")
    };
    let (holder, waiter, admin) = (named("first & = %").await, named("").await, scene.node().await);
    let begin = SystemTime::now() - Duration::from_secs(1);
    let guard = holder.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn(async move { waiter.mutex("one").lock().await });
    observer.contenders("one", 2).await;

    let listed = admin.admin().contenders(Recipe::Mutex, "one").await.expect("listed");
    let [first, second] = &listed[..] else { panic!("two: {listed:?}") };
    assert_eq!((first.standing, second.standing), (Standing::Holds, Standing::Waits));
    assert_eq!((first.mode, second.mode), (Mode::Exclusive, Mode::Exclusive));
    assert_eq!(first.token, guard.fencing_token());
    assert!(second.token > first.token && second.entry != first.entry);
    for (contender, purpose) in [(first, "first & = %"), (second, "")] {
        let details = contender.details.as_ref().expect("of our making");
        assert_eq!(details.holder, HolderInfo::this_process().with_purpose(purpose));
        assert!(details.since >= begin && details.since <= SystemTime::now(), "{details:?}");
        assert!(details.age < PATIENCE, "{details:?}");
        assert_eq!((&details.asked_to_release, &details.released_by_force), (&None, &None));
        assert!(details.payload.is_empty());
    }
    assert_eq!(holder.mutex("one").contenders().await.expect("listed").len(), 2, "whoever looks");

    guard.release().await.expect("released");
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    let listed = admin.mutex("one").contenders().await.expect("listed");
    assert_eq!((listed.len(), listed[0].entry, listed[0].standing), (1, second.entry, Standing::Holds));
    assert_eq!(listed[0].token, next.fencing_token(), "the one that it had while it waited");
    next.release().await.expect("released");
    assert_eq!(admin.mutex("one").contenders().await.expect("listed"), []);
    scene.nothing_is_left().await;
}

async fn readers_and_writers_stand_by_their_rule(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let lock = node.rw_lock("one");
    let readers = [lock.read().await.expect("locked"), lock.read().await.expect("locked")];
    let writing = tokio::spawn({
        let lock = lock.clone();
        async move { lock.write().await }
    });
    observer.contenders_of(Kind::RwLock, "one", 3).await;
    let reading = tokio::spawn({
        let lock = lock.clone();
        async move { lock.read().await }
    });
    observer.contenders_of(Kind::RwLock, "one", 4).await;
    let admin = node.admin();
    let listed = admin.contenders(Recipe::RwLock, "one").await.expect("listed");
    let standings: Vec<_> = listed.iter().map(|contender| (contender.mode, contender.standing)).collect();
    let (shared, exclusive) = (Mode::Shared, Mode::Exclusive);
    let (holds, waits) = (Standing::Holds, Standing::Waits);
    assert_eq!(standings, [(shared, holds), (shared, holds), (exclusive, waits), (shared, waits)]);
    assert_eq!(admin.contenders(Recipe::Mutex, "one").await.expect("listed"), [], "another recipe's");

    assert_eq!(admin.ask_to_release(Recipe::RwLock, "one", "a test").await.expect("asked"), 2);
    for reader in &readers {
        assert_eq!(soon("both readers hear", reader.asked_to_release()).await, "a test");
    }
    let broken = admin.grace(PATIENCE).force_release(Recipe::RwLock, "one", "a test").await;
    assert_eq!(broken.expect("broken"), Released::ByHolder);
    for reader in &readers {
        assert_eq!(soon("both readers are told", reader.lost()).await, LossReason::ForceReleased);
    }
    let writer = soon("the writer is next", writing).await.expect("no panic").expect("locked");
    assert!(writer.is_held() && !writer.is_asked_to_release() && !reading.is_finished());
    writer.release().await.expect("released");
    let last = soon("and the last reader", reading).await.expect("no panic").expect("locked");
    last.release().await.expect("released");
    scene.nothing_is_left().await;
}

/// Waits until the stream shows a queue that is such.
async fn until(
    stream: &mut QueueStream,
    what: &str,
    such: impl Fn(&[ContenderInfo]) -> bool,
) -> Vec<ContenderInfo> {
    soon(what, async {
        loop {
            let seen = stream.next().await.expect("the coordinator runs");
            if such(&seen) {
                return seen;
            }
        }
    })
    .await
}

async fn a_queue_is_followed(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, looking) = (scene.node().await, scene.node().await, scene.node().await);
    let admin = looking.admin();
    let refused = admin.observe(Recipe::Mutex, "").expect_err("a bad name");
    assert_eq!(refused.kind(), ErrorKind::InvalidName);
    let mut stream = admin.observe(Recipe::Mutex, "one").expect("a good name");
    assert_eq!(stream.name(), "one");
    until(&mut stream, "nobody is there", <[_]>::is_empty).await;

    let guard = node.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn({
        let mutex = other.mutex("one");
        async move { mutex.lock().await }
    });
    let seen = until(&mut stream, "one holds and one waits", |queue| queue.len() == 2).await;
    assert_eq!((seen[0].standing, seen[1].standing), (Standing::Holds, Standing::Waits));
    assert_eq!(seen[0].token, guard.fencing_token());
    assert!(seen.iter().all(|contender| contender.details.is_some()), "of our making");
    admin.ask_to_release(Recipe::Mutex, "one", "a test").await.expect("asked");
    let asked = |queue: &[ContenderInfo]| {
        let details = queue.first().and_then(|first| first.details.as_ref());
        details.is_some_and(|details| details.asked_to_release.as_deref() == Some("a test"))
    };
    until(&mut stream, "what is changed in an entry is seen", asked).await;

    let second = seen[1].entry;
    guard.release().await.expect("released");
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    let alone = |queue: &[ContenderInfo]| matches!(queue, [one] if one.entry == second && one.standing == Standing::Holds);
    until(&mut stream, "the next one holds", alone).await;
    next.release().await.expect("released");
    until(&mut stream, "nobody is there any more", <[_]>::is_empty).await;

    looking.shutdown(PATIENCE).await.expect("shut down");
    soon("the stream ends", async { while stream.next().await.is_some() {} }).await;
    scene.nothing_is_left().await;
}

async fn names_are_listed_by_recipe_and_prefix(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let admin = node.admin();
    assert_eq!(admin.names(Recipe::Mutex, "").await.expect("listed"), Vec::<String>::new());
    let names = ["cache", "cache/a", "cache/ä b", "cachet", "..", "%2F", "/", "Cache/a", "锁"];
    let mut guards = Vec::new();
    for name in names {
        guards.push(node.mutex(name).lock().await.expect("locked"));
    }
    let reader = node.rw_lock("cache/read").read().await.expect("locked");
    let left = node.mutex("cache/left").lock().await.expect("locked");
    left.release().await.expect("released");
    let mut all = names;
    all.sort_unstable();
    assert_eq!(admin.names(Recipe::Mutex, "").await.expect("listed"), all);
    assert_eq!(admin.names(Recipe::Mutex, "cache/").await.expect("listed"), ["cache/a", "cache/ä b"]);
    assert_eq!(admin.names(Recipe::Mutex, "cachet").await.expect("listed"), ["cachet"]);
    assert_eq!(admin.names(Recipe::Mutex, "/").await.expect("listed"), ["/"]);
    assert_eq!(admin.names(Recipe::RwLock, "").await.expect("listed"), ["cache/read"]);
    for recipe in Recipe::ALL.into_iter().filter(|recipe| ![Recipe::Mutex, Recipe::RwLock].contains(recipe)) {
        assert_eq!(admin.names(recipe, "").await.expect("listed"), Vec::<String>::new(), "{recipe}");
    }
    drop((guards, reader));
    scene.nothing_is_left().await;
}

async fn entries_of_strangers_are_shown_as_such(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    // Beside the entries, and in the form of one.
    world.plant_foreign(&scene.path("one")).await;
    let planted = scene.listing().await;
    let attempt = AttemptIds::new().expect("randomness").next();
    let value = Bytes::from_static(b"\xff\0 not of leasehold's making");
    let entry = NewEntry { attempt, mode: Mode::Exclusive, value: value.clone(), only_if_free: false };
    observer.queue("one").enqueue(entry).await.expect("placed");
    let waiting = tokio::spawn({
        let mutex = node.mutex("one");
        async move { mutex.lock().await }
    });
    observer.contenders("one", 2).await;
    let listed = node.mutex("one").contenders().await.expect("listed");
    let [stranger, ours] = &listed[..] else { panic!("two: {listed:?}") };
    assert_eq!((stranger.standing, &stranger.details, &stranger.raw_value), (Standing::Holds, &None, &value));
    assert!(stranger.to_string().contains("not of our making"), "{stranger}");
    assert!(ours.details.is_some() && ours.standing == Standing::Waits);
    let error = node.mutex("one").ask_to_release("a test").await.expect_err("nobody would hear");
    assert_eq!((error.kind(), error.name()), (ErrorKind::Corrupt, Some("one")), "{error}");
    assert_eq!(node.mutex("one").contenders().await.expect("listed").len(), 2, "nothing was changed");
    let released = node.mutex("one").force_release("a test").await.expect("broken");
    assert_eq!(released, Released::ByForce);
    let guard = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    guard.release().await.expect("released");
    assert_eq!(scene.listing().await, planted, "what is no entry is left alone");
}

async fn an_asked_holder_hears_it_once_and_may_go_on(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, admin) = (scene.node().await, scene.node().await, scene.node().await);
    let guard = node.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn(async move { other.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    assert!(!guard.is_asked_to_release());
    let who = "ops: deployment & more = %\n";
    assert!(admin.mutex("one").ask_to_release(who).await.expect("asked"));
    assert_eq!(soon("the holder hears it", guard.asked_to_release()).await, who);
    assert!(guard.is_asked_to_release() && guard.is_held() && !guard.cancellation_token().is_cancelled());
    assert!(admin.mutex("one").ask_to_release("somebody else").await.expect("asked"));
    let listed = admin.mutex("one").contenders().await.expect("listed");
    let asked = listed[0].details.as_ref().and_then(|details| details.asked_to_release.as_deref());
    assert_eq!(asked, Some(who), "the first one stays");
    assert_eq!(guard.while_held(async { 7 }).await.expect("it may go on"), 7);
    assert!(!waiting.is_finished());
    guard.release().await.expect("and release as ever");
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    assert!(next.is_held() && !next.is_asked_to_release(), "it was not asked");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn asked_in_the_moment_of_the_grant(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, admin) = (scene.node().await, scene.node().await);
    for round in 0..5 {
        let guard = node.mutex("one").lock().await.expect("locked");
        assert!(admin.mutex("one").ask_to_release("a test").await.expect("asked"), "{round}");
        assert_eq!(soon("it is heard", guard.asked_to_release()).await, "a test");
        guard.release().await.expect("released");
        let guard = node.mutex("one").lock().await.expect("locked");
        let broken = admin.admin().grace(PATIENCE).force_release(Recipe::Mutex, "one", "a test").await;
        assert_eq!(broken.expect("broken"), Released::ByHolder, "{round}");
        assert_eq!(soon("it is heard", guard.lost()).await, LossReason::ForceReleased);
    }
    scene.nothing_is_left().await;
}

async fn asked_while_waiting(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, admin) = (scene.node().await, scene.node().await, scene.node().await);
    let guard = node.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn(async move { other.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    let waiter = ids(&admin, "one").await[1];
    let asked = admin.admin().ask_entry_to_release(Recipe::Mutex, "one", waiter, "a test").await;
    assert!(asked.expect("asked"));
    assert!(!guard.is_asked_to_release(), "it was the other that was asked");
    guard.release().await.expect("released");
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    assert_eq!(soon("and hears it now", next.asked_to_release()).await, "a test");
    assert!(next.is_held());
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

/// Somebody else writes into the entry all the while, by compare-and-set as its holder does.
async fn marks_and_other_writers_merge(world: Arc<dyn World>) {
    const ROUNDS: usize = 6;
    const WRITES: usize = 8;
    let scene = Scene::new(&world);
    let (node, admin, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let queue = observer.queue("one");
    for round in 0..ROUNDS {
        let guard = node.mutex("one").lock().await.expect("locked");
        let attempt = queue.entries().await.expect("listed").first().expect("it is there").attempt;
        let read = async || queue.entry(attempt).await.expect("read").expect("it is there");
        let writing = async {
            for number in 0..WRITES {
                loop {
                    let seen = read().await;
                    let value = [&seen.value[..], format!("&w{number}=x").as_bytes()].concat().into();
                    let if_version = Some(seen.version);
                    let change = Publish { attempt, mode: seen.mode, value, if_version };
                    if let Published::Done { .. } = queue.publish(change).await.expect("answered") {
                        break;
                    }
                }
                tokio::task::yield_now().await;
            }
        };
        let asking = async { admin.mutex("one").ask_to_release("a test").await };
        let ((), asked) = soon("both get through", async { futures::join!(writing, asking) }).await;
        assert!(asked.expect("asked"));
        let value = read().await.value;
        let text = std::str::from_utf8(&value).expect("text");
        let fields: BTreeSet<_> = text.split('&').map(str::to_owned).collect();
        for number in 0..WRITES {
            assert!(fields.contains(&format!("w{number}=x")), "round {round}: {text}");
        }
        assert!(fields.contains("asked=a%20test"), "round {round}: {text}");
        assert_eq!(soon("the holder hears it", guard.asked_to_release()).await, "a test");
        assert!(guard.is_held());
        guard.release().await.expect("released");
    }
    scene.nothing_is_left().await;
}

async fn a_mark_leaves_the_entry_to_its_owner(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, admin) = (scene.node().await, scene.node().await, scene.node().await);
    let guard = node.mutex("one").lock().await.expect("locked");
    assert!(admin.mutex("one").ask_to_release("a test").await.expect("asked"));
    soon("the holder hears it", guard.asked_to_release()).await;
    let before = scene.listing().await;
    admin.shutdown(PATIENCE).await.expect("nothing is held");
    assert_eq!(scene.listing().await, before, "it does not go with the asker's session");
    let lost = tokio::time::timeout(world.ttl() + world.ttl() / 4, guard.lost()).await;
    assert!(lost.is_err(), "{lost:?}");
    scene.expire(&node).await;
    let next = soon("it goes with its owner's", other.mutex("one").lock()).await.expect("locked");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn what_cannot_be_asked_for_is_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let admin = node.admin();
    let mutex = node.mutex("free");
    assert_eq!(mutex.contenders().await.expect("listed"), []);
    assert!(!mutex.ask_to_release("a test").await.expect("answered"));
    assert_eq!(mutex.force_release("a test").await.expect("answered"), Released::WasFree);
    let gone: EntryId = AttemptIds::new().expect("randomness").next().to_string().parse().expect("an id");
    let asked = admin.ask_entry_to_release(Recipe::Mutex, "free", gone, "a test").await;
    assert!(!asked.expect("answered"));
    let released = admin.force_release_entry(Recipe::Mutex, "free", gone, "a test").await;
    assert_eq!(released.expect("answered"), Released::WasFree);
    for bad in ["", "a\0b", &"x".repeat(MAX_NAME_BYTES + 1)] {
        let mutex = node.mutex(bad);
        let errors = [
            mutex.contenders().await.map(drop).expect_err("refused"),
            mutex.ask_to_release("a test").await.map(drop).expect_err("refused"),
            mutex.force_release("a test").await.map(drop).expect_err("refused"),
        ];
        assert_eq!(errors.map(|error| error.kind()), [ErrorKind::InvalidName; 3]);
    }
    let guard = node.mutex("held").lock().await.expect("locked");
    let long = "x".repeat(MAX_NAME_BYTES + 1);
    let errors = [
        node.mutex("held").ask_to_release(&long).await.map(drop).expect_err("refused"),
        node.mutex("held").force_release(&long).await.map(drop).expect_err("refused"),
    ];
    assert_eq!(errors.map(|error| error.kind()), [ErrorKind::InvalidArgument; 2]);
    assert!(node.mutex("held").ask_to_release(&long[1..]).await.expect("asked"));
    assert_eq!(soon("all of it", guard.asked_to_release()).await, long[1..]);
    guard.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn a_live_holder_is_released_by_force(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, admin) = (scene.node().await, scene.node().await, scene.node().await);
    let guard = node.mutex("one").lock().await.expect("locked");
    let held = guard.held();
    let waiting = tokio::spawn(async move { other.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    let working = tokio::spawn(async move { (guard.while_held(std::future::pending::<()>()).await, guard) });
    // All the time that a loaded machine may need: it does not wait for it.
    let broken = admin.admin().grace(PATIENCE).force_release(Recipe::Mutex, "one", "a test").await;
    assert_eq!(broken.expect("broken"), Released::ByHolder);
    let (worked, guard) = soon("the work is dropped", working).await.expect("no panic");
    assert_eq!(worked.expect_err("lost").loss_reason(), Some(LossReason::ForceReleased));
    assert_eq!(soon("it is told", held.lost()).await, LossReason::ForceReleased);
    assert!(!held.is_held());
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    assert!(next.fencing_token() > held.fencing_token());
    let error = guard.release().await.expect_err("lost");
    assert_eq!(error.error().loss_reason(), Some(LossReason::ForceReleased));
    assert!(next.is_held() && next.fencing_token() > held.fencing_token());
    next.release().await.expect("released");
    let again = soon("its session lives", node.mutex("one").lock()).await.expect("locked");
    assert!(again.is_held());
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn a_dead_holder_is_released_by_force(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, admin) = (scene.node().await, scene.node().await);
    let mut mortal = scene.mortal().await;
    let guard = mortal.coordinator.mutex("one").lock().await.expect("locked");
    let waiting = tokio::spawn(async move { node.mutex("one").lock().await });
    scene.observer().await.contenders("one", 2).await;
    let entry = ids(&admin, "one").await[0];
    mortal.kill();
    // By a grace that is much shorter than the TTL, so that it is not the service that frees it.
    let admin = admin.admin().grace(Duration::from_millis(50));
    let released = admin.force_release(Recipe::Mutex, "one", "a test").await.expect("broken");
    assert_eq!(released, Released::ByForce);
    let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
    assert!(next.fencing_token() > guard.fencing_token());
    let again = admin.force_release_entry(Recipe::Mutex, "one", entry, "a test").await.expect("answered");
    assert_eq!(again, Released::WasFree, "its entry, not the next one's");
    assert!(next.is_held());
    next.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn a_cut_holder_is_released_by_force(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let cut = scene.node().await;
    let direct = async || scene.builder_over(world.direct()).connect().await.expect("the service is reached");
    let (node, admin) = (direct().await, direct().await);
    let guard = cut.mutex("one").lock().await.expect("locked");
    world.cut().await;
    let admin = admin.admin().grace(Duration::from_millis(50));
    let released = admin.force_release(Recipe::Mutex, "one", "a test").await.expect("broken");
    assert_eq!(released, Released::ByForce);
    let next = soon("the next is granted", node.mutex("one").lock()).await.expect("locked");
    assert!(
        next.fencing_token() > guard.fencing_token(),
        "which is what rejects the one that does not know yet"
    );
    world.heal().await;
    let reason = soon("it is told", guard.lost()).await;
    assert_ne!(reason, LossReason::Released);
    assert!(guard.release().await.expect_err("lost").is_lost());
    assert!(next.is_held(), "its late release is not the next one's");
    next.release().await.expect("released");
    let again = soon("it goes on", cut.mutex("one").lock()).await.expect("locked");
    again.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn force_races_the_release(world: Arc<dyn World>) {
    const ROUNDS: usize = 20;
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let admin = scene.node().await.admin().grace(PATIENCE);
    let mut outcomes = Vec::new();
    for round in 0..ROUNDS {
        let guard = node.mutex("one").lock().await.expect("locked");
        let token = guard.fencing_token();
        let waiting = tokio::spawn({
            let mutex = other.mutex("one");
            async move { mutex.lock().await }
        });
        observer.contenders("one", 2).await;
        let entry = ids(&node, "one").await[0];
        // Now one, now the other has a start.
        let head_start = Duration::from_micros(100 * round as u64);
        let by_entry = admin.force_release_entry(Recipe::Mutex, "one", entry, "a test");
        let released = async {
            if round % 2 == 0 {
                tokio::time::sleep(head_start).await;
            }
            guard.release().await
        };
        let broken = async {
            if round % 2 == 1 {
                tokio::time::sleep(head_start).await;
            }
            by_entry.await
        };
        let (released, broken) = soon("both end", async { futures::join!(released, broken) }).await;
        let broken = broken.expect("answered");
        // Removed by force is only what nobody gives up, and here somebody does.
        assert_ne!(broken, Released::ByForce, "round {round}");
        match &released {
            Ok(()) => {}
            Err(ReleaseError::Lost(error)) => {
                assert_eq!(error.loss_reason(), Some(LossReason::ForceReleased), "round {round}");
            }
            Err(error) => panic!("round {round}: {error}"),
        }
        outcomes.push((released.is_ok(), broken));
        let next = soon("the next is granted", waiting).await.expect("no panic").expect("locked");
        assert!(next.fencing_token() > token);
        let listed = other.mutex("one").contenders().await.expect("listed");
        let details = listed[0].details.as_ref().expect("of our making");
        assert_eq!((listed.len(), &details.released_by_force), (1, &None), "round {round}");
        assert!(next.is_held(), "round {round}: the next one is not touched");
        next.release().await.expect("still its own to release");
    }
    assert!(!outcomes.is_empty());
    scene.nothing_is_left().await;
}

async fn a_waiter_is_removed_and_queues_again(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let nodes = [scene.node().await, scene.node().await];
    let held = node.mutex("one").lock().await.expect("locked");
    let mut waiting = Vec::new();
    for (place, node) in nodes.iter().enumerate() {
        let mutex = node.mutex("one");
        waiting.push(tokio::spawn(async move { mutex.lock().await }));
        observer.contenders("one", place + 2).await;
    }
    let before = ids(&node, "one").await;
    let removed = before[1];
    let released = node.admin().force_release_entry(Recipe::Mutex, "one", removed, "a test").await;
    assert_eq!(released.expect("removed"), Released::ByForce);
    let after = soon("it queues again", async {
        loop {
            let now = ids(&node, "one").await;
            if now.len() == 3 {
                return now;
            }
            tokio::task::yield_now().await;
        }
    })
    .await;
    assert_eq!(after[..2], [before[0], before[2]], "the others stay in their places");
    assert!(!before.contains(&after[2]), "as a new entry, at the end");
    assert!(held.is_held());
    held.release().await.expect("released");
    let [first, second] = <[_; 2]>::try_from(waiting).expect("two");
    let next = soon("the other is next", second).await.expect("no panic").expect("locked");
    assert!(!first.is_finished());
    next.release().await.expect("released");
    let last = soon("then the one that was removed", first).await.expect("no panic").expect("locked");
    last.release().await.expect("released");
    scene.nothing_is_left().await;
}
