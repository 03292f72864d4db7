//! The conformance suite of the read/write lock.
//!
//! | case | what it proves |
//! |---|---|
//! | `many_nodes_read_and_write`, `readers_share_and_writers_are_alone` | many nodes |
//! | `who_is_woken`, `readers_do_not_wait_for_each_other`, `a_waiter_that_leaves_lets_those_behind_it_go_on` | waiters never watch each other |
//! | `first_come_first_served` | FIFO for a queue of both kinds |
//! | `a_stream_of_readers_does_not_starve_a_writer` | a writer is not starved |
//! | `tries_neither_overtake_nor_wait` | tries, of both kinds |
//! | `a_downgrade_keeps_the_hold`, `a_downgrade_lets_no_writer_in_between` | a downgrade keeps the hold |
//! | `an_upgrade_is_refused` | an upgrade is refused, not deadlocked |
//! | `a_downgrade_whose_reply_is_lost`, `a_downgrade_of_a_lost_hold` | downgrades under faults |
//! | `readers_and_writers_pass_a_resource_with_two_marks` | the shared and the exclusive mark of a fenced resource |
//! | `a_dead_reader_is_cleaned_up` | a dead reader is cleaned up |
//! | `an_expired_session_is_granted_nothing` | no grant to an expired session |
//! | `a_lost_session_is_told_and_hands_over`, `waiters_outlive_a_restart` | lost sessions and restarts, for both kinds |
//! | `cancelled_while_waiting`, `out_of_time_while_waiting`, `reading_dropped_at_every_poll`, `writing_dropped_at_every_poll`, `downgrading_dropped_at_every_poll` | cancel safety |
//! | `entries_of_another_mode_are_waited_for`, `data_of_strangers_is_ignored`, `bad_names_are_refused` | strangers and bad names |

mod cancel;
mod downgrade;
mod loss;
mod sharing;
mod strangers;

use cancel::{
    cancelled_while_waiting, downgrading_dropped_at_every_poll, out_of_time_while_waiting,
    reading_dropped_at_every_poll, writing_dropped_at_every_poll,
};
use downgrade::{
    a_downgrade_keeps_the_hold, a_downgrade_lets_no_writer_in_between, a_downgrade_of_a_lost_hold,
    a_downgrade_whose_reply_is_lost, an_upgrade_is_refused,
    readers_and_writers_pass_a_resource_with_two_marks,
};
use loss::{
    a_dead_reader_is_cleaned_up, a_lost_session_is_told_and_hands_over,
    an_expired_session_is_granted_nothing, waiters_outlive_a_restart,
};
use sharing::{
    a_stream_of_readers_does_not_starve_a_writer, a_waiter_that_leaves_lets_those_behind_it_go_on,
    first_come_first_served, many_nodes_read_and_write, readers_do_not_wait_for_each_other,
    readers_share_and_writers_are_alone, tries_neither_overtake_nor_wait, who_is_woken,
};
use strangers::{
    bad_names_are_refused, data_of_strangers_is_ignored, entries_of_another_mode_are_waited_for,
};

use super::table;

table! {
    many_nodes_read_and_write [35]
    readers_share_and_writers_are_alone [35]
    first_come_first_served [8]
    a_stream_of_readers_does_not_starve_a_writer [37]
    tries_neither_overtake_nor_wait [7]
    who_is_woken [36]
    readers_do_not_wait_for_each_other [36]
    a_waiter_that_leaves_lets_those_behind_it_go_on [36]
    a_downgrade_keeps_the_hold [38]
    a_downgrade_lets_no_writer_in_between [38]
    a_downgrade_whose_reply_is_lost [38]
    a_downgrade_of_a_lost_hold [38]
    an_upgrade_is_refused [38]
    readers_and_writers_pass_a_resource_with_two_marks
    a_dead_reader_is_cleaned_up [39]
    an_expired_session_is_granted_nothing [40]
    a_lost_session_is_told_and_hands_over [16]
    waiters_outlive_a_restart [15]
    cancelled_while_waiting [10]
    out_of_time_while_waiting [11]
    reading_dropped_at_every_poll [10]
    writing_dropped_at_every_poll [10]
    downgrading_dropped_at_every_poll [10]
    entries_of_another_mode_are_waited_for [13]
    data_of_strangers_is_ignored [13]
    bad_names_are_refused [26]
}
