//! Threads that are members, and threads that watch who is.

use std::collections::BTreeSet;
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use leasehold::blocking::{Coordinator, wait};
use leasehold::memory::MemoryService;
use leasehold::{ErrorKind, GroupEvent, Member};
use tokio::sync::oneshot;

use crate::{BRIEFLY, PATIENCE, expire, nothing_is_left, open};

fn values(members: &[Member]) -> Vec<&[u8]> {
    members.iter().map(|member| &member.value[..]).collect()
}

#[test]
fn members_come_change_and_go() {
    let service = MemoryService::new();
    let (one, two) = (open(&service).group("one"), open(&service).group("one"));
    assert_eq!(two.members().unwrap(), []);
    let mut events = two.events().unwrap();
    let mut states = two.watch().unwrap();
    assert_eq!((events.name(), states.name()), ("one", "one"));
    assert_eq!(states.next(), Some(vec![]));
    assert_eq!(states.next_for(BRIEFLY).unwrap(), None, "nothing has changed");

    let membership = one.join("a").unwrap();
    let Some(GroupEvent::Joined(joined)) = events.next() else { panic!("somebody joins") };
    assert_eq!((joined.id, &joined.value[..]), (membership.id(), &b"a"[..]));
    assert_eq!(states.next_for(PATIENCE).unwrap().expect("in time"), [joined]);
    membership.set_value("b").unwrap();
    let Some(GroupEvent::Changed(changed)) = events.next() else { panic!("it changes") };
    assert_eq!((changed.id, &changed.value[..]), (membership.id(), &b"b"[..]));
    let another = one.join("c").unwrap();
    let Some(GroupEvent::Joined(joined)) = events.next() else { panic!("another one joins") };
    assert_eq!(joined.id, another.id());
    assert_eq!(values(&two.members().unwrap()), [b"b", b"c"]);
    membership.release().unwrap();
    let Some(GroupEvent::Left(left)) = events.next() else { panic!("one leaves") };
    assert_eq!(left, changed);
    drop(another);
    let Ok(Some(GroupEvent::Left(left))) = events.next_for(PATIENCE) else { panic!("the other one as well") };
    assert_eq!(left, joined);
    nothing_is_left(&service);
    assert_eq!((one.stats().acquisitions(), one.stats().holds.count()), (2, 2));
    assert_eq!(open(&service).group("\0").join("").unwrap_err().kind(), ErrorKind::InvalidName);
    assert_eq!(open(&service).group("\0").watch().unwrap_err().kind(), ErrorKind::InvalidName);
}

#[test]
fn watching_ends_with_the_coordinator() {
    let service = MemoryService::new();
    let coordinator = open(&service);
    let group = coordinator.group("one");
    let (mut states, mut events) = (group.watch().unwrap(), group.events().unwrap());
    let watching = thread::spawn(move || {
        let seen = (states.by_ref().collect::<Vec<_>>(), events.by_ref().collect::<Vec<_>>());
        assert_eq!((states.next(), events.next()), (None, None), "it stays so");
        let errors = [states.next_for(PATIENCE).unwrap_err(), events.next_for(PATIENCE).unwrap_err()];
        assert!(errors.iter().all(|error| (error.kind(), error.name()) == (ErrorKind::Closed, Some("one"))));
        seen
    });
    coordinator.shutdown(PATIENCE).unwrap();
    let (states, events) = watching.join().unwrap();
    assert!(states.len() <= 1 && events.is_empty(), "{states:?} {events:?}");
}

#[test]
fn a_place_is_taken_again_when_it_was_lost() {
    let service = MemoryService::new();
    let (coordinator, watching) = (open(&service), open(&service));
    let group = coordinator.group("one");
    let staying = group.stay("a").unwrap();
    let first = staying.id().unwrap();
    let mut states = watching.group("one").watch().unwrap();
    let mut until = |reached: &dyn Fn(&[Member]) -> bool| states.find(|state| reached(state)).unwrap();
    until(&|state| state.iter().any(|member| member.id == first));
    expire(&service, &coordinator);
    staying.set_value("b");
    let again = until(&|state| values(state) == [b"b"]);
    assert_ne!(again[0].id, first, "another membership");
    // Others may see it before its own task is told.
    let deadline = Instant::now() + PATIENCE;
    while staying.id() != Some(again[0].id) {
        assert!(Instant::now() < deadline, "{:?}", staying.id());
        thread::yield_now();
    }
    staying.leave().unwrap();
    assert_eq!(watching.group("one").members().unwrap(), []);
    assert_eq!((group.stats().acquisitions(), group.stats().losses), (2, 1));

    let staying = group.stay("c").unwrap();
    let ended = staying.ended();
    let told = thread::spawn(move || wait(ended));
    coordinator.shutdown(PATIENCE).unwrap();
    assert_eq!(told.join().unwrap().kind(), ErrorKind::Closed);
    staying.leave().unwrap();
    nothing_is_left(&service);
}

/// The way that the documentation shows, with what it leaves out.
#[test]
fn items_are_divided_among_threads() {
    const ITEMS: [&str; 5] = ["a", "b", "c", "d", "e"];
    let service = MemoryService::new();
    let coordinators: [Coordinator; 2] = [open(&service), open(&service)];
    let (worked, works) = mpsc::channel();
    let (stops, runs): (Vec<_>, Vec<_>) = coordinators
        .iter()
        .map(|coordinator| {
            let partition = coordinator.group("workers").as_async().partition(ITEMS).unwrap();
            let (stop, stopped) = oneshot::channel::<()>();
            let worked = worked.clone();
            let run = thread::spawn(move || {
                let stopped = async { drop(stopped.await) };
                wait(partition.run(stopped, |item| {
                    let worked = worked.clone();
                    async move {
                        let (done, ended) = oneshot::channel();
                        thread::spawn(move || {
                            let stop = item.cancellation_token();
                            worked.send((item.item().to_owned(), item.held().fencing_token())).unwrap();
                            wait(stop.cancelled());
                            // The run may have been dropped, in a test that fails.
                            let _ = done.send(item.held().is_held());
                        });
                        assert!(ended.await.unwrap(), "kept until the work has ended");
                    }
                }))
            });
            (stop, run)
        })
        .unzip();
    drop(worked);
    let mut owned = BTreeSet::new();
    while owned.len() < ITEMS.len() {
        owned.insert(works.recv_timeout(PATIENCE).unwrap().0);
    }
    stops.into_iter().for_each(|stop| stop.send(()).unwrap());
    runs.into_iter().for_each(|run| run.join().unwrap().unwrap());
    nothing_is_left(&service);
}
