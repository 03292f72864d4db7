//! The conformance suite of the election.
//!
//! | case | what it proves |
//! |---|---|
//! | `the_next_leads_when_the_leader_is_gone` | failover |
//! | `observers_bear_a_compaction` | observing across a compaction of the service's history |
//! | `observers_bear_the_loss_of_their_session`, `a_session_lost_while_standing_is_no_leadership` | the session starts anew |
//! | `a_campaign_that_fails_leaves_nothing`, `campaigns_dropped_at_every_poll` | nothing is left of a campaign that failed or was cancelled |
//! | `a_resignation_after_an_error_is_a_resignation` | an error does not make a leader forget its leadership |
//! | `an_entry_removed_by_hand_is_stood_for_again` | the entry is deleted, and the next campaign is on the same session |
//! | `never_two_that_believe` | suspended and reconnected |
//! | `candidates_that_vanish_while_they_are_read` | between listing and reading |
//! | `a_leader_that_goes_during_a_cut` | the watched entry is deleted during a reconnection |
//! | `an_election_that_nobody_entered` | an election without candidates |
//!
//! Beyond those of the table: proclamations (`a_proclamation_keeps_leadership_and_token`, `proclamations_are_ordered`,
//! `proclamations_bear_cuts_and_lost_replies`, `a_proclamation_does_not_keep_a_resignation_waiting`,
//! `proclamations_and_resignations_dropped_at_every_poll`), observers (`the_newest_of_a_burst_is_delivered`,
//! `observers_bear_a_restart_of_the_service`, `a_stream_ends_with_its_coordinator`), the loop around a leader's work
//! (`lead_stands_again_after_a_loss`, `lead_waits_for_the_work_at_its_shutdown`, `lead_ends_with_the_work_or_an_error`), and the
//! resumption of a leadership after a restart of the process (`a_restarted_leader_goes_on_without_a_gap`,
//! `an_older_incarnation_cannot_resign_for_the_newer`, `a_leadership_that_is_over_is_not_resumed`, `a_ticket_is_good_for_one_leadership`,
//! `of_two_resumers_one_leads`, `resumptions_dropped_at_every_poll`).

mod leading;
mod observing;
mod proclaiming;
mod resuming;
mod standing;

use std::sync::{Arc, Mutex as StdMutex, PoisonError};

use leasehold_core::{Coordinator, Election, Error, Held, Kind, Leader, LeaderStream, Leadership};
use tokio::task::JoinHandle;

use super::table;
use crate::scene::{Observer, Scene, soon};
use leading::*;
use observing::*;
use proclaiming::*;
use resuming::*;
use standing::*;

table! {
    the_next_leads_when_the_leader_is_gone [50]
    a_session_lost_while_standing_is_no_leadership [52]
    a_campaign_that_fails_leaves_nothing [53]
    campaigns_dropped_at_every_poll [53]
    a_resignation_after_an_error_is_a_resignation [54]
    an_entry_removed_by_hand_is_stood_for_again [55]
    never_two_that_believe [56]
    a_proclamation_keeps_leadership_and_token
    proclamations_are_ordered
    proclamations_bear_cuts_and_lost_replies
    a_proclamation_does_not_keep_a_resignation_waiting
    proclamations_and_resignations_dropped_at_every_poll
    an_election_that_nobody_entered [59]
    the_newest_of_a_burst_is_delivered
    observers_bear_a_compaction [51]
    observers_bear_the_loss_of_their_session [52]
    observers_bear_a_restart_of_the_service
    a_leader_that_goes_during_a_cut [58]
    candidates_that_vanish_while_they_are_read [57]
    a_stream_ends_with_its_coordinator
    lead_stands_again_after_a_loss
    lead_waits_for_the_work_at_its_shutdown
    lead_ends_with_the_work_or_an_error
    a_restarted_leader_goes_on_without_a_gap {if resumable_sessions}
    an_older_incarnation_cannot_resign_for_the_newer {if resumable_sessions}
    a_leadership_that_is_over_is_not_resumed {if resumable_sessions}
    a_ticket_is_good_for_one_leadership {if resumable_sessions}
    of_two_resumers_one_leads {if resumable_sessions}
    resumptions_dropped_at_every_poll {if resumable_sessions}
    no_ticket_without_resumption {unless resumable_sessions}
}

/// The election of all cases.
const NAME: &str = "one";

fn election(node: &Coordinator) -> Election {
    node.election(NAME)
}

/// A coordinator that the world's cuts do not concern.
async fn direct_node(scene: &Scene) -> Coordinator {
    let connecting = scene.builder_over(scene.world.direct()).connect();
    soon("a session is opened", connecting).await.expect("the service is reached")
}

async fn lead(node: &Coordinator, value: &'static str) -> Leadership {
    soon("it leads", election(node).campaign(value)).await.expect("elected")
}

/// Stands behind whoever leads, until it leads.
fn stand(node: &Coordinator, value: &'static str) -> JoinHandle<Result<Leadership, Error>> {
    let election = election(node);
    tokio::spawn(async move { election.campaign(value).await })
}

async fn elected(standing: JoinHandle<Result<Leadership, Error>>) -> Leadership {
    soon("the next leads", standing).await.expect("no panic").expect("elected")
}

async fn stands(observer: &Observer, count: usize) {
    observer.contenders_of(Kind::Election, NAME, count).await;
}

/// The next state of a stream that goes on.
async fn next(stream: &mut LeaderStream) -> Option<Leader> {
    soon("a state is delivered", stream.next()).await.expect("the stream goes on")
}

/// Waits until the stream shows a leader with that value, or nobody.
async fn shows(stream: &mut LeaderStream, value: Option<&str>) -> Option<Leader> {
    soon(&format!("{value:?} is shown"), async {
        loop {
            let state = stream.next().await.expect("the stream goes on");
            if state.as_ref().map(Leader::value) == value.map(str::as_bytes) {
                return state;
            }
        }
    })
    .await
}

/// Everybody who has been elected, in order. A belief begins with a grant and never again, so if nobody of before
/// believes at any grant, no two ever believe at once.
#[derive(Clone, Default)]
struct Believers(Arc<StdMutex<Vec<Held>>>);

impl Believers {
    fn elected(&self, leadership: &Leadership) {
        let mut before = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (nth, held) in before.iter().enumerate() {
            assert!(!held.is_held(), "leader {nth} of {} still believes", before.len());
            assert!(leadership.fencing_token() > held.fencing_token(), "tokens rise");
        }
        before.push(leadership.held());
    }

    fn count(&self) -> usize {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}
