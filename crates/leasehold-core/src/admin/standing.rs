//! Who of a queue holds, by the recipe's rule.

use std::fmt;

use super::recipe::Recipe;
use crate::backend::Entry;
use crate::contenders::{Contender, Contenders};
use crate::rule::Verdict;

/// Whether a contender holds or waits, by its recipe's rule.
///
/// It follows from the queue alone. A contender that has only just become a holder may not know yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// It holds: the lock, some permits, the leadership, its membership.
    Holds,
    /// It waits for its turn.
    Waits,
}

impl fmt::Display for Standing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Standing::Holds => "holds",
            Standing::Waits => "waits",
        })
    }
}

/// The standing of each entry of a queue, which are in the queue's order: what the recipe's own rule says of it.
pub(crate) fn standings(recipe: Recipe, entries: &[Entry]) -> Vec<Standing> {
    let Some(rule) = recipe.rule() else { return vec![Standing::Holds; entries.len()] };
    let place = |(position, entry): (usize, &Entry)| Contender {
        attempt: entry.attempt,
        position: position as u64,
        mode: entry.mode,
    };
    let queue: Contenders = entries.iter().enumerate().map(place).collect();
    let standing = |entry: &Entry| match rule.verdict(&queue, entry.attempt) {
        Verdict::Granted { .. } => Standing::Holds,
        _ => Standing::Waits,
    };
    entries.iter().map(standing).collect()
}

#[cfg(test)]
mod tests {
    use Standing::{Holds, Waits};
    use bytes::Bytes;

    use super::*;
    use crate::attempt::AttemptIds;
    use crate::mode::Mode;

    fn of(recipe: Recipe, modes: &[Mode]) -> Vec<Standing> {
        let ids = AttemptIds::new().unwrap();
        let entry = |mode: &Mode| Entry {
            attempt: ids.next(),
            order: 1,
            mode: *mode,
            value: Bytes::new(),
            version: 1,
        };
        standings(recipe, &modes.iter().map(entry).collect::<Vec<_>>())
    }

    #[test]
    fn whoever_the_rule_grants_holds() {
        let permits = |count, limit| Mode::Permits { count, limit, granted: false };
        let (x, s) = (Mode::Exclusive, Mode::Shared);
        assert_eq!(of(Recipe::Mutex, &[x, x]), [Holds, Waits]);
        assert_eq!(of(Recipe::RwLock, &[s, s, x, s]), [Holds, Holds, Waits, Waits]);
        assert_eq!(
            of(Recipe::Semaphore, &[permits(2, 3), permits(2, 3), permits(1, 3)]),
            [Holds, Waits, Waits],
            "nobody overtakes"
        );
        assert_eq!(of(Recipe::Semaphore, &[permits(2, 3), permits(1, 4)]), [Holds, Waits], "who disagrees");
        let most = permits(u32::MAX, u32::MAX);
        assert_eq!(of(Recipe::Semaphore, &[most, most]), [Holds, Waits], "without an overflow");
        for recipe in [Recipe::Group, Recipe::DoubleBarrier] {
            assert_eq!(of(recipe, &[s, s]), [Holds, Holds]);
        }
        for recipe in [Recipe::Election, Recipe::Partition, Recipe::Once] {
            assert_eq!(of(recipe, &[x, x]), [Holds, Waits]);
        }
    }
}
