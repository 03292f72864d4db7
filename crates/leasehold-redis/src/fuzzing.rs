//! What must hold of whatever bytes a decoder is given: checks for a fuzzer, and no part of the API.
//!
//! Each takes any bytes, answers whether the decoder takes them for ours, and panics if it does and they are not.

use leasehold_core::Credentials;
use leasehold_core::mirror::{EntryChange, Listed};

use crate::identity::Identity;
use crate::records;
use crate::report::RedisReport;

/// A message of a queue's channel.
pub fn change(message: &[u8]) -> bool {
    let Some(change) = records::change(message) else { return false };
    let text = std::str::from_utf8(message).expect("ours are text");
    // Numbers may have any width.
    let words: Vec<&str> = text.split(' ').collect();
    match change {
        EntryChange::Put(Listed { contender, version }) => {
            let [attempt, mode] = [contender.attempt.to_string(), contender.mode.to_string()];
            assert_eq!([words[0], words[2], words[4]], ["+", &attempt, &mode]);
            are_numbers([(words[1], version), (words[3], contender.position)]);
        }
        EntryChange::Removed { attempt, revision } => {
            assert_eq!([words[0], words[2]], ["-", &attempt.to_string()]);
            are_numbers([(words[1], revision)]);
        }
        EntryChange::Ahead { of, ahead, revision } => {
            assert_eq!([words[0], words[2]], ["^", &of.to_string()]);
            are_numbers([(words[1], revision)]);
            match ahead {
                None => assert_eq!(words.len(), 3),
                Some(Listed { contender, version }) => {
                    let [attempt, mode] = [contender.attempt.to_string(), contender.mode.to_string()];
                    assert_eq!([words[3], words[6]], [&attempt, &mode]);
                    are_numbers([(words[4], contender.position), (words[5], version)]);
                }
            }
        }
    }
    true
}

fn are_numbers<const N: usize>(numbers: [(&str, u64); N]) {
    for (digits, number) in numbers {
        assert!(!digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()), "{digits}");
        let significant = digits.trim_start_matches('0');
        assert_eq!(if significant.is_empty() { "0" } else { significant }, number.to_string());
    }
}

/// A number, as a channel tells a register's version or as a script answers one.
pub fn number(bytes: &[u8]) -> bool {
    let Some(number) = records::number(bytes) else { return false };
    are_numbers([(std::str::from_utf8(bytes).expect("digits"), number)]);
    true
}

/// What a script answers: fields, here with a NUL between any two.
pub fn rows(bytes: &[u8]) -> bool {
    let fields: Vec<Vec<u8>> = bytes.split(|byte| *byte == 0).map(<[u8]>::to_vec).collect();
    let (rows, entries) = (records::rows(&fields), records::entries(&fields));
    if let Some(rows) = &rows {
        assert!(fields.len().is_multiple_of(4) && rows.len() <= fields.len() / 4);
        let newest = rows.iter().map(|row| row.version).max().unwrap_or(0);
        assert_eq!(records::contenders(rows).revision(), newest);
    }
    if let Some(entries) = &entries {
        assert!(fields.len().is_multiple_of(5) && entries.len() <= fields.len() / 5);
        assert!(entries.iter().all(|entry| fields.iter().any(|field| *field == entry.value)));
    }
    rows.is_some_and(|rows| !rows.is_empty()) || entries.is_some_and(|entries| !entries.is_empty())
}

/// The answer to `INFO`.
pub fn report(bytes: &[u8]) -> bool {
    let info = String::from_utf8_lossy(bytes);
    let Some(report) = RedisReport::read("host:1", &info, None) else { return false };
    assert!(info.contains(&report.version) && !report.is_durable());
    if let Err(error) = report.check(false, false) {
        assert!(error.to_string().contains("host:1"), "{error}");
    }
    true
}

/// The credentials of a session, as an application kept them.
pub fn credentials(bytes: &[u8]) -> bool {
    let Ok(identity) = Identity::of(&Credentials::from_bytes(bytes)) else { return false };
    assert_eq!(identity.credentials().as_bytes(), bytes);
    true
}

#[cfg(test)]
mod tests {
    use leasehold_core::{AttemptId, Contender, Mode};
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_the_service_holds(bytes: Vec<u8>, text in "[-+ 0-9a-fpsx:\r\n\0]{0,80}") {
            for check in [change, number, rows, report, credentials] {
                check(&bytes);
                check(text.as_bytes());
            }
        }

        #[test]
        fn numbers_are_digits(text in "[-+ ]?[0-9]{1,22}") {
            number(text.as_bytes());
            change(format!("- {text} {:032x}", 7).as_bytes());
            let is_unsigned = text.bytes().all(|byte| byte.is_ascii_digit());
            let expected = text.parse().ok().filter(|_| is_unsigned);
            prop_assert_eq!(records::number(text.as_bytes()), expected);
        }

        #[test]
        fn changes_read_back(id: u128, position: u64, version: u64, (limit, count) in permits(), granted: bool) {
            let attempt: AttemptId = format!("{id:032x}").parse().unwrap();
            for mode in [Mode::Exclusive, Mode::Shared, Mode::Permits { count, limit, granted }] {
                let message = format!("+ {version:016} {attempt} {position:016} {mode}");
                let row = Listed { contender: Contender { attempt, position, mode }, version };
                prop_assert_eq!(records::change(message.as_bytes()), Some(EntryChange::Put(row)));
                let numbers = [position, version].map(|number| format!("{number:016}"));
                let [position, version] = numbers;
                let fields = [attempt.to_string(), position, version, mode.to_string()];
                prop_assert_eq!(records::rows(&fields.map(String::into_bytes)), Some(vec![row]));
            }
            let message = format!("- {version:016} {attempt}");
            let removed = EntryChange::Removed { attempt, revision: version };
            prop_assert_eq!(records::change(message.as_bytes()), Some(removed));
        }
    }

    fn permits() -> impl Strategy<Value = (u32, u32)> {
        (1..=u32::MAX).prop_flat_map(|limit| (Just(limit), 1..=limit))
    }
}
