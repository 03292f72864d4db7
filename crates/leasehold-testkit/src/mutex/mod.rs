//! The conformance suite of the mutex: what an application may rely on, over any backend.
//!
//! A case is a plain async function over a [`World`]; it returns or panics. [`conformance`](crate::conformance) runs them.
//!
//! | case | behaviours |
//! |---|---|
//! | `many_contenders_one_holder` | 1: many contenders, one holder |
//! | `a_waiter_waits_for_all_ahead` | 2: a waiter waits for the holder, not for just any change |
//! | `a_waiters_lost_session_is_no_grant` | 3: a session that expires while waiting is never a grant |
//! | `a_release_is_reported_and_final` | 4: released once, and said so |
//! | `a_stale_release_harms_nobody` | 5: a release after the loss leaves the next holder's entry alone |
//! | `tasks_of_one_session_exclude_each_other` | 6 |
//! | `try_lock_from_several_nodes`, `try_lock_does_not_overtake` | 7 |
//! | `first_come_first_served` | 8: FIFO |
//! | `a_short_cut_while_waiting` | 9: reconnection while waiting |
//! | `cancelled_while_waiting`, `dropped_at_every_poll`, `work_is_dropped_with_its_caller` | 10: cancelled while waiting, or at any other point |
//! | `out_of_time_while_waiting` | 11: a time-out leaves no entry; one budget in all |
//! | `out_of_time_racing_the_grant` | 12: time-out or cancellation racing the grant |
//! | `data_of_strangers_is_ignored` | 13: foreign keys and nodes |
//! | `a_long_cut_loses_and_recovers`, `asked_for_during_a_cut` | 14: suspended and reconnected, nobody is stuck |
//! | `a_restart_while_waiting` | 15: the server is killed while clients wait |
//! | `a_lost_session_is_told_and_hands_over` | 16: the session ends under a holder |
//! | `tokens_rise_over_every_handover` | 17: the parent is removed and tokens still grow; 34: tokens rise over every kind of handover |
//! | `a_release_into_a_cut` | 18: the removal is tried until it is confirmed |
//! | `an_enqueue_whose_reply_is_lost`, `a_cancelled_enqueue_whose_reply_is_lost` | 19: ghosts |
//! | `a_ghost_of_a_lost_session_is_not_adopted` | 20 |
//! | `a_hundred_tasks` | 21: 100 parallel tasks of one session |
//! | `a_dead_holder_frees_its_lock` | 22: the holder dies (by kill -9 of a process: the workspace's tests of processes) |
//! | `an_entry_removed_by_hand_is_told_at_once` | 23: the loss fires when an administrator deletes the entry |
//! | `a_lost_guard_says_so_for_ever` | 24 |
//! | `cancelled_before_it_began` | 25: an acquisition that is cancelled before it began; 31: no trace of a cancelled try |
//! | `bad_names_are_refused`, `hostile_names_are_kept_apart` | 26, 27: names, upper and lower case |
//! | `a_queue_removed_while_waiting` | 28: the path is deleted while clients wait |
//! | `a_cut_holder_is_told_before_the_lock_is_given_away` | 32: a renewal that fails ends in a loss, by the local deadline |
//! | `a_dead_waiter_does_not_stall_the_queue` | 33 |
//!
//! 29 (no permission) needs users and rights of the service's own kind and stands in the workspace's tests of each
//! backend; 30 (hanging and slow members of a quorum, and what failed acquisitions leave) is the quorum lock's, in `quorum_redis` and
//! `quorum_lock` there. Beyond the numbers: `a_holder_outlives_many_ttls`,
//! `a_release_wakes_one_waiter`, `a_blocked_application_keeps_its_locks`, and the coordinator's life: `a_shutdown_waits_for_the_work_and_hands_over`,
//! `a_shutdown_does_not_take_locks_from_work_that_goes_on`, `the_last_handle_closes_the_session`,
//! `dropped_outside_a_runtime`, `one_coordinator_serves_several_runtimes`, `the_status_follows_the_session`,
//! `a_lazy_coordinator_waits_for_its_service`, `another_ttl_is_another_session`.

mod cancel;
mod exclusion;
mod faults;
mod lifecycle;
mod loss;
mod names;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::contract::World;

/// One case of the suite.
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// Runs it; a failure is a panic.
    pub run: fn(Arc<dyn World>) -> BoxFuture<'static, ()>,
}

macro_rules! table {
    ($($module:ident::$name:ident)*) => {
        /// All cases.
        pub static CASES: &[Case] =
            &[$(Case { name: concat!(stringify!($module), "::", stringify!($name)), run: |world| Box::pin($module::$name(world)) }),*];
    };
}

table! {
    exclusion::many_contenders_one_holder
    exclusion::a_waiter_waits_for_all_ahead
    exclusion::first_come_first_served
    exclusion::tasks_of_one_session_exclude_each_other
    exclusion::a_hundred_tasks
    exclusion::a_release_wakes_one_waiter
    exclusion::try_lock_from_several_nodes
    exclusion::try_lock_does_not_overtake
    exclusion::a_release_is_reported_and_final
    exclusion::tokens_rise_over_every_handover
    loss::a_lost_session_is_told_and_hands_over
    loss::a_lost_guard_says_so_for_ever
    loss::a_stale_release_harms_nobody
    loss::an_entry_removed_by_hand_is_told_at_once
    loss::a_waiters_lost_session_is_no_grant
    loss::a_cut_holder_is_told_before_the_lock_is_given_away
    loss::a_dead_holder_frees_its_lock
    loss::a_dead_waiter_does_not_stall_the_queue
    loss::a_holder_outlives_many_ttls
    loss::a_blocked_application_keeps_its_locks
    cancel::cancelled_while_waiting
    cancel::out_of_time_while_waiting
    cancel::out_of_time_racing_the_grant
    cancel::cancelled_before_it_began
    cancel::dropped_at_every_poll
    cancel::work_is_dropped_with_its_caller
    faults::a_short_cut_while_waiting
    faults::asked_for_during_a_cut
    faults::a_long_cut_loses_and_recovers
    faults::a_restart_while_waiting
    faults::a_release_into_a_cut
    faults::an_enqueue_whose_reply_is_lost
    faults::a_cancelled_enqueue_whose_reply_is_lost
    faults::a_ghost_of_a_lost_session_is_not_adopted
    faults::data_of_strangers_is_ignored
    faults::a_queue_removed_while_waiting
    names::bad_names_are_refused
    names::hostile_names_are_kept_apart
    lifecycle::a_shutdown_waits_for_the_work_and_hands_over
    lifecycle::a_shutdown_does_not_take_locks_from_work_that_goes_on
    lifecycle::the_last_handle_closes_the_session
    lifecycle::dropped_outside_a_runtime
    lifecycle::one_coordinator_serves_several_runtimes
    lifecycle::the_status_follows_the_session
    lifecycle::a_lazy_coordinator_waits_for_its_service
    lifecycle::another_ttl_is_another_session
}
