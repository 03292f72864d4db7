//! The copies of one sort that a session keeps, by path, as long as somebody holds them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use leasehold_core::KeyPath;

use crate::followed::{Followed, Means, Replica};

pub(crate) struct Copies<R>(Mutex<ByPath<R>>);

struct ByPath<R> {
    copies: HashMap<KeyPath, Weak<Followed<R>>>,
    /// Beyond that many, those that nobody holds any more are thrown out.
    sweep_at: usize,
}

impl<R> Default for Copies<R> {
    fn default() -> Self {
        Self(Mutex::new(ByPath { copies: HashMap::new(), sweep_at: 64 }))
    }
}

impl<R: Replica> Copies<R> {
    pub(crate) fn get(&self, path: &KeyPath, means: &Means, new: impl FnOnce() -> R) -> Arc<Followed<R>> {
        let mut by_path = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(copy) = by_path.copies.get(path).and_then(Weak::upgrade) {
            return copy;
        }
        let copy = Arc::new(Followed::new(new(), means.clone()));
        by_path.copies.insert(path.clone(), Arc::downgrade(&copy));
        if by_path.copies.len() > by_path.sweep_at {
            by_path.copies.retain(|_, copy| copy.strong_count() > 0);
            // So that the sweeps cost no more than the insertions.
            by_path.sweep_at = by_path.copies.len() * 2 + 64;
        }
        copy
    }

    /// Those that are kept up to date at the moment.
    pub(crate) fn followed(&self) -> Vec<Arc<Followed<R>>> {
        let by_path = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        by_path.copies.values().filter_map(Weak::upgrade).filter(|copy| copy.is_followed()).collect()
    }
}
