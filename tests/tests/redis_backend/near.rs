//! What a session hears that minds only whoever is next ahead of its own entries.

use std::time::{Duration, Instant};

use leasehold_core::{AttemptId, AttemptIds, Certainty, Mode, Publish, Queue};
use tokio::task::JoinSet;

use crate::fixture::{
    LONG_TTL, contenders, coordinator, entry, gone, key_beside, lock, open, place, server, soon,
};

async fn near(queue: &dyn Queue) -> Vec<AttemptId> {
    let mut seen = Vec::new();
    queue.near(&mut |contenders| seen = contenders.iter().map(|c| c.attempt).collect()).await.unwrap();
    seen
}

#[tokio::test]
async fn it_is_shown_who_is_next_ahead_whoever_leaves() {
    let (server, ids) = (server().await, AttemptIds::new().unwrap());
    let [others, own] = [open(&server.endpoint(), LONG_TTL).await, open(&server.endpoint(), LONG_TTL).await];
    let (theirs, ours) = (others.queue(&lock("a")), own.queue(&lock("a")));
    let [a, b] = [place(&*theirs, &ids).await, place(&*theirs, &ids).await];
    let c = place(&*ours, &ids).await;
    assert_eq!(near(&*ours).await, [b, c], "listed");
    let d = place(&*theirs, &ids).await;
    let e = place(&*ours, &ids).await;
    assert_eq!(near(&*ours).await, [b, c, d, e], "told");
    assert_eq!(near(&*theirs).await, [a, b, c, d]);
    // One that leaves from the middle, of another session and of this one.
    theirs.withdraw(b, Certainty::Placed).await.unwrap();
    soon(ours.near_changed(gone(b))).await.unwrap();
    assert_eq!(near(&*ours).await, [a, c, d, e]);
    ours.withdraw(c, Certainty::Placed).await.unwrap();
    theirs.withdraw(d, Certainty::Placed).await.unwrap();
    soon(ours.near_changed(gone(d))).await.unwrap();
    assert_eq!(near(&*ours).await, [a, e]);
    // Whoever is told that nobody is ahead is first.
    theirs.withdraw(a, Certainty::Placed).await.unwrap();
    soon(ours.near_changed(gone(a))).await.unwrap();
    assert_eq!((near(&*ours).await, contenders(&*ours).await), (vec![e], vec![e]));
    // What somebody else does to an own entry.
    let change = Publish { attempt: e, mode: Mode::Exclusive, value: "asked".into(), if_version: None };
    let version = ours.entry(e).await.unwrap().unwrap().version;
    theirs.publish(change).await.unwrap();
    let interest =
        leasehold_core::Interest::Entry { attempt: e, mode: Mode::Exclusive, version: Some(version) };
    soon(ours.near_changed(interest)).await.unwrap();
    theirs.withdraw(e, Certainty::Placed).await.unwrap();
    soon(ours.near_changed(gone(e))).await.unwrap();
    assert!(near(&*ours).await.is_empty());
}

/// What stays of an entry that left while somebody was ahead of it does not stand in the way of the next one.
#[tokio::test]
async fn what_is_out_of_date_is_nobodys_predecessor() {
    let (server, ids) = (server().await, AttemptIds::new().unwrap());
    let [others, own] = [open(&server.endpoint(), LONG_TTL).await, open(&server.endpoint(), LONG_TTL).await];
    let (theirs, ours) = (others.queue(&lock("a")), own.queue(&lock("a")));
    let a = place(&*theirs, &ids).await;
    let b = place(&*ours, &ids).await;
    assert_eq!(near(&*ours).await, [a, b]);
    ours.withdraw(b, Certainty::Placed).await.unwrap();
    // Nobody of this session is behind, so it is not told.
    theirs.withdraw(a, Certainty::Placed).await.unwrap();
    let c = place(&*ours, &ids).await;
    assert_eq!(near(&*ours).await, [c]);
}

#[tokio::test]
async fn a_predecessor_that_was_deleted_by_hand_or_died_leaves_the_one_before_it() {
    let (server, ids) = (server().await, AttemptIds::new().unwrap());
    let ttl = Duration::from_secs(2);
    let first = open(&server.endpoint(), LONG_TTL).await;
    let mortal = open(&server.endpoint(), ttl).await;
    let own = open(&server.endpoint(), ttl * 2).await;
    let (firsts, ours) = (first.queue(&lock("a")), own.queue(&lock("a")));
    let a = place(&*firsts, &ids).await;
    let b = place(&*mortal.queue(&lock("a")), &ids).await;
    let c = place(&*firsts, &ids).await;
    let d = place(&*ours, &ids).await;
    assert_eq!(near(&*ours).await, [c, d]);
    let entries = key_beside(&server, &lock("a"), "entries").await;
    server.command(&["HDEL", &entries, &c.to_string()]).await;
    soon(ours.near_changed(gone(c))).await.unwrap();
    assert_eq!(near(&*ours).await, [b, d], "not first for want of a predecessor");
    drop(mortal);
    let dropped = Instant::now();
    soon(ours.near_changed(gone(b))).await.unwrap();
    assert!(dropped.elapsed() <= ttl + Duration::from_secs(2), "{:?}", dropped.elapsed());
    assert_eq!(near(&*ours).await, [a, d]);
    firsts.withdraw(a, Certainty::Placed).await.unwrap();
    soon(ours.near_changed(gone(a))).await.unwrap();
    assert_eq!(near(&*ours).await, [d]);
}

/// What is shown agrees with the whole queue at every step, whoever comes and goes; and nobody is shown as first who is not.
#[tokio::test]
async fn it_agrees_with_the_whole_queue_while_everybody_comes_and_goes() {
    const SESSIONS: usize = 4;
    const STEPS: usize = 60;
    let (server, mut tasks) = (server().await, JoinSet::new());
    for number in 0..SESSIONS {
        let session = open(&server.endpoint(), LONG_TTL).await;
        tasks.spawn(async move {
            let (queue, ids) = (session.queue(&lock("a")), AttemptIds::new().unwrap());
            let mut own = Vec::new();
            for step in 0..STEPS {
                let attempt = ids.next();
                queue.enqueue(entry(attempt)).await.unwrap();
                own.push(attempt);
                if (step * 7 + number) % 3 > 0 {
                    let leaving = own.swap_remove((step * 5 + number) % own.len());
                    queue.withdraw(leaving, Certainty::Placed).await.unwrap();
                }
                let near = near(&*queue).await;
                assert!(own.iter().all(|attempt| near.contains(attempt)));
                if let Some(first) = near.first().filter(|first| own.contains(first)) {
                    // Who is first stays so, and the server knows it.
                    assert_eq!(queue.entries().await.unwrap()[0].attempt, *first);
                }
            }
            (session, queue, own)
        });
    }
    let mut ended = soon(tasks.join_all()).await;
    let whole = contenders(&*ended[0].1).await;
    for (_session, queue, own) in &mut ended {
        for attempt in own.iter() {
            let at = whole.iter().position(|other| other == attempt).unwrap();
            let ahead = at.checked_sub(1).map(|at| whole[at]);
            // What others did last may still be on its way here.
            soon(async {
                loop {
                    let near = near(&**queue).await;
                    let shown = near.iter().position(|other| other == attempt).unwrap();
                    let seen = shown.checked_sub(1).map(|at| near[at]);
                    if seen == ahead {
                        return;
                    }
                    queue.near_changed(gone(seen.expect("somebody is ahead"))).await.unwrap();
                }
            })
            .await;
        }
    }
}

/// However long they wait and hold, mutexes follow no whole queue, and each channel has one listener.
#[tokio::test]
async fn who_waits_for_a_mutex_hears_of_nobody_elses_business() {
    const WAITERS: usize = 12;
    let server = server().await;
    let holder = coordinator(&server.endpoint(), LONG_TTL).await;
    let guard = holder.mutex("a").lock().await.unwrap();
    let mut waiters = JoinSet::new();
    for _ in 0..WAITERS {
        let coordinator = coordinator(&server.endpoint(), LONG_TTL).await;
        waiters.spawn(async move { coordinator.mutex("a").lock().await.unwrap().release().await.unwrap() });
    }
    let channels = async || server.command(&["PUBSUB", "CHANNELS"]).await.texts();
    soon(async {
        // The holder watches its own entry by then, and the waiters theirs.
        while channels().await.len() < WAITERS + 1 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    })
    .await;
    for channel in channels().await {
        assert!(channel.contains(":near:") && channel.ends_with(":locks/a"), "{channel}");
        assert_eq!(server.command(&["PUBSUB", "NUMSUB", &channel]).await.texts()[1], "1");
    }
    guard.release().await.unwrap();
    soon(waiters.join_all()).await;
}
