//! The number that the server appends to the name of a sequential node.

/// As the server prints it: ten characters, the sign included, and one more below -999,999,999.
pub(super) fn text(sequence: i32) -> String {
    format!("{sequence:010}")
}

/// Reads what [`text`] writes, and nothing else.
pub(super) fn read(text: &str) -> Option<i32> {
    let sequence = text.parse::<i32>().ok()?;
    let digits = text.strip_prefix('-').unwrap_or(text);
    // Without writing it, for every look at a queue reads as many as there are contenders.
    let canonical = digits.bytes().all(|byte| byte.is_ascii_digit())
        && (text.len() == 10 || text.len() == 11 && sequence <= -1_000_000_000)
        && text.starts_with('-') == (sequence < 0);
    canonical.then_some(sequence)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back_and_nothing_else_is_accepted() {
        for (sequence, expected) in [
            (0, "0000000000"),
            (i32::MAX, "2147483647"),
            (-1, "-000000001"),
            (-999_999_999, "-999999999"),
            (-1_000_000_000, "-1000000000"),
            (i32::MIN, "-2147483648"),
        ] {
            assert_eq!((text(sequence).as_str(), read(expected)), (expected, Some(sequence)));
        }
        for other in
            ["", "7", "000000007", "00000000007", "+000000007", "-000000000", "2147483648", "-2147483649"]
        {
            assert_eq!(read(other), None, "{other}");
        }
    }
}
