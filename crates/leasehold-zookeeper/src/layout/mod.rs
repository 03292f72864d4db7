//! What the nodes in a queue's directory are called: by ourselves, or by another language's client.
//!
//! Every layout is a pure mapping between names and what they stand for. A directory has one layout: clients of
//! different ones do not see each other's nodes, or order them differently, and so would not exclude each other.
//!
//! # The end of the sequence
//!
//! Other clients compare sequences as text. Where the counter of a directory has run out (see [`crate::listing`]) that
//! is not the order of the creations any more. Numbers repeat, and two contenders of kazoo with the same number both hold. Negative
//! ones sort before all others, so whoever comes with one passes everybody; kazoo does not even recognise those between -999,999,999
//! and -1. Nobody else can be relied upon to wait behind a node that is there when that begins. So none of ours is kept that has such a number,
//! or one so close to the end that the directory may get there while the node lasts ([`ROOM`]); those of others count like
//! any.

mod curator;
mod kazoo;
mod own;
mod sequence;
mod uuid;

use std::iter;
use std::sync::Arc;

use leasehold_core::{
    AttemptId, BackendError, BackendErrorKind, KeyPath, Kind, Mode, WireLayout, WireProfile,
};
use zookeeper_client::CreateMode;

/// Where a queue is, and what its entries are called.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Directory {
    pub(crate) path: Arc<str>,
    pub(crate) layout: Layout,
}

impl Directory {
    pub(crate) fn of(path: &KeyPath) -> Self {
        let layout = Layout::of(path.wire());
        let path = match (layout, path.wire()) {
            (Layout::Own, _) => format!("/{path}"),
            // A path of another client is absolute already.
            (Layout::Curator(_), Some(wire)) => format!("{path}{}", curator::below(wire)),
            _ => path.to_string(),
        };
        Self { path: path.into(), layout }
    }

    pub(crate) fn path_of(&self, name: &NodeName) -> String {
        format!("{}/{}", self.path, self.layout.text(name))
    }
}

/// What can be shared with other clients, for [`Capabilities`](leasehold_core::Capabilities).
pub(crate) const SPOKEN: &[(WireProfile, Kind)] = &[
    (WireProfile::Curator, Kind::Lock),
    (WireProfile::Curator, Kind::RwLock),
    (WireProfile::Curator, Kind::Semaphore),
    (WireProfile::Curator, Kind::Election),
    (WireProfile::Kazoo, Kind::Lock),
    (WireProfile::Kazoo, Kind::RwLock),
    (WireProfile::Kazoo, Kind::Election),
];

/// A convention for the names of entries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Layout {
    Own,
    Curator(Recipe),
    Kazoo(Recipe),
    /// One that this service has nothing of.
    Unspoken,
}

/// What another client's directory is used for, which its nodes say in their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Recipe {
    Mutex,
    RwLock,
    /// With so many permits, as we believe: a name does not say it.
    Semaphore(u32),
    Election,
}

impl Recipe {
    fn has(self, mode: Mode) -> bool {
        self.modes().any(|said| said == mode)
    }

    /// What the names of the recipe can say.
    fn modes(self) -> impl Iterator<Item = Mode> {
        let (main, other) = match self {
            Recipe::Mutex | Recipe::Election => (Mode::Exclusive, None),
            Recipe::RwLock => (Mode::Exclusive, Some(Mode::Shared)),
            Recipe::Semaphore(limit) => (Mode::Permits { count: 1, limit, granted: false }, None),
        };
        iter::once(main).chain(other)
    }
}

/// How many creations a directory of another client has to have left: with a thousand locks a second more than four hours of them, which is
/// less than one per cent of the counter.
const ROOM: i32 = 1 << 24;

/// What the name of an entry's node says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct NodeName {
    pub(crate) attempt: AttemptId,
    pub(crate) mode: Mode,
    /// The zxid that created the entry's first node, where this is a later one.
    pub(crate) origin: Option<i64>,
    pub(crate) sequence: i32,
}

impl NodeName {
    /// Whether the sequence does not tell the order.
    pub(crate) fn is_past_the_end(&self) -> bool {
        self.sequence == i32::MAX || self.sequence < 0
    }

    /// Whether other clients can be relied upon to wait behind it, for as long as anybody holds a lock.
    pub(crate) fn has_room_behind(&self) -> bool {
        (0..=i32::MAX - ROOM).contains(&self.sequence)
    }
}

/// What a child of a queue's directory is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Child {
    Entry(NodeName),
    /// Nobody who uses the layout looks at it.
    Ignored,
    /// Somebody takes it for a contender, or would be one of another layout: with it there, nobody is sure to be excluded.
    Stranger,
}

impl From<Option<NodeName>> for Child {
    fn from(entry: Option<NodeName>) -> Self {
        entry.map_or(Child::Stranger, Child::Entry)
    }
}

impl Layout {
    fn of(wire: Option<WireLayout>) -> Self {
        let Some(wire) = wire else { return Layout::Own };
        let recipe = match wire.kind {
            Kind::Lock => Recipe::Mutex,
            Kind::RwLock => Recipe::RwLock,
            Kind::Semaphore if wire.entrance => Recipe::Mutex,
            Kind::Semaphore => Recipe::Semaphore(wire.limit.unwrap_or(1)),
            Kind::Election => Recipe::Election,
            _ => return Layout::Unspoken,
        };
        match wire.profile {
            WireProfile::Curator => Layout::Curator(recipe),
            WireProfile::Kazoo if wire.kind != Kind::Semaphore => Layout::Kazoo(recipe),
            _ => Layout::Unspoken,
        }
    }

    /// The layout by which the name of a node is that of an entry. Of those of one client that know the name, one knows as much of it
    /// as another.
    pub(crate) fn of_node(name: &str) -> Option<(Self, NodeName)> {
        const ANY: [Layout; 6] = [
            Layout::Own,
            Layout::Curator(Recipe::Mutex),
            Layout::Curator(Recipe::RwLock),
            Layout::Curator(Recipe::Semaphore(1)),
            Layout::Curator(Recipe::Election),
            Layout::Kazoo(Recipe::RwLock),
        ];
        ANY.into_iter().find_map(|layout| Some((layout, layout.entry(name)?)))
    }

    /// What the server appends the sequence to.
    ///
    /// # Errors
    /// `Unsupported` if no name of the layout says that mode.
    pub(crate) fn to_create(self, attempt: AttemptId, mode: Mode) -> Result<String, BackendError> {
        match self {
            Layout::Own => Ok(own::to_create(attempt, mode)),
            Layout::Curator(recipe) if recipe.has(mode) => Ok(curator::to_create(recipe, attempt, mode)),
            Layout::Kazoo(recipe) if recipe.has(mode) => Ok(kazoo::to_create(attempt, mode)),
            _ => {
                let message = format!("{} has no name for an entry of mode {mode}", self.title());
                Err(BackendError::new(BackendErrorKind::Unsupported, message))
            }
        }
    }

    /// The name of a node.
    pub(crate) fn text(self, name: &NodeName) -> String {
        match self {
            Layout::Own => own::text(name),
            Layout::Curator(recipe) => curator::text(recipe, name),
            Layout::Kazoo(_) => kazoo::text(name),
            // It has no entries.
            Layout::Unspoken => String::new(),
        }
    }

    /// Reads a name.
    pub(crate) fn read(self, child: &str) -> Child {
        match self {
            Layout::Own => own::read(child).map_or(Child::Ignored, Child::Entry),
            Layout::Curator(recipe) => curator::read(recipe, child).into(),
            Layout::Kazoo(recipe) => kazoo::read(recipe, child),
            Layout::Unspoken => Child::Stranger,
        }
    }

    /// The entry that a child is, if it is one.
    pub(crate) fn entry(self, child: &str) -> Option<NodeName> {
        match self.read(child) {
            Child::Entry(name) => Some(name),
            Child::Ignored | Child::Stranger => None,
        }
    }

    /// How a missing directory is created.
    pub(crate) fn directory_mode(self) -> CreateMode {
        match self {
            // The server removes it some time after it has become empty.
            Layout::Own | Layout::Curator(_) | Layout::Unspoken => CreateMode::Container,
            // Kazoo makes sure of it once, and fails if it goes after that.
            Layout::Kazoo(_) => CreateMode::Persistent,
        }
    }

    /// Whether those who wait for an entry still see its end after its data was changed. Curator's latch does not: the change uses up
    /// its one-shot watch, and it sets another one only when the node was deleted.
    pub(crate) fn bears_changes(self) -> bool {
        self != Layout::Curator(Recipe::Election)
    }

    /// Whether an entry can come in ahead of others, so that one that has gone may have a successor in its place: who holds the write
    /// lock of a newer Curator can take the read lock as well, by a node that has the same sequence, and then give up the other.
    pub(crate) fn lets_in_ahead(self) -> bool {
        self == Layout::Curator(Recipe::RwLock)
    }

    /// For people.
    pub(crate) fn title(self) -> &'static str {
        match self {
            Layout::Own => "the layout of leasehold",
            Layout::Curator(_) => "the layout of Curator",
            Layout::Kazoo(_) => "the layout of kazoo",
            Layout::Unspoken => "a layout that no client of ZooKeeper has",
        }
    }
}
