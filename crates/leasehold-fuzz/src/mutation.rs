//! Inputs near those that a decoder is to read.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use crate::targets::Target;

/// A change of some bytes. Places are relative, so that they stay in range while others are taken away.
#[derive(Debug, Clone)]
enum Mutation {
    Replace(Index, u8),
    Insert(Index, Vec<u8>),
    Remove(Index, usize),
    Repeat(Index, usize),
    /// Goes on as another input does from some place on.
    Splice(Index, Index, Index),
}

/// What numbers, words and separators are made of.
const TOKENS: &[&str] = &[
    "+",
    "-",
    "0",
    "00",
    " ",
    "\n",
    "\r\n",
    "\0",
    "=",
    "&",
    "%",
    "%00",
    "%FF",
    "%2F",
    ",",
    ":",
    "/",
    ".",
    "A",
    "g",
    "x",
    "s",
    "of",
    "1",
    "4294967296",
    "18446744073709551615",
    "18446744073709551616",
    "-1",
    "é",
];

impl Mutation {
    fn any() -> impl Strategy<Value = Self> {
        let token =
            prop_oneof![select(TOKENS).prop_map(|token| token.as_bytes().to_vec()), vec(any::<u8>(), 1..4)];
        prop_oneof![
            (any::<Index>(), any::<u8>()).prop_map(|(at, byte)| Self::Replace(at, byte)),
            (any::<Index>(), token).prop_map(|(at, token)| Self::Insert(at, token)),
            (any::<Index>(), 1_usize..20).prop_map(|(at, length)| Self::Remove(at, length)),
            (any::<Index>(), 1_usize..40).prop_map(|(at, length)| Self::Repeat(at, length)),
            any::<(Index, Index, Index)>().prop_map(|(at, other, from)| Self::Splice(at, other, from)),
        ]
    }

    fn apply(&self, bytes: &mut Vec<u8>, corpus: &[&[u8]]) {
        // One past the end is a place too, but for what needs a byte.
        let place = |at: &Index| at.index(bytes.len() + 1);
        match self {
            Self::Replace(at, byte) if !bytes.is_empty() => {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            Self::Replace(_, byte) => bytes.push(*byte),
            Self::Insert(at, token) => {
                let at = place(at);
                bytes.splice(at..at, token.iter().copied());
            }
            Self::Remove(at, length) => {
                let at = place(at);
                bytes.drain(at..(at + length).min(bytes.len()));
            }
            Self::Repeat(at, length) => {
                let at = place(at);
                let again = bytes[at..(at + length).min(bytes.len())].to_vec();
                bytes.splice(at..at, again);
            }
            Self::Splice(at, other, from) => {
                let (at, other) = (place(at), corpus[other.index(corpus.len())]);
                bytes.truncate(at);
                bytes.extend_from_slice(&other[from.index(other.len() + 1)..]);
            }
        }
    }
}

/// Inputs of a target: some changes of one that it begins with; now and then anything.
pub(crate) fn inputs(target: &Target) -> impl Strategy<Value = Vec<u8>> + use<> {
    let corpus = target.corpus;
    let near = (select(corpus), vec(Mutation::any(), 0..6)).prop_map(move |(first, mutations)| {
        let mut bytes = first.to_vec();
        mutations.iter().for_each(|mutation| mutation.apply(&mut bytes, corpus));
        bytes
    });
    prop_oneof![15 => near, 1 => vec(any::<u8>(), 0..64)]
}
