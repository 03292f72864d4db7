//! The quorum lock over three and five independent Redis servers that are killed, stopped, slow, cut off and empty: behaviour 30.
//!
//! | test | what it shows |
//! |---|---|
//! | `a_dead_minority_is_borne` | members killed by `kill -9` before and while it is held; they are taken again when they are back |
//! | `a_hung_minority_is_given_up_on`, `slow_members_count_against_it` | a time-out a member, and no more |
//! | `without_a_majority_nothing_is_left` | failed acquisitions release what they took, at the hung members as soon as those run again |
//! | `a_cut_off_holder_is_told_before_another_is_granted` | the loss of the majority is told in time |
//! | `a_dead_majority_is_a_loss` | the same for servers that are killed |
//! | `a_holder_outlives_a_rolling_restart` | servers restarted, or emptied, one after the other |
//! | `a_member_that_forgets_votes_twice` | what the documentation says that it cannot do |
//! | `contenders_while_members_die` | one at a time, and everybody in the end |

#![cfg(target_os = "linux")]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::future::join_all;
use leasehold::{Coordinator, ErrorKind, LossReason, QuorumHeld, QuorumLock};
use leasehold_testkit::conformance::cites;
use leasehold_testkit::proxy::Proxy;
use leasehold_testkit::servers::{RedisServer, ServerOptions};
use tokio::time::{Instant, sleep, timeout};

const TTL: Duration = Duration::from_secs(3);
/// What a busy machine may add to a time.
const SLACK: Duration = Duration::from_millis(700);
/// The default of the library.
const ANSWER: Duration = Duration::from_millis(500);

async fn soon<T>(happens: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(30), happens).await.expect("in time")
}

async fn servers(count: usize) -> Vec<RedisServer> {
    join_all((0..count).map(|_| RedisServer::start(ServerOptions::default()))).await
}

async fn contender_at(endpoints: impl Iterator<Item = String>) -> QuorumLock {
    let nodes = endpoints.map(|endpoint| async move {
        leasehold::connect(&format!("redis://{endpoint}?ttl=3s&request_timeout=1s")).await.unwrap()
    });
    let nodes: Vec<Coordinator> = join_all(nodes).await;
    QuorumLock::new((1..).map(|at: usize| at.to_string()).zip(nodes), "x").unwrap()
}

async fn contender(servers: &[RedisServer]) -> QuorumLock {
    contender_at(servers.iter().map(RedisServer::endpoint)).await
}

fn held(held: &QuorumHeld) -> Vec<bool> {
    held.members().iter().map(|member| member.is_held).collect()
}

async fn until_held(guard: &QuorumHeld, members: &[bool]) {
    let all = async {
        while held(guard) != members {
            sleep(Duration::from_millis(10)).await;
        }
    };
    if timeout(Duration::from_secs(30), all).await.is_err() {
        panic!("{:?}, and not {members:?}", guard.members());
    }
}

/// How many entries the lock has at a server.
async fn entries(server: &RedisServer) -> usize {
    let mut count = 0;
    for key in server.keys("*:index").await {
        let members = server.command(&["ZRANGE", &key, "0", "-1"]).await.texts();
        count += members.iter().filter(|member| member.starts_with("locks/x/")).count();
    }
    count
}

async fn nothing_is_left(servers: impl IntoIterator<Item = &RedisServer>) {
    for server in servers {
        soon(async {
            while entries(server).await > 0 {
                sleep(Duration::from_millis(20)).await;
            }
        })
        .await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_minority_is_borne() {
    for count in [3, 5] {
        let servers = servers(count).await;
        let (dead, alive) = servers.split_at(count / 2);
        let (one, other) = (contender(&servers).await, contender(&servers).await);
        let guard = one.lock().await.unwrap();
        until_held(&guard, &vec![true; count]).await;
        for server in dead {
            server.kill().await;
        }
        sleep(TTL + SLACK).await;
        assert!(guard.is_held(), "{:?}", guard.members());
        assert!(held(&guard).iter().filter(|held| **held).count() == alive.len());
        assert!(other.try_lock().await.unwrap().is_none());
        guard.release().await.unwrap();
        // They are known to be down, and nobody waits for them.
        let start = Instant::now();
        let guard = other.lock().await.unwrap();
        assert!(start.elapsed() <= ANSWER + SLACK, "{:?}", start.elapsed());
        join_all(dead.iter().map(RedisServer::restart)).await;
        until_held(&guard, &vec![true; count]).await;
        guard.release().await.unwrap();
        nothing_is_left(&servers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_minority_is_given_up_on() {
    let _cited = cites("redis", &[30]);
    for count in [3, 5] {
        let servers = servers(count).await;
        let (hung, alive) = servers.split_at(count / 2);
        let (one, other) = (contender(&servers).await, contender(&servers).await);
        hung.iter().for_each(RedisServer::pause);
        let start = Instant::now();
        let guard = one.lock().await.unwrap();
        assert!(start.elapsed() <= SLACK, "the others are enough: {:?}", start.elapsed());
        assert!(other.try_lock().await.unwrap().is_none());
        let waiting = tokio::spawn(async move { other.lock().await });
        sleep(ANSWER * 2).await;
        let start = Instant::now();
        guard.release().await.unwrap();
        let guard = soon(waiting).await.unwrap().unwrap();
        assert!(start.elapsed() <= ANSWER + SLACK, "{:?}", start.elapsed());
        hung.iter().for_each(RedisServer::resume);
        until_held(&guard, &vec![true; count]).await;
        guard.release().await.unwrap();
        nothing_is_left(alive).await;
        nothing_is_left(hung).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_members_count_against_it() {
    let _cited = cites("redis", &[30]);
    let servers = servers(3).await;
    let proxies = join_all(servers.iter().map(|server| {
        let endpoint = server.endpoint();
        async move { Proxy::start(&endpoint).await }
    }))
    .await;
    let one = contender_at(proxies.iter().map(Proxy::endpoint)).await;
    // A round trip is longer than a member may take, and shorter than a request may.
    let delay = Duration::from_millis(400);
    proxies[0].delay(delay);
    let start = Instant::now();
    let guard = one.lock().await.unwrap();
    assert!(start.elapsed() < delay * 2, "the slow one is not waited for: {:?}", start.elapsed());
    until_held(&guard, &[true; 3]).await;
    guard.release().await.unwrap();
    nothing_is_left(&servers).await;
    proxies[1].delay(delay);
    let error = one.try_lock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    for label in ["1", "2"] {
        assert!(error.to_string().contains(&format!("member {label:?} did not answer in time")), "{error}");
    }
    assert_eq!(entries(&servers[2]).await, 0, "given back before it returned");
    nothing_is_left(&servers).await;
    // Whoever says that they may take longer has them.
    let patient = one.clone().member_timeout(delay * 4);
    soon(patient.lock()).await.unwrap().release().await.unwrap();
    nothing_is_left(&servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_majority_nothing_is_left() {
    let _cited = cites("redis", &[30]);
    for count in [3, 5] {
        let servers = servers(count).await;
        let (hung, alive) = servers.split_at(count / 2 + 1);
        let one = contender(&servers).await;
        hung.iter().for_each(RedisServer::pause);
        let start = Instant::now();
        let error = one.try_lock().await.unwrap_err();
        assert_eq!((error.kind(), error.name()), (ErrorKind::Unavailable, Some("x")), "{error}");
        assert!(start.elapsed() <= ANSWER * 2 + SLACK, "{:?}", start.elapsed());
        for server in alive {
            assert_eq!(entries(server).await, 0, "given back before it returned");
        }
        let (patience, start) = (Duration::from_millis(1500), Instant::now());
        let error = one.try_lock_for(patience).await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
        assert!(start.elapsed() <= patience + SLACK, "one budget: {:?}", start.elapsed());
        nothing_is_left(alive).await;
        // One that waits, and is given up; and one that waits until they are back.
        assert!(timeout(Duration::from_millis(700), one.lock()).await.is_err());
        nothing_is_left(alive).await;
        let waiting = tokio::spawn(async move { one.lock().await });
        hung.iter().for_each(RedisServer::resume);
        let guard = soon(waiting).await.unwrap().unwrap();
        until_held(&guard, &vec![true; count]).await;
        for server in &servers {
            assert_eq!(entries(server).await, 1, "and nothing of those before");
        }
        guard.release().await.unwrap();
        nothing_is_left(&servers).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cut_off_holder_is_told_before_another_is_granted() {
    let servers = servers(3).await;
    let proxies = join_all(servers.iter().map(|server| {
        let endpoint = server.endpoint();
        async move { Proxy::start(&endpoint).await }
    }))
    .await;
    let (one, other) = (contender_at(proxies.iter().map(Proxy::endpoint)).await, contender(&servers).await);
    let guard = one.lock().await.unwrap();
    until_held(&guard, &[true; 3]).await;
    let watched = guard.held();
    let telling = tokio::spawn(async move { (watched.lost().await, Instant::now()) });
    let watched = guard.held();
    let waiting = tokio::spawn(async move {
        let next = other.lock().await.unwrap();
        (watched.is_held(), Instant::now(), next)
    });
    sleep(ANSWER).await;
    // Of three, it reaches one.
    proxies[0].black_hole();
    proxies[2].black_hole();
    let cut = Instant::now();
    let remaining = guard.remaining();
    assert!(remaining <= TTL, "{remaining:?}");
    let (lost, told) = soon(telling).await.unwrap();
    assert_eq!(lost.reason, LossReason::DeadlinePassed, "{lost}");
    assert_eq!(lost.members.iter().map(|member| member.is_held).collect::<Vec<_>>(), [false, true, false]);
    let within = told - cut;
    assert!(within <= TTL, "by the local deadline: {within:?}");
    drop(guard);
    let (did_both_hold, granted, next) = soon(waiting).await.unwrap();
    assert!(!did_both_hold && granted > told, "granted {:?} before it was told", told - granted);
    next.release().await.unwrap();
    proxies.iter().for_each(Proxy::heal);
    nothing_is_left(&servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_dead_majority_is_a_loss() {
    let servers = servers(5).await;
    let (one, other) = (contender(&servers).await, contender(&servers).await);
    let guard = one.lock().await.unwrap();
    until_held(&guard, &[true; 5]).await;
    for server in &servers[..3] {
        server.kill().await;
    }
    let killed = Instant::now();
    assert!(guard.is_held(), "their word is good for a while");
    let lost = soon(guard.lost()).await;
    assert!(killed.elapsed() <= TTL + SLACK, "{:?}", killed.elapsed());
    assert!(lost.members.iter().filter(|member| member.is_held).count() == 2, "{lost}");
    let error = other.try_lock().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    let error = guard.release().await.unwrap_err();
    assert!(error.is_lost() && error.failures().len() == 0, "{error}");
    nothing_is_left(&servers[3..]).await;
    join_all(servers[..3].iter().map(RedisServer::restart)).await;
    let next = soon(other.lock()).await.unwrap();
    next.release().await.unwrap();
    nothing_is_left(&servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_holder_outlives_a_rolling_restart() {
    let servers = servers(3).await;
    let (one, other) = (contender(&servers).await, contender(&servers).await);
    let guard = one.lock().await.unwrap();
    until_held(&guard, &[true; 3]).await;
    for server in &servers {
        server.restart().await;
        assert!(guard.is_held());
        // It must be heard of before the next one goes.
        let all = async {
            while entries(server).await != 1 || held(&guard) != [true; 3] {
                sleep(Duration::from_millis(20)).await;
            }
        };
        soon(all).await;
        assert!(other.try_lock().await.unwrap().is_none());
    }
    // And those that come back with nothing at all.
    for server in &servers {
        server.command(&["FLUSHALL"]).await;
        let again = async {
            while entries(server).await != 1 || held(&guard) != [true; 3] {
                sleep(Duration::from_millis(20)).await;
            }
        };
        soon(again).await;
        assert!(guard.is_held());
        assert!(other.try_lock().await.unwrap().is_none());
    }
    guard.release().await.unwrap();
    nothing_is_left(&servers).await;
}

/// A holder of a bare majority, one member of which is emptied: until it hears of that, another one can have the lock too.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_member_that_forgets_votes_twice() {
    let servers = servers(3).await;
    let proxy = Proxy::start(&servers[2].endpoint()).await;
    let (near, far) = ([servers[0].endpoint(), servers[1].endpoint()], proxy.endpoint());
    let one = contender_at(near.into_iter().chain([far])).await;
    let other = contender(&servers).await;
    proxy.black_hole();
    let guard = one.lock().await.unwrap();
    assert_eq!(held(&guard), [true, true, false]);
    servers[1].command(&["FLUSHALL"]).await;
    // Its session there is gone as well, and opened anew, for which there is time.
    let second = soon(async {
        loop {
            if let Some(second) = other.try_lock().await.unwrap() {
                break second;
            }
        }
    })
    .await;
    assert!(second.is_held());
    let lost = soon(guard.lost()).await;
    assert!(!lost.members[1].is_held && second.is_held(), "the first one hears of it afterwards: {lost}");
    drop(guard);
    second.release().await.unwrap();
    proxy.heal();
    nothing_is_left(&servers).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn contenders_while_members_die() {
    const ROUNDS: usize = 12;
    let servers = servers(5).await;
    let last: Arc<Mutex<Option<QuorumHeld>>> = Arc::default();
    let mut tasks = Vec::new();
    for _ in 0..4 {
        let (lock, last) = (contender(&servers).await, last.clone());
        tasks.push(tokio::spawn(async move {
            let mut kept = 0;
            for _ in 0..ROUNDS {
                let guard = lock.lock().await.unwrap();
                let before = last.lock().unwrap().replace(guard.held());
                assert!(before.is_none_or(|before| !before.is_held()), "two hold at once");
                let worked = guard.while_held(sleep(Duration::from_millis(20))).await;
                kept += usize::from(worked.is_ok() && guard.release().await.is_ok());
            }
            kept
        }));
    }
    let trouble = async {
        for at in [0, 3, 1, 4] {
            servers[at].kill().await;
            servers[(at + 1) % 5].pause();
            sleep(Duration::from_millis(300)).await;
            servers[(at + 1) % 5].resume();
            servers[at].restart().await;
            sleep(Duration::from_millis(300)).await;
        }
    };
    let (kept, ()) = tokio::join!(join_all(tasks), trouble);
    for kept in kept {
        assert_eq!(kept.unwrap(), ROUNDS, "a minority was down at any time");
    }
    nothing_is_left(&servers).await;
}
