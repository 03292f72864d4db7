//! Attempts that are known by a UUID, as other clients know theirs.
//!
//! An attempt of ours is written as it is: its 128 bits are used once. A node of another client is told by a random
//! UUID, and kazoo uses that of a lock object again for each of its acquisitions. What one session was told of an entry that has
//! gone must not be taken for news of the next one, so the sequence goes into the identity of theirs. Theirs are those of
//! RFC 9562's variant, which ours never are: the second half of an attempt id counts from 1.

use leasehold_core::AttemptId;

/// The two highest bits of a UUID's second half; with RFC 9562's variant they are 1 and 0.
const VARIANT: u128 = 0b11 << 62;
const THEIRS: u128 = 0b10 << 62;

/// The attempt that a node with this UUID, as 32 lower-case hexadecimal digits, and this sequence stands for.
pub(super) fn attempt(uuid: &str, sequence: i32) -> Option<AttemptId> {
    let plain: AttemptId = uuid.parse().ok()?;
    let bits = u128::from_str_radix(uuid, 16).ok()?;
    if bits & VARIANT == THEIRS {
        format!("{:032x}", mixed(bits, sequence)).parse().ok()
    } else {
        Some(plain)
    }
}

/// The UUID of the node of an attempt.
pub(super) fn text(attempt: AttemptId, sequence: i32) -> String {
    let text = attempt.to_string();
    match u128::from_str_radix(&text, 16) {
        Ok(bits) if bits & VARIANT == THEIRS => format!("{:032x}", mixed(bits, sequence)),
        _ => text,
    }
}

/// Its own inverse; the variant stays.
fn mixed(bits: u128, sequence: i32) -> u128 {
    bits ^ u128::from(sequence.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use leasehold_core::AttemptIds;

    #[test]
    fn ours_are_as_they_are_and_theirs_are_one_a_node() {
        let ours = AttemptIds::new().unwrap().next();
        assert_eq!(text(ours, 7), ours.to_string());
        assert_eq!(attempt(&ours.to_string(), 7), Some(ours));
        let theirs = "0f8fad5bd9cb469fa16570867728950e";
        let (first, second) = (attempt(theirs, 7).unwrap(), attempt(theirs, 8).unwrap());
        assert_ne!(first, second, "an acquisition that follows another is another's");
        assert_eq!((text(first, 7), text(second, 8)), (theirs.to_owned(), theirs.to_owned()));
        assert_eq!(attempt(&theirs.to_uppercase(), 7), None);
    }
}
