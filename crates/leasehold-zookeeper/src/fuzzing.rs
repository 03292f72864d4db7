//! What must hold of whatever bytes a decoder is given: checks for a fuzzer, and no part of the API.
//!
//! Each takes any bytes, answers whether the decoder takes them for ours, and panics if it does and they are not.

use std::collections::HashSet;

use leasehold_core::Credentials;

use crate::handshake;
use crate::incarnation::Key;
use crate::layout::{Child, Directory, Layout, Recipe};
use crate::listing::Children;

/// Every layout that a directory can have.
const LAYOUTS: [Layout; 8] = [
    Layout::Own,
    Layout::Curator(Recipe::Mutex),
    Layout::Curator(Recipe::RwLock),
    Layout::Curator(Recipe::Semaphore(1)),
    Layout::Curator(Recipe::Election),
    Layout::Kazoo(Recipe::Mutex),
    Layout::Kazoo(Recipe::RwLock),
    Layout::Kazoo(Recipe::Election),
];

/// The name of a node in a queue's directory, of whatever layout.
pub fn node_name(bytes: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(bytes) else { return false };
    let mut clients = HashSet::new();
    for layout in LAYOUTS {
        let Some(name) = layout.entry(text) else { continue };
        assert_eq!(layout.text(&name), text, "{layout:?}");
        assert!(name.origin.is_none_or(|origin| origin >= 0));
        assert_eq!(Layout::of_node(text).map(|(_, same)| same), Some(name), "{layout:?}");
        clients.insert(layout.title());
        for other in LAYOUTS.into_iter().filter(|other| other.title() != layout.title()) {
            let expected = if other == Layout::Own { Child::Ignored } else { Child::Stranger };
            assert_eq!(other.read(text), expected, "{text:?} of {layout:?} in {other:?}");
        }
    }
    assert!(clients.len() <= 1, "{clients:?}");
    !clients.is_empty()
}

/// The names in a queue's directory, a line each.
pub fn directory(bytes: &[u8]) -> bool {
    let lines: Vec<String> = String::from_utf8_lossy(bytes).lines().map(str::to_owned).collect();
    LAYOUTS.map(|layout| directory_of(layout, &lines)).contains(&true)
}

fn directory_of(layout: Layout, lines: &[String]) -> bool {
    let children = Children::new(layout, lines, 7);
    assert!(children.names.len() <= lines.len());
    let attempts: HashSet<_> = children.names.iter().map(|name| name.attempt).collect();
    let zxids = (1..).zip(&children.names).map(|(zxid, name)| (*name, zxid)).collect();
    let saturated = children.is_saturated();
    let listing = if saturated { children.by_creation(zxids) } else { children.by_sequence() };
    let listed: Vec<_> = listing.contenders.iter().map(|contender| contender.attempt).collect();
    assert_eq!(listed.iter().copied().collect::<HashSet<_>>(), attempts);
    assert_eq!(listed.len(), attempts.len(), "each has one place");
    assert!(listed.iter().all(|attempt| listing.name_of(*attempt).is_some()));
    let refused = listing.check(&Directory { path: "/".into(), layout }).is_err();
    assert_eq!(refused, lines.iter().any(|line| layout.read(line) == Child::Stranger));
    !listed.is_empty()
}

/// What a client says first, in its two frames, the first of which has so many bytes as the first byte says.
pub fn hello(bytes: &[u8]) -> bool {
    let Some((length, frames)) = bytes.split_first() else { return false };
    let frames = frames.split_at_checked(usize::from(*length));
    frames.is_some_and(|(hello, authentication)| handshake::check_hello(hello, authentication))
}

/// The credentials of a session, as an application kept them.
pub fn credentials(bytes: &[u8]) -> bool {
    let Ok(key) = Key::read(&Credentials::from_bytes(bytes)) else { return false };
    assert_eq!(key.credentials().as_bytes(), bytes);
    true
}

#[cfg(test)]
mod tests {
    use leasehold_core::{AttemptId, Mode};
    use proptest::collection::{hash_set, vec};
    use proptest::option;
    use proptest::prelude::*;

    use super::*;
    use crate::layout::NodeName;
    use crate::version;

    fn attempt(id: u128) -> AttemptId {
        format!("{id:032x}").parse().expect("an attempt's text")
    }

    fn order_of(children: Children, created: &[(NodeName, i64)]) -> Vec<AttemptId> {
        let saturated = children.is_saturated();
        let created = created.iter().copied().collect();
        let listing = if saturated { children.by_creation(created) } else { children.by_sequence() };
        listing.contenders.iter().map(|contender| contender.attempt).collect()
    }

    proptest! {
        #[test]
        fn whatever_the_service_holds(bytes: Vec<u8>, text in "[-_0-9a-fgopsx\n]{0,120}") {
            for check in [node_name, directory, hello, credentials] {
                check(&bytes);
                check(text.as_bytes());
            }
        }

        #[test]
        fn names_read_back(
            id: u128,
            limit in 1..=u32::MAX,
            granted: bool,
            sequence: i32,
            origin in option::of(0..=i64::MAX),
        ) {
            for mode in [Mode::Exclusive, Mode::Shared, Mode::Permits { count: 1, limit, granted }] {
                let name = NodeName { attempt: attempt(id), mode, origin, sequence };
                prop_assert_eq!(Layout::Own.entry(&Layout::Own.text(&name)), Some(name));
            }
        }

        /// Any UUID, one that another client has made or a count of ours.
        #[test]
        fn names_of_other_clients_read_back(id: u128, sequence: i32, again: i32, shared: bool) {
            for layout in LAYOUTS.into_iter().filter(|layout| *layout != Layout::Own) {
                let shared = shared && matches!(layout, Layout::Curator(Recipe::RwLock) | Layout::Kazoo(Recipe::RwLock));
                let mode = match layout {
                    Layout::Curator(Recipe::Semaphore(limit)) => Mode::Permits { count: 1, limit, granted: false },
                    _ if shared => Mode::Shared,
                    _ => Mode::Exclusive,
                };
                let created = layout.to_create(attempt(id), mode).unwrap();
                let (first, second) = (format!("{created}{sequence:010}"), format!("{created}{again:010}"));
                let Child::Entry(entry) = layout.read(&first) else { panic!("{first} in {layout:?}") };
                prop_assert_eq!((entry.mode, entry.sequence), (mode, sequence));
                prop_assert_eq!(layout.text(&entry), first);
                let later = layout.entry(&second).unwrap();
                if id >> 63 & 1 == 0 {
                    prop_assert_eq!((entry.attempt, later.attempt), (attempt(id), attempt(id)), "it may be ours");
                } else if id >> 62 & 1 == 0 {
                    prop_assert_eq!(entry.attempt == later.attempt, sequence == again);
                }
            }
        }

        /// Any run of creations near the end of the counter, as the server numbers them: it sticks there, and beyond it
        /// gives negative numbers to those that are in its pipeline at once. In whatever order they are listed, and
        /// whoever of them has gone, the queue's order is that of the creations.
        #[test]
        fn the_order_is_that_of_the_creations(
            ids in hash_set(any::<u128>(), 1..24),
            before_end in 0_i64..32,
            pipelined in vec(0_i32..4, 24),
            kept in vec(any::<bool>(), 24),
            shuffle: u64,
        ) {
            let mut created = Vec::new();
            let counted = i64::from(i32::MAX) - before_end..;
            for ((counted, zxid), (id, in_pipeline)) in counted.zip(1_000..).zip(ids.into_iter().zip(pipelined)) {
                let sequence = match i32::try_from(counted) {
                    Ok(sequence) => sequence,
                    Err(_) if in_pipeline == 0 => i32::MAX,
                    Err(_) => i32::MIN + in_pipeline - 1,
                };
                created.push((NodeName { attempt: attempt(id), mode: Mode::Exclusive, origin: None, sequence }, zxid));
            }
            let kept = created.iter().zip(kept).filter(|(_, kept)| *kept);
            let mut kept: Vec<_> = kept.map(|(child, _)| *child).collect();
            let expected: Vec<_> = kept.iter().map(|(name, _)| name.attempt).collect();
            kept.sort_by_key(|(name, _)| name.attempt.session_nonce().wrapping_mul(shuffle | 1));
            let names: Vec<_> = kept.iter().map(|(name, _)| Layout::Own.text(name)).collect();
            prop_assert_eq!(order_of(Children::new(Layout::Own, &names, 900), &kept), expected);
        }

        #[test]
        fn versions_of_registers_rise_and_read_back(earlier: u32, later: u32) {
            let of = |version: u32| version::of_data(version.cast_signed());
            prop_assert_eq!(of(earlier).cmp(&of(later)), earlier.cmp(&later));
            prop_assert!(of(earlier) > 0, "0 is for an absent one");
            let asked = (earlier != u32::MAX).then_some(earlier.cast_signed());
            prop_assert_eq!(version::to_data(of(earlier)), asked);
        }
    }
}
