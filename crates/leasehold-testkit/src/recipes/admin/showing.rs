//! What is shown of a lock, and what of it is followed.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use leasehold_core::{
    AttemptIds, ContenderInfo, ErrorKind, HolderInfo, Kind, LossReason, Mode, NewEntry, QueueStream, Recipe,
    Released, Standing,
};

use crate::contract::World;
use crate::scene::{PATIENCE, Scene, soon};

pub(super) async fn contenders_are_listed_with_what_they_say(world: Arc<dyn World>) {
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

pub(super) async fn readers_and_writers_stand_by_their_rule(world: Arc<dyn World>) {
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

pub(super) async fn a_queue_is_followed(world: Arc<dyn World>) {
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

pub(super) async fn names_are_listed_by_recipe_and_prefix(world: Arc<dyn World>) {
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

pub(super) async fn entries_of_strangers_are_shown_as_such(world: Arc<dyn World>) {
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
