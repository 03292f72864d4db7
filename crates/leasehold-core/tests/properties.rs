//! What holds of all names, tokens and queues.

use std::collections::BTreeMap;

use leasehold_core::fencing::Fence;
use leasehold_core::{
    AttemptId, Contender, Contenders, FencingToken, KeyPath, Kind, MAX_NAME_BYTES, Mode, NameError, Namespace,
};
use proptest::collection::vec;
use proptest::prelude::*;

/// Names of all sorts: much of what means something to a service or to an escape, and any character.
fn names() -> impl Strategy<Value = String> {
    prop_oneof!["[./%~*?\\[\\]{}#!:@ 2EF]{0,9}", "\\PC{0,40}", any::<String>(), "x{250,260}", "é{120,130}"]
}

fn path(name: &str) -> Result<KeyPath, NameError> {
    KeyPath::new(&Namespace::default(), Kind::Lock, name)
}

fn attempt(id: u128) -> AttemptId {
    format!("{id:032x}").parse().expect("an attempt's text")
}

proptest! {
    #[test]
    fn a_name_is_one_segment_and_reads_back_or_is_refused_for_a_reason(name in names()) {
        match path(&name) {
            Ok(path) => {
                let prefix = KeyPath::prefix(&Namespace::default(), Kind::Lock);
                let segment = path.as_str().strip_prefix(&prefix).expect("the prefix");
                prop_assert!(!segment.is_empty() && segment != "." && segment != "..");
                let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.~%".contains(&byte);
                prop_assert!(segment.bytes().all(plain), "{}", segment);
                prop_assert_eq!(path.name(), name);
                let listed = KeyPath::from_listing(&Namespace::default(), Kind::Lock, segment);
                prop_assert_eq!(listed, Some(path));
            }
            Err(NameError::Empty) => prop_assert!(name.is_empty()),
            Err(NameError::TooLong(bytes)) => prop_assert!(bytes == name.len() && bytes > MAX_NAME_BYTES),
            Err(NameError::ControlCharacter { character, at }) => {
                prop_assert!(character.is_control() && name[at..].starts_with(character));
            }
            Err(other) => prop_assert!(false, "{}", other),
        }
    }

    #[test]
    fn no_two_names_have_one_path(one in names(), other in names()) {
        if let (Ok(path_of_one), Ok(path_of_other)) = (path(&one), path(&other)) {
            prop_assert_eq!(path_of_one == path_of_other, one == other);
            // Nor is one's path a directory of the other's.
            let directory = format!("{path_of_other}/");
            prop_assert!(!path_of_one.as_str().starts_with(&directory));
        }
    }

    #[test]
    fn namespaces_keep_their_names_apart(one in names(), other in names(), name in "[a-z]{1,9}") {
        if let (Ok(one), Ok(other)) = (Namespace::parse(&one), Namespace::parse(&other)) {
            prop_assert!(one.as_str().split('/').all(|segment| !["", ".", ".."].contains(&segment)));
            let [a, b] = [&one, &other].map(|namespace| KeyPath::new(namespace, Kind::Lock, &name));
            prop_assert_eq!(a == b, one == other);
        }
    }

    #[test]
    fn tokens_sort_by_epoch_order_and_sub_order(one: (u32, u64, u32), other: (u32, u64, u32)) {
        let [a, b] = [one, other].map(|(epoch, order, sub_order)| FencingToken::new(epoch, order, sub_order));
        let expected = one.cmp(&other);
        prop_assert_eq!(a.cmp(&b), expected);
        prop_assert_eq!(a.to_string().cmp(&b.to_string()), expected);
        prop_assert_eq!(a.to_bytes().cmp(&b.to_bytes()), expected);
        if let (Some(a), Some(b)) = (a.as_i64(), b.as_i64()) {
            prop_assert_eq!(a.cmp(&b), expected);
        }
        prop_assert_eq!((a.epoch(), a.order(), a.sub_order()), one);
        prop_assert_eq!(a.to_string().parse(), Ok(a));
        prop_assert_eq!(FencingToken::from_bytes(a.to_bytes()), a);
    }

    #[test]
    fn a_fence_admits_what_is_not_older_whatever_came_before(tokens in vec((any::<bool>(), 0_u64..8), 0..20)) {
        let mut fence = Fence::new();
        let (mut exclusive, mut shared) = (FencingToken::new(0, 0, 0), FencingToken::new(0, 0, 0));
        for (is_shared, order) in tokens {
            let token = FencingToken::new(0, order, 0);
            let (admitted, expected) = if is_shared {
                (fence.check_shared(token).is_ok(), token >= exclusive)
            } else {
                (fence.check_exclusive(token).is_ok(), token >= exclusive.max(shared))
            };
            prop_assert_eq!(admitted, expected);
            if admitted {
                let mark = if is_shared { &mut shared } else { &mut exclusive };
                *mark = token.max(*mark);
            }
            prop_assert_eq!(Fence::from_bytes(fence.to_bytes()), fence);
            prop_assert_eq!(fence.to_string().parse(), Ok(fence));
        }
    }

    #[test]
    fn modes_have_one_spelling(limit in 1..=u32::MAX, share in 0.0..1.0, granted: bool, text in "[pxsofg+0-9]{0,12}") {
        let count = ((f64::from(limit) * share) as u32).max(1);
        let mode = Mode::Permits { count, limit, granted };
        prop_assert_eq!(mode.to_string().parse(), Ok(mode));
        if let Ok(mode) = text.parse::<Mode>() {
            prop_assert_eq!(mode.to_string(), text);
        }
    }

    /// Against a sorted list of all entries.
    #[test]
    fn contenders_are_a_sorted_list(changes in vec((any::<bool>(), 0_u128..12, 0_u64..12), 0..60)) {
        let mut contenders = Contenders::default();
        let mut list: BTreeMap<AttemptId, u64> = BTreeMap::new();
        for (insert, id, position) in changes {
            let attempt = attempt(id);
            if insert {
                contenders.insert(Contender { attempt, position, mode: Mode::Exclusive });
                list.insert(attempt, position);
            } else {
                prop_assert_eq!(contenders.remove(attempt), list.remove(&attempt).is_some());
            }
            let mut expected: Vec<_> = list.iter().map(|(attempt, position)| (*position, *attempt)).collect();
            expected.sort_unstable();
            let listed: Vec<_> = contenders.iter().map(|entry| (entry.position, entry.attempt)).collect();
            prop_assert_eq!(&listed, &expected);
            for (place, (position, attempt)) in expected.iter().enumerate() {
                prop_assert_eq!(contenders.get(*attempt).map(|entry| entry.position), Some(*position));
                let ahead: Vec<_> = contenders.ahead_of(*attempt).map(|entry| entry.attempt).collect();
                let nearest_first: Vec<_> = expected[..place].iter().rev().map(|(_, attempt)| *attempt).collect();
                prop_assert_eq!(ahead, nearest_first);
            }
        }
    }
}
