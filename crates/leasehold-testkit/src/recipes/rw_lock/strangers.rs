//! What others put into the queue, and names that cannot be used.

use std::sync::Arc;

use leasehold_core::{ErrorKind, Kind, Mode};

use super::sharing::{granted, reading, writing};
use crate::contract::World;
use crate::recipes::common::{Planted, still_waits};
use crate::scene::Scene;

pub(super) async fn entries_of_another_mode_are_waited_for(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, observer) = (scene.node().await, scene.observer().await);
    let lock = node.rw_lock("one");
    for granted_says_the_stranger in [false, true] {
        let mode = Mode::Permits { count: 1, limit: 9, granted: granted_says_the_stranger };
        let planted = Planted::into(observer.queue_of(Kind::RwLock, "one"), mode).await;
        assert!(lock.try_read().await.expect("answered").is_none());
        assert!(lock.try_write().await.expect("answered").is_none());
        let mut reader = reading(lock.clone());
        observer.contenders_of(Kind::RwLock, "one", 2).await;
        let mut writer = writing(lock.clone());
        observer.contenders_of(Kind::RwLock, "one", 3).await;
        still_waits("a reader beside what is neither", &mut reader).await;
        planted.remove().await;
        let reader = granted("the stranger is gone", reader).await;
        still_waits("a writer beside a reader", &mut writer).await;
        reader.release().await.expect("released");
        granted("everybody is gone", writer).await.release().await.expect("released");
        observer.contenders_of(Kind::RwLock, "one", 0).await;
    }
    scene.nothing_is_left().await;
}

pub(super) async fn data_of_strangers_is_ignored(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let lock = scene.node().await.rw_lock("one");
    world.plant_foreign(&scene.path_of(Kind::RwLock, "one")).await;
    let planted = scene.listing().await;
    let tried = lock.try_write().await.expect("answered").expect("strangers do not hold it");
    let reader = tried.downgrade().await.expect("still held");
    let beside = lock.try_read().await.expect("answered").expect("nor do they write");
    reader.release().await.expect("released");
    beside.release().await.expect("released");
    assert_eq!(scene.listing().await, planted, "and are left alone");
}

pub(super) async fn bad_names_are_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let too_long = "n".repeat(256);
    for bad in ["", &too_long, "a\0b", "a\nb"] {
        let lock = node.rw_lock(bad);
        for error in [
            lock.read().await.expect_err(bad),
            lock.write().await.expect_err(bad),
            lock.try_read().await.expect_err(bad),
            lock.try_write().await.expect_err(bad),
            lock.with_write(|_held| async {}).await.expect_err(bad),
        ] {
            assert_eq!((error.kind(), error.name()), (ErrorKind::InvalidName, Some(bad)));
        }
    }
    // The names of the kinds are kept apart.
    let lock = node.rw_lock("one").try_write().await.expect("answered").expect("free");
    let mutex = node.mutex("one").try_lock().await.expect("answered").expect("another thing of that name");
    let permit = node.semaphore("one", 1).try_acquire().await.expect("answered").expect("another again");
    lock.release().await.expect("released");
    mutex.release().await.expect("released");
    permit.release().await.expect("released");
    scene.nothing_is_left().await;
}
