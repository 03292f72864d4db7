//! A holder that is asked to give up.

use std::collections::BTreeSet;
use std::sync::Arc;

use leasehold_core::{
    AttemptIds, EntryId, ErrorKind, LossReason, MAX_NAME_BYTES, Publish, Published, Recipe, Released,
};

use super::ids;
use crate::contract::World;
use crate::scene::{PATIENCE, Scene, soon};

pub(super) async fn an_asked_holder_hears_it_once_and_may_go_on(world: Arc<dyn World>) {
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

pub(super) async fn asked_in_the_moment_of_the_grant(world: Arc<dyn World>) {
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

pub(super) async fn asked_while_waiting(world: Arc<dyn World>) {
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
pub(super) async fn marks_and_other_writers_merge(world: Arc<dyn World>) {
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

pub(super) async fn a_mark_leaves_the_entry_to_its_owner(world: Arc<dyn World>) {
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

pub(super) async fn what_cannot_be_asked_for_is_refused(world: Arc<dyn World>) {
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
