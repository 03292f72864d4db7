//! The conformance suite of a backend: the contract of `leasehold-core`'s `backend.rs`, clause by clause.
//!
//! A case is a plain async function over a [`World`]; it returns or panics, uses a namespace of its own and cites the
//! clauses that it tests. [`conformance`](crate::conformance) runs them.
//!
//! The cases read what another session wrote through waits, never by chance of timing; where they sleep, it is to let
//! something happen that must not, or to fall out of step with renewals.
//!
//! Not tested here, since it takes the service's own kind of look: how many round trips an operation costs, how many
//! connections and events (Queue 4, Session 3); and an enqueue that is really still on its way when it is withdrawn
//! (Queue 5), which takes a network that holds requests back.

mod disturbances;
mod enqueueing;
mod leaving;
mod memory_world;
mod modelled;
mod naming;
mod publishing;
mod registers;
mod resuming;
mod sessions;
mod stage;
mod waiting;
mod world;

pub use memory_world::MemoryWorld;
pub use world::World;

use crate::conformance::{Case, requirement};

macro_rules! table {
    ($($module:ident::$name:ident $clauses:literal $([$($requirement:tt)*])?)*) => {
        /// All cases.
        pub static CASES: &[Case] = &[$(Case {
            name: concat!(stringify!($module), "::", stringify!($name)),
            clauses: $clauses,
            behaviours: &[],
            requires: requirement!($($($requirement)*)?),
            run: |world| Box::pin($module::$name(world)),
        }),*];
    };
}

table! {
    enqueueing::an_entry_goes_to_the_end "Queue 1"
    enqueueing::a_repeated_enqueue_answers_the_same_place "Queue 1"
    enqueueing::orders_grow_whatever_happened "Queue 1"
    enqueueing::a_busy_queue_is_left_alone "Queue 2"
    enqueueing::who_is_admitted_gets_in "Queue 2"
    enqueueing::who_wants_permits_is_shown_who_was_met "Queue 2"
    enqueueing::of_many_that_try_at_most_one_gets_in "Queue 2"
    enqueueing::a_session_reads_its_own_writes "Queue 3"
    enqueueing::entries_carry_modes_and_values "Queue 1, Queue 7"
    enqueueing::a_value_that_is_too_large_is_refused "LockBackend 3"
    waiting::changed_reports_what_is_gone "Queue 3, Queue 4"
    waiting::changed_reports_modes_and_versions "Queue 4, Queue 6"
    waiting::what_has_already_changed_is_reported_at_once "Queue 4"
    waiting::changed_misses_nothing "Queue 4"
    waiting::a_change_wakes_only_who_is_interested "Queue 4"
    waiting::the_queue_s_waiter_hears_of_members_and_modes "Queue 4"
    waiting::all_waiters_of_one_entry_hear_of_it "Queue 4"
    waiting::a_dropped_wait_disturbs_nobody "Queue 4, Queue 8"
    leaving::a_withdrawal_removes_exactly_one_entry "Queue 5"
    leaving::another_s_entry_can_be_withdrawn "Queue 5"
    leaving::withdrawn_is_final "Queue 5"
    leaving::what_keeps_attempts_out_keeps_nobody_else_out "Queue 2, Queue 5"
    leaving::a_dropped_enqueue_can_be_withdrawn "Queue 5, Queue 8"
    publishing::publish_keeps_place_and_order "Queue 1, Queue 6"
    publishing::publish_compares_versions "Queue 6"
    publishing::publish_into_another_s_entry "Queue 6, Session 1"
    publishing::publish_needs_an_entry "Queue 6"
    publishing::publishers_do_not_overwrite_each_other "Queue 6"
    naming::hostile_names_are_kept_apart "Queue 7"
    naming::queues_lists_what_has_contenders "Queue 7"
    naming::foreign_data_is_ignored "Queue 7"
    sessions::an_ended_session_takes_its_entries_along "Session 1, Session 2"
    sessions::waiting_in_an_ended_session_is_in_vain "Session 2, Queue 4"
    sessions::a_session_outlives_many_ttls "Session 2"
    sessions::one_session_serves_many_queues "Session 3"
    sessions::close_removes_everything "Session 4"
    sessions::a_dropped_session_ends_within_its_ttl "Session 1, Session 4"
    sessions::a_cut_session_is_lost_here_before_it_is_there "Session 2"
    sessions::a_short_cut_is_survived "Session 2"
    sessions::an_opening_that_fails_says_so_in_time "LockBackend 2"
    sessions::secrets_are_not_shown "LockBackend 4" [if resumable_sessions]
    sessions::every_operation_ends_in_time "LockBackend 3, Session 4"
    resuming::a_resumed_session_keeps_its_entries_and_their_order "Session 4, Session 7, Queue 1" [if resumable_sessions]
    resuming::an_older_incarnation_has_no_effect "Session 7" [if resumable_sessions]
    resuming::a_resumed_session_s_entries_are_its_own "Session 7, Queue 5, Queue 6" [if resumable_sessions]
    resuming::of_many_that_resume_one_is_left "Session 7" [if resumable_sessions]
    resuming::a_resumption_that_is_refused_has_no_effect "Session 7, LockBackend 2" [if resumable_sessions]
    resuming::an_older_incarnation_that_comes_back_is_told "Session 7" [if resumable_sessions]
    resuming::a_session_outlives_the_process_that_had_it "Session 2, Session 7" [if resumable_sessions]
    resuming::what_cannot_be_resumed_is_refused "Session 7" [unless resumable_sessions]
    disturbances::a_change_during_a_cut_is_not_missed "Queue 4"
    disturbances::a_change_after_a_cut_is_not_missed "Queue 4"
    disturbances::an_entry_deleted_by_hand_is_noticed "Queue 1, Queue 4"
    disturbances::a_restart_loses_nothing "Queue 1, Queue 4"
    disturbances::a_lost_reply_leaves_one_entry "Queue 1, LockBackend 3"
    disturbances::a_lost_reply_of_a_withdrawal_can_be_repeated "Queue 5, LockBackend 3"
    disturbances::a_write_is_never_repeated "Session 6, LockBackend 3"
    registers::versions_begin_absent_and_grow "Session 5, Session 6"
    registers::one_of_many_writers_wins "Session 6"
    registers::a_write_on_condition_of_an_entry "Session 6" [if conditional_writes]
    registers::a_condition_that_cannot_be_decided_is_refused "Session 6" [unless conditional_writes]
    registers::register_changed_reports_each_version "Session 5"
    registers::register_changed_survives_a_cut "Session 5"
    registers::a_register_outlives_its_session "Session 5"
    modelled::whatever_is_done_the_queue_is_as_the_model_says "Queue 1, Queue 2, Queue 3, Queue 5, Queue 6, Session 1, Session 4"
}
