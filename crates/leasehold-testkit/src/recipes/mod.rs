//! The conformance suites of the recipes beside the mutex: what an application may rely on, over any backend.
//!
//! Each recipe has a module here with the table of its cases and what they prove; a case is a plain async function over a
//! [`World`], which returns or panics. [`conformance`](crate::conformance) runs them.
//!
//! # Behaviours
//!
//! A case cites by number the behaviours that it proves ([`Case::behaviours`]); those below 35 are the mutex's, and its
//! [suite](crate::mutex) has their table. This one is held to what the cases cite by a test.
//!
#![doc = include_str!("behaviours.md")]

pub mod admin;
pub mod barriers;
mod common;
pub mod double_barrier;
pub mod election;
pub mod group;
pub mod hold_limits;
pub mod multi_lock;
pub mod once;
pub mod partition;
pub mod register;
pub mod rw_lock;
pub mod semaphore;
pub mod shared_guard;

use std::sync::Arc;

use futures::future::BoxFuture;

use crate::contract::World;

/// One case of a suite.
pub struct Case {
    /// What it is called.
    pub name: &'static str,
    /// The numbers of the behaviours that it proves, where it proves such.
    pub behaviours: &'static [u32],
    /// Runs it; a failure is a panic.
    pub run: fn(Arc<dyn World>) -> BoxFuture<'static, ()>,
}

/// The suites by name.
pub static SUITES: [(&str, &[Case]); 13] = [
    ("admin", admin::CASES),
    ("barriers", barriers::CASES),
    ("double_barrier", double_barrier::CASES),
    ("election", election::CASES),
    ("group", group::CASES),
    ("hold_limits", hold_limits::CASES),
    ("multi_lock", multi_lock::CASES),
    ("once", once::CASES),
    ("partition", partition::CASES),
    ("register", register::CASES),
    ("rw_lock", rw_lock::CASES),
    ("semaphore", semaphore::CASES),
    ("shared_guard", shared_guard::CASES),
];

/// Defines a recipe's `CASES`, from their names, with the behaviours that they prove in brackets.
macro_rules! table {
    ($($case:ident $([$($behaviour:literal),*])?)*) => {
        /// All cases.
        pub const CASES: &[$crate::recipes::Case] = &[$($crate::recipes::Case {
            name: stringify!($case),
            behaviours: &[$($($behaviour),*)?],
            run: |world| Box::pin($case(world)),
        }),*];
    };
}

use table;

#[cfg(test)]
mod tests {
    use super::SUITES;

    /// The behaviours of the recipes; those before them are the mutex's.
    const OURS: std::ops::RangeInclusive<u32> = 35..=65;

    /// The cases that cite a behaviour, as the table names them.
    fn citing(behaviour: u32) -> String {
        let cases = SUITES.iter().flat_map(|(suite, cases)| cases.iter().map(move |case| (suite, case)));
        let citing = cases.filter(|(_, case)| case.behaviours.contains(&behaviour));
        citing.map(|(suite, case)| format!("`{suite}::{}`", case.name)).collect::<Vec<_>>().join(", ")
    }

    #[test]
    fn the_table_of_behaviours_says_what_the_cases_cite_and_leaves_out_none() {
        let rows = include_str!("behaviours.md").lines().skip(2).map(|row| {
            let cells: Vec<_> = row.split('|').map(str::trim).collect();
            let [_, number, what, cases, _] = cells[..] else { panic!("no row: {row}") };
            assert!(!what.is_empty(), "{row}");
            (number.parse::<u32>().expect("a number"), cases.to_owned())
        });
        let cited = OURS.map(|behaviour| (behaviour, citing(behaviour)));
        assert!(cited.clone().all(|(_, cases)| !cases.is_empty()), "a behaviour that no case proves");
        for (row, cited) in rows.clone().zip(cited.clone()) {
            assert_eq!(row, cited);
        }
        assert_eq!(rows.count(), cited.count());
        let known = |behaviour: &u32| (1..=*OURS.end()).contains(behaviour);
        let mut all = SUITES.iter().flat_map(|(_, cases)| cases.iter()).flat_map(|case| case.behaviours);
        assert!(all.all(known), "a behaviour that nobody knows");
    }
}
