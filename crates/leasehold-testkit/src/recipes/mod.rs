//! The conformance suites of the recipes beside the mutex: what an application may rely on, over any backend.
//!
//! Each recipe has a module here with the table of its cases and the behaviours that they prove; a case is a plain async function over a
//! [`World`], which returns or panics. [`recipe_suites!`](crate::recipe_suites) makes a test of each case, in a module a recipe.

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
    /// Runs it; a failure is a panic.
    pub run: fn(Arc<dyn World>) -> BoxFuture<'static, ()>,
}

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

/// Defines a recipe's `CASES`, from the list that its macro holds.
macro_rules! table {
    ($($case:ident)*) => {
        /// All cases.
        pub static CASES: &[$crate::recipes::Case] =
            &[$($crate::recipes::Case { name: stringify!($case), run: |world| Box::pin($case(world)) }),*];
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
    ($recipe:ident $world:ident $($case:ident)*) => {
        $(
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let cases = $crate::recipes::$recipe::CASES;
                $crate::recipes::run(cases, stringify!($case), $world().await).await;
            }
        )*
    };
}
