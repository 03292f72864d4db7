//! Kazoo's names: `<uuid>__lock__<sequence>`, and `<uuid>__rlock__<sequence>` for readers.
//!
//! Kazoo takes for a contender what ends in the word and ten digits, whatever stands before it, and looks at nothing else.
//! Its plain lock does not see readers at all. So strangers are: what kazoo counts and is not of its own making, readers where
//! there is no read/write lock, and every other sequential node, which is somebody's contender.

use leasehold_core::{AttemptId, Mode};

use super::{Child, NodeName, Recipe, sequence, uuid};

const UUID_CHARS: usize = 32;
const DIGITS: usize = 10;

fn word(mode: Mode) -> &'static str {
    match mode {
        Mode::Shared => "__rlock__",
        Mode::Exclusive | Mode::Permits { .. } => "__lock__",
    }
}

pub(super) fn to_create(attempt: AttemptId, mode: Mode) -> String {
    format!("{attempt}{}", word(mode))
}

pub(super) fn text(name: &NodeName) -> String {
    let uuid = uuid::text(name.attempt, name.sequence);
    format!("{uuid}{}{}", word(name.mode), sequence::text(name.sequence))
}

pub(super) fn read(recipe: Recipe, child: &str) -> Child {
    match entry(child) {
        Some(name) if name.mode == Mode::Exclusive || recipe == Recipe::RwLock => Child::Entry(name),
        None if !is_sequential(child) => Child::Ignored,
        _ => Child::Stranger,
    }
}

fn entry(child: &str) -> Option<NodeName> {
    let (uuid, rest) = child.split_at_checked(UUID_CHARS)?;
    let modes = [Mode::Exclusive, Mode::Shared];
    let (mode, number) = modes.into_iter().find_map(|mode| Some((mode, rest.strip_prefix(word(mode))?)))?;
    let sequence = sequence::read(number)?;
    Some(NodeName { attempt: uuid::attempt(uuid, sequence)?, mode, origin: None, sequence })
}

/// Whether the name ends as the server lets it: in ten digits, or in nine behind a sign.
fn is_sequential(child: &str) -> bool {
    let digits = child.bytes().rev().take_while(u8::is_ascii_digit).count();
    digits >= DIGITS || digits == DIGITS - 1 && child.as_bytes()[..child.len() - digits].ends_with(b"-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::AttemptIds;

    const UUID: &str = "0f8fad5bd9cb469fa16570867728950e";

    #[test]
    fn names_of_kazoo_read_back() {
        // Kazoo itself does not recognise the last two.
        for number in ["0000000007", "2147483647", "-2147483648", "-1000000000", "-999999999", "-000000001"] {
            for (word, mode) in [("__lock__", Mode::Exclusive), ("__rlock__", Mode::Shared)] {
                let name = format!("{UUID}{word}{number}");
                let Child::Entry(entry) = read(Recipe::RwLock, &name) else { panic!("{name}") };
                assert_eq!((entry.mode, entry.sequence), (mode, number.parse().unwrap()));
                assert_eq!(text(&entry), name);
            }
        }
    }

    #[test]
    fn ours_are_called_alike() {
        let attempt = AttemptIds::new().unwrap().next();
        for mode in [Mode::Exclusive, Mode::Shared] {
            let created = format!("{}0000000042", to_create(attempt, mode));
            let entry = NodeName { attempt, mode, origin: None, sequence: 42 };
            assert_eq!((read(Recipe::RwLock, &created), text(&entry)), (Child::Entry(entry), created));
        }
    }

    #[test]
    fn strangers_are_told_from_what_nobody_looks_at() {
        for stranger in [
            format!("{UUID}__rlock__0000000007"),
            format!("{UUID}__lock__00000000007"),
            format!("{}__lock__0000000007", UUID.to_uppercase()),
            "somebody__lock__0000000007".into(),
            "__lock__-000000007".into(),
            "_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-0000000007".into(),
            format!("{UUID}-x-0000000007"),
            format!("{UUID}-x--000000007"),
        ] {
            for recipe in [Recipe::Mutex, Recipe::Election] {
                assert_eq!(read(recipe, &stranger), Child::Stranger, "{stranger}");
            }
        }
        for ignored in ["", "settings", "x-1", "lock-123456789é", UUID, "123456789"] {
            assert_eq!(read(Recipe::Mutex, ignored), Child::Ignored, "{ignored}");
        }
    }
}
