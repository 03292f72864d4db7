//! The conformance suites of the recipes beside the mutex: what an application may rely on, over any backend.
//!
//! Each recipe has a module here with the table of its cases and what they prove; a case is a plain async function over a
//! [`World`](crate::contract::World), which returns or panics. [`conformance`](crate::conformance) runs them.
//!
//! Which behaviours they prove is in the table of [`conformance`](crate::conformance#behaviours).

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

use crate::conformance::Case;

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

/// Defines a recipe's `CASES`, from their names, with the behaviours that they prove in brackets, and what they need of the backend.
macro_rules! table {
    ($($case:ident $([$($behaviour:literal),*])? $({$($requirement:tt)*})?)*) => {
        /// All cases.
        pub const CASES: &[$crate::conformance::Case] = &[$($crate::conformance::Case {
            name: stringify!($case),
            clauses: "",
            behaviours: &[$($($behaviour),*)?],
            requires: $crate::conformance::requirement!($($($requirement)*)?),
            run: |world| Box::pin($case(world)),
        }),*];
    };
}

use table;
