//! What a case is, and what it needs of a backend.

use std::sync::Arc;

use futures::future::LocalBoxFuture;
use leasehold_core::Capabilities;

use crate::contract::World;

/// One case of a suite.
pub struct Case {
    /// What it is called, with the group that it belongs to.
    pub name: &'static str,
    /// The numbered clauses of the contract that it tests: `Queue 1, Session 7`.
    pub clauses: &'static str,
    /// The numbers of the behaviours that it proves.
    pub behaviours: &'static [u32],
    /// What the backend must declare, or must not, for the case to make sense.
    pub requires: Option<Requirement>,
    /// Runs it, on the thread of its caller; a failure is a panic.
    pub run: fn(Arc<dyn World>) -> LocalBoxFuture<'static, ()>,
}

/// Something that a backend [declares](Capabilities) or does not.
#[derive(Debug, Clone, Copy)]
pub struct Requirement {
    /// The name of the field.
    pub capability: &'static str,
    /// Whether it has to be declared, or may not be.
    pub declared: bool,
    /// The field.
    pub of: fn(&Capabilities) -> bool,
}

impl Requirement {
    /// Why a case is not run over a backend that declares this; `None` if it is.
    pub fn objection(&self, capabilities: &Capabilities) -> Option<String> {
        match ((self.of)(capabilities), self.declared) {
            (false, true) => Some(format!("it does not declare {}", self.capability)),
            (true, false) => Some(format!("it declares {}", self.capability)),
            _ => None,
        }
    }
}

/// A [`Requirement`], or none: `if field` or `unless field`.
macro_rules! requirement {
    () => {
        None
    };
    (if $field:ident) => {
        $crate::conformance::requirement!($field, true)
    };
    (unless $field:ident) => {
        $crate::conformance::requirement!($field, false)
    };
    ($field:ident, $declared:literal) => {
        Some($crate::conformance::Requirement {
            capability: stringify!($field),
            declared: $declared,
            of: |capabilities| capabilities.$field,
        })
    };
}

pub(crate) use requirement;

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_requirement_objects_where_it_is_not_met_and_names_the_field() {
        let full = Capabilities::full(Duration::ZERO, 1);
        let mut less = full;
        less.resumable_sessions = false;
        let (needs, lacks): (Option<Requirement>, Option<Requirement>) =
            (requirement!(if resumable_sessions), requirement!(unless resumable_sessions));
        let (needs, lacks) = (needs.unwrap(), lacks.unwrap());
        assert_eq!(needs.objection(&full), None);
        assert_eq!(lacks.objection(&less), None);
        assert_eq!(needs.objection(&less).unwrap(), "it does not declare resumable_sessions");
        assert_eq!(lacks.objection(&full).unwrap(), "it declares resumable_sessions");
        let none: Option<Requirement> = requirement!();
        assert!(none.is_none());
    }
}
