//! What is known of a queue without asking.
//!
//! # Implementation
//!
//! A handoff would otherwise cost a listing of the whole queue. The mirror is the newest listing less the entries that are
//! known to have gone since. It is behind the server by design, and safe to decide by: entries come in behind
//! those that are there, so what it shows too much is ahead of nobody it does not show, and whoever waits for an
//! entry that has gone unnoticed is told so at once. What must show without asking is what this session was told
//! itself, and that is *noted* (in a layout that [lets entries in ahead](crate::layout::Layout::lets_in_ahead) only in the second way):
//!
//! * a departure, by taking the entry out, unless another one was taken out of the same listing, or the entry was not the first: in a
//!   queue that moves, whoever is shown ahead of one that goes has mostly gone before, and who relied upon it would ask for each;
//! * anything else, by distrusting every listing that was sent before.
//!
//! Listings and notes are numbered in one order, under one lock, and a listing gets its number as it is handed to the
//! client. A connection answers in order, so a listing shows everything that was noted before its number, and
//! lacks at most what was noted after; those notes are applied to it when it arrives, however late its task runs.
//!
//! A listing is believed for [`FRESH`] only, so that also what nobody was told about shows soon.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use leasehold_core::AttemptId;

use crate::listing::Listing;

/// How long a listing answers for the server: longer than a turn in a busy queue takes, and too short for people to notice.
const FRESH: Duration = Duration::from_millis(50);

/// The number of a listing that was sent, and when that was.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sent {
    number: u64,
    at: Instant,
}

/// The mirror of one queue in one session.
#[derive(Debug, Default)]
pub(crate) struct Mirror {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    listing: Arc<Listing>,
    sent: Option<Sent>,
    last_number: u64,
    /// Who has departed, by the number of the note; notes that the listing includes are dropped.
    departed: HashMap<AttemptId, u64>,
    /// Listings up to this number are not believed.
    distrusted: u64,
}

impl State {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

impl Mirror {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Numbers a listing and calls `send`, which hands it to the client.
    pub(crate) fn send<T>(&self, send: impl FnOnce() -> T) -> (Sent, T) {
        let mut state = self.state();
        let sent = Sent { number: state.next_number(), at: Instant::now() };
        (sent, send())
    }

    /// Takes in a listing, and answers it as the notes since its sending have it.
    pub(crate) fn keep(&self, sent: Sent, mut listing: Listing) -> Arc<Listing> {
        let mut state = self.state();
        let mut distinct = true;
        for (attempt, noted) in &state.departed {
            distinct &= *noted <= sent.number || leave(&mut listing, *attempt);
        }
        if !distinct {
            state.distrusted = state.next_number();
        }
        let listing = Arc::new(listing);
        if state.sent.is_none_or(|newest| newest.number < sent.number) {
            state.listing = listing.clone();
            state.sent = Some(sent);
            state.departed.retain(|_, noted| *noted > sent.number);
        }
        listing
    }

    /// Notes that the entry of an attempt is gone, for good.
    pub(crate) fn departed(&self, attempt: AttemptId) {
        let mut state = self.state();
        let noted = state.next_number();
        state.departed.insert(attempt, noted);
        if !leave(Arc::make_mut(&mut state.listing), attempt) {
            state.distrusted = noted;
        }
    }

    /// Notes that the queue is not as it was, in a way that is not known.
    pub(crate) fn distrust(&self) {
        let mut state = self.state();
        state.distrusted = state.next_number();
    }

    /// The newest listing, for the names of nodes.
    pub(crate) fn newest(&self) -> Arc<Listing> {
        self.state().listing.clone()
    }

    /// The queue, if it is known well enough to answer for the server.
    pub(crate) fn fresh(&self) -> Option<Arc<Listing>> {
        let state = self.state();
        let sent = state.sent?;
        (sent.number > state.distrusted && sent.at.elapsed() < FRESH).then(|| state.listing.clone())
    }
}

/// Takes an entry out; whether what is left can be relied upon.
fn leave(listing: &mut Listing, attempt: AttemptId) -> bool {
    let was_first = !listing.shows_ahead_of(attempt);
    listing.depart(attempt) && was_first
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Layout, NodeName};
    use crate::listing::Children;
    use leasehold_core::{AttemptIds, Mode};

    fn listing(attempts: &[AttemptId]) -> Listing {
        let name = |(sequence, attempt): (i32, &AttemptId)| {
            let name = NodeName { attempt: *attempt, mode: Mode::Exclusive, origin: None, sequence };
            Layout::Own.text(&name)
        };
        let names: Vec<_> = (0..).zip(attempts).map(name).collect();
        Children::new(Layout::Own, &names, 1).by_sequence()
    }

    fn seen(mirror: &Mirror) -> Option<Vec<AttemptId>> {
        mirror.fresh().map(|listing| listing.contenders.iter().map(|contender| contender.attempt).collect())
    }

    #[test]
    fn a_departure_shows_at_once_and_in_listings_that_were_under_way() {
        let (mirror, ids) = (Mirror::default(), AttemptIds::new().unwrap());
        let [a, b, c] = [ids.next(), ids.next(), ids.next()];
        assert_eq!(seen(&mirror), None, "nothing was listed");
        let (first, ()) = mirror.send(|| ());
        mirror.keep(first, listing(&[a, b]));
        let (under_way, ()) = mirror.send(|| ());
        mirror.departed(a);
        assert_eq!(seen(&mirror), Some(vec![b]));
        // It was sent before the departure and arrives after.
        let kept = mirror.keep(under_way, listing(&[a, b, c]));
        assert_eq!(kept.contenders.len(), 2);
        assert_eq!(seen(&mirror), Some(vec![b, c]));
        mirror.departed(b);
        assert_eq!(seen(&mirror), None, "a second departure has no revision");
        let (last, ()) = mirror.send(|| ());
        mirror.keep(last, listing(&[c]));
        assert_eq!(seen(&mirror), Some(vec![c]));
        assert!(mirror.state().departed.is_empty(), "the listing includes it");
    }

    #[test]
    fn a_departure_from_the_middle_shows_that_the_listing_is_old() {
        let (mirror, ids) = (Mirror::default(), AttemptIds::new().unwrap());
        let [a, b, c] = [ids.next(), ids.next(), ids.next()];
        let (sent, ()) = mirror.send(|| ());
        mirror.keep(sent, listing(&[a, b, c]));
        mirror.departed(ids.next());
        assert_eq!(seen(&mirror), Some(vec![a, b, c]), "of nobody's entry");
        mirror.departed(b);
        assert_eq!(seen(&mirror), None);
        assert_eq!(mirror.newest().name_of(b), None);
        let (under_way, ()) = mirror.send(|| ());
        mirror.departed(c);
        mirror.keep(under_way, listing(&[a, c]));
        assert_eq!(seen(&mirror), None, "also one that was under way");
    }

    #[test]
    fn listings_count_by_their_sending() {
        let (mirror, ids) = (Mirror::default(), AttemptIds::new().unwrap());
        let [a, b] = [ids.next(), ids.next()];
        let ((early, ()), (late, ())) = (mirror.send(|| ()), mirror.send(|| ()));
        mirror.keep(late, listing(&[b]));
        mirror.keep(early, listing(&[a, b]));
        assert_eq!(seen(&mirror), Some(vec![b]));
    }

    #[test]
    fn what_was_sent_before_a_distrust_is_not_believed() {
        let (mirror, ids) = (Mirror::default(), AttemptIds::new().unwrap());
        let a = ids.next();
        let (under_way, ()) = mirror.send(|| ());
        mirror.distrust();
        mirror.keep(under_way, listing(&[a]));
        assert_eq!(seen(&mirror), None);
        assert!(mirror.newest().name_of(a).is_some(), "its names are still of use");
        let (after, ()) = mirror.send(|| ());
        mirror.keep(after, listing(&[a]));
        assert_eq!(seen(&mirror), Some(vec![a]));
    }

    #[test]
    fn nothing_is_believed_for_long() {
        let (mirror, ids) = (Mirror::default(), AttemptIds::new().unwrap());
        let (sent, ()) = mirror.send(|| ());
        let Some(long_ago) = Instant::now().checked_sub(FRESH) else { return };
        mirror.keep(Sent { at: long_ago, ..sent }, listing(&[ids.next()]));
        assert_eq!(seen(&mirror), None);
    }
}
