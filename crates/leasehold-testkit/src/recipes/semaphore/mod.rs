//! The conformance suite of the semaphore.
//!
//! | case | what it proves |
//! |---|---|
//! | `the_limit_is_reached_and_never_exceeded`, `weighted_permits_keep_the_limit` | the limit is reached, never exceeded |
//! | `first_come_first_served` | FIFO |
//! | `a_large_request_is_not_overtaken`, `small_requests_do_not_starve_a_large_one` | weighted permits without starvation |
//! | `tries_neither_overtake_nor_wait` | a try does not deadlock |
//! | `a_release_wakes_two_at_most`, `newcomers_wake_the_first_in_line_alone` | wake-ups are O(granted) |
//! | `one_release_grants_a_run` | several are granted one after the other, by announcements |
//! | `a_waiter_that_leaves_lets_those_behind_it_go_on` | nobody is stuck behind one that leaves, also from the middle of the queue |
//! | `a_silent_neighbour_only_delays`, `a_dead_neighbour_only_delays` | nothing depends on announcements |
//! | `a_lost_session_returns_its_permits`, `a_dead_holder_returns_its_permits` | the loss of a session returns its permits |
//! | `differing_limits_are_an_error`, `who_disagrees_harms_nobody` | differing limits are an error |
//! | `a_waiters_lost_session_is_no_grant` | no grant to a lost session |
//! | `acquired_after_the_server_was_lost`, `waiters_outlive_a_restart` | acquired after the server was lost |
//! | `nothing_is_left_behind` | no orphaned entries |
//! | `cancelled_while_waiting`, `out_of_time_while_waiting`, `dropped_at_every_poll` | an interrupted acquisition |
//! | `nothing_is_given_back_twice` | no over-release |
//! | `bad_arguments_are_refused`, `entries_of_another_mode_are_waited_for`, `data_of_strangers_is_ignored` | strangers and bad names |

mod cancel;
mod limits;
mod loss;
mod order;
mod sharing;
mod wakeups;

use cancel::{
    cancelled_while_waiting, dropped_at_every_poll, nothing_is_left_behind, out_of_time_while_waiting,
};
use limits::{
    bad_arguments_are_refused, data_of_strangers_is_ignored, differing_limits_are_an_error,
    entries_of_another_mode_are_waited_for, who_disagrees_harms_nobody,
};
use loss::{
    a_dead_holder_returns_its_permits, a_lost_session_returns_its_permits,
    a_waiters_lost_session_is_no_grant, acquired_after_the_server_was_lost, nothing_is_given_back_twice,
    waiters_outlive_a_restart,
};
use order::{
    a_large_request_is_not_overtaken, first_come_first_served, small_requests_do_not_starve_a_large_one,
    tries_neither_overtake_nor_wait,
};
use sharing::{the_limit_is_reached_and_never_exceeded, weighted_permits_keep_the_limit};
use wakeups::{
    a_dead_neighbour_only_delays, a_release_wakes_two_at_most, a_silent_neighbour_only_delays,
    a_waiter_that_leaves_lets_those_behind_it_go_on, newcomers_wake_the_first_in_line_alone,
    one_release_grants_a_run,
};

use super::table;

table! {
    the_limit_is_reached_and_never_exceeded [47]
    weighted_permits_keep_the_limit [47]
    first_come_first_served [8]
    a_large_request_is_not_overtaken [49]
    small_requests_do_not_starve_a_large_one [49]
    tries_neither_overtake_nor_wait [7, 43]
    a_release_wakes_two_at_most
    newcomers_wake_the_first_in_line_alone
    one_release_grants_a_run
    a_waiter_that_leaves_lets_those_behind_it_go_on [33]
    a_silent_neighbour_only_delays
    a_dead_neighbour_only_delays
    a_lost_session_returns_its_permits [41]
    a_dead_holder_returns_its_permits [41]
    a_waiters_lost_session_is_no_grant [3, 40]
    acquired_after_the_server_was_lost [44]
    waiters_outlive_a_restart [44]
    nothing_is_given_back_twice [48]
    differing_limits_are_an_error [42]
    who_disagrees_harms_nobody [42]
    bad_arguments_are_refused [26]
    entries_of_another_mode_are_waited_for [13]
    data_of_strangers_is_ignored [13]
    nothing_is_left_behind [45]
    cancelled_while_waiting [46]
    out_of_time_while_waiting [46]
    dropped_at_every_poll [46]
}
