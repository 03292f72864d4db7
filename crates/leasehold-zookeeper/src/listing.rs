//! A queue as one listing of its directory shows it.
//!
//! # Order
//!
//! The server appends to an entry's name how many nodes were created in the directory before, so the sequence is
//! the queue's order, as long as the server counts. The counter is a signed 32-bit number and **sticks** at its
//! end: ZooKeeper computes the next value as one more than [`i32::MAX`], finds that it is not larger than what the
//! directory has, and keeps the old one (`DataTree.createNode`; seen on 3.8.0). From then on creations get `2147483647`
//! again and again, or negative numbers where several are in the pipeline at once, and the directory's `pzxid` no
//! longer moves with them. Comparing sequences modulo 2³² would therefore be wrong.
//!
//! So a listing that holds such a sequence is ordered by the entries' creation zxids instead, which are what the
//! sequence stands for anyway, at the cost of a request an entry (see [`Children::is_saturated`]). The state ends when
//! the directory has been empty for long enough to be reaped.

use std::collections::HashMap;

use leasehold_core::{AttemptId, BackendError, BackendErrorKind, Contender, Contenders};

use crate::layout::{Child, Directory, Layout, NodeName};

/// The children of a queue's directory, as its layout reads them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Children {
    /// The entries.
    pub(crate) names: Vec<NodeName>,
    stranger: Option<String>,
    pzxid: i64,
}

impl Children {
    pub(crate) fn new(layout: Layout, children: &[String], pzxid: i64) -> Self {
        let mut read = Self { names: Vec::with_capacity(children.len()), stranger: None, pzxid };
        for child in children {
            match layout.read(child) {
                Child::Entry(name) => read.names.push(name),
                Child::Ignored => {}
                Child::Stranger => read.stranger = Some(child.clone()),
            }
        }
        read
    }

    /// Of a directory that holds this entry alone.
    pub(crate) fn of_one(name: NodeName, pzxid: i64) -> Self {
        Self { names: vec![name], stranger: None, pzxid }
    }

    /// Whether sequences do not tell the order.
    pub(crate) fn is_saturated(&self) -> bool {
        self.names.iter().any(NodeName::is_past_the_end)
    }

    /// The revision of the queue. Only for children that are not saturated.
    pub(crate) fn revision(&self) -> u64 {
        revision_at(self.pzxid)
    }

    /// The queue in the order of the sequences. Only for children that are not saturated.
    pub(crate) fn by_sequence(self) -> Listing {
        let revision = self.revision();
        // Not saturated, so no sequence is negative.
        let placed = self.names.into_iter().map(|name| (name, u64::from(name.sequence.unsigned_abs())));
        Listing { stranger: self.stranger, ..Listing::new(placed, revision, HashMap::new()) }
    }

    /// The queue in the order of the creations. An entry whose creation is not known is one that has gone meanwhile.
    pub(crate) fn by_creation(self, created: HashMap<NodeName, i64>) -> Listing {
        // The directory's pzxid does not move with creations now, but the newest of them does.
        let newest = created.values().copied().max().unwrap_or(0);
        let revision = revision_at(self.pzxid.max(newest));
        let placed: Vec<_> = self
            .names
            .into_iter()
            .filter_map(|name| created.get(&name).map(|&zxid| (name, order(&name, zxid))))
            .collect();
        Listing { stranger: self.stranger, ..Listing::new(placed, revision, created) }
    }
}

/// The order of an entry for its fencing token, from the creation zxid of its present node.
pub(crate) fn order(name: &NodeName, czxid: i64) -> u64 {
    as_unsigned(name.origin.unwrap_or(czxid))
}

/// The revision of a queue that was last changed by this zxid: an even number, so that there is one between any two for a
/// listing less an entry that has gone since ([`Listing::depart`]).
fn revision_at(zxid: i64) -> u64 {
    as_unsigned(zxid) * 2
}

/// A zxid as an order or a version; they are positive.
pub(crate) fn as_unsigned(zxid: i64) -> u64 {
    u64::try_from(zxid).unwrap_or(0)
}

/// The state of a queue.
#[derive(Debug, Clone, Default)]
pub(crate) struct Listing {
    pub(crate) contenders: Contenders,
    names: HashMap<AttemptId, NodeName>,
    created: HashMap<NodeName, i64>,
    /// A child by which the directory is not safe to lock in.
    stranger: Option<String>,
}

impl Listing {
    fn new(
        placed: impl IntoIterator<Item = (NodeName, u64)>,
        revision: u64,
        created: HashMap<NodeName, i64>,
    ) -> Self {
        let mut listing = Self { created, ..Self::default() };
        for (name, position) in placed {
            // Should an attempt ever have two nodes, the earlier one is its place.
            if listing.contenders.get(name.attempt).is_none_or(|other| position < other.position) {
                listing.contenders.insert(Contender { attempt: name.attempt, position, mode: name.mode });
                listing.names.insert(name.attempt, name);
            }
        }
        listing.contenders.set_revision(revision);
        listing
    }

    /// Takes out an entry that is known to have gone since. Answers whether the outcome has a revision of its own:
    /// there is a number for one departure only.
    pub(crate) fn depart(&mut self, attempt: AttemptId) -> bool {
        self.names.remove(&attempt);
        if !self.contenders.remove(attempt) {
            return true;
        }
        let revision = self.revision();
        self.contenders.set_revision(revision | 1);
        revision.is_multiple_of(2)
    }

    /// Whether an attempt's entry is there, and not the first.
    pub(crate) fn shows_ahead_of(&self, attempt: AttemptId) -> bool {
        self.contenders.iter().next().is_some_and(|first| first.attempt != attempt)
            && self.contenders.get(attempt).is_some()
    }

    /// Nothing, if everybody who uses the directory takes the same nodes for contenders.
    ///
    /// # Errors
    /// `Corrupt`, with the child that is none of the layout's.
    pub(crate) fn check(&self, directory: &Directory) -> Result<(), BackendError> {
        let Some(stranger) = &self.stranger else { return Ok(()) };
        let Directory { path, layout } = directory;
        let message = format!("{path} holds {stranger:?}, which {} has no place for", layout.title());
        Err(BackendError::new(BackendErrorKind::Corrupt, message))
    }

    /// The node of an attempt.
    pub(crate) fn name_of(&self, attempt: AttemptId) -> Option<NodeName> {
        self.names.get(&attempt).copied()
    }

    /// The nodes in the queue's order.
    pub(crate) fn names(&self) -> impl Iterator<Item = NodeName> + '_ {
        self.contenders.iter().filter_map(|contender| self.name_of(contender.attempt))
    }

    /// The contenders ahead of an attempt, as a queue of their own.
    pub(crate) fn ahead_of(&self, attempt: AttemptId) -> Contenders {
        self.contenders.ahead_of(attempt).collect()
    }

    /// The creation zxid of a node, where this listing had to ask for it.
    pub(crate) fn created(&self, name: &NodeName) -> Option<i64> {
        self.created.get(name).copied()
    }

    pub(crate) fn revision(&self) -> u64 {
        self.contenders.revision()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::{AttemptIds, Mode};

    fn children(names: &[NodeName], pzxid: i64) -> Children {
        let mut texts: Vec<_> = names.iter().map(|name| Layout::Own.text(name)).collect();
        texts.push("foreign-0000000000".into());
        texts.sort();
        Children::new(Layout::Own, &texts, pzxid)
    }

    fn name(attempt: AttemptId, sequence: i32) -> NodeName {
        NodeName { attempt, mode: Mode::Exclusive, origin: None, sequence }
    }

    fn order_of(listing: &Listing) -> Vec<AttemptId> {
        listing.contenders.iter().map(|contender| contender.attempt).collect()
    }

    #[test]
    fn ordered_by_sequence_whatever_the_names_sort_like() {
        let ids = AttemptIds::new().unwrap();
        let [a, b, c] = [ids.next(), ids.next(), ids.next()];
        let names = [name(a, 10), name(b, 9), name(c, i32::MAX - 1)];
        let children = children(&names, 77);
        assert!(!children.is_saturated());
        let listing = children.by_sequence();
        assert_eq!(order_of(&listing), [b, a, c]);
        assert_eq!(listing.revision(), 154);
        assert_eq!(listing.name_of(a), Some(names[0]));
        assert_eq!(listing.ahead_of(c).len(), 2);
    }

    /// What a real server does at the end of its counter, with one creation after the other or several at a time.
    fn stuck_sequence(created_before: u64, in_pipeline: u64) -> i32 {
        let counted = i32::MAX as u64 - 8 + created_before;
        match counted.checked_sub(i32::MAX as u64) {
            None | Some(0) => counted as i32,
            Some(_) if in_pipeline == 0 => i32::MAX,
            Some(_) => i32::MIN + in_pipeline as i32 - 1,
        }
    }

    #[test]
    fn around_the_end_of_the_counter_the_order_is_that_of_the_creations() {
        let ids = AttemptIds::new().unwrap();
        // Every split of sixteen creations into pipelined runs, so runs of every length cross the end.
        for runs in 0..(1_u32 << 15) {
            let mut in_pipeline = 0;
            let (mut names, mut created) = (Vec::new(), HashMap::new());
            for i in 0..16_u64 {
                let name = name(ids.next(), stuck_sequence(i, in_pipeline));
                created.insert(name, 1_000 + i as i64);
                names.push(name);
                in_pipeline = if runs >> i & 1 == 1 { in_pipeline + 1 } else { 0 };
            }
            let expected: Vec<_> = names.iter().map(|name| name.attempt).collect();
            // Every window of the queue, as holders leave at the front.
            let gone = runs as usize % 16;
            let listed = children(&names[gone..], 900);
            let listing =
                if listed.is_saturated() { listed.by_creation(created) } else { listed.by_sequence() };
            assert_eq!(order_of(&listing), expected[gone..]);
            if gone > 8 {
                assert_eq!(listing.revision(), 2_030, "a creation shows, although pzxid stands still");
            }
        }
    }

    #[test]
    fn a_replaced_node_keeps_its_place_and_its_order() {
        let ids = AttemptIds::new().unwrap();
        let [a, b] = [ids.next(), ids.next()];
        let replaced = NodeName { mode: Mode::Shared, origin: Some(10), ..name(a, i32::MAX) };
        let listed = children(&[replaced, name(b, i32::MAX)], 30);
        assert!(listed.is_saturated());
        let listing = listed.by_creation([(replaced, 30), (name(b, i32::MAX), 20)].into());
        assert_eq!(order_of(&listing), [a, b]);
        assert_eq!((order(&replaced, 30), order(&name(b, i32::MAX), 20)), (10, 20));
        assert_eq!(listing.revision(), 60);
    }

    #[test]
    fn a_departure_has_a_revision_of_its_own_once() {
        let ids = AttemptIds::new().unwrap();
        let [a, b, c] = [ids.next(), ids.next(), ids.next()];
        let mut listing = children(&[name(a, 0), name(b, 1), name(c, 2)], 5).by_sequence();
        assert!(listing.depart(ids.next()), "nothing has changed");
        assert_eq!(listing.revision(), 10);
        assert!(listing.depart(a));
        assert_eq!((listing.revision(), listing.name_of(a)), (11, None));
        assert!(!listing.depart(b), "the server's next revision is 12 at least");
        assert_eq!(order_of(&listing), [c]);
    }

    #[test]
    fn an_entry_that_went_while_its_creation_was_asked_for_is_left_out() {
        let ids = AttemptIds::new().unwrap();
        let [a, b] = [ids.next(), ids.next()];
        let listed = children(&[name(a, i32::MAX), name(b, -5)], 1);
        let listing = listed.by_creation([(name(b, -5), 7)].into());
        assert_eq!(order_of(&listing), [b]);
    }
}
