//! Curator's names: `_c_<uuid>-lock-<sequence>`, with `__READ__`, `__WRIT__`, `lease-` or `latch-` in place of `lock-`.
//!
//! A semaphore (`InterProcessSemaphoreV2`) has two directories below its path: a mutex in `locks`, and the permits in `leases`, of
//! which each node is one.
//!
//! To Curator every child of the directory is a contender, placed by what follows the word of the recipe; one without the
//! word is placed by its whole name. So whatever is not of the recipe is a stranger.

use leasehold_core::{AttemptId, Kind, Mode, WireLayout};

use super::{NodeName, Recipe, sequence, uuid};

const PROTECTED: &str = "_c_";
/// How many characters each group of a UUID has.
const GROUPS: [usize; 5] = [8, 4, 4, 4, 12];
const UUID_CHARS: usize = 36;

/// What stands between the UUID and the sequence.
fn word(recipe: Recipe, mode: Mode) -> &'static str {
    match (recipe, mode) {
        (Recipe::Mutex, _) => "-lock-",
        (Recipe::RwLock, Mode::Shared) => "-__READ__",
        (Recipe::RwLock, _) => "-__WRIT__",
        (Recipe::Semaphore(_), _) => "-lease-",
        (Recipe::Election, _) => "-latch-",
    }
}

/// Where below its path a queue is.
pub(super) fn below(wire: WireLayout) -> &'static str {
    match (wire.kind, wire.entrance) {
        (Kind::Semaphore, true) => "/locks",
        (Kind::Semaphore, false) => "/leases",
        _ => "",
    }
}

pub(super) fn to_create(recipe: Recipe, attempt: AttemptId, mode: Mode) -> String {
    named(recipe, mode, &attempt.to_string())
}

pub(super) fn text(recipe: Recipe, name: &NodeName) -> String {
    let uuid = uuid::text(name.attempt, name.sequence);
    format!("{}{}", named(recipe, name.mode, &uuid), sequence::text(name.sequence))
}

fn named(recipe: Recipe, mode: Mode, uuid: &str) -> String {
    let mut rest = uuid;
    let groups = GROUPS.map(|length| {
        let (group, others) = rest.split_at(length.min(rest.len()));
        rest = others;
        group
    });
    format!("{PROTECTED}{}{}", groups.join("-"), word(recipe, mode))
}

pub(super) fn read(recipe: Recipe, child: &str) -> Option<NodeName> {
    let (uuid, rest) = child.strip_prefix(PROTECTED)?.split_at_checked(UUID_CHARS)?;
    let groups: Vec<&str> = uuid.split('-').collect();
    if !groups.iter().map(|group| group.len()).eq(GROUPS) {
        return None;
    }
    let mut modes = recipe.modes();
    let (mode, number) = modes.find_map(|mode| Some((mode, rest.strip_prefix(word(recipe, mode))?)))?;
    let sequence = sequence::read(number)?;
    Some(NodeName { attempt: uuid::attempt(&groups.concat(), sequence)?, mode, origin: None, sequence })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::{Directory, Layout};
    use leasehold_core::{AttemptIds, KeyPath, Namespace, WireProfile};

    /// As Curator 5.4 has made them.
    const LOCK: &str = "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-0000000007";
    const READ: &str = "_c_0f8fad5b-d9cb-469f-a165-70867728950e-__READ__0000000007";
    const WRITE: &str = "_c_0f8fad5b-d9cb-469f-a165-70867728950e-__WRIT__-2147483648";
    const LEASE: &str = "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lease-0000000003";
    const LATCH: &str = "_c_0f8fad5b-d9cb-469f-a165-70867728950e-latch--000000001";

    const PERMIT: Mode = Mode::Permits { count: 1, limit: 5, granted: false };

    #[test]
    fn names_of_curator_read_back() {
        for (recipe, name, mode, sequence) in [
            (Recipe::Mutex, LOCK, Mode::Exclusive, 7),
            (Recipe::RwLock, READ, Mode::Shared, 7),
            (Recipe::RwLock, WRITE, Mode::Exclusive, i32::MIN),
            (Recipe::Semaphore(5), LEASE, PERMIT, 3),
            (Recipe::Election, LATCH, Mode::Exclusive, -1),
        ] {
            let entry = read(recipe, name).unwrap();
            assert_eq!((entry.mode, entry.sequence, text(recipe, &entry).as_str()), (mode, sequence, name));
        }
    }

    #[test]
    fn ours_are_called_alike() {
        let attempt = AttemptIds::new().unwrap().next();
        for (recipe, mode) in [
            (Recipe::Mutex, Mode::Exclusive),
            (Recipe::RwLock, Mode::Shared),
            (Recipe::RwLock, Mode::Exclusive),
            (Recipe::Semaphore(5), PERMIT),
            (Recipe::Election, Mode::Exclusive),
        ] {
            let created = format!("{}0000000042", to_create(recipe, attempt, mode));
            let entry = NodeName { attempt, mode, origin: None, sequence: 42 };
            assert_eq!((read(recipe, &created), text(recipe, &entry)), (Some(entry), created));
        }
    }

    #[test]
    fn a_semaphore_is_two_directories_and_takes_one_permit_at_a_time() {
        let semaphore = WireLayout::new(WireProfile::Curator, Kind::Semaphore).with_limit(5);
        let directory =
            |wire| Directory::of(&KeyPath::verbatim(&Namespace::default(), wire, "/a/b").unwrap());
        let (permits, entrance) = (directory(semaphore), directory(semaphore.at_entrance()));
        assert_eq!((&*permits.path, permits.layout), ("/a/b/leases", Layout::Curator(Recipe::Semaphore(5))));
        assert_eq!((&*entrance.path, entrance.layout), ("/a/b/locks", Layout::Curator(Recipe::Mutex)));
        let attempt = AttemptIds::new().unwrap().next();
        let two = Mode::Permits { count: 2, limit: 5, granted: false };
        let others = Mode::Permits { count: 1, limit: 4, granted: false };
        for (mode, is_there) in [(PERMIT, true), (two, false), (others, false), (Mode::Exclusive, false)] {
            assert_eq!(permits.layout.to_create(attempt, mode).is_ok(), is_there, "{mode}");
        }
    }

    #[test]
    fn whatever_is_not_of_the_recipe_is_told() {
        let known = [
            (Recipe::Mutex, LOCK),
            (Recipe::RwLock, READ),
            (Recipe::Semaphore(5), LEASE),
            (Recipe::Election, LATCH),
        ];
        for (recipe, known) in known {
            let others = [
                "",
                "lock-0000000001",
                "_c_",
                "_c_0f8fad5b-d9cb-469f-a165-70867728950e",
                "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-7",
                "_c_0F8FAD5B-D9CB-469F-A165-70867728950E-lock-0000000007",
                "_c_0f8fad5bd-9cb-469f-a165-70867728950e-lock-0000000007",
                "_c_0f8fad5bd9cb469fa16570867728950e-lock-0000000007",
                "_c_0f8fad5b-d9cb-469f-a165-7086772895é-lock-0000000007",
                "0f8fad5bd9cb469fa16570867728950e__lock__0000000007",
                "0f8fad5bd9cb469fa16570867728950e-x-0000000007",
                LOCK,
                READ,
                LEASE,
                LATCH,
            ];
            for other in others.into_iter().filter(|other| *other != known) {
                assert_eq!(read(recipe, other), None, "{other}");
            }
        }
    }
}
