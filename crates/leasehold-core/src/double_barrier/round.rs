//! What the register of a double barrier says: how it stands with the newest round.

use bytes::Bytes;

use crate::attempt::AttemptId;
use crate::backend::Versioned;
use crate::backend_error::{BackendError, BackendErrorKind};

/// The newest round.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Round {
    /// Counts from 1; 0 is the round before the first.
    pub(super) number: u64,
    pub(super) phase: Phase,
    /// Whom it concerns.
    pub(super) parties: Vec<AttemptId>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Phase {
    /// All parties have come, and may be inside.
    Open,
    /// All parties have left.
    #[default]
    Done,
    /// A party was lost, before all had come or before all had left.
    Broken,
}

impl Phase {
    fn text(self) -> &'static str {
        match self {
            Phase::Open => "open",
            Phase::Done => "done",
            Phase::Broken => "broken",
        }
    }
}

impl Round {
    pub(super) fn concerns(&self, attempt: AttemptId) -> bool {
        self.parties.contains(&attempt)
    }

    /// A text that people can read with any tool of the service.
    pub(super) fn encode(&self) -> Bytes {
        let parties: Vec<_> = self.parties.iter().map(AttemptId::to_string).collect();
        format!("round={}&phase={}&parties={}", self.number, self.phase.text(), parties.join(",")).into()
    }

    /// Reads the register; one that is absent is that of a barrier which nobody has passed.
    pub(super) fn read(register: Option<&Versioned>) -> Result<Self, BackendError> {
        match register {
            None => Ok(Self::default()),
            Some(register) => Self::decode(&register.value).ok_or_else(|| {
                let message = "the register of the double barrier holds something else";
                BackendError::new(BackendErrorKind::Corrupt, message)
            }),
        }
    }

    fn decode(value: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(value).ok()?;
        let field = |name: &str| text.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='));
        let phase = field("phase")?;
        let phase =
            [Phase::Open, Phase::Done, Phase::Broken].into_iter().find(|known| known.text() == phase)?;
        let parties = field("parties")?;
        let parties = match parties {
            "" => Vec::new(),
            parties => parties.split(',').map(|party| party.parse().ok()).collect::<Option<_>>()?,
        };
        // None of ours has a number that no other can follow.
        let number = field("round")?.parse().ok().filter(|number| *number < u64::MAX)?;
        Some(Self { number, phase, parties })
    }
}

/// A round that is read can be followed by another, and is written, and read again, as the same.
#[cfg(any(test, feature = "fuzzing"))]
pub fn check_double_barrier(bytes: &[u8]) -> bool {
    let Some(round) = Round::decode(bytes) else { return false };
    assert!(round.number < u64::MAX);
    assert_eq!(Round::decode(&round.encode()), Some(round));
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::attempt::AttemptIds;

    #[test]
    fn what_is_written_reads_back_and_nothing_else_is_accepted() {
        let ids = AttemptIds::new().unwrap();
        let register = |value: Bytes| Versioned { value, version: 1 };
        for phase in [Phase::Open, Phase::Done, Phase::Broken] {
            for parties in [vec![], vec![ids.next()], vec![ids.next(), ids.next()]] {
                let round = Round { number: u64::MAX - 1, phase, parties };
                assert_eq!(Round::read(Some(&register(round.encode()))).unwrap(), round);
            }
        }
        assert_eq!(Round::read(None).unwrap(), Round::default());
        for foreign in [
            "",
            "7",
            "round=1&phase=ajar&parties=",
            "round=-1&phase=open&parties=",
            "round=18446744073709551615&phase=done&parties=",
            "\u{0}",
        ] {
            let error = Round::read(Some(&register(foreign.into()))).unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::Corrupt, "{foreign}");
        }
        let error = Round::read(Some(&register("round=1&phase=open&parties=a,b".into()))).unwrap_err();
        assert_eq!(error.kind(), BackendErrorKind::Corrupt);
    }
}
