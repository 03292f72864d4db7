//! The conformance suite of the versioned register and the counter.
//!
//! | case | what it proves |
//! |---|---|
//! | `versions_and_conditions` | versions grow; a write on a version that is gone is not applied |
//! | `one_of_many_writers_wins` | of all writes on one version one is applied |
//! | `updates_under_contention_are_exact` | no update is lost, none is applied twice |
//! | `an_update_begins_again_or_gives_up` | lost races, out of patience, declined |
//! | `a_write_depends_on_a_lock` | written while held; not after the release, the loss, the removal; not by another coordinator's guard |
//! | `a_late_holder_writes_nothing` | conditional writes race the loss of the lock: none comes after the next holder's |
//! | `the_last_word_is_written_during_a_shutdown` | work that a shutdown waits for can write |
//! | `a_lost_reply_is_indeterminate` | nothing is called failed that was applied |
//! | `changes_are_followed` | `changed` and `watch`: the newest value, over cuts, restarts and lost sessions |
//! | `bad_names_and_values_are_refused` | typed errors, nothing left |
//! | `data_of_strangers_is_told` | `Corrupt` |
//! | `a_dropped_update_is_applied_at_most_once` | dropped at every poll |
//! | `a_counter_is_exact_under_contention`, `a_counter_is_exact_over_lost_replies` | each increment once, or at most once where it is indeterminate |
//! | `a_counter_keeps_to_its_numbers` | overflow, compare-and-set, no number |

mod counter;
mod following;
mod holding;
mod writing;

use counter::{
    a_counter_is_exact_over_lost_replies, a_counter_is_exact_under_contention, a_counter_keeps_to_its_numbers,
};
use following::changes_are_followed;
use holding::{
    a_late_holder_writes_nothing, a_write_depends_on_a_lock, the_last_word_is_written_during_a_shutdown,
};
use writing::{
    a_dropped_update_is_applied_at_most_once, a_lost_reply_is_indeterminate,
    an_update_begins_again_or_gives_up, bad_names_and_values_are_refused, data_of_strangers_is_told,
    one_of_many_writers_wins, updates_under_contention_are_exact, versions_and_conditions,
};

use super::table;

table! {
    versions_and_conditions
    one_of_many_writers_wins
    updates_under_contention_are_exact
    an_update_begins_again_or_gives_up
    a_write_depends_on_a_lock {if conditional_writes}
    a_late_holder_writes_nothing {if conditional_writes}
    the_last_word_is_written_during_a_shutdown {if conditional_writes}
    a_lost_reply_is_indeterminate
    changes_are_followed
    bad_names_and_values_are_refused
    data_of_strangers_is_told
    a_dropped_update_is_applied_at_most_once
    a_counter_is_exact_under_contention
    a_counter_is_exact_over_lost_replies
    a_counter_keeps_to_its_numbers
}
