//! What the types promise, checked by the compiler.

use std::time::Duration;

use leasehold::{
    Barrier, Completion, Coordinator, CountDownLatch, Counter, Error, FencingToken, Held, Mutex, MutexGuard,
    Once, Register, ReleaseError, ShutdownError, Status, Updated, Versioned,
};

fn plain<T: Clone + Send + Sync + 'static>() {}
fn send<T: Send>(_: &T) {}
fn error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn handles_are_plain_types() {
    plain::<Coordinator>();
    plain::<Mutex>();
    plain::<Held>();
    plain::<FencingToken>();
    plain::<Status>();
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
    error::<ShutdownError>();
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
    send(&guard.while_held(async {}));
    fn independent(_: impl Send + 'static) {}
    independent(guard.lost());
    independent(guard.held().lost());
    send(&guard);
    independent(guard.release());
}

/// The same.
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
