//! What the types promise, checked by the compiler.

use std::time::Duration;

use leasehold::fencing::{Fence, FencedRegister, ParseFenceError, Stale};
use leasehold::{
    Admin, Barrier, Completion, ContenderInfo, Coordinator, CountDownLatch, Counter, Error, FencingToken,
    Held, MemberLost, MultiHeld, MultiLock, MultiLockGuard, MultiReleaseError, Mutex, MutexGuard, Once,
    Recipe, Register, ReleaseError, SharedGuard, ShutdownError, Stats, Status, Updated, Versioned, blocking,
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
    plain::<Register>();
    plain::<Versioned>();
    plain::<Updated>();
    plain::<Counter>();
    plain::<Barrier>();
    plain::<CountDownLatch>();
    plain::<Once>();
    plain::<Completion>();
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

/// Likewise.
#[allow(dead_code)]
fn futures_on_registers_are_send(held: &Held, register: &Register, counter: &Counter) {
    send(&register.read());
    send(&register.write("x"));
    send(&register.write_held(held, "x"));
    send(&register.compare_and_set(0, "x"));
    send(&register.compare_and_set_held(held, 0, "x"));
    send(&register.update(|_| None));
    send(&register.update_for(Duration::ZERO, |_| None));
    send(&register.changed(0));
    fn independent(_: impl Send + 'static) {}
    independent(register.watch());
    send(&counter.get());
    send(&counter.add(1));
    send(&counter.compare_and_set(0, 1));
}

/// The same.
#[allow(dead_code)]
fn futures_of_barriers_are_send(barrier: &Barrier, latch: &CountDownLatch, once: &Once) {
    send(&barrier.set());
    send(&barrier.lift());
    send(&barrier.is_set());
    send(&barrier.wait());
    send(&barrier.wait_for(Duration::ZERO));
    send(&latch.count());
    send(&latch.count_down());
    send(&latch.wait());
    send(&latch.wait_for(Duration::ZERO));
    send(&latch.reset());
    send(&once.run(|_held| async { Ok::<_, Error>("x") }));
    send(&once.try_run(|_held| async { Ok::<_, Error>("x") }));
    send(&once.completion());
    send(&once.wait());
    send(&once.wait_for(Duration::ZERO));
}
