//! The conformance suites of the recipes beside the mutex: what an application may rely on, over any backend.
//!
//! Each recipe has a module here with the table of its cases and what they prove; a case is a plain async function over a
//! [`World`], which returns or panics. [`recipe_suites!`](crate::recipe_suites) makes a test of each case, in a module a recipe.
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
use std::time::Duration;

use futures::future::BoxFuture;

use crate::contract::World;

/// The longest that a case may take.
const LIMIT: Duration = Duration::from_secs(300);

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

/// Runs the case of that name.
///
/// # Panics
/// If there is none, or if it fails.
pub async fn run(cases: &[Case], name: &str, world: Arc<dyn World>) {
    let case =
        cases.iter().find(|case| case.name == name).unwrap_or_else(|| panic!("no case is called {name}"));
    let ended = tokio::time::timeout(LIMIT, (case.run)(world)).await;
    assert!(ended.is_ok(), "{name} has not ended within {LIMIT:?}");
}

/// Defines a recipe's `CASES`, from the list that its macro holds: names, with the behaviours that they prove in brackets.
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

/// Makes a test of every case of every recipe. The argument is the name of an async function that answers an
/// `Arc<dyn leasehold_testkit::contract::World>`; it is called once a test. The crate needs tokio with the
/// features `macros` and `rt-multi-thread`.
#[macro_export]
macro_rules! recipe_suites {
    ($world:ident) => {
        mod admin {
            use super::$world;
            $crate::__admin_cases!($crate::__recipe_tests, admin, $world);
        }
        mod barriers {
            use super::$world;
            $crate::__barriers_cases!($crate::__recipe_tests, barriers, $world);
        }
        mod double_barrier {
            use super::$world;
            $crate::__double_barrier_cases!($crate::__recipe_tests, double_barrier, $world);
        }
        mod election {
            use super::$world;
            $crate::__election_cases!($crate::__recipe_tests, election, $world);
        }
        mod group {
            use super::$world;
            $crate::__group_cases!($crate::__recipe_tests, group, $world);
        }
        mod hold_limits {
            use super::$world;
            $crate::__hold_limits_cases!($crate::__recipe_tests, hold_limits, $world);
        }
        mod multi_lock {
            use super::$world;
            $crate::__multi_lock_cases!($crate::__recipe_tests, multi_lock, $world);
        }
        mod once {
            use super::$world;
            $crate::__once_cases!($crate::__recipe_tests, once, $world);
        }
        mod partition {
            use super::$world;
            $crate::__partition_cases!($crate::__recipe_tests, partition, $world);
        }
        mod register {
            use super::$world;
            $crate::__register_cases!($crate::__recipe_tests, register, $world);
        }
        mod rw_lock {
            use super::$world;
            $crate::__rw_lock_cases!($crate::__recipe_tests, rw_lock, $world);
        }
        mod semaphore {
            use super::$world;
            $crate::__semaphore_cases!($crate::__recipe_tests, semaphore, $world);
        }
        mod shared_guard {
            use super::$world;
            $crate::__shared_guard_cases!($crate::__recipe_tests, shared_guard, $world);
        }
    };
}

#[doc(hidden)]
#[macro_export]
macro_rules! __recipe_tests {
    ($recipe:ident $world:ident $($case:ident $([$($behaviour:literal),*])?)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let cases = $crate::recipes::$recipe::CASES;
                $crate::recipes::run(cases, stringify!($case), $world().await).await;
            }
        )*
    };
}

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
