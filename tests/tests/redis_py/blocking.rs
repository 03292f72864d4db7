//! The lock from code without async: the same key, by threads, and a program in Python beside them.

use std::time::Duration;

use leasehold::blocking::{SharedKeyLock, SharedKeys, wait_for};
use leasehold::redis::{self, RedisConfig};
use leasehold::{ErrorKind, LossReason};
use leasehold_testkit::servers::RedisServer;

use crate::fixture::{KEY, TTL, python, server, soon, token, told, until_free};

fn lock(endpoint: &str) -> SharedKeyLock {
    let builder = redis::SharedKeys::builder(RedisConfig::new(endpoint));
    SharedKeys::connect(builder).unwrap().lock(KEY).ttl(TTL)
}

/// On a thread that may wait.
async fn on_a_thread<T: Send + 'static>(
    server: &RedisServer,
    work: impl FnOnce(SharedKeyLock) -> T + Send + 'static,
) -> T {
    let endpoint = server.endpoint();
    soon(tokio::task::spawn_blocking(move || work(lock(&endpoint)))).await.unwrap()
}

#[tokio::test]
async fn a_thread_and_python_keep_each_other_out() {
    let server = server().await;
    let mut python = python(&server, 0).await;
    let guard = on_a_thread(&server, |lock| lock.lock().unwrap()).await;
    assert!(guard.is_held() && guard.key() == KEY);
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "busy");
    soon(tokio::task::spawn_blocking(|| guard.release())).await.unwrap().unwrap();
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "got");
    on_a_thread(&server, |lock| {
        assert!(lock.try_lock().unwrap().is_none());
        assert!(lock.try_lock_for(Duration::from_secs(2)).unwrap().is_none());
    })
    .await;
    assert_eq!(told(&mut python, "release").await, "released");
    on_a_thread(&server, |lock| lock.try_lock().unwrap().expect("free").release().unwrap()).await;
}

#[tokio::test]
async fn work_is_told_of_its_loss_and_a_panic_gives_the_key_up() {
    let server = server().await;
    assert!(on_a_thread(&server, |lock| lock.with(|held| held.is_held()).unwrap()).await);
    let (locked, is_locked) = tokio::sync::oneshot::channel();
    let endpoint = server.endpoint();
    let working = tokio::task::spawn_blocking(move || {
        lock(&endpoint).with(|held| {
            locked.send(()).unwrap();
            wait_for(held.lost(), Duration::from_secs(20))
        })
    });
    soon(is_locked).await.unwrap();
    server.command(&["DEL", KEY]).await;
    let error = soon(working).await.unwrap().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Lost);
    assert_eq!(error.loss_reason(), Some(LossReason::EntryRemoved));
    let panicking = on_a_thread(&server, |lock| {
        let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            lock.with(|_| panic!("while it is held")).unwrap();
        }));
        panicked.is_err()
    });
    assert!(panicking.await);
    until_free(&server).await;
}

#[tokio::test]
async fn threads_wait_for_each_other() {
    let server = server().await;
    let lock = on_a_thread(&server, |lock| lock).await;
    let held = on_a_thread(&server, |lock| lock.lock().unwrap()).await;
    let holder = token(&server).await;
    let waiting = tokio::task::spawn_blocking(move || lock.lock().unwrap());
    tokio::time::sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    drop(held);
    let guard = soon(waiting).await.unwrap();
    assert!(guard.is_held());
    assert_ne!(token(&server).await, holder);
    soon(guard.into_async().release()).await.unwrap();
}
