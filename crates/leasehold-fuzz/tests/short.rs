//! Each target for a short time; `LEASEHOLD_FUZZ_ITERATIONS` makes it longer, `LEASEHOLD_FUZZ_SEED` another.

use std::collections::HashSet;

use leasehold_fuzz::{TARGETS, Target, fuzz};

fn number(variable: &str, otherwise: u64) -> u64 {
    match std::env::var(variable) {
        Ok(number) => number.parse().unwrap_or_else(|_| panic!("{variable} is a number, not {number:?}")),
        Err(_) => otherwise,
    }
}

#[test]
fn no_target_fails() {
    let iterations = u32::try_from(number("LEASEHOLD_FUZZ_ITERATIONS", 1_000)).expect("fewer iterations");
    let seed = number("LEASEHOLD_FUZZ_SEED", 1);
    for target in TARGETS {
        if let Err(failure) = fuzz(target, iterations, seed) {
            panic!("{failure}");
        }
    }
}

#[test]
fn targets_have_names_of_their_own_and_begin_with_what_they_read() {
    let names: HashSet<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names.len(), TARGETS.len());
    for target in TARGETS {
        assert!(!target.corpus.is_empty(), "{target:?}");
        for input in target.corpus {
            assert!((target.check)(input), "{target:?} refuses {}", input.escape_ascii());
        }
        assert!(!(target.check)(b"anything") || target.name == "core/segment", "{target:?}");
    }
}

/// The check checked: what is wrong is found, is small, and is found again.
#[test]
fn a_fault_is_found_and_minimised() {
    fn reads_signs(bytes: &[u8]) -> bool {
        let number = std::str::from_utf8(bytes).ok().and_then(|text| text.parse::<u64>().ok());
        assert!(number.is_none() || bytes.iter().all(u8::is_ascii_digit), "a sign");
        number.is_some()
    }
    let faulty = Target { name: "faulty", check: reads_signs, corpus: &[b"0000000000000012"] };
    let failure = fuzz(&faulty, 10_000, 7).expect_err("there is a fault");
    assert!(failure.input.len() <= 20 && failure.input.starts_with(b"+"), "{failure}");
    assert!(failure.to_string().contains("faulty with seed 7: b\"+"), "{failure}");
    assert_eq!(fuzz(&faulty, 10_000, 7), Err(failure));
    let faulty = Target { corpus: &[b"+1"], ..faulty };
    assert_eq!(fuzz(&faulty, 0, 1).expect_err("the corpus counts").input, b"+1");
}
