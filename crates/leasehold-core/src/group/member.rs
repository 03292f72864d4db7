//! The members of a group, as everybody sees them.

use std::fmt;
use std::time::SystemTime;

use bytes::Bytes;

use crate::attempt::AttemptId;
use crate::backend::Entry;
use crate::entry_value::EntryValue;
use crate::holder::HolderInfo;
use crate::mode::Mode;
use crate::token::FencingToken;

/// Identifies one membership, in every process alike. Whoever leaves and joins again, or joins twice, is another
/// member each time.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct MemberId(AttemptId);

impl MemberId {
    pub(crate) fn of(attempt: AttemptId) -> Self {
        Self(attempt)
    }
}

impl fmt::Display for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for MemberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MemberId({self})")
    }
}

/// One member of a group.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Member {
    /// Which membership.
    pub id: MemberId,
    /// What the member publishes.
    pub value: Bytes,
    /// Who it is, for people and tools.
    pub holder: HolderInfo,
    /// When it joined, by the wall clock of its host: for people, not for deadlines.
    pub since: SystemTime,
    /// The token of the membership: it rises from member to member, in the order in which they joined.
    pub token: FencingToken,
    /// Whether it takes a share of the items that the group divides.
    pub(crate) takes_items: bool,
}

/// What the entry of a member that takes items asks for.
pub(crate) const TAKES_ITEMS: Mode = Mode::Exclusive;
/// And that of one that is a member and no more.
pub(super) const TAKES_NONE: Mode = Mode::Shared;

/// The members, in the order in which they joined. An entry that no member has written is none.
pub(crate) fn members(entries: &[Entry], epoch: u32) -> Vec<Member> {
    let member = |entry: &Entry| {
        let value = EntryValue::decode(&entry.value)?;
        Some(Member {
            id: MemberId::of(entry.attempt),
            token: FencingToken::new(epoch, entry.order, value.turn),
            takes_items: entry.mode == TAKES_ITEMS,
            value: value.payload,
            holder: value.holder,
            since: value.since,
        })
    };
    entries.iter().filter_map(member).collect()
}
