//! Our own names: `<attempt>-<mode>-<sequence>`, or `<attempt>-<mode>-<origin>-<sequence>` once a change of mode has replaced
//! the node.
//!
//! The mode stands in the name because a listing carries no data, and a listing has to tell who is granted. A
//! replaced node keeps its sequence and with it its place; its creation zxid is another though, so
//! the name keeps the first one, which is the order in the fencing token.

use leasehold_core::{AttemptId, Mode};

use super::{NodeName, sequence};

/// How many characters the text of an attempt id has.
const ATTEMPT_CHARS: usize = 32;
/// How many characters the original creation has in a name that was replaced.
const ORIGIN_CHARS: usize = 16;

pub(super) fn to_create(attempt: AttemptId, mode: Mode) -> String {
    format!("{attempt}-{mode}-")
}

pub(super) fn text(name: &NodeName) -> String {
    let origin = name.origin.map(|origin| format!("{origin:016x}-")).unwrap_or_default();
    format!("{}{origin}{}", to_create(name.attempt, name.mode), sequence::text(name.sequence))
}

pub(super) fn read(text: &str) -> Option<NodeName> {
    let (attempt, rest) = text.split_at_checked(ATTEMPT_CHARS)?;
    let (mode, rest) = rest.strip_prefix('-').and_then(|rest| rest.split_once('-'))?;
    let (origin, sequence) = match rest.split_at_checked(ORIGIN_CHARS) {
        Some((origin, sequence)) => (Some(read_origin(origin)?), sequence.strip_prefix('-')?),
        None => (None, rest),
    };
    Some(NodeName {
        attempt: attempt.parse().ok()?,
        mode: mode.parse().ok()?,
        origin,
        sequence: sequence::read(sequence)?,
    })
}

fn read_origin(text: &str) -> Option<i64> {
    let canonical = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    i64::from_str_radix(text, 16).ok().filter(|_| canonical)
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::AttemptIds;

    #[test]
    fn names_read_back() {
        let attempt = AttemptIds::new().unwrap().next();
        let sequences = [0, 1, 1_000_000_000, i32::MAX, -1, -999_999_999, -1_000_000_000, i32::MIN];
        for mode in
            [Mode::Exclusive, Mode::Shared, Mode::Permits { count: 3, limit: u32::MAX, granted: true }]
        {
            for origin in [None, Some(0), Some(0x2a_0000_0001), Some(i64::MAX)] {
                for sequence in sequences {
                    let name = NodeName { attempt, mode, origin, sequence };
                    assert_eq!(read(&text(&name)), Some(name), "{name:?}");
                    let as_created = NodeName { origin: None, ..name };
                    let prefix = to_create(attempt, mode);
                    assert_eq!(text(&as_created), format!("{prefix}{sequence:010}"));
                }
            }
        }
    }

    #[test]
    fn foreign_nodes_are_told_apart() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(read(&format!("{id}-x-0000000007")).is_some());
        for foreign in [
            String::new(),
            "lock-0000000001".into(),
            "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-0000000001".into(),
            format!("{id}__lock__0000000001"),
            format!("{id}-x"),
            format!("{id}-x-"),
            format!("{id}-x-7"),
            format!("{id}-x-000000007"),
            format!("{id}-x-00000000007"),
            format!("{id}-x-+000000007"),
            format!("{id}-x--000000000"),
            format!("{id}-x-2147483648"),
            format!("{id}-x--2147483649"),
            format!("{id}-x-00000000000007"),
            format!("{id}-y-0000000007"),
            format!("{id}-p0of3-0000000007"),
            format!("{}-x-0000000007", id.to_uppercase()),
            format!("{id}-x-000000000000000A-0000000007"),
            format!("{id}-x-+00000000000000a-0000000007"),
            format!("{id}-x-ffffffffffffffff-0000000007"),
            format!("{id}-x-000000000000000a-7"),
            format!("{}é-x-0000000007", &id[1..]),
        ] {
            assert_eq!(read(&foreign), None, "{foreign}");
        }
    }
}
