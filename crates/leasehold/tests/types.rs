//! What the types promise, checked by the compiler.

use std::time::Duration;

use leasehold::fencing::{Fence, FencedRegister, ParseFenceError, Stale};
use leasehold::{
    Admin, ContenderInfo, Coordinator, Error, FencingToken, Held, MemberLost, MultiHeld, MultiLock,
    MultiLockGuard, MultiReleaseError, Mutex, MutexGuard, Recipe, ReleaseError, SharedGuard, ShutdownError,
    Stats, Status, blocking,
};

fn plain<T: Clone + Send + Sync + 'static>() {}
fn send<T: Send>(_: &T) {}
fn error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn handles_are_plain_types() {
    plain::<Coordinator>();
    plain::<Mutex>();
    plain::<MultiLock>();
    plain::<MultiHeld>();
    plain::<MemberLost>();
    plain::<SharedGuard<MutexGuard>>();
    plain::<SharedGuard<MultiLockGuard>>();
    plain::<blocking::Coordinator>();
    plain::<blocking::Mutex>();
    plain::<blocking::RwLock>();
    plain::<blocking::MultiLock>();
    plain::<Held>();
    plain::<FencingToken>();
    plain::<Status>();
    plain::<Fence>();
    plain::<std::sync::Arc<FencedRegister<Vec<u8>>>>();
    plain::<Admin>();
    plain::<ContenderInfo>();
    plain::<Stats>();
    error::<Error>();
    error::<ReleaseError>();
    error::<MultiReleaseError>();
    error::<ShutdownError>();
    error::<ParseFenceError>();
    error::<Stale>();
}

/// Never run: it is enough that it compiles.
#[allow(dead_code)]
fn futures_are_send(coordinator: &Coordinator, mutex: &Mutex, guard: MutexGuard) {
    send(&leasehold::connect("memory://"));
    send(&mutex.lock());
    send(&mutex.try_lock());
    send(&mutex.try_lock_for(Duration::ZERO));
    send(&mutex.with(|held| async move { held.fencing_token() }));
    send(&coordinator.shutdown(Duration::ZERO));
    send(&mutex.contenders());
    send(&mutex.ask_to_release("who"));
    send(&mutex.force_release("who"));
    send(&coordinator.admin().names(Recipe::Mutex, ""));
    send(&coordinator.admin().force_release(Recipe::Mutex, "name", "who"));
    send(&guard.while_held(async {}));
    fn independent(_: impl Send + 'static) {}
    independent(guard.lost());
    independent(guard.held().lost());
    send(&guard);
    independent(guard.release());
}

/// Likewise.
#[allow(dead_code)]
fn futures_of_several_are_send(multi: &MultiLock, guard: MultiLockGuard, shared: SharedGuard<MutexGuard>) {
    send(&multi.lock());
    send(&multi.try_lock());
    send(&multi.try_lock_for(Duration::ZERO));
    send(&multi.with(|held| async move { held.tokens() }));
    send(&guard.while_held(async {}));
    fn independent(_: impl Send + 'static) {}
    independent(guard.lost());
    independent(guard.release());
    independent(shared.release());
}
