//! The names of the nodes that stand for entries.

use std::fmt;
use std::str::FromStr;

use leasehold_core::{AttemptId, Mode};

/// How many characters the text of an attempt id has.
const ATTEMPT_CHARS: usize = 32;
/// How many characters the original creation has in a name that was replaced.
const ORIGIN_CHARS: usize = 16;

/// The name of an entry's node: `<attempt>-<mode>-<sequence>`, or `<attempt>-<mode>-<origin>-<sequence>` once a
/// change of mode has replaced the node.
///
/// The mode stands in the name because a listing carries no data, and a listing has to tell who is granted. A
/// replaced node keeps its sequence and with it its place; its creation zxid is another though, so
/// the name keeps the first one, which is the order in the fencing token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeName {
    pub(crate) attempt: AttemptId,
    pub(crate) mode: Mode,
    /// The zxid that created the entry's first node, where this is a later one.
    pub(crate) origin: Option<i64>,
    pub(crate) sequence: i32,
}

impl NodeName {
    /// What the server appends the sequence to.
    pub(crate) fn to_create(attempt: AttemptId, mode: Mode) -> String {
        format!("{attempt}-{mode}-")
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{}-", self.attempt, self.mode)?;
        if let Some(origin) = self.origin {
            write!(f, "{origin:016x}-")?;
        }
        // As the server prints it: ten characters, the sign included, and one more below -999,999,999.
        write!(f, "{:010}", self.sequence)
    }
}

/// The text is not the name of an entry's node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Foreign;

impl FromStr for NodeName {
    type Err = Foreign;

    fn from_str(text: &str) -> Result<Self, Foreign> {
        let (attempt, rest) = text.split_at_checked(ATTEMPT_CHARS).ok_or(Foreign)?;
        let (mode, rest) = rest.strip_prefix('-').and_then(|rest| rest.split_once('-')).ok_or(Foreign)?;
        let (origin, sequence) = match rest.split_at_checked(ORIGIN_CHARS) {
            Some((origin, sequence)) => {
                (Some(parse_origin(origin)?), sequence.strip_prefix('-').ok_or(Foreign)?)
            }
            None => (None, rest),
        };
        Ok(Self {
            attempt: attempt.parse().map_err(|_| Foreign)?,
            mode: mode.parse().map_err(|_| Foreign)?,
            origin,
            sequence: parse_sequence(sequence)?,
        })
    }
}

fn parse_origin(text: &str) -> Result<i64, Foreign> {
    let canonical = text.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    let origin = i64::from_str_radix(text, 16).map_err(|_| Foreign)?;
    if canonical { Ok(origin) } else { Err(Foreign) }
}

fn parse_sequence(text: &str) -> Result<i32, Foreign> {
    let sequence = text.parse::<i32>().map_err(|_| Foreign)?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    let canonical = digits.bytes().all(|b| b.is_ascii_digit())
        && (text.len() == 10 || text.len() == 11 && sequence <= -1_000_000_000)
        && text.starts_with('-') == (sequence < 0);
    if canonical { Ok(sequence) } else { Err(Foreign) }
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
                    assert_eq!(name.to_string().parse(), Ok(name), "{name}");
                    let as_created = NodeName { origin: None, ..name };
                    let prefix = NodeName::to_create(attempt, mode);
                    assert_eq!(as_created.to_string(), format!("{prefix}{sequence:010}"));
                }
            }
        }
    }

    #[test]
    fn foreign_nodes_are_told_apart() {
        let id = "0123456789abcdef0123456789abcdef";
        assert!(format!("{id}-x-0000000007").parse::<NodeName>().is_ok());
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
            assert_eq!(foreign.parse::<NodeName>(), Err(Foreign), "{foreign}");
        }
    }
}
