//! The recipes that have contenders.

use std::fmt;

use crate::mutex::FirstInLine;
use crate::name::Kind;
use crate::rule::Rule;
use crate::rw_lock::InOrder;
use crate::semaphore::FirstThatFit;

/// A recipe whose names have contenders, for [`Admin`](crate::Admin).
///
/// One name of two recipes is two names.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Recipe {
    /// Mutexes.
    Mutex,
    /// Read/write locks.
    RwLock,
    /// Semaphores.
    Semaphore,
    /// Elections: the candidates.
    Election,
    /// Groups: the members, who all hold.
    Group,
    /// The items that a group divides among its members: who has an item.
    Partition,
    /// Double barriers: the parties, who all hold.
    DoubleBarrier,
    /// What is done once and for all: who is doing it.
    Once,
}

impl Recipe {
    /// All of them.
    pub const ALL: [Recipe; 8] = [
        Recipe::Mutex,
        Recipe::RwLock,
        Recipe::Semaphore,
        Recipe::Election,
        Recipe::Group,
        Recipe::Partition,
        Recipe::DoubleBarrier,
        Recipe::Once,
    ];

    pub(crate) fn kind(self) -> Kind {
        match self {
            Recipe::Mutex => Kind::Lock,
            Recipe::RwLock => Kind::RwLock,
            Recipe::Semaphore => Kind::Semaphore,
            Recipe::Election => Kind::Election,
            Recipe::Group => Kind::Group,
            Recipe::Partition => Kind::Partition,
            Recipe::DoubleBarrier => Kind::DoubleBarrier,
            Recipe::Once => Kind::OnceRun,
        }
    }
}

impl Recipe {
    /// The rule that says who holds; `None` where everybody who is there does.
    pub(crate) fn rule(self) -> Option<&'static dyn Rule> {
        match self {
            Recipe::Mutex | Recipe::Election | Recipe::Partition | Recipe::Once => Some(&FirstInLine),
            Recipe::RwLock => Some(&InOrder),
            Recipe::Semaphore => Some(&FirstThatFit),
            Recipe::Group | Recipe::DoubleBarrier => None,
        }
    }
}

impl fmt::Display for Recipe {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Recipe::Mutex => "mutex",
            Recipe::RwLock => "read/write lock",
            Recipe::Semaphore => "semaphore",
            Recipe::Election => "election",
            Recipe::Group => "group",
            Recipe::Partition => "partition",
            Recipe::DoubleBarrier => "double barrier",
            Recipe::Once => "once",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_queue_belongs_to_one_recipe() {
        assert_eq!(Recipe::ALL.map(Recipe::kind), Kind::QUEUES);
    }
}
