use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;

use tokio::task::JoinSet;

use super::super::tests::poll;
use super::*;
use crate::attempt::AttemptIds;
use crate::backend_error::BackendErrorKind;
use crate::mode::Mode;

const X: Mode = Mode::Exclusive;

fn listed(attempt: AttemptId, position: u64, mode: Mode) -> Listed {
    Listed { contender: Contender { attempt, position, mode }, version: position }
}

fn snapshot(revision: u64, entries: &[Listed]) -> QueueSnapshot {
    QueueSnapshot { revision, entries: entries.to_vec() }
}

fn loaded(revision: u64, entries: &[Listed]) -> QueueReplica {
    let replica = QueueReplica::default();
    replica.load(0, snapshot(revision, entries));
    replica
}

fn put(version: u64, listed: Listed) -> Vec<EntryChange> {
    vec![EntryChange::Put(Listed { version, ..listed })]
}

fn removed(attempt: AttemptId, revision: u64) -> Vec<EntryChange> {
    vec![EntryChange::Removed { attempt, revision }]
}

fn shown(replica: &QueueReplica) -> Option<Vec<AttemptId>> {
    let mut seen = Vec::new();
    let mut look = |contenders: &Contenders| seen = contenders.iter().map(|c| c.attempt).collect();
    let looked = poll(pin!(replica.look(&mut look)));
    matches!(looked, Poll::Ready(Ok(()))).then_some(seen)
}

fn revision(replica: &QueueReplica) -> u64 {
    replica.state().contenders.revision()
}

fn entry(attempt: AttemptId, version: Option<u64>) -> Interest {
    Interest::Entry { attempt, mode: X, version }
}

fn attempts<const N: usize>() -> [AttemptId; N] {
    let ids = AttemptIds::new().unwrap();
    std::array::from_fn(|_| ids.next())
}

#[test]
fn nobody_is_shown_less_than_he_knows() {
    let ([a, b], replica) = (attempts(), QueueReplica::default());
    assert_eq!(shown(&replica), None, "it is not open");
    replica.load(0, snapshot(10, &[listed(a, 9, X)]));
    assert_eq!(shown(&replica), Some(vec![a]));
    replica.at_least(12);
    assert_eq!(shown(&replica), None);
    let mut look = |contenders: &Contenders| assert_eq!(contenders.len(), 2);
    let mut looking = pin!(replica.look(&mut look));
    assert!(poll(looking.as_mut()).is_pending());
    replica.apply(put(12, listed(b, 12, X)));
    assert!(poll(looking).is_ready());
}

#[test]
fn a_server_that_knows_less_than_we_did_is_believed_and_one_that_was_asked_too_early_is_not() {
    let ([a, b], replica) = (attempts(), QueueReplica::default());
    replica.at_least(20);
    replica.load(20, snapshot(10, &[listed(a, 9, X)]));
    assert_eq!(shown(&replica), Some(vec![a]), "it has forgotten what we knew");
    // The listing was under way when our own change was answered.
    replica.at_least(12);
    replica.load(10, snapshot(11, &[listed(a, 9, X)]));
    assert_eq!(shown(&replica), None);
    replica.load(12, snapshot(12, &[listed(a, 9, X), listed(b, 12, X)]));
    assert_eq!(shown(&replica), Some(vec![a, b]));
}

#[test]
fn what_was_loaded_already_is_passed_over() {
    let [a, b] = attempts();
    let replica = loaded(10, &[listed(a, 9, X)]);
    replica.apply(put(10, listed(b, 10, X)));
    replica.apply(removed(a, 9));
    assert_eq!(shown(&replica), Some(vec![a]));
    // As an event may hold both, and what has gone comes back under another attempt only.
    replica.apply([removed(a, 11), put(12, listed(b, 12, X))].concat());
    assert_eq!(shown(&replica), Some(vec![b]));
}

#[test]
fn an_interest_in_an_entry_ends_with_it_or_its_mode_or_version() {
    let [a, b] = attempts();
    let replica = loaded(10, &[listed(a, 8, X), listed(b, 9, X)]);
    let mut mode_of_a = pin!(replica.changed(entry(a, None)));
    let mut version_of_a = pin!(replica.changed(entry(a, Some(8))));
    let mut b_is_there = pin!(replica.changed(entry(b, None)));
    for waiting in [&mut mode_of_a, &mut version_of_a, &mut b_is_there] {
        assert!(poll(waiting.as_mut()).is_pending());
    }
    replica.apply(put(11, listed(a, 8, X)));
    assert!(poll(version_of_a).is_ready());
    assert!(poll(mode_of_a.as_mut()).is_pending());
    replica.apply(put(12, listed(a, 8, Mode::Shared)));
    assert!(poll(mode_of_a).is_ready());
    assert!(poll(b_is_there.as_mut()).is_pending());
    replica.apply(removed(b, 13));
    assert!(poll(b_is_there).is_ready());
    assert!(poll(pin!(replica.changed(entry(b, None)))).is_ready(), "it is gone");
    assert!(replica.state().waiters.is_empty());
}

#[test]
fn an_interest_in_the_queue_ignores_values() {
    let [a] = attempts();
    let replica = loaded(10, &[listed(a, 9, X)]);
    let mut changed = pin!(replica.changed(Interest::Queue { revision: revision(&replica) }));
    assert!(poll(changed.as_mut()).is_pending());
    replica.apply(put(11, listed(a, 9, X)));
    assert!(poll(changed.as_mut()).is_pending());
    replica.is_gone(a);
    assert!(poll(changed).is_ready());
    assert_eq!(shown(&replica), Some(vec![]));
}

#[test]
fn a_gap_in_the_watch_shows_in_the_next_listing() {
    let [a, b] = attempts();
    let replica = loaded(10, &[listed(a, 8, X), listed(b, 9, X)]);
    let mut a_gone = pin!(replica.changed(entry(a, None)));
    let mut b_gone = pin!(replica.changed(entry(b, None)));
    let mut queue = pin!(replica.changed(Interest::Queue { revision: revision(&replica) }));
    for waiting in [&mut a_gone, &mut b_gone] {
        assert!(poll(waiting.as_mut()).is_pending());
    }
    assert!(poll(queue.as_mut()).is_pending());
    replica.load(0, snapshot(20, &[listed(a, 8, X), listed(b, 9, X)]));
    assert!(poll(queue.as_mut()).is_pending(), "nothing was missed");
    replica.load(0, snapshot(30, &[listed(b, 9, X)]));
    assert!(poll(a_gone).is_ready() && poll(queue).is_ready());
    assert!(poll(b_gone.as_mut()).is_pending());
}

/// Two that went at one revision of the service, and were reported gone one by one, have taken the copy's own number past it.
#[test]
fn no_state_has_the_number_of_another_one_from_before_a_pause() {
    let [a, b, c] = attempts();
    let replica = loaded(12, &[listed(a, 8, X), listed(b, 9, X)]);
    replica.is_gone(a);
    replica.is_gone(b);
    let seen = revision(&replica);
    assert_eq!(seen, 14);
    replica.begin();
    let mut changed = pin!(replica.changed(Interest::Queue { revision: seen }));
    assert!(poll(changed.as_mut()).is_pending());
    replica.load(0, snapshot(14, &[listed(c, 14, X)]));
    assert!(poll(changed).is_ready(), "it is {} now", revision(&replica));
}

#[test]
fn a_failure_is_told_to_everybody_until_it_is_opened_again() {
    let ([a], replica) = (attempts(), QueueReplica::default());
    let mut waiting = pin!(replica.changed(entry(a, None)));
    assert!(poll(waiting.as_mut()).is_pending());
    replica.fail(&BackendError::new(BackendErrorKind::PermissionDenied, "no"));
    match poll(waiting) {
        Poll::Ready(Err(error)) => assert_eq!(error.kind(), BackendErrorKind::PermissionDenied),
        other => panic!("{other:?}"),
    }
    replica.begin();
    assert!(poll(pin!(replica.changed(entry(a, None)))).is_pending());
    assert!(replica.state().waiters.is_empty(), "what is dropped is not left behind");
}

#[test]
fn what_is_worth_asking_for_is_there() {
    let [a, b, c, gone] = attempts();
    let replica = loaded(10, &[listed(a, 1, X), listed(b, 2, X), listed(c, 3, X)]);
    let mut waiting = pin!(replica.changed(entry(c, None)));
    assert!(poll(waiting.as_mut()).is_pending());
    let mut of_nobody = pin!(replica.changed(entry(gone, None)));
    assert!(poll(of_nobody.as_mut()).is_ready());
    assert_eq!(replica.watched(9, 1), [a, c]);
    assert_eq!(replica.watched(0, 2), [a, b]);
    assert_eq!(replica.watched(9, 9), [a, b, c]);
}

/// Each waiter waits for the one ahead of it and leaves after it, while events, own removals and whole listings come from
/// several threads: none may be left waiting, and nothing may be left of them.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn no_wake_up_is_lost_between_threads() {
    const WAITERS: usize = 200;
    for round in 0..20_u64 {
        let ids = AttemptIds::new().unwrap();
        let queue: Vec<Listed> = (1..).map(|at| listed(ids.next(), at, X)).take(WAITERS).collect();
        let replica = Arc::new(loaded(1_000, &queue));
        let mut waiters = JoinSet::new();
        for ahead in &queue {
            let (replica, attempt) = (replica.clone(), ahead.contender.attempt);
            waiters.spawn(async move {
                replica.changed(entry(attempt, None)).await.unwrap();
                assert!(replica.state().contenders.get(attempt).is_none());
            });
        }
        let feeding = replica.clone();
        let feeder = tokio::spawn(async move {
            let mut revision = 1_000;
            for (gone, listed) in queue.iter().enumerate() {
                revision += 1;
                let attempt = listed.contender.attempt;
                match (gone as u64 + round) % 3 {
                    0 => feeding.apply(removed(attempt, revision)),
                    1 => feeding.is_gone(attempt),
                    _ => feeding.load(0, snapshot(revision, &queue[gone + 1..])),
                }
                tokio::task::yield_now().await;
            }
        });
        waiters.join_all().await;
        feeder.await.unwrap();
        assert!(replica.state().waiters.is_empty());
    }
}

#[test]
fn a_copy_that_does_not_show_all_is_told_who_is_ahead() {
    let [a, b, c, d, own] = attempts();
    let at = |attempt, position| listed(attempt, position, X);
    let ahead = |revision, ahead: Option<Listed>| EntryChange::Ahead { of: own, ahead, revision };
    let replica = loaded(50, &[at(d, 40), at(own, 50)]);
    let mut waiting = pin!(replica.changed(entry(d, None)));
    assert!(poll(waiting.as_mut()).is_pending());
    // One event: nobody sees a state in between, in which the own entry would be first.
    replica.apply(vec![EntryChange::Removed { attempt: d, revision: 51 }, ahead(51, Some(at(b, 20)))]);
    assert!(poll(waiting.as_mut()).is_ready());
    assert_eq!(shown(&replica).unwrap(), [b, own]);
    // Others were ahead of the one that is told of, and are no business of this one.
    replica.apply(vec![ahead(52, Some(at(c, 30)))]);
    assert_eq!(shown(&replica).unwrap(), [b, c, own]);
    replica.apply(vec![ahead(53, Some(at(b, 20)))]);
    assert_eq!(shown(&replica).unwrap(), [b, own], "what is between is gone");
    replica.apply(vec![ahead(50, None), EntryChange::Ahead { of: a, ahead: Some(at(c, 30)), revision: 54 }]);
    assert_eq!(shown(&replica).unwrap(), [b, own], "what was loaded already, and of one that is not shown");
    replica.apply(vec![ahead(55, None)]);
    assert_eq!(shown(&replica).unwrap(), [own]);
}

#[test]
fn an_entry_that_is_ahead_keeps_the_newest_version_that_was_seen() {
    let [first, own] = attempts();
    let replica = loaded(20, &[listed(first, 10, X), listed(own, 20, X)]);
    replica.apply(put(25, listed(first, 10, X)));
    let told = Some(listed(first, 10, X));
    replica.apply(vec![EntryChange::Ahead { of: own, ahead: told, revision: 26 }]);
    assert!(poll(pin!(replica.changed(entry(first, Some(25))))).is_pending());
}

#[test]
fn a_listing_apart_from_the_watch_never_goes_back() {
    let [a, b] = attempts();
    let replica = QueueReplica::default();
    replica.refresh(snapshot(9, &[listed(a, 5, X)]));
    assert_eq!(shown(&replica), None, "the watch is not open");
    replica.load(0, snapshot(10, &[listed(a, 5, X), listed(b, 10, X)]));
    replica.apply(removed(b, 12));
    replica.refresh(snapshot(11, &[listed(a, 5, X), listed(b, 10, X)]));
    assert_eq!(shown(&replica).unwrap(), [a]);
    let mut waiting = pin!(replica.changed(entry(a, None)));
    assert!(poll(waiting.as_mut()).is_pending());
    replica.refresh(snapshot(13, &[]));
    assert!(poll(waiting.as_mut()).is_ready());
    replica.apply(put(13, listed(b, 10, X)));
    assert_eq!(shown(&replica).unwrap(), [], "it is part of what was loaded");
}
