//! What the types promise, checked by the compiler.

use std::time::Duration;

use leasehold::fencing::{Fence, FencedRegister, ParseFenceError, Stale};
use leasehold::{
    Admin, Barrier, Bucket, Candidate, Capabilities, Completion, ContenderInfo, Coordinator,
    CoordinatorBuilder, CountDownLatch, Counter, Credentials, DoubleBarrier, Election, EntryDetails, EntryId,
    Error, ErrorKind, FencingToken, Group, GroupEvent, Held, Histogram, HolderInfo, Inside, Leader,
    LeaderStream, Leadership, LeadershipTicket, LossReason, Member, MemberEvents, MemberHeld, MemberId,
    MemberLost, MemberStream, Membership, Mode, MultiHeld, MultiLock, MultiLockGuard, MultiReleaseError,
    Mutex, MutexGuard, NameError, Namespace, Once, OwnedItem, ParseEntryIdError, ParseModeError,
    ParseTicketError, ParseTokenError, Partition, QueueStream, QuorumGuard, QuorumHeld, QuorumLock,
    QuorumLost, QuorumMember, QuorumReleaseError, Recipe, Register, ReleaseError, Released, RwLock,
    RwLockReadGuard, RwLockWriteGuard, Semaphore, SemaphorePermit, SharedGuard, ShutdownError, Standing,
    State, Stats, Status, Staying, Updated, Versioned, WirePath, WireProfile, blocking,
};

fn plain<T: Clone + Send + Sync + 'static>() {}
fn owned<T: Send + Sync + 'static>() {}
fn send<T: Send>(_: &T) {}
fn independent(_: impl Send + 'static) {}
fn error<T: std::error::Error + Send + Sync + 'static>() {}

#[test]
fn handles_are_plain_types() {
    plain::<Coordinator>();
    plain::<Mutex>();
    plain::<RwLock>();
    plain::<Semaphore>();
    plain::<MultiLock>();
    plain::<QuorumLock>();
    plain::<Election>();
    plain::<Group>();
    plain::<Partition>();
    plain::<Register>();
    plain::<Counter>();
    plain::<Barrier>();
    plain::<DoubleBarrier>();
    plain::<CountDownLatch>();
    plain::<Once>();
    plain::<Admin>();
    plain::<WirePath>();
    plain::<WireProfile>();
    plain::<blocking::Coordinator>();
    plain::<blocking::Mutex>();
    plain::<blocking::RwLock>();
    plain::<blocking::Semaphore>();
    plain::<blocking::MultiLock>();
    plain::<blocking::QuorumLock>();
    plain::<blocking::Election>();
    plain::<blocking::Group>();
    plain::<blocking::Register>();
    plain::<blocking::Counter>();
    plain::<blocking::Barrier>();
    plain::<blocking::DoubleBarrier>();
    plain::<blocking::CountDownLatch>();
    plain::<blocking::Once>();
    plain::<blocking::Admin>();
    plain::<SharedGuard<MutexGuard>>();
    plain::<SharedGuard<RwLockReadGuard>>();
    plain::<SharedGuard<RwLockWriteGuard>>();
    plain::<SharedGuard<SemaphorePermit>>();
    plain::<SharedGuard<MultiLockGuard>>();
    plain::<SharedGuard<QuorumGuard>>();
    plain::<SharedGuard<Leadership>>();
    plain::<SharedGuard<Membership>>();
    plain::<std::sync::Arc<FencedRegister<Vec<u8>>>>();
}

#[test]
fn values_are_plain_types() {
    plain::<Held>();
    plain::<MultiHeld>();
    plain::<MemberHeld>();
    plain::<MemberLost>();
    plain::<QuorumHeld>();
    plain::<QuorumMember>();
    plain::<QuorumLost>();
    plain::<OwnedItem>();
    plain::<FencingToken>();
    plain::<Credentials>();
    plain::<LeadershipTicket>();
    plain::<Candidate>();
    plain::<Leader>();
    plain::<Member>();
    plain::<MemberId>();
    plain::<GroupEvent>();
    plain::<Completion>();
    plain::<Versioned>();
    plain::<Updated>();
    plain::<Status>();
    plain::<State>();
    plain::<Capabilities>();
    plain::<Namespace>();
    plain::<HolderInfo>();
    plain::<Mode>();
    plain::<Stats>();
    plain::<Histogram>();
    plain::<Bucket>();
    plain::<Recipe>();
    plain::<ContenderInfo>();
    plain::<EntryDetails>();
    plain::<EntryId>();
    plain::<Standing>();
    plain::<Released>();
    plain::<LossReason>();
    plain::<ErrorKind>();
    plain::<Fence>();
}

/// They can be kept anywhere and moved to other tasks.
#[test]
fn guards_and_streams_are_owned() {
    owned::<MutexGuard>();
    owned::<RwLockReadGuard>();
    owned::<RwLockWriteGuard>();
    owned::<SemaphorePermit>();
    owned::<MultiLockGuard>();
    owned::<QuorumGuard>();
    owned::<Leadership>();
    owned::<Membership>();
    owned::<Inside>();
    owned::<Staying>();
    owned::<LeaderStream>();
    owned::<MemberStream>();
    owned::<QueueStream>();
    owned::<MemberEvents>();
    owned::<blocking::MutexGuard>();
    owned::<blocking::RwLockReadGuard>();
    owned::<blocking::RwLockWriteGuard>();
    owned::<blocking::SemaphorePermit>();
    owned::<blocking::MultiLockGuard>();
    owned::<blocking::QuorumGuard>();
    owned::<blocking::Leadership>();
    owned::<blocking::Membership>();
    owned::<blocking::Inside>();
    owned::<blocking::Staying>();
    owned::<blocking::LeaderStream>();
    owned::<blocking::MemberStream>();
    owned::<blocking::MemberEvents>();
    owned::<CoordinatorBuilder>();
}

#[test]
fn errors_are_errors() {
    error::<Error>();
    error::<ReleaseError>();
    error::<MultiReleaseError>();
    error::<QuorumReleaseError>();
    error::<ShutdownError>();
    error::<NameError>();
    error::<ParseFenceError>();
    error::<Stale>();
    error::<ParseTokenError>();
    error::<ParseTicketError>();
    error::<ParseEntryIdError>();
    error::<ParseModeError>();
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
    independent(guard.lost());
    independent(guard.release());
    independent(shared.release());
}

/// Likewise.
#[allow(dead_code)]
fn futures_of_a_quorum_are_send(quorum: &QuorumLock, guard: QuorumGuard) {
    send(&quorum.lock());
    send(&quorum.try_lock());
    send(&quorum.try_lock_for(Duration::ZERO));
    send(&quorum.with(|held| async move { held.remaining() }));
    send(&guard.while_held(async {}));
    independent(guard.lost());
    independent(guard.release());
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

/// The same.
#[allow(dead_code)]
fn futures_of_locks_are_send(lock: &RwLock, writer: RwLockWriteGuard, semaphore: &Semaphore) {
    send(&lock.read());
    send(&lock.try_read());
    send(&lock.try_read_for(Duration::ZERO));
    send(&lock.with_read(|held| async move { held.fencing_token() }));
    send(&lock.write());
    send(&lock.try_write());
    send(&lock.try_write_for(Duration::ZERO));
    send(&lock.with_write(|held| async move { held.fencing_token() }));
    independent(writer.downgrade());
    send(&semaphore.acquire());
    send(&semaphore.acquire_many(2));
    send(&semaphore.try_acquire());
    send(&semaphore.try_acquire_many(2));
    send(&semaphore.try_acquire_for(Duration::ZERO));
    send(&semaphore.try_acquire_many_for(2, Duration::ZERO));
    send(&semaphore.with(|held| async move { held.fencing_token() }));
}

/// The same.
#[allow(dead_code)]
fn futures_of_elections_are_send(
    election: &Election,
    leadership: Leadership,
    ticket: &LeadershipTicket,
    mut stream: LeaderStream,
) {
    send(&election.campaign("x"));
    send(&election.try_campaign("x"));
    send(&election.try_campaign_for("x", Duration::ZERO));
    send(&election.leader());
    send(&election.candidates());
    send(&election.resume(ticket));
    send(&election.lead(async {}, |held| async move { held.fencing_token() }));
    send(&leadership.proclaim("x"));
    independent(leadership.resign());
    send(&stream.next());
}

/// The same.
#[allow(dead_code)]
fn futures_of_groups_are_send(
    group: &Group,
    membership: Membership,
    staying: Staying,
    partition: &Partition,
    (mut states, mut events): (MemberStream, MemberEvents),
) {
    send(&group.join("x"));
    send(&group.stay("x"));
    send(&group.members());
    send(&membership.set_value("x"));
    independent(membership.release());
    independent(staying.ended());
    independent(staying.leave());
    send(
        &partition.run(async {}, |item| async move { item.held().while_held(async {}).await.unwrap_or(()) }),
    );
    send(&states.next());
    send(&events.next());
}

/// The same.
#[allow(dead_code)]
fn futures_of_double_barriers_are_send(barrier: &DoubleBarrier, inside: Inside) {
    send(&barrier.enter());
    independent(inside.leave());
}
