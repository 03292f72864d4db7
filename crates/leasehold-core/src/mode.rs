//! What a contender asks for, and what may be granted side by side.

use std::fmt;
use std::str::FromStr;

use crate::contenders::Contenders;

/// What a contender asks for.
///
/// The text of a mode (`x`, `s`, `p3of8`, `p3of8g`) holds only ASCII letters and digits, so that a backend can put it
/// into the name of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Mode {
    /// To be alone.
    Exclusive,
    /// To be side by side with other shared contenders.
    Shared,
    /// To have `count` of the `limit` permits of a semaphore. Both are at least 1 and `count` is at most `limit`.
    Permits {
        /// How many permits.
        count: u32,
        /// How many the semaphore has, as this contender believes.
        limit: u32,
        /// Whether the contender says that it has them. It says so only where somebody waits to see it, and it decides
        /// nothing: whether it has them follows from the queue.
        granted: bool,
    },
}

impl Mode {
    /// Whether a contender of this mode that came last would be granted at once behind `ahead`: the
    /// condition of an enqueue that is made only if the queue is free.
    pub fn is_admitted_behind(self, ahead: &Contenders) -> bool {
        match self {
            Mode::Exclusive => ahead.is_empty(),
            Mode::Shared => ahead.iter().all(|c| c.mode == Mode::Shared),
            Mode::Permits { count, limit, .. } => {
                let taken = ahead.iter().map(|c| c.mode.weight(limit)).sum::<u64>();
                taken + u64::from(count) <= u64::from(limit)
            }
        }
    }

    /// Whether an entry of this mode claims the same as one of the other: both are, but for what a semaphore's contender
    /// says of being granted, equal.
    pub(crate) fn claims_what(self, other: Mode) -> bool {
        let claim = |mode| match mode {
            Mode::Permits { count, limit, .. } => Mode::Permits { count, limit, granted: false },
            other => other,
        };
        claim(self) == claim(other)
    }

    /// How many permits of a semaphore with `limit` of them a contender of this mode takes. One that has another idea of what
    /// the queue is for takes them all: nobody is granted beside it.
    pub(crate) fn weight(self, limit: u32) -> u64 {
        match self {
            Mode::Permits { count, limit: theirs, .. } if theirs == limit => count.into(),
            Mode::Permits { .. } | Mode::Exclusive | Mode::Shared => limit.into(),
        }
    }
}

impl fmt::Display for Mode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Mode::Exclusive => f.write_str("x"),
            Mode::Shared => f.write_str("s"),
            Mode::Permits { count, limit, granted } => {
                write!(f, "p{count}of{limit}{}", if *granted { "g" } else { "" })
            }
        }
    }
}

/// The text is not that of a [`Mode`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a mode is x, s, p<count>of<limit> or p<count>of<limit>g")]
pub struct ParseModeError;

impl FromStr for Mode {
    type Err = ParseModeError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mode = match text {
            "x" => Mode::Exclusive,
            "s" => Mode::Shared,
            _ => {
                let permits = text.strip_prefix('p').ok_or(ParseModeError)?;
                let (permits, granted) =
                    permits.strip_suffix('g').map_or((permits, false), |permits| (permits, true));
                let (count, limit) = permits.split_once("of").ok_or(ParseModeError)?;
                let number = |digits: &str| digits.parse::<u32>().map_err(|_| ParseModeError);
                Mode::Permits { count: number(count)?, limit: number(limit)?, granted }
            }
        };
        let sound = match mode {
            Mode::Permits { count, limit, .. } => count >= 1 && count <= limit,
            _ => true,
        };
        // Only the canonical text counts: "p+1of8" and "p01of8" would be second spellings.
        if sound && mode.to_string() == text { Ok(mode) } else { Err(ParseModeError) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::AttemptIds;
    use crate::contenders::Contender;

    fn queue(modes: &[Mode]) -> Contenders {
        let ids = AttemptIds::new().unwrap();
        let mut queue = Contenders::default();
        for (position, mode) in modes.iter().enumerate() {
            queue.insert(Contender { attempt: ids.next(), position: position as u64, mode: *mode });
        }
        queue
    }

    #[test]
    fn text_reads_back_and_nothing_else_is_accepted() {
        let permits = |granted| Mode::Permits { count: 3, limit: 8, granted };
        for mode in [Mode::Exclusive, Mode::Shared, permits(false), permits(true)] {
            assert_eq!(mode.to_string().parse(), Ok(mode));
        }
        for bad in [
            "",
            "X",
            "p",
            "p0of8",
            "p9of8",
            "p+1of8",
            "p01of8",
            "p1of",
            "p1of99999999999",
            "p1of8gg",
            "pg",
            "x ",
        ] {
            assert_eq!(bad.parse::<Mode>(), Err(ParseModeError), "{bad}");
        }
    }

    #[test]
    fn admission_by_mode() {
        let permits = |count| Mode::Permits { count, limit: 3, granted: false };
        assert!(Mode::Exclusive.is_admitted_behind(&queue(&[])));
        assert!(!Mode::Exclusive.is_admitted_behind(&queue(&[Mode::Shared])));
        assert!(Mode::Shared.is_admitted_behind(&queue(&[Mode::Shared, Mode::Shared])));
        assert!(!Mode::Shared.is_admitted_behind(&queue(&[Mode::Shared, Mode::Exclusive])));
        assert!(permits(2).is_admitted_behind(&queue(&[permits(1)])));
        assert!(!permits(2).is_admitted_behind(&queue(&[permits(1), permits(1)])));
        assert!(!permits(1).is_admitted_behind(&queue(&[Mode::Exclusive])));
        let other = Mode::Permits { count: 1, limit: 4, granted: false };
        assert!(!permits(1).is_admitted_behind(&queue(&[other])), "they do not agree on the limit");
    }
}
