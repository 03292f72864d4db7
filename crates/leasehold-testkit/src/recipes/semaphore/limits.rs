//! Users that do not agree, arguments that cannot work, and what strangers put into the queue.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{ErrorKind, Kind, Mode};

use super::sharing::{acquiring, granted};
use crate::contract::World;
use crate::recipes::common::{Planted, counted, still_waits};
use crate::scene::{Scene, soon};

pub(super) async fn differing_limits_are_an_error(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let held = node.semaphore("one", 3).acquire().await.expect("acquired");
    observer.contenders_of(Kind::Semaphore, "one", 1).await;
    let before = scene.listing().await;
    for limit in [2, 4] {
        // Of another session and of the same one.
        for coordinator in [&other, &node] {
            let wrong = coordinator.semaphore("one", limit);
            for error in [
                soon("an answer", wrong.acquire()).await.expect_err("refused"),
                soon("an answer", wrong.acquire_many(limit)).await.expect_err("refused"),
                soon("an answer", wrong.try_acquire()).await.expect_err("refused"),
                soon("an answer", wrong.try_acquire_many(limit)).await.expect_err("refused"),
                soon("an answer", wrong.try_acquire_for(Duration::from_secs(9))).await.expect_err("refused"),
            ] {
                assert_eq!((error.kind(), error.name()), (ErrorKind::Mismatch, Some("one")), "{error}");
                let text = error.to_string();
                assert!(text.contains('3') && text.contains(&limit.to_string()), "it says both: {text}");
                assert!(!error.is_retryable());
            }
        }
    }
    // Nothing is left of those who were refused.
    scene.only_is_left(&before).await;
    assert!(held.is_held());
    held.release().await.expect("released");
    // Once nobody uses the old one, the new limit is as good.
    let five = soon("free", other.semaphore("one", 5).acquire_many(5)).await.expect("acquired");
    let error = node.semaphore("one", 3).try_acquire().await.expect_err("refused");
    assert_eq!(error.kind(), ErrorKind::Mismatch);
    five.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn who_disagrees_harms_nobody(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let semaphore = node.semaphore("one", 2);
    let held = semaphore.acquire_many(2).await.expect("acquired");
    let first = acquiring(semaphore.clone(), 1);
    observer.contenders_of(Kind::Semaphore, "one", 2).await;
    // One that believes in another limit and has not found out yet; it stands between two that agree.
    let mode = Mode::Permits { count: 1, limit: 9, granted: true };
    let wrong = Planted::into(observer.queue_of(Kind::Semaphore, "one"), mode).await;
    let mut behind = acquiring(semaphore.clone(), 1);
    observer.contenders_of(Kind::Semaphore, "one", 4).await;
    held.release().await.expect("released");
    let first = granted("who is ahead does not mind", first).await;
    // It fits by the numbers, but nobody holds beside one that counts otherwise.
    still_waits("granted behind one with another limit", &mut behind).await;
    wrong.remove().await;
    let behind = granted("and nobody is refused for it", behind).await;
    assert!(first.is_held() && behind.is_held());
    drop((first, behind));
    scene.nothing_is_left().await;
}

pub(super) async fn bad_arguments_are_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, counts) = counted(&scene).await;
    let patience = Duration::from_secs(9);
    for (limit, count) in [(0, 0), (0, 1), (3, 0), (3, 4), (1, u32::MAX)] {
        let semaphore = node.semaphore("one", limit);
        assert_eq!((semaphore.name(), semaphore.limit()), ("one", limit));
        for error in [
            semaphore.acquire_many(count).await.expect_err("refused"),
            semaphore.try_acquire_many(count).await.expect_err("refused"),
            semaphore.try_acquire_many_for(count, patience).await.expect_err("refused"),
        ] {
            assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidArgument, Some("one")), "{error}");
        }
    }
    let none = node.semaphore("one", 0);
    for error in [
        none.acquire().await.expect_err("refused"),
        none.try_acquire().await.expect_err("refused"),
        none.try_acquire_for(patience).await.expect_err("refused"),
        none.with(|_held| async {}).await.expect_err("refused"),
    ] {
        assert_eq!(error.kind(), ErrorKind::InvalidArgument, "{error}");
    }
    let bad_name = node.semaphore("a\0b", 1);
    assert_eq!(bad_name.acquire().await.expect_err("refused").kind(), ErrorKind::InvalidName);
    assert_eq!(bad_name.try_acquire().await.expect_err("refused").kind(), ErrorKind::InvalidName);
    assert_eq!((counts.enqueues(), counts.looks()), (0, 0), "nothing was asked of the service");
    assert_eq!(scene.listing().await, Vec::<String>::new());
    let largest = node.semaphore("one", u32::MAX).acquire_many(u32::MAX).await.expect("acquired");
    assert!(node.semaphore("one", u32::MAX).try_acquire().await.expect("answered").is_none());
    largest.release().await.expect("released");
    scene.nothing_is_left().await;
}

pub(super) async fn entries_of_another_mode_are_waited_for(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let semaphore = node.semaphore("one", 3);
    for mode in [Mode::Exclusive, Mode::Shared] {
        // At the head of the queue.
        let planted = Planted::into(observer.queue_of(Kind::Semaphore, "one"), mode).await;
        assert!(semaphore.try_acquire().await.expect("answered").is_none());
        let mut first = acquiring(semaphore.clone(), 1);
        observer.contenders_of(Kind::Semaphore, "one", 2).await;
        let mut second = acquiring(semaphore.clone(), 1);
        observer.contenders_of(Kind::Semaphore, "one", 3).await;
        still_waits("beside what takes everything", &mut first).await;
        still_waits("beside what takes everything", &mut second).await;
        planted.remove().await;
        let (first, second) = (granted("it is gone", first).await, granted("it is gone", second).await);
        // In the middle of it.
        let planted = Planted::into(observer.queue_of(Kind::Semaphore, "one"), mode).await;
        let mut third = acquiring(semaphore.clone(), 1);
        observer.contenders_of(Kind::Semaphore, "one", 4).await;
        drop(first);
        still_waits("behind what waits for everything", &mut third).await;
        planted.remove().await;
        let third = granted("it is gone", third).await;
        assert!(second.is_held());
        drop((second, third));
        observer.contenders_of(Kind::Semaphore, "one", 0).await;
    }
    scene.nothing_is_left().await;
}

pub(super) async fn data_of_strangers_is_ignored(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let semaphore = scene.node().await.semaphore("one", 2);
    world.plant_foreign(&scene.path_of(Kind::Semaphore, "one")).await;
    let planted = scene.listing().await;
    let first = semaphore.try_acquire().await.expect("answered").expect("strangers have no permits");
    let second = semaphore.acquire().await.expect("acquired");
    let third = acquiring(semaphore.clone(), 2);
    first.release().await.expect("released");
    second.release().await.expect("released");
    granted("both are free", third).await.release().await.expect("released");
    assert_eq!(scene.listing().await, planted, "and are left alone");
}
