//! Looking at others, and taking their locks.

use leasehold::blocking::wait;
use leasehold::memory::MemoryService;
use leasehold::{ErrorKind, LossReason, Recipe, Released, Standing};

use crate::{BRIEFLY, PATIENCE, nothing_is_left, open};

#[test]
fn holders_are_found_asked_and_broken() {
    let service = MemoryService::new();
    let (owner, admin) = (open(&service), open(&service).admin().grace(PATIENCE));
    let guard = owner.mutex("cache/users").lock().unwrap();
    assert_eq!(admin.names(Recipe::Mutex, "cache/").unwrap(), ["cache/users"]);
    let contenders = admin.contenders(Recipe::Mutex, "cache/users").unwrap();
    assert_eq!(contenders.len(), 1);
    assert!(contenders[0].holds());
    assert_eq!(contenders[0].token, guard.fencing_token());

    assert_eq!(admin.ask_to_release(Recipe::Mutex, "cache/users", "ops").unwrap(), 1);
    assert_eq!(wait(guard.asked_to_release()), "ops");
    assert!(guard.is_held(), "it was a question");
    let entry = contenders[0].entry;
    assert!(admin.ask_entry_to_release(Recipe::Mutex, "cache/users", entry, "ops").unwrap());

    let released = admin.force_release(Recipe::Mutex, "cache/users", "ops").unwrap();
    assert_eq!(released, Released::ByHolder);
    assert_eq!(wait(guard.lost()), LossReason::ForceReleased);
    assert!(guard.release().unwrap_err().is_lost());
    assert_eq!(admin.force_release(Recipe::Mutex, "cache/users", "ops").unwrap(), Released::WasFree);
    assert_eq!(
        admin.force_release_entry(Recipe::Mutex, "cache/users", entry, "ops").unwrap(),
        Released::WasFree
    );
    let error = admin.contenders(Recipe::Mutex, "\0").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::InvalidName);
    nothing_is_left(&service);
}

#[test]
fn a_mutex_looks_at_its_own_queue() {
    let service = MemoryService::new();
    let (owner, other) = (open(&service).mutex("one"), open(&service).mutex("one"));
    let guard = owner.lock().unwrap();
    assert!(other.try_lock_for(BRIEFLY).unwrap().is_none());
    let standings: Vec<_> = owner.contenders().unwrap().iter().map(|contender| contender.standing).collect();
    assert_eq!(standings[0], Standing::Holds);
    assert!(other.ask_to_release("the other").unwrap());
    assert_eq!(wait(guard.asked_to_release()), "the other");
    assert_ne!(other.force_release("the other").unwrap(), Released::WasFree);
    assert_eq!(wait(guard.lost()), LossReason::ForceReleased);
    assert!(!other.ask_to_release("the other").unwrap());
    let (owners, others) = (owner.stats(), other.stats());
    assert_eq!((owners.acquisitions(), owners.losses), (1, 1));
    assert_eq!((others.acquisitions(), others.timed_out), (0, 1));
}
