//! Every short history against a model that remembers all of it, and every interleaving of a few holders.

use super::*;

fn token(order: u64) -> FencingToken {
    FencingToken::new(0, order, 0)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Hold {
    Exclusive,
    Shared,
}

use Hold::{Exclusive, Shared};

impl Hold {
    fn excludes(self, other: Hold) -> bool {
        (self, other) != (Shared, Shared)
    }
}

fn check(fence: &mut Fence, hold: Hold, order: u64) -> Result<(), Stale> {
    match hold {
        Exclusive => fence.check_exclusive(token(order)),
        Shared => fence.check_shared(token(order)),
    }
}

/// The model: all that was accepted, in order. An access is refused if, and only if, one that excludes it and has a higher
/// token was accepted before it.
#[derive(Default)]
struct Accepted(Vec<(Hold, u64)>);

impl Accepted {
    fn check(&mut self, hold: Hold, order: u64) -> Result<(), u64> {
        let excluding = self.0.iter().filter(|(other, _)| hold.excludes(*other));
        match excluding.map(|(_, order)| *order).max() {
            Some(highest) if highest > order => Err(highest),
            _ => {
                self.0.push((hold, order));
                Ok(())
            }
        }
    }
}

/// Calls `visit` with each sequence of `length` elements.
fn sequences<T: Copy>(elements: &[T], length: usize, prefix: &mut Vec<T>, visit: &mut impl FnMut(&[T])) {
    if prefix.len() == length {
        return visit(prefix);
    }
    for element in elements {
        prefix.push(*element);
        sequences(elements, length, prefix, visit);
        prefix.pop();
    }
}

/// Calls `visit` with each order in which `programs` can take their steps; a program is how many steps it has.
fn interleavings(programs: &mut [usize], prefix: &mut Vec<usize>, visit: &mut impl FnMut(&[usize])) {
    if programs.iter().all(|left| *left == 0) {
        return visit(prefix);
    }
    for program in 0..programs.len() {
        if programs[program] > 0 {
            programs[program] -= 1;
            prefix.push(program);
            interleavings(programs, prefix, visit);
            prefix.pop();
            programs[program] += 1;
        }
    }
}

#[test]
fn every_history_of_five_accesses_with_four_tokens_goes_as_the_model_says() {
    let accesses: Vec<_> = (1..=4).flat_map(|order| [(Exclusive, order), (Shared, order)]).collect();
    let mut rejected = 0;
    sequences(&accesses, 5, &mut Vec::new(), &mut |history| {
        let (mut fence, mut model) = (Fence::new(), Accepted::default());
        for &(hold, order) in history {
            let before = fence;
            let is = check(&mut fence, hold, order);
            let should_be = model
                .check(hold, order)
                .map_err(|highest| Stale { token: token(order), highest: token(highest) });
            assert_eq!(is, should_be, "{hold:?} {order} in {history:?}");
            if is.is_err() {
                assert_eq!(fence, before, "what is rejected changes nothing");
                rejected += 1;
            }
            assert!(before.to_string() <= fence.to_string() && before.to_bytes() <= fence.to_bytes());
            assert!(before.exclusive() <= fence.exclusive() && before.shared() <= fence.shared());
            // The fence of a resource that was stored and loaded in between is the same fence.
            assert_eq!(fence.to_string().parse(), Ok(fence));
            assert_eq!(Fence::try_from(fence.to_bytes().as_slice()), Ok(fence));
        }
    });
    assert!(rejected > 10_000, "{rejected} of the {} accesses", 8_usize.pow(5) * 5);
}

/// What four holders, granted in the order of their numbers, made of one number.
#[derive(Default)]
struct Outcome {
    lost_updates: usize,
    unrepeatable_reads: usize,
    writes: usize,
}

/// Four holders in every mix of modes and in every interleaving, however late a step comes: an exclusive one reads and writes back one
/// more, a shared one reads twice; who is rejected stops.
fn four_holders(checks_reads: bool) -> Outcome {
    let mut outcome = Outcome::default();
    sequences(&[Exclusive, Shared], 4, &mut Vec::new(), &mut |holds| {
        interleavings(&mut [2; 4], &mut Vec::new(), &mut |steps| {
            let (mut fence, mut number, mut written) = (Fence::new(), 0, 0);
            let mut read: [Option<u64>; 4] = [None; 4];
            let mut stopped = [false; 4];
            for &holder in steps {
                let reads = read[holder].is_none() || holds[holder] == Shared;
                let checked = checks_reads || !reads;
                if stopped[holder] || (checked && check(&mut fence, holds[holder], holder as u64).is_err()) {
                    stopped[holder] = true;
                    continue;
                }
                match (read[holder], holds[holder]) {
                    (None, _) => read[holder] = Some(number),
                    (Some(before), Shared) => outcome.unrepeatable_reads += usize::from(before != number),
                    (Some(before), Exclusive) => {
                        number = before + 1;
                        written += 1;
                    }
                }
            }
            outcome.writes += written as usize;
            outcome.lost_updates += usize::from(number != written);
        });
    });
    outcome
}

#[test]
fn no_interleaving_loses_an_update_or_changes_what_a_reader_has_read() {
    let outcome = four_holders(true);
    assert!(outcome.writes > 10_000, "{} writes", outcome.writes);
    assert_eq!((outcome.lost_updates, outcome.unrepeatable_reads), (0, 0));
}

#[test]
fn with_tokens_on_writes_only_both_happen() {
    let outcome = four_holders(false);
    assert!(outcome.lost_updates > 0 && outcome.unrepeatable_reads > 0);
}

#[test]
fn a_downgraded_hold_goes_on_as_shared_with_the_token_it_has() {
    let mut fence = Fence::new();
    fence.check_exclusive(token(5)).unwrap();
    fence.check_shared(token(5)).unwrap();
    fence.check_shared(token(6)).unwrap();
    fence.check_shared(token(5)).unwrap();
    let stale = fence.check_exclusive(token(5)).unwrap_err();
    assert_eq!((stale.token, stale.highest), (token(5), token(6)));
}

#[test]
fn other_text_and_bytes_are_refused() {
    let good = Fence { exclusive: token(0xab), shared: FencingToken::new(u32::MAX, u64::MAX, u32::MAX) };
    let text = good.to_string();
    assert_eq!(text.len(), Fence::TEXT_LEN);
    assert_eq!(text.parse(), Ok(good));
    let bad = [
        String::new(),
        "-".into(),
        text.replace('-', ""),
        text.replace('-', "--"),
        text.replace("ab", "AB"),
        format!(" {text}"),
        format!("{text}\n"),
        format!("{text}-"),
        text[1..].to_owned(),
        text[..64].to_owned(),
        good.exclusive().to_string(),
    ];
    for bad in bad {
        assert_eq!(bad.parse::<Fence>(), Err(ParseFenceError), "{bad:?}");
    }
    for length in [0, 16, 31, 33] {
        assert_eq!(Fence::try_from(vec![0; length].as_slice()), Err(ParseFenceError), "{length} bytes");
    }
}
