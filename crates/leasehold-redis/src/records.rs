//! What scripts answer and publish, read back.

use std::time::Duration;

use bytes::Bytes;
use leasehold_core::mirror::{EntryChange, Listed};
use leasehold_core::{Contender, Contenders, Entry};

/// A number of a shard's counter.
pub(crate) fn number(digits: &[u8]) -> Option<u64> {
    // A sign, which would be read too, is none of ours.
    let digits = text(digits).filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()))?;
    digits.parse().ok()
}

/// A version as the scripts compare it.
pub(crate) fn version(version: u64) -> String {
    format!("{version:016}")
}

/// A time in milliseconds; negative is none.
pub(crate) fn wait(millis: &[u8]) -> Option<Duration> {
    number(millis).map(Duration::from_millis)
}

/// Rows of four fields each. Entries that no client of ours can have made are left out.
pub(crate) fn rows(fields: &[Vec<u8>]) -> Option<Vec<Listed>> {
    let mut rows = Vec::with_capacity(fields.len() / 4);
    for row in fields.chunks(4) {
        let [attempt, order, version, mode] = row else { return None };
        rows.extend(read_row(attempt, order, version, mode));
    }
    Some(rows)
}

/// Rows of five fields each: with values.
pub(crate) fn entries(fields: &[Vec<u8>]) -> Option<Vec<Entry>> {
    let mut entries = Vec::with_capacity(fields.len() / 5);
    for row in fields.chunks(5) {
        let [attempt, order, version, mode, value] = row else { return None };
        entries.extend(read_row(attempt, order, version, mode).map(|row| {
            let Listed { contender: Contender { attempt, position, mode }, version } = row;
            Entry { attempt, order: position, mode, value: Bytes::copy_from_slice(value), version }
        }));
    }
    Some(entries)
}

fn read_row(attempt: &[u8], order: &[u8], version: &[u8], mode: &[u8]) -> Option<Listed> {
    let (attempt, mode) = (text(attempt)?.parse().ok()?, text(mode)?.parse().ok()?);
    let contender = Contender { attempt, position: number(order)?, mode };
    Some(Listed { contender, version: number(version)? })
}

/// What was published at once; what a stranger has published is left out.
pub(crate) fn changes(message: &[u8]) -> Vec<EntryChange> {
    message.split(|byte| *byte == b'\n').filter_map(change).collect()
}

/// A published change; `None` for what a stranger has published.
pub(crate) fn change(message: &[u8]) -> Option<EntryChange> {
    let words: Vec<&[u8]> = message.split(|byte| *byte == b' ').collect();
    match words.as_slice() {
        [b"+", version, attempt, order, mode] => {
            read_row(attempt, order, version, mode).map(EntryChange::Put)
        }
        [b"-", revision, attempt] => {
            Some(EntryChange::Removed { attempt: text(attempt)?.parse().ok()?, revision: number(revision)? })
        }
        [b"^", revision, attempt, ahead @ ..] => {
            let ahead = match ahead {
                [] => None,
                [attempt, order, version, mode] => Some(read_row(attempt, order, version, mode)?),
                _ => return None,
            };
            let (of, revision) = (text(attempt)?.parse().ok()?, number(revision)?);
            Some(EntryChange::Ahead { of, ahead, revision })
        }
        _ => None,
    }
}

/// The contenders of a queue that was listed whole, as of its newest change.
pub(crate) fn contenders(rows: &[Listed]) -> Contenders {
    let mut contenders: Contenders = rows.iter().map(|row| row.contender).collect();
    contenders.set_revision(rows.iter().map(|row| row.version).max().unwrap_or(0));
    contenders
}

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use leasehold_core::{AttemptIds, Mode};

    use super::*;

    #[test]
    fn changes_are_read_and_strangers_are_not() {
        let attempt = AttemptIds::new().unwrap().next();
        let put = format!("+ 0000000000000012 {attempt} 0000000000000007 p1of2");
        let mode = Mode::Permits { count: 1, limit: 2, granted: false };
        let row = Listed { contender: Contender { attempt, position: 7, mode }, version: 12 };
        assert_eq!(change(put.as_bytes()), Some(EntryChange::Put(row)));
        let removed = format!("- 0000000000000013 {attempt}");
        assert_eq!(change(removed.as_bytes()), Some(EntryChange::Removed { attempt, revision: 13 }));
        let ahead = format!("^ 0000000000000013 {attempt}");
        assert_eq!(
            change(ahead.as_bytes()),
            Some(EntryChange::Ahead { of: attempt, ahead: None, revision: 13 })
        );
        let somebody = format!("{ahead} {attempt} 0000000000000007 0000000000000012 p1of2");
        let told = EntryChange::Ahead { of: attempt, ahead: Some(row), revision: 13 };
        assert_eq!(
            changes(format!("{removed}\n{somebody}\n?").as_bytes()),
            [EntryChange::Removed { attempt, revision: 13 }, told]
        );
        assert_eq!(change(format!("{ahead} {attempt}").as_bytes()), None);
        let signed = format!("- +13 {attempt}");
        for strange in [&b"\xff"[..], b"", b"hello", b"- 1 2", b"+ 1 2 3 4", b"- x", signed.as_bytes()] {
            assert_eq!(change(strange), None);
        }
    }

    #[test]
    fn rows_are_whole_or_the_answer_is_not_ours() {
        let attempt = AttemptIds::new().unwrap().next();
        let fields = |last: &[&str]| -> Vec<Vec<u8>> {
            let words = [&attempt.to_string(), "0000000000000007", "0000000000000008"];
            words.iter().chain(last).map(|word| word.as_bytes().to_vec()).collect()
        };
        let contender = Contender { attempt, position: 7, mode: Mode::Shared };
        let row = Listed { contender, version: 8 };
        assert_eq!(rows(&fields(&["s"])), Some(vec![row]));
        assert_eq!(rows(&fields(&["y"])), Some(vec![]), "an entry that we cannot have made");
        assert_eq!(rows(&fields(&[])), None);
        assert_eq!(entries(&fields(&["s", "v"])).unwrap()[0].value, "v");
        assert_eq!(wait(b"-1"), None);
        assert_eq!(wait(b"20"), Some(Duration::from_millis(20)));
        assert_eq!(version(7), "0000000000000007");
    }
}
