//! The conformance suite of the multi-lock, with members on one service. Those of several services at once are in the workspace's
//! tests.
//!
//! | case | what it shows |
//! |---|---|
//! | `opposite_orders_do_not_deadlock`, `a_ring_of_overlapping_sets_does_not_deadlock` | one order whatever was asked for; one holder; a rising token a member |
//! | `members_are_told_apart` | the order is by label, namespace, name; tokens by label and name |
//! | `all_or_nothing`, `a_failed_member_gives_back_the_others` | a failed attempt has given everything back when it returns |
//! | `one_budget_in_all` | one deadline for all members |
//! | `dropped_at_every_poll` | cancel safety, while free, while waiting and while releasing |
//! | `the_loss_of_one_ends_the_whole`, `work_is_dropped_with_the_first_loss` | a loss says which member it was; the others stay until they are released |
//! | `a_member_lost_while_waiting_is_locked_anew` | a guard is never born without a member; what comes after the lost one is given back |
//! | `a_shutdown_asks_for_all` | the cancellation token follows every member's coordinator |
//! | `bad_sets_are_refused` | no members, one named twice, bad names: before anything is asked of the service |

use std::sync::Arc;
use std::time::{Duration, Instant};

use leasehold_core::{Coordinator, ErrorKind, FencingToken, LossReason, MultiHeld, MultiLock, Namespace};

use super::table;
use crate::contract::World;
use crate::polls::poll_times;
use crate::scene::{BRIEF, PATIENCE, Record, Scene, soon};

table! {
    opposite_orders_do_not_deadlock
    a_ring_of_overlapping_sets_does_not_deadlock
    members_are_told_apart
    all_or_nothing
    a_failed_member_gives_back_the_others
    one_budget_in_all
    dropped_at_every_poll
    the_loss_of_one_ends_the_whole
    work_is_dropped_with_the_first_loss
    a_member_lost_while_waiting_is_locked_anew
    a_shutdown_asks_for_all
    bad_sets_are_refused
}

/// Of locks of one service, all under one label.
fn of(node: &Coordinator, names: &[&str]) -> MultiLock {
    names.iter().fold(MultiLock::new(), |multi, name| multi.member("service", node.mutex(name)))
}

fn token(held: &MultiHeld, name: &str) -> FencingToken {
    held.token("service", name).expect("a member")
}

async fn opposite_orders_do_not_deadlock(world: Arc<dyn World>) {
    const ROUNDS: usize = 60;
    let scene = Scene::new(&world);
    let (one, two) = (scene.node().await, scene.node().await);
    let records = [Record::default(), Record::default()];
    let rounds = |multi: MultiLock| {
        let records = records.clone();
        tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let guard = multi.lock().await.expect("locked");
                assert_eq!(guard.members().iter().map(|m| m.name()).collect::<Vec<_>>(), ["left", "right"]);
                for (record, member) in records.iter().zip(guard.members()) {
                    record.enter(member);
                }
                tokio::task::yield_now().await;
                records.iter().for_each(Record::leave);
                guard.release().await.expect("released");
            }
        })
    };
    let tasks = [rounds(of(&one, &["left", "right"])), rounds(of(&two, &["right", "left"]))];
    for task in tasks {
        soon("nobody waits in a circle", task).await.expect("no panic");
    }
    assert_eq!(records.map(|record| record.tenures()), [2 * ROUNDS; 2]);
    scene.nothing_is_left().await;
}

async fn a_ring_of_overlapping_sets_does_not_deadlock(world: Arc<dyn World>) {
    const ROUNDS: usize = 20;
    const NAMES: [&str; 4] = ["a", "b", "c", "d"];
    let scene = Scene::new(&world);
    let records: [Record; 4] = Default::default();
    let mut tasks = Vec::new();
    for (left, name) in NAMES.into_iter().enumerate() {
        let right = (left + 1) % NAMES.len();
        let multi = of(&scene.node().await, &[name, NAMES[right]]);
        let records = [left, right].map(|at| (NAMES[at], records[at].clone()));
        tasks.push(tokio::spawn(async move {
            for _ in 0..ROUNDS {
                let entered = records.clone();
                let work = |held: MultiHeld| async move {
                    for (name, record) in &entered {
                        record.enter(held.member("service", name).expect("a member"));
                    }
                    tokio::task::yield_now().await;
                    entered.iter().for_each(|(_, record)| record.leave());
                };
                multi.with(work).await.expect("done");
            }
        }));
    }
    for task in tasks {
        soon("nobody waits in a circle", task).await.expect("no panic");
    }
    for record in records {
        assert_eq!(record.tenures(), 2 * ROUNDS);
    }
    scene.nothing_is_left().await;
}

async fn members_are_told_apart(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let beside = Namespace::parse(&format!("{}-2", node.namespace().as_str())).expect("sound");
    let beside = node.session().namespace(beside).connect();
    let beside = soon("a session is opened", beside).await.expect("the service is reached");
    let multi = MultiLock::new()
        .member("b", node.mutex("x"))
        .member("a", beside.mutex("y"))
        .member("a", node.mutex("z"))
        .member("b", node.mutex("w"))
        .member("a", node.mutex("y"));
    let guard = multi.lock().await.expect("locked");
    let order: Vec<_> = guard.members().iter().map(|m| (m.label(), m.namespace(), m.name())).collect();
    let (here, there) = (node.namespace(), beside.namespace());
    assert_eq!(
        order,
        [("a", here, "y"), ("a", here, "z"), ("a", there, "y"), ("b", here, "w"), ("b", here, "x")]
    );
    assert_eq!(guard.token("b", "x"), Some(guard.members()[4].fencing_token()));
    assert_eq!(guard.tokens().len(), 5);
    for (label, name) in [("a", "x"), ("c", "x"), ("a", "y")] {
        assert_eq!(guard.token(label, name), None, "{label} {name} is no one member");
    }
    let first = guard.tokens();
    guard.release().await.expect("released");
    let again = multi.try_lock().await.expect("answered").expect("free");
    assert!(first.iter().zip(again.tokens()).all(|(first, then)| then > *first));
    drop(again);
    scene.nothing_is_left().await;
}

async fn all_or_nothing(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let multi = of(&node, &["a", "b", "c"]);
    for busy in ["a", "b", "c"] {
        let held = other.mutex(busy).lock().await.expect("locked");
        assert!(multi.try_lock().await.expect("answered").is_none(), "{busy} is busy");
        assert_eq!(scene.listing().await.len(), 1, "all that was taken was given back before it returned");
        assert!(multi.try_lock_for(Duration::ZERO).await.expect("answered").is_none());
        assert_eq!(scene.listing().await.len(), 1);
        assert!(multi.try_lock_for(BRIEF).await.expect("answered").is_none());
        for name in ["a", "b", "c"].into_iter().filter(|name| *name != busy) {
            drop(soon("given back in the background", other.mutex(name).lock()).await.expect("locked"));
        }
        held.release().await.expect("released");
        scene.nothing_is_left().await;
    }
    let guard = multi.try_lock().await.expect("answered").expect("free");
    drop(guard);
    scene.nothing_is_left().await;
}

async fn a_failed_member_gives_back_the_others(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, closed) = (scene.node().await, scene.node().await);
    closed.shutdown(PATIENCE).await.expect("nothing is held");
    let multi = MultiLock::new()
        .member("1", node.mutex("one"))
        .member("2", closed.mutex("two"))
        .member("3", node.mutex("three"));
    for error in [multi.lock().await, multi.try_lock().await.map(|_| unreachable!("it is closed"))] {
        let error = error.expect_err("a member's coordinator is closed");
        assert_eq!((error.kind(), error.name()), (ErrorKind::Closed, Some("two")), "{error}");
        assert!(error.to_string().contains("member \"2\""), "{error}");
        assert!(scene.listing().await.is_empty(), "given back before it returned");
    }
    let error = multi.try_lock_for(PATIENCE).await.expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed);
    scene.nothing_is_left().await;
}

async fn one_budget_in_all(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other, observer) = (scene.node().await, scene.node().await, scene.observer().await);
    let first = other.mutex("a").lock().await.expect("locked");
    let second = other.mutex("b").lock().await.expect("locked");
    let patience = BRIEF;
    let start = Instant::now();
    let multi = of(&node, &["a", "b"]);
    let waiting = tokio::spawn(async move { multi.try_lock_for(patience).await });
    observer.contenders("a", 2).await;
    // The grant of the first does not start the time anew.
    tokio::time::sleep(patience / 2).await;
    first.release().await.expect("released");
    let outcome = soon("the time runs out", waiting).await.expect("no panic").expect("no error");
    let took = start.elapsed();
    assert!(outcome.is_none());
    assert!(took >= patience && took < patience + patience / 3, "one budget in all: {took:?}");
    observer.contenders("a", 0).await;
    observer.contenders("b", 1).await;
    second.release().await.expect("released");
    scene.nothing_is_left().await;
    let guard = of(&node, &["b", "a"]).try_lock_for(Duration::MAX).await.expect("answered").expect("free");
    guard.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn dropped_at_every_poll(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.node().await);
    let (multi, same) = (of(&node, &["a", "b", "c"]), of(&other, &["c", "b", "a"]));
    let pace = Duration::from_micros(200);
    // Free: until the future ends by itself.
    let mut polls = 0;
    loop {
        polls += 1;
        assert!(polls < 10_000, "the locks are free and yet not granted");
        let granted = poll_times(multi.lock(), polls, pace).await;
        let finished = granted.is_some();
        drop(granted.map(|guard| guard.expect("locked")));
        let next = soon("the next is granted", same.lock()).await.expect("locked");
        next.release().await.expect("released");
        if finished {
            break;
        }
        if polls % 16 == 1 {
            scene.nothing_is_left().await;
        }
    }
    scene.nothing_is_left().await;
    // The last member is held by somebody.
    for polls in (1..30).chain([60, 120, 240, 480]) {
        let held = other.mutex("c").lock().await.expect("locked");
        assert!(poll_times(multi.lock(), polls, pace).await.is_none(), "granted while another holds");
        assert!(poll_times(multi.try_lock_for(PATIENCE), polls, pace).await.is_none());
        held.release().await.expect("released");
        let next = soon("the next is granted", same.lock()).await.expect("locked");
        next.release().await.expect("released");
    }
    scene.nothing_is_left().await;
    // A try meets a busy last member: dropped also while it gives back.
    let held = other.mutex("c").lock().await.expect("locked");
    for polls in 1..10_000 {
        let tried = poll_times(multi.try_lock(), polls, pace).await;
        for name in ["a", "b"] {
            let mutex = other.mutex(name);
            drop(soon("what was taken was given back", mutex.lock()).await.expect("locked"));
        }
        if let Some(tried) = tried {
            assert!(tried.expect("answered").is_none(), "granted while another holds");
            break;
        }
    }
    held.release().await.expect("released");
    // A release goes on when its future is dropped.
    for polls in 1..20 {
        let guard = multi.lock().await.expect("locked");
        if let Some(released) = poll_times(guard.release(), polls, pace).await {
            released.expect("released");
        }
        let next = soon("the next is granted", same.lock()).await.expect("locked");
        next.release().await.expect("released");
    }
    scene.nothing_is_left().await;
}

/// Two members, each over a node of its own.
fn over(one: &Coordinator, two: &Coordinator) -> MultiLock {
    MultiLock::new().member("one", one.mutex("a")).member("two", two.mutex("b"))
}

async fn the_loss_of_one_ends_the_whole(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (one, two, other) = (scene.node().await, scene.node().await, scene.node().await);
    let guard = over(&one, &two).lock().await.expect("locked");
    let (held, lost, stop) = (guard.held(), guard.lost(), guard.cancellation_token());
    assert!(guard.is_held() && guard.loss().is_none() && !stop.is_cancelled());
    scene.expire(&two).await;
    let loss = soon("the loss is told", lost).await;
    assert_eq!((&*loss.label, &*loss.name, &loss.namespace), ("two", "b", two.namespace()));
    // Whichever is noticed first: the end of the session, or that of the entry that went with it.
    let reasons = [LossReason::SessionEnded, LossReason::EntryRemoved, LossReason::DeadlinePassed];
    assert!(reasons.contains(&loss.reason), "{loss}");
    assert!(!guard.is_held() && !held.is_held() && guard.loss() == Some(&loss));
    soon("the work is asked to stop", stop.cancelled()).await;
    assert!(held.member("one", "a").expect("a member").is_held(), "the other one stays");
    assert!(other.mutex("a").try_lock().await.expect("answered").is_none());
    let worked = guard.while_held(async { panic!("no work is begun after a loss") }).await;
    let error = worked.expect_err("lost");
    assert_eq!((error.kind(), error.loss_reason()), (ErrorKind::Lost, Some(loss.reason)));
    assert!(error.to_string().contains("member \"two\""), "{error}");
    let error = guard.release().await.expect_err("one was lost");
    assert!(error.is_lost());
    let failures: Vec<_> = error.failures().map(|(label, error)| (label, error.is_lost())).collect();
    assert_eq!(failures, [("two", true)], "{error}");
    assert_eq!(held.loss(), Some(&loss), "what was lost first stays");
    assert_eq!(soon("and is told for ever", held.lost()).await, loss);
    let next = other.mutex("a").try_lock().await.expect("answered").expect("the other one was released");
    next.release().await.expect("released");
    scene.nothing_is_left().await;
    // With nothing lost, the end is a release.
    let guard = soon("the next sessions", over(&one, &two).lock()).await.expect("locked");
    let held = guard.held();
    guard.release().await.expect("released");
    assert!(!held.is_held());
    assert_eq!(held.lost().await.reason, LossReason::Released);
    scene.nothing_is_left().await;
}

async fn work_is_dropped_with_the_first_loss(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (one, two) = (scene.node().await, scene.node().await);
    let multi = over(&one, &two);
    let (begun, beginning) = tokio::sync::oneshot::channel();
    let working = tokio::spawn(async move {
        let work = |held| async move {
            begun.send(held).expect("the case listens");
            std::future::pending::<()>().await
        };
        multi.with(work).await
    });
    let held: MultiHeld = soon("the work begins", beginning).await.expect("begun");
    assert!(held.is_held());
    scene.expire(&one).await;
    let error = soon("the work is dropped", working).await.expect("no panic").expect_err("lost");
    assert_eq!((error.kind(), error.name()), (ErrorKind::Lost, Some("a")), "{error}");
    assert!(error.to_string().contains("member \"one\""), "{error}");
    scene.nothing_is_left().await;
    let sum = soon("a session follows", over(&one, &two).with(|_| async { 1 + 1 })).await.expect("done");
    assert_eq!(sum, 2);
    scene.nothing_is_left().await;
}

async fn a_member_lost_while_waiting_is_locked_anew(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (loser, node, other) = (scene.node().await, scene.node().await, scene.node().await);
    let observer = scene.observer().await;
    let last = other.mutex("c").lock().await.expect("locked");
    let multi = MultiLock::new()
        .member("service", node.mutex("a"))
        .member("service", loser.mutex("b"))
        .member("service", node.mutex("b2"))
        .member("service", node.mutex("c"));
    let waiting = tokio::spawn(async move { multi.lock().await });
    observer.contenders("c", 2).await;
    let behind = tokio::spawn({
        let mutex = other.mutex("b");
        async move { mutex.lock().await }
    });
    observer.contenders("b", 2).await;
    scene.expire(&loser).await;
    let between = soon("the lost one goes to the next", behind).await.expect("no panic").expect("locked");
    observer.contenders("b", 2).await;
    // What comes before it stays, what comes after it was given back.
    observer.contenders("a", 1).await;
    observer.contenders("c", 1).await;
    soon("free", other.mutex("b2").lock()).await.expect("locked").release().await.expect("released");
    last.release().await.expect("released");
    assert!(!waiting.is_finished(), "no guard without the lost member");
    let between_token = between.fencing_token();
    between.release().await.expect("released");
    let guard = soon("all are held", waiting).await.expect("no panic").expect("locked");
    assert!(guard.is_held());
    assert!(token(&guard, "b") > between_token, "it is another hold than the lost one");
    guard.release().await.expect("released");
    scene.nothing_is_left().await;
}

async fn a_shutdown_asks_for_all(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (one, two) = (scene.node().await, scene.node().await);
    let guard = over(&one, &two).lock().await.expect("locked");
    let stop = guard.cancellation_token();
    let shutdown = tokio::spawn(async move { two.shutdown(PATIENCE).await });
    soon("the work is asked to stop", stop.cancelled()).await;
    assert!(guard.is_held(), "it may be brought to a proper end");
    guard.release().await.expect("released");
    soon("the shutdown has waited", shutdown).await.expect("no panic").expect("nothing is held");
    scene.nothing_is_left().await;
}

async fn bad_sets_are_refused(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let (again, sibling) =
        (scene.node().await, soon("a session", node.session().connect()).await.expect("open"));
    let twice = |label, mutex| of(&node, &["a", "one"]).member(label, mutex);
    let bad = [
        (MultiLock::new(), ErrorKind::InvalidArgument, "no members"),
        (twice("service", node.mutex("one")), ErrorKind::InvalidArgument, "named twice"),
        (twice("service", again.mutex("one")), ErrorKind::InvalidArgument, "named twice"),
        (twice("other", node.mutex("one")), ErrorKind::InvalidArgument, "named twice, also as member"),
        (twice("other", sibling.mutex("one")), ErrorKind::InvalidArgument, "named twice, also as member"),
        (twice("z", node.mutex("\0")), ErrorKind::InvalidName, "member \"z\""),
    ];
    for (multi, kind, says) in bad {
        let errors = [
            multi.lock().await.expect_err(says),
            multi.try_lock().await.expect_err(says),
            multi.try_lock_for(PATIENCE).await.expect_err(says),
            multi.with(|_| async {}).await.expect_err(says),
        ];
        for error in errors {
            assert_eq!(error.kind(), kind, "{error}");
            assert!(error.to_string().contains(says), "{error}");
        }
    }
    assert!(scene.listing().await.is_empty(), "nothing was asked of the service");
    assert!(twice("service", node.mutex("two")).try_lock().await.expect("answered").is_some());
    scene.nothing_is_left().await;
}
