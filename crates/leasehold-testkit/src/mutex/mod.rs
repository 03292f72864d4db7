//! The conformance suite of the mutex: what an application may rely on, over any backend.
//!
//! A case is a plain async function over a [`World`]; it returns or panics. [`conformance`](crate::conformance) runs them.
//!
//! What is a mutex too (a semaphore of one permit, the write lock, an election) goes through the same cases, as an [`Exclusive`]; which
//! behaviours they prove stands in the table of [`conformance`](crate::conformance#behaviours).
//!
//! Beyond those: `a_holder_outlives_many_ttls`, `a_release_wakes_one_waiter`, `a_blocked_application_keeps_its_locks`, and the coordinator's
//! life, the group `lifecycle`.

mod arena;
mod cancel;
mod exclusion;
pub mod exclusive;
mod faults;
mod lifecycle;
mod loss;
mod names;

use std::sync::Arc;

use futures::future::LocalBoxFuture;

use crate::contract::World;
use arena::Arena;
use exclusive::Exclusive;

/// One case of the suite.
pub struct Case {
    /// What it is called, with the group that it belongs to.
    pub name: &'static str,
    /// The numbers of the behaviours that it proves.
    pub behaviours: &'static [u32],
    run: fn(Arena) -> LocalBoxFuture<'static, ()>,
}

impl Case {
    /// Runs it, on the thread of its caller, with that recipe for the mutex; a failure is a panic.
    pub fn run(
        &self,
        world: Arc<dyn World>,
        exclusive: &'static dyn Exclusive,
    ) -> LocalBoxFuture<'static, ()> {
        (self.run)(Arena::new(world, exclusive))
    }

    /// Why it makes no sense over a recipe; `None` if it does.
    pub fn objection(&self, exclusive: &dyn Exclusive) -> Option<&'static str> {
        let is_it = |(case, adapter, _): &&(&str, &str, &str)| {
            *case == self.name
                && (*adapter == exclusive.name() || *adapter == "*" && exclusive.name() != "mutex")
        };
        NOT_OVER.iter().find(is_it).map(|(_, _, reason)| *reason)
    }
}

/// The cases that say nothing of a recipe, or something else than is so: the case, the recipe (`*`: all but the mutex), the reason.
const NOT_OVER: [(&str, &str, &str); 2] = [
    (
        "exclusion::a_release_wakes_one_waiter",
        "semaphore",
        "a semaphore's release wakes two: semaphore::a_release_wakes_two_at_most",
    ),
    ("lifecycle::the_status_follows_the_session", "*", "there is no lock in it"),
];

macro_rules! table {
    ($($module:ident::$name:ident $([$($behaviour:literal),*])?)*) => {
        /// All cases.
        pub static CASES: &[Case] = &[$(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            behaviours: &[$($($behaviour),*)?],
            run: |arena| Box::pin($module::$name(arena)),
        }),*];
    };
}

table! {
    exclusion::many_contenders_one_holder [1]
    exclusion::a_waiter_waits_for_all_ahead [2]
    exclusion::first_come_first_served [8]
    exclusion::tasks_of_one_session_exclude_each_other [6]
    exclusion::a_hundred_tasks [21]
    exclusion::a_release_wakes_one_waiter
    exclusion::try_lock_from_several_nodes [7]
    exclusion::try_lock_does_not_overtake [7]
    exclusion::a_release_is_reported_and_final [4]
    exclusion::tokens_rise_over_every_handover [17, 34]
    loss::a_lost_session_is_told_and_hands_over [16]
    loss::a_lost_guard_says_so_for_ever [24]
    loss::a_stale_release_harms_nobody [5]
    loss::an_entry_removed_by_hand_is_told_at_once [23]
    loss::a_waiters_lost_session_is_no_grant [3]
    loss::a_cut_holder_is_told_before_the_lock_is_given_away [32]
    loss::a_dead_holder_frees_its_lock [22]
    loss::a_dead_waiter_does_not_stall_the_queue [33]
    loss::a_holder_outlives_many_ttls
    loss::a_blocked_application_keeps_its_locks
    cancel::cancelled_while_waiting [10]
    cancel::out_of_time_while_waiting [11]
    cancel::out_of_time_racing_the_grant [12]
    cancel::cancelled_before_it_began [25, 31]
    cancel::dropped_at_every_poll [10]
    cancel::work_is_dropped_with_its_caller [10]
    faults::a_short_cut_while_waiting [9]
    faults::asked_for_during_a_cut [14]
    faults::a_long_cut_loses_and_recovers [14]
    faults::a_restart_while_waiting [15]
    faults::a_release_into_a_cut [18]
    faults::an_enqueue_whose_reply_is_lost [19]
    faults::a_cancelled_enqueue_whose_reply_is_lost [19]
    faults::a_ghost_of_a_lost_session_is_not_adopted [20]
    faults::data_of_strangers_is_ignored [13]
    faults::a_queue_removed_while_waiting [28]
    names::bad_names_are_refused [26, 27]
    names::hostile_names_are_kept_apart [26, 27]
    lifecycle::a_shutdown_waits_for_the_work_and_hands_over
    lifecycle::a_shutdown_does_not_take_locks_from_work_that_goes_on
    lifecycle::the_last_handle_closes_the_session [71]
    lifecycle::dropped_outside_a_runtime
    lifecycle::one_coordinator_serves_several_runtimes
    lifecycle::the_status_follows_the_session
    lifecycle::a_lazy_coordinator_waits_for_its_service
    lifecycle::another_ttl_is_another_session
}
