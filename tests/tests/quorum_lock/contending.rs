//! Many that want it: one at a time, everybody in the end, nobody passed for ever.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use leasehold::LossReason;
use leasehold::memory::{Fault, Operation};
use tokio::time::{Instant, sleep};

use crate::fixture::{ANSWER, Contender, Members, Record, SLACK, TTL, everything_settles, held, soon};

/// Every contender is the first at another member, so that none has a majority at first: one after the other has it all the same, with
/// no delay but those of the answers.
#[tokio::test(start_paused = true)]
async fn a_split_is_resolved_without_a_delay() {
    let far = Duration::from_millis(20);
    for count in [3, 4, 5] {
        let members = Members::paused(count);
        let contenders = members.contenders(count).await;
        for (at, service) in members.0.iter().enumerate() {
            let near = contenders[at].session(at);
            service.on_call(move |call| match call.operation {
                Operation::Enqueue | Operation::Withdraw if call.session.as_ref() != Some(&near) => {
                    Fault::Delay(far)
                }
                _ => Fault::None,
            });
        }
        let (record, start) = (Record::default(), Instant::now());
        let mut tasks = Vec::new();
        for Contender { lock, nodes } in contenders {
            let record = record.clone();
            tasks.push(tokio::spawn(async move {
                let guard = lock.lock().await.unwrap();
                record.tenure(&guard, Duration::from_millis(1)).await;
                guard.release().await.unwrap();
                nodes
            }));
        }
        for task in tasks {
            soon(task).await.unwrap();
        }
        assert_eq!(record.tenures(), count);
        // Each asks all, and then at most every member once, and gives back; no time-out is among it.
        let most = far * u32::try_from((2 * count + 2) * count).unwrap();
        assert!(start.elapsed() <= most, "{count}: {:?}", start.elapsed());
        members.nothing_is_left().await;
    }
}

/// Each of the contenders is cut off from another member, so that they wait in different queues.
#[tokio::test(start_paused = true)]
async fn contenders_that_see_different_members() {
    const ROUNDS: usize = 10;
    for count in [3, 5] {
        let members = Members::paused(count);
        let contenders = members.contenders(count).await;
        for (at, service) in members.0.iter().enumerate() {
            let cut_off = contenders[at].session(at);
            service.on_call(move |call| match call.operation {
                Operation::Enqueue | Operation::Contenders if call.session.as_ref() == Some(&cut_off) => {
                    Fault::LoseRequest
                }
                _ => Fault::None,
            });
        }
        let record = Record::default();
        let mut tasks = Vec::new();
        for Contender { lock, nodes } in contenders {
            let record = record.clone();
            tasks.push(tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let guard = lock.lock().await.unwrap();
                    record.tenure(&guard, Duration::from_millis(1)).await;
                    guard.release().await.unwrap();
                }
                nodes
            }));
        }
        for task in tasks {
            tokio::time::timeout(Duration::from_secs(600), task).await.expect("nobody is stuck").unwrap();
        }
        assert_eq!(record.tenures(), count * ROUNDS);
        members.nothing_is_left().await;
    }
}

/// Those who wait are served in their order.
#[tokio::test(start_paused = true)]
async fn first_come_first_served() {
    let members = Members::paused(5);
    let contenders = members.contenders(6).await;
    let mut guard = contenders[0].lock.lock().await.unwrap();
    let mut waiting = Vec::new();
    for (at, contender) in contenders.iter().enumerate().skip(1) {
        let lock = contender.lock.clone();
        waiting.push(tokio::spawn(async move { lock.lock().await.unwrap() }));
        members.until_entries(&[at + 1, 1, 1, 1, 1]).await;
    }
    for (at, waiter) in waiting.into_iter().enumerate() {
        let start = Instant::now();
        guard.release().await.unwrap();
        guard = soon(waiter).await.unwrap_or_else(|error| panic!("{at}: {error}"));
        assert!(start.elapsed() <= SLACK, "{at}: {:?}", start.elapsed());
    }
    drop(guard);
    members.nothing_is_left().await;
}

/// One that releases and takes it again at once can pass the one that waits only as often as it is said.
#[tokio::test(start_paused = true)]
async fn whoever_waits_is_passed_a_bounded_number_of_times() {
    for count in [3, 5, 7] {
        let most = count - (count / 2 + 1);
        let mut passed_most = 0;
        for slow in 0..count {
            let members = Members::paused(count);
            let [greedy, patient] = [members.contender().await, members.contender().await];
            // The one that waits is slower at one of the members, so that the other one is faster there.
            let session = patient.session(slow);
            members.0[slow].on_call(move |call| match call.operation {
                Operation::Enqueue if call.session.as_ref() == Some(&session) => {
                    Fault::Delay(Duration::from_millis(5))
                }
                _ => Fault::None,
            });
            let guard = greedy.lock.lock().await.unwrap();
            everything_settles().await;
            let lock = patient.lock.clone();
            let waiting = tokio::spawn(async move { lock.lock().await.unwrap() });
            sleep(ANSWER).await;
            guard.release().await.unwrap();
            let mut passed = 0;
            while !waiting.is_finished() {
                let Some(guard) = greedy.lock.try_lock().await.unwrap() else {
                    sleep(Duration::from_millis(1)).await;
                    continue;
                };
                passed += 1;
                assert!(passed <= most, "{count} members, slow at {slow}: passed {passed} times");
                sleep(Duration::from_millis(10)).await;
                guard.release().await.unwrap();
            }
            passed_most = passed_most.max(passed);
            drop(waiting.await.unwrap());
            members.nothing_is_left().await;
        }
        assert!(passed_most > 0, "{count} members: it can be passed, and this would show it");
    }
}

/// The member that everybody waits at hangs: whoever waits goes on to wait at the next, and is served from there.
#[tokio::test(start_paused = true)]
async fn the_first_member_hangs_under_those_who_wait() {
    let members = Members::paused(3);
    let contenders = members.contenders(4).await;
    let guard = contenders[0].lock.lock().await.unwrap();
    everything_settles().await;
    let record = Record::default();
    let mut waiting = Vec::new();
    for contender in &contenders[1..] {
        let (lock, record) = (contender.lock.clone(), record.clone());
        waiting.push(tokio::spawn(async move {
            let guard = lock.lock().await.unwrap();
            record.tenure(&guard, Duration::from_millis(1)).await;
            guard.release().await.unwrap();
        }));
    }
    members.until_entries(&[4, 1, 1]).await;
    members.0[0].pause();
    // A renewal that goes unanswered, and the time-out after it.
    sleep(TTL).await;
    assert!(guard.is_held());
    let start = Instant::now();
    guard.release().await.unwrap();
    for waiter in waiting {
        soon(waiter).await.unwrap();
    }
    assert_eq!(record.tenures(), 3);
    assert!(start.elapsed() <= ANSWER * 5, "{:?}", start.elapsed());
    members.0[0].resume();
    members.nothing_is_left().await;
}

/// What waits with too few members, since others have gone down meanwhile, gives back and begins anew.
#[tokio::test(start_paused = true)]
async fn too_few_are_left_while_it_waits() {
    let members = Members::paused(5);
    let [one, other] = [members.contender().await, members.contender().await];
    // Holds what makes it wait at the last member that it needs.
    let mut guards = Vec::new();
    for at in [2, 3, 4] {
        guards.push(other.nodes[at].mutex("x").lock().await.unwrap());
    }
    let lock = one.lock.clone();
    let waiting = tokio::spawn(async move { lock.lock().await });
    members.until_entries(&[1, 1, 2, 1, 1]).await;
    for at in [1, 2, 3] {
        members.0[at].pause();
    }
    sleep(TTL * 3).await;
    assert!(!waiting.is_finished());
    // What it had is given back, and asked for again now and then.
    soon(other.nodes[0].mutex("x").lock()).await.unwrap().release().await.unwrap();
    for at in [1, 2, 3] {
        members.0[at].resume();
    }
    drop(guards);
    let guard = soon(waiting).await.unwrap().unwrap();
    assert!(guard.is_held());
    guard.release().await.unwrap();
    members.nothing_is_left().await;
}

/// A dead one that held everything, and one that died waiting: the next is served within the TTL.
#[tokio::test(start_paused = true)]
async fn the_dead_do_not_stand_in_the_way() {
    let members = Members::paused(3);
    let contenders = members.contenders(3).await;
    let guard = contenders[0].lock.lock().await.unwrap();
    let lock = contenders[1].lock.clone();
    let waiting = tokio::spawn(async move { lock.lock().await });
    members.until_entries(&[2, 1, 1]).await;
    let lock = contenders[2].lock.clone();
    let next = tokio::spawn(async move { lock.lock().await });
    members.until_entries(&[3, 1, 1]).await;
    // Nothing is heard of the sessions of the two any more.
    let dead: Vec<String> = (0..3).flat_map(|at| [0, 1].map(|of| contenders[of].session(at))).collect();
    for service in &members.0 {
        let dead = dead.clone();
        service.on_call(move |call| match &call.session {
            Some(session) if dead.contains(session) => Fault::LoseRequest,
            _ => Fault::None,
        });
    }
    let (lost, start) = (guard.lost(), Instant::now());
    let next = soon(next).await.unwrap().unwrap();
    assert!(start.elapsed() <= TTL + SLACK, "{:?}", start.elapsed());
    assert_eq!(soon(lost).await.reason, LossReason::DeadlinePassed);
    assert!(next.is_held() && !guard.is_held());
    waiting.abort();
}

/// Many at once on real threads, while members hang, restart and forget: never two, and everybody has their turns.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_storm() {
    const CONTENDERS: usize = 6;
    const ROUNDS: usize = 25;
    for (count, seed) in [(3, 11), (5, 12)] {
        let members = Members::real(count);
        let contenders = members.contenders(CONTENDERS).await;
        let (record, lost) = (Record::default(), Arc::new(AtomicU64::new(0)));
        let stop = Arc::new(AtomicBool::new(false));
        let sessions: Vec<Vec<_>> =
            contenders.iter().map(|one| one.nodes.iter().map(|node| node.status()).collect()).collect();
        let trouble = tokio::spawn({
            let (members, stop) = (members.clone(), stop.clone());
            async move {
                let mut random: u64 = seed;
                while !stop.load(Ordering::SeqCst) {
                    // A linear congruence: what it draws is the seed's.
                    random = random
                        .wrapping_mul(6_364_136_223_846_793_005)
                        .wrapping_add(1_442_695_040_888_963_407);
                    let drawn = usize::try_from(random >> 33).unwrap();
                    let service = &members.0[drawn % count];
                    match drawn / count % 3 {
                        0 => {
                            service.pause();
                            sleep(Duration::from_millis(20)).await;
                            service.resume();
                        }
                        1 => service.restart(),
                        _ => {
                            let of = &sessions[drawn / (3 * count) % CONTENDERS][drawn % count];
                            let session = of.borrow().session.clone();
                            session.map(|session| service.expire_session(&session));
                        }
                    }
                    sleep(Duration::from_millis(15)).await;
                }
            }
        });
        let mut tasks = Vec::new();
        for Contender { lock, nodes } in contenders {
            let (record, lost) = (record.clone(), lost.clone());
            tasks.push(tokio::spawn(async move {
                for _ in 0..ROUNDS {
                    let guard = lock.lock().await.unwrap();
                    record.tenure(&guard, Duration::from_millis(2)).await;
                    match guard.release().await {
                        Ok(()) => {}
                        Err(error) => {
                            lost.fetch_add(u64::from(error.is_lost()), Ordering::SeqCst);
                        }
                    }
                }
                nodes
            }));
        }
        let mut all_nodes = Vec::new();
        for task in tasks {
            all_nodes.push(soon(task).await.unwrap());
        }
        stop.store(true, Ordering::SeqCst);
        trouble.await.unwrap();
        assert_eq!(record.tenures(), CONTENDERS * ROUNDS);
        members.nothing_is_left().await;
        drop(all_nodes);
    }
}

/// A holder that has all of five members keeps the lock from others while two of them forget at once.
#[tokio::test(start_paused = true)]
async fn two_of_five_forget() {
    let members = Members::paused(5);
    let [one, other] = [members.contender().await, members.contender().await];
    let guard = one.lock.lock().await.unwrap();
    everything_settles().await;
    let lock = other.lock.clone();
    let waiting = tokio::spawn(async move { lock.lock().await });
    members.until_entries(&[2, 1, 1, 1, 1]).await;
    for at in [0, 1] {
        members.0[at].expire_session(&one.session(at));
    }
    sleep(TTL * 2).await;
    assert!(guard.is_held() && !waiting.is_finished());
    assert_eq!(held(&guard), [false, false, true, true, true], "another waits with the two");
    guard.release().await.unwrap();
    let next = soon(waiting).await.unwrap().unwrap();
    next.release().await.unwrap();
    members.nothing_is_left().await;
}
