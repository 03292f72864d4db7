//! Versions of registers.

/// The version of a register from the version of its node's data, which starts at 0 and counts the writes.
///
/// A node's own counter wraps to negative numbers after 2³¹ writes; taken as unsigned it goes on rising until 2³².
pub(crate) fn of_data(version: i32) -> u64 {
    u64::from(version.cast_unsigned()) + 1
}

/// The version that the node's data must have for a register to have `version`; `None` if none means it.
///
/// The server takes −1 for "any", so the one version that would be sent as −1 cannot be asked for.
pub(crate) fn to_data(version: u64) -> Option<i32> {
    let data = u32::try_from(version.checked_sub(1)?).ok()?.cast_signed();
    (data != -1).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_read_back_and_rise() {
        assert_eq!(of_data(0), 1);
        assert!(of_data(i32::MIN) > of_data(i32::MAX));
        for version in [0, 1, i32::MAX, i32::MIN, -2] {
            assert_eq!(to_data(of_data(version)), Some(version));
        }
        for none in [0, of_data(-1), u64::MAX] {
            assert_eq!(to_data(none), None);
        }
    }
}
