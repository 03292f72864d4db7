//! What functions answer and triggers tell, read back.

use bytes::Bytes;
use leasehold_core::mirror::{EntryChange, Listed, RegisterState};
use leasehold_core::{BackendError, Contender, Contenders, Entry};
use tokio_postgres::Row;
use tokio_postgres::types::FromSql;

use crate::error::corrupt;

/// A column of an answer.
pub(crate) fn column<'a, T: FromSql<'a>>(row: &'a Row, at: usize, what: &str) -> Result<T, BackendError> {
    row.try_get(at).map_err(|error| corrupt(what).with_source(error))
}

/// A column with a number of the sequence.
pub(crate) fn number(row: &Row, at: usize, what: &str) -> Result<u64, BackendError> {
    u64::try_from(column::<i64>(row, at, what)?).map_err(|_| corrupt(what))
}

/// A version as the functions compare it. One beyond their numbers is nobody's.
pub(crate) fn version(version: u64) -> i64 {
    i64::try_from(version).unwrap_or(-1)
}

/// Decimal digits; a sign, which would be read too, is none of ours.
fn digits(text: &str) -> Option<u64> {
    text.parse().ok().filter(|_| text.bytes().all(|byte| byte.is_ascii_digit()))
}

/// `<attempt> <place> <version> <mode>`; `None` if it is not of our making.
fn entry_line(line: &str) -> Option<Listed> {
    let [attempt, place, version, mode] = words(line)?;
    let contender =
        Contender { attempt: attempt.parse().ok()?, position: digits(place)?, mode: mode.parse().ok()? };
    Some(Listed { contender, version: digits(version)? })
}

fn words<const N: usize>(line: &str) -> Option<[&str; N]> {
    line.split(' ').collect::<Vec<_>>().try_into().ok()
}

/// The entries of a listing. Those that no client of ours can have made are left out.
pub(crate) fn listed(lines: &[String]) -> Vec<Listed> {
    lines.iter().filter_map(|line| entry_line(line)).collect()
}

/// The contenders of a queue that was listed whole, as of a revision.
pub(crate) fn contenders(lines: &[String], revision: u64) -> Contenders {
    let mut contenders: Contenders = listed(lines).iter().map(|listed| listed.contender).collect();
    contenders.set_revision(revision);
    contenders
}

/// What a queue's trigger tells; `None` for what a stranger tells.
pub(crate) fn change(payload: &str) -> Option<EntryChange> {
    match payload.split_at_checked(2)? {
        ("+ ", line) => entry_line(line).map(EntryChange::Put),
        ("- ", line) => {
            let [revision, attempt] = words(line)?;
            Some(EntryChange::Removed { attempt: attempt.parse().ok()?, revision: digits(revision)? })
        }
        _ => None,
    }
}

/// What a register's trigger tells.
pub(crate) fn register(payload: &str) -> Option<RegisterState> {
    let [version, revision] = words(payload.strip_prefix("= ")?)?;
    Some(RegisterState { version: digits(version)?, revision: digits(revision)? })
}

/// A row of attempt, place, version, mode and value; `None` if it is not of our making.
pub(crate) fn entry(row: &Row, what: &str) -> Result<Option<Entry>, BackendError> {
    let (attempt, mode) = (column::<&str>(row, 0, what)?, column::<&str>(row, 3, what)?);
    let (Ok(attempt), Ok(mode)) = (attempt.parse(), mode.parse()) else { return Ok(None) };
    let (order, version) = (number(row, 1, what)?, number(row, 2, what)?);
    let value = Bytes::copy_from_slice(column::<&[u8]>(row, 4, what)?);
    Ok(Some(Entry { attempt, order, mode, value, version }))
}

#[cfg(test)]
mod tests {
    use leasehold_core::{AttemptIds, Mode};

    use super::*;

    #[test]
    fn changes_are_read_and_strangers_are_not() {
        let attempt = AttemptIds::new().unwrap().next();
        let mode = Mode::Permits { count: 1, limit: 2, granted: false };
        let row = Listed { contender: Contender { attempt, position: 7, mode }, version: 12 };
        assert_eq!(change(&format!("+ {attempt} 7 12 p1of2")), Some(EntryChange::Put(row)));
        let removed = EntryChange::Removed { attempt, revision: 13 };
        assert_eq!(change(&format!("- 13 {attempt}")), Some(removed));
        assert_eq!(register("= 0 9"), Some(RegisterState { version: 0, revision: 9 }));
        let signed = format!("- +13 {attempt}");
        let beyond = format!("- 99999999999999999999 {attempt}");
        for strange in ["", "hello", "é", "- 1 2", "+ x", "= 1", "\u{7f}", &signed, &beyond] {
            assert_eq!(change(strange), None, "{strange:?}");
            assert_eq!(register(strange), None, "{strange:?}");
        }
    }

    #[test]
    fn a_listing_leaves_out_what_is_not_ours() {
        let attempt = AttemptIds::new().unwrap().next();
        let lines = [format!("{attempt} 3 5 x"), "x 1 1 x".to_owned(), format!("{attempt} 3 5 p9of3")];
        let contenders = contenders(&lines, 8);
        assert_eq!((contenders.len(), contenders.revision()), (1, 8));
        assert_eq!(contenders.get(attempt).unwrap().position, 3);
    }
}
