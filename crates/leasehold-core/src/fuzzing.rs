//! What must hold of whatever bytes a decoder is given: checks for a fuzzer, and no part of the API.
//!
//! Each takes any bytes, answers whether the decoder takes them for ours, and panics if it does and they are not.

use std::fmt::Display;
use std::str::FromStr;

use crate::attempt::AttemptId;
use crate::election::LeadershipTicket;
use crate::fencing::Fence;
use crate::mode::Mode;
use crate::name::{KeyPath, Kind, Namespace};
use crate::token::FencingToken;

pub use crate::completions::check_completions as completions;
pub use crate::double_barrier::check_double_barrier as double_barrier;
pub use crate::entry_value::check_entry_value as entry_value;
pub use crate::latch::check_latch as latch;
pub use crate::record::check_record as record;

/// The texts that have one spelling each.
pub fn texts(bytes: &[u8]) -> bool {
    std::str::from_utf8(bytes).is_ok_and(|text| {
        has_one_spelling::<AttemptId>(text)
            | has_one_spelling::<Mode>(text)
            | has_one_spelling::<FencingToken>(text)
            | has_one_spelling::<Fence>(text)
    })
}

/// Nothing but what a `T` is printed as is read as one.
fn has_one_spelling<T: FromStr + Display>(text: &str) -> bool {
    let Ok(read) = text.parse::<T>() else { return false };
    assert_eq!(read.to_string(), text);
    true
}

/// The last segment of a path, as a listing shows it.
pub fn segment(bytes: &[u8]) -> bool {
    let Ok(segment) = std::str::from_utf8(bytes) else { return false };
    let namespace = Namespace::default();
    let Some(path) = KeyPath::from_listing(&namespace, Kind::Lock, segment) else { return false };
    assert_eq!(path.as_str(), format!("{}{segment}", KeyPath::prefix(&namespace, Kind::Lock)));
    assert_eq!(KeyPath::new(&namespace, Kind::Lock, &path.name()), Ok(path));
    assert!(!segment.contains('/') && segment != "." && segment != "..");
    true
}

/// A ticket, as an application kept it.
pub fn ticket(bytes: &[u8]) -> bool {
    let Ok(ticket) = LeadershipTicket::from_bytes(bytes) else { return false };
    assert_eq!(ticket.to_bytes(), bytes);
    true
}

/// A fence, as a resource keeps it.
pub fn fence(bytes: &[u8]) -> bool {
    let Ok(fence) = Fence::try_from(bytes) else { return false };
    assert_eq!(fence.to_bytes(), bytes);
    assert_eq!(fence.to_string().parse(), Ok(fence));
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn whatever_is_stored(bytes: Vec<u8>, text in "[-+&=%:/\\n 0-9a-fgosxp]{0,120}") {
            let checks = [completions, double_barrier, entry_value, latch, record, texts, segment, ticket, fence];
            for check in checks {
                check(&bytes);
                check(text.as_bytes());
            }
        }

        /// Of our own form, with anything in the fields.
        #[test]
        fn whatever_is_in_the_fields(a in "[+0-9a-f%]{0,20}", b in "[+0-9]{0,4}", c in "[+0-9]{0,4}", value: Vec<u8>) {
            latch(format!("round={a}&count={b}&left={c}").as_bytes());
            double_barrier(format!("phase=open&round={b}&parties={a:0>32}").as_bytes());
            entry_value(format!("{a}&host={a}&pid={b}&since={c}&purpose={a}&turn={b}&{c}").as_bytes());
            completions(format!("occurrence={a}&at={b}&by={c:0>32}&result={a}\n").as_bytes());
            record(&[format!("leasehold/1 {b}:{a}\n").as_bytes(), &value].concat());
            record(&[format!("leasehold/1 {b}:{a:0>16} -:{c:0>16}\n").as_bytes(), &value].concat());
        }
    }
}
