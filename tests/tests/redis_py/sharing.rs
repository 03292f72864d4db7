//! Both languages, one key.

use std::time::Duration;

use leasehold::{ErrorKind, LossReason};
use leasehold_redis::{RedisConfig, SharedKeys};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::fixture::*;

#[tokio::test]
async fn whoever_holds_the_key_keeps_the_other_out() {
    let server = server().await;
    let (lock, mut python) = (lock(&server.endpoint()).await, python(&server, 0).await);
    let guard = lock.lock().await.unwrap();
    assert!(guard.is_held());
    // Of redis-py's own form.
    let token = token(&server).await;
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "busy");
    assert_eq!(told(&mut python, &format!("locked {KEY}")).await, "True");
    assert_eq!(told(&mut python, "owned").await, "False");
    guard.release().await.unwrap();
    assert_eq!(told(&mut python, &format!("locked {KEY}")).await, "False");

    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "got");
    assert_eq!(told(&mut python, "owned").await, "True");
    assert!(lock.try_lock().await.unwrap().is_none());
    let start = Instant::now();
    let patience = Duration::from_secs(2);
    assert!(lock.try_lock_for(patience).await.unwrap().is_none());
    assert!((patience..patience * 2).contains(&start.elapsed()), "{:?}", start.elapsed());
    let waiting = tokio::spawn(async move { lock.lock().await.unwrap() });
    sleep(Duration::from_millis(200)).await;
    assert!(!waiting.is_finished());
    assert_eq!(told(&mut python, "release").await, "released");
    soon(waiting).await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn a_thousand_acquisitions_in_turn() {
    let mut met = meets();
    let server = server().await;
    let (lock, mut python) = (lock(&server.endpoint()).await, python(&server, 0).await);
    for _ in 0..500 {
        let guard = lock.try_lock().await.unwrap().expect("Python has released it");
        assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "busy");
        guard.release().await.unwrap();
        assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "got");
        assert!(lock.try_lock().await.unwrap().is_none());
        assert_eq!(told(&mut python, "release").await, "released");
    }
    met.acquired(1000);
}

#[tokio::test]
async fn no_increment_is_lost_between_many_of_both() {
    let mut met = meets();
    const TIMES: usize = 100;
    let server = server().await;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("number");
    std::fs::write(&path, "0").unwrap();
    let mut pythons = Vec::new();
    for _ in 0..2 {
        let mut python = python(&server, 0).await;
        python.send(&format!("increment {KEY} {} {TIMES}", path.display())).await;
        pythons.push(python);
    }
    let mut tasks = JoinSet::new();
    for _ in 0..2 {
        // Of each process's two tasks one waits behind the other; the processes poll.
        let lock = lock(&server.endpoint()).await.poll_interval(Duration::from_millis(5));
        for _ in 0..2 {
            let (lock, path) = (lock.clone(), path.clone());
            tasks.spawn(async move {
                for _ in 0..TIMES {
                    let guard = lock.lock().await.unwrap();
                    let number: usize = std::fs::read_to_string(&path).unwrap().parse().unwrap();
                    tokio::task::yield_now().await;
                    std::fs::write(&path, (number + 1).to_string()).unwrap();
                    guard.release().await.unwrap();
                }
            });
        }
    }
    soon(tasks.join_all()).await;
    for python in &mut pythons {
        assert_eq!(python.line().await.as_deref(), Some("incremented"));
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), (6 * TIMES).to_string());
    met.acquired(6 * TIMES as u64);
}

#[tokio::test]
async fn what_python_extends_and_reacquires_is_waited_for() {
    let server = server().await;
    let (lock, mut python) = (lock(&server.endpoint()).await, python(&server, 0).await);
    assert_eq!(told(&mut python, &format!("acquire {KEY} 0.4 0")).await, "got");
    assert_eq!(told(&mut python, "extend 0.6").await, "True");
    let extended = left(&server).await;
    assert!((700..=1_000).contains(&extended), "{extended}");
    let start = Instant::now();
    let waiting = tokio::spawn({
        let lock = lock.clone();
        async move { lock.lock().await.unwrap() }
    });
    sleep(Duration::from_millis(500)).await;
    assert!(!waiting.is_finished(), "longer than it was first acquired for");
    assert_eq!(told(&mut python, "reacquire").await, "True");
    let guard = soon(waiting).await.unwrap();
    assert!(start.elapsed() > Duration::from_millis(850), "{:?}", start.elapsed());
    // It is ours, and Python is told.
    assert_eq!(told(&mut python, "owned").await, "False");
    for command in ["extend 5", "reacquire", "release"] {
        assert_eq!(told(&mut python, command).await, "not owned", "{command}");
    }
    let left = left(&server).await;
    assert!(guard.is_held() && left <= TTL.as_millis() as i64, "{left}");
    guard.release().await.unwrap();
}

#[tokio::test]
async fn a_hold_outlasts_its_ttl_and_python_waits() {
    let ttl = Duration::from_millis(600);
    let server = server().await;
    let (lock, mut python) = (lock(&server.endpoint()).await.ttl(ttl), python(&server, 0).await);
    let guard = lock.lock().await.unwrap();
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 1.8")).await, "busy");
    assert!(guard.is_held());
    python.send(&format!("acquire {KEY} 10 5")).await;
    guard.release().await.unwrap();
    assert_eq!(python.line().await.as_deref(), Some("got"));
}

#[tokio::test]
async fn a_key_that_python_took_by_force_is_lost_and_stays_pythons() {
    let server = server().await;
    let (lock, mut python) = (lock(&server.endpoint()).await, python(&server, 0).await);
    for noticed in [true, false] {
        let guard = lock.lock().await.unwrap();
        server.command(&["DEL", KEY]).await;
        assert_eq!(told(&mut python, &format!("acquire {KEY} 30 0")).await, "got");
        if noticed {
            let start = Instant::now();
            assert_eq!(soon(guard.lost()).await, LossReason::EntryRemoved);
            assert!(start.elapsed() < TTL, "{:?}", start.elapsed());
            assert!(!guard.is_held());
            let work = guard.while_held(std::future::pending::<()>()).await.unwrap_err();
            assert_eq!(work.loss_reason(), Some(LossReason::EntryRemoved), "{work}");
        }
        let error = guard.release().await.unwrap_err();
        assert!(error.is_lost(), "{error}");
        assert_eq!(error.error().loss_reason(), Some(LossReason::EntryRemoved));
        assert!(error.to_string().contains(KEY), "{error}");
        assert_eq!(told(&mut python, "owned").await, "True");
        assert_eq!(told(&mut python, "release").await, "released");
    }
}

#[tokio::test]
async fn databases_are_apart_and_one_that_is_not_there_is_refused() {
    let server = server().await;
    let mut python = python(&server, 3).await;
    let in_database = async |number| {
        SharedKeys::builder(RedisConfig::new(server.endpoint())).database(number).connect().await
    };
    let (first, third) = (in_database(0).await.unwrap(), in_database(3).await.unwrap());
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "got");
    assert!(third.lock(KEY).try_lock().await.unwrap().is_none());
    assert!(first.lock(KEY).try_lock().await.unwrap().is_some());
    let error = in_database(4_000).await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidConfig, "{error:?}");
}

#[tokio::test]
async fn a_key_of_another_type_is_named() {
    let server = server().await;
    let (lock, mut python) = (lock(&server.endpoint()).await, python(&server, 0).await);
    server.command(&["LPUSH", KEY, "a stranger's"]).await;
    for error in [lock.lock().await.map(drop).unwrap_err(), lock.try_lock().await.map(drop).unwrap_err()] {
        assert_eq!((error.kind(), error.name()), (ErrorKind::Corrupt, Some(KEY)), "{error:?}");
        assert!(error.to_string().contains("list"), "{error}");
    }
    // To redis-py it is taken.
    assert_eq!(told(&mut python, &format!("acquire {KEY} 10 0")).await, "busy");
    // One that takes the place of ours is none of ours to touch.
    server.command(&["DEL", KEY]).await;
    let guard = lock.lock().await.unwrap();
    server.command(&["DEL", KEY]).await;
    server.command(&["LPUSH", KEY, "a stranger's"]).await;
    assert!(guard.release().await.unwrap_err().is_lost());
    assert_eq!(server.command(&["TYPE", KEY]).await.text(), "list");
}
