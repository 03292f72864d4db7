//! Who gets which item: rendezvous hashing.
//!
//! Every process weighs each pair of an item and a member by the same hash, and the item belongs to the member that
//! weighs most with it
//! (Thaler and Ravishankar, "Using name-based mappings to increase hit rates", 1998). So a member that comes takes
//! its share from all the others and moves nothing else, and the items of one that goes are spread over those that
//! stay. It costs a hash for each pair.
//!
//! The hash is SipHash-2-4 with a key of zeros over the bytes of the member's id and the item. It must stay what it
//! is: processes that run different versions of this library have to agree. `std::hash` promises that neither for
//! its hashers nor for how it feeds them.

use std::collections::BTreeSet;
use std::hash::Hasher;
use std::sync::Arc;

use siphasher::sip::SipHasher24;

use crate::group::{Member, MemberId};

/// The items that belong to `own`, as these members divide them; none if it is not among them.
pub(super) fn assigned(items: &BTreeSet<Arc<str>>, members: &[Member], own: MemberId) -> BTreeSet<Arc<str>> {
    let takers: Vec<_> =
        members.iter().filter(|member| member.takes_items).map(|m| Taker::new(m.id)).collect();
    items.iter().filter(|item| owner(item, &takers) == Some(own)).cloned().collect()
}

/// A member that takes items, and the text of its id.
struct Taker {
    id: MemberId,
    text: String,
}

impl Taker {
    fn new(id: MemberId) -> Self {
        Self { id, text: id.to_string() }
    }

    /// The id's text has one length, so no two pairs give the same bytes.
    fn weight(&self, item: &str) -> u64 {
        let mut hasher = SipHasher24::new();
        hasher.write(self.text.as_bytes());
        hasher.write(item.as_bytes());
        hasher.finish()
    }
}

fn owner(item: &str, takers: &[Taker]) -> Option<MemberId> {
    takers.iter().max_by_key(|taker| (taker.weight(item), taker.id)).map(|taker| taker.id)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;

    fn member(number: u64) -> Taker {
        Taker::new(MemberId::of(format!("{:032x}", u128::from(number) << 64 | 1).parse().unwrap()))
    }

    fn items(count: usize) -> Vec<String> {
        (0..count).map(|number| format!("item {number}")).collect()
    }

    fn owners(items: &[String], members: &[Taker]) -> Vec<MemberId> {
        items.iter().map(|item| owner(item, members).unwrap()).collect()
    }

    #[test]
    fn the_weights_are_what_every_version_computes() {
        // Computed by another implementation of SipHash-2-4. Other numbers mean that processes of two versions
        // disagree.
        assert_eq!(member(1).weight("item 1"), WEIGHTS[0]);
        assert_eq!(member(0xfedc_ba98).weight("naïve/锁"), WEIGHTS[1]);
        assert_eq!(member(0).weight(""), WEIGHTS[2]);
    }

    const WEIGHTS: [u64; 3] =
        [2_102_107_414_124_050_822, 16_147_500_709_019_242_077, 12_620_100_786_579_741_645];

    #[test]
    fn a_member_that_comes_takes_its_share_and_nothing_else_moves() {
        let (items, members) = (items(10_000), (0..9).map(member).collect::<Vec<_>>());
        let before = owners(&items, &members[..8]);
        let after = owners(&items, &members);
        let moved: Vec<_> = before.iter().zip(&after).filter(|(before, after)| before != after).collect();
        assert!(moved.iter().all(|(_, to)| **to == members[8].id), "only to the one that came");
        // A ninth of 10,000 is 1,111; its standard deviation 31.
        assert!((950..1270).contains(&moved.len()), "{}", moved.len());
        let mut shares = HashMap::new();
        before.iter().for_each(|owner| *shares.entry(owner).or_insert(0) += 1);
        // 1,250 each, with a standard deviation of 33.
        assert!(shares.len() == 8 && shares.values().all(|share| (1080..1420).contains(share)), "{shares:?}");
    }

    #[test]
    fn the_order_of_the_members_decides_nothing_and_nobody_owns_without_members() {
        let items = items(100);
        let mut members: Vec<_> = (0..5).map(member).collect();
        let forward = owners(&items, &members);
        members.reverse();
        assert_eq!(forward, owners(&items, &members));
        assert_eq!(owner("a", &[]), None);
    }
}
