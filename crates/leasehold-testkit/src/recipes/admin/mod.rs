//! The conformance suite of administration: listing, asking for a release, breaking a lock.
//!
//! | case | what it proves |
//! |---|---|
//! | `contenders_are_listed_with_what_they_say` | order, standing, token, holder, time |
//! | `readers_and_writers_stand_by_their_rule` | standing by the recipe's own rule; all holders of a lock are asked and broken |
//! | `a_queue_is_followed` | every change comes to be seen, also within an entry; the stream ends with the coordinator |
//! | `names_are_listed_by_recipe_and_prefix` | hostile names too |
//! | `entries_of_strangers_are_shown_as_such` | neither dropped nor a crash, and can be broken |
//! | `an_asked_holder_hears_it_once_and_may_go_on` | asking is a request and no more |
//! | `asked_in_the_moment_of_the_grant`, `asked_while_waiting` | not missed before the watch of the entry is armed |
//! | `marks_and_other_writers_merge` | compare-and-set merge: nobody's write is lost |
//! | `a_mark_leaves_the_entry_to_its_owner` | the entry stays tied to its owner's session |
//! | `what_cannot_be_asked_for_is_refused` | bad names and arguments; nobody there |
//! | `a_live_holder_is_released_by_force` | the holder hears why, and gives up itself |
//! | `a_dead_holder_is_released_by_force`, `a_cut_holder_is_released_by_force` | the entry is removed; the old holder harms nobody |
//! | `force_races_the_release` | the next holder's entry is never touched |
//! | `a_waiter_is_removed_and_queues_again` | at the end |

mod asking;
mod breaking;
mod showing;

use asking::{
    a_mark_leaves_the_entry_to_its_owner, an_asked_holder_hears_it_once_and_may_go_on,
    asked_in_the_moment_of_the_grant, asked_while_waiting, marks_and_other_writers_merge,
    what_cannot_be_asked_for_is_refused,
};
use breaking::{
    a_cut_holder_is_released_by_force, a_dead_holder_is_released_by_force,
    a_live_holder_is_released_by_force, a_waiter_is_removed_and_queues_again, force_races_the_release,
};
use showing::{
    a_queue_is_followed, contenders_are_listed_with_what_they_say, entries_of_strangers_are_shown_as_such,
    names_are_listed_by_recipe_and_prefix, readers_and_writers_stand_by_their_rule,
};

use leasehold_core::{Coordinator, EntryId};

use super::table;

table! {
    contenders_are_listed_with_what_they_say
    readers_and_writers_stand_by_their_rule
    a_queue_is_followed
    names_are_listed_by_recipe_and_prefix
    entries_of_strangers_are_shown_as_such [13]
    an_asked_holder_hears_it_once_and_may_go_on
    asked_in_the_moment_of_the_grant
    asked_while_waiting
    marks_and_other_writers_merge
    a_mark_leaves_the_entry_to_its_owner
    what_cannot_be_asked_for_is_refused
    a_live_holder_is_released_by_force
    a_dead_holder_is_released_by_force [5]
    a_cut_holder_is_released_by_force [5]
    force_races_the_release
    a_waiter_is_removed_and_queues_again
}

/// The entries of a lock, first to last.
async fn ids(node: &Coordinator, name: &str) -> Vec<EntryId> {
    let contenders = node.mutex(name).contenders().await.expect("listed");
    contenders.iter().map(|contender| contender.entry).collect()
}
