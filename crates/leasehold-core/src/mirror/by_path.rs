//! What the handles of one path share.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::name::KeyPath;

/// One `T` a path, found as long as somebody holds it: how the [queue handles](crate::Session::queue) of one path share what they
/// learn of it.
pub struct ByPath<T>(Mutex<Table<T>>);

struct Table<T> {
    kept: HashMap<KeyPath, Weak<T>>,
    /// Beyond that many, those that nobody holds any more are thrown out.
    sweep_at: usize,
}

/// So that the sweeps cost no more than the insertions.
fn next_sweep(kept: usize) -> usize {
    kept * 2 + 64
}

impl<T> Default for ByPath<T> {
    fn default() -> Self {
        Self(Mutex::new(Table { kept: HashMap::new(), sweep_at: next_sweep(0) }))
    }
}

impl<T> fmt::Debug for ByPath<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ByPath").finish_non_exhaustive()
    }
}

impl<T> ByPath<T> {
    /// That of `path`, made if there is none.
    pub fn get(&self, path: &KeyPath, make: impl FnOnce() -> T) -> Arc<T> {
        let mut table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(found) = table.kept.get(path).and_then(Weak::upgrade) {
            return found;
        }
        let made = Arc::new(make());
        table.kept.insert(path.clone(), Arc::downgrade(&made));
        if table.kept.len() > table.sweep_at {
            table.kept.retain(|_, kept| kept.strong_count() > 0);
            table.sweep_at = next_sweep(table.kept.len());
        }
        made
    }

    /// That of `path`, if there is one.
    pub fn find(&self, path: &KeyPath) -> Option<Arc<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).kept.get(path)?.upgrade()
    }

    /// Those that somebody holds at the moment.
    pub fn all(&self) -> Vec<Arc<T>> {
        let table = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        table.kept.values().filter_map(Weak::upgrade).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::name::{Kind, Namespace};

    fn path(number: usize) -> KeyPath {
        KeyPath::new(&Namespace::default(), Kind::Lock, &number.to_string()).unwrap()
    }

    #[test]
    fn one_a_path_as_long_as_it_is_held() {
        let by_path = ByPath::default();
        let one = by_path.get(&path(1), || 'a');
        assert_eq!(*by_path.get(&path(1), || 'b'), 'a');
        assert_eq!(*by_path.get(&path(2), || 'c'), 'c');
        assert!(by_path.all().iter().eq([&one]), "nobody holds the other one");
        drop(one);
        assert_eq!(*by_path.get(&path(1), || 'd'), 'd');
    }

    #[test]
    fn what_nobody_holds_is_not_kept_for_ever() {
        let by_path = ByPath::default();
        let held: Vec<_> = (0..10).map(|number| by_path.get(&path(number), || number)).collect();
        for number in 10..10_000 {
            by_path.get(&path(number), || number);
        }
        assert!(by_path.0.lock().unwrap().kept.len() <= 1 + next_sweep(held.len()));
        assert_eq!(by_path.all().len(), held.len());
    }
}
