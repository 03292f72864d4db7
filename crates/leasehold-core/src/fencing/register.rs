//! A value behind a fence.
//!
//! # Implementation
//!
//! Value and fence are under one lock, which is held for the check and the access together: no other access comes between
//! the two, so accesses are accepted in an order in which the marks only rise. Nothing is awaited under it.
//! A panic of a caller's closure leaves the lock usable; the mark has been raised by then, which is the safe side.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::fencing::{Fence, Stale};
use crate::token::FencingToken;

/// A value in memory that is accessed with fencing tokens only: what a service embeds that owns the data.
///
/// Each access is checked by a [`Fence`] and is atomic with its check; accesses of any threads are accepted in an order in which no
/// holder comes after a later one that excludes it. An access that is rejected changes nothing.
///
/// What it does not promise:
///
/// - Nothing is durable. The fence goes with the process, and the one that takes over has seen no token: there a stale holder
///   passes until the next one has touched it. A service that keeps its data keeps the [`Fence`] beside it.
/// - A stale holder passes until the new holder's *first touch*, as with any fence: see [the module](crate::fencing#from-first-touch).
/// - A read and a later write are two accesses. What makes them one is the lock whose token they carry.
///
/// ```
/// # extern crate leasehold_core as leasehold;
/// use leasehold::FencingToken;
/// use leasehold::fencing::FencedRegister;
///
/// let [old, new] = [1, 2].map(|order| FencingToken::new(0, order, 0));
/// let balance = FencedRegister::new(10);
/// assert_eq!(balance.read(old), Ok(10));
/// assert_eq!(balance.read(new), Ok(10)); // the lock has a new holder, and the register has heard of it
/// let stale = balance.write(old, 11).unwrap_err();
/// assert_eq!((stale.token, stale.highest), (old, new));
/// assert_eq!(balance.update(new, |balance| *balance += 5), Ok(()));
/// assert_eq!(balance.read(new), Ok(15));
/// ```
#[derive(Default)]
pub struct FencedRegister<T> {
    inside: Mutex<Inside<T>>,
}

#[derive(Default)]
struct Inside<T> {
    fence: Fence,
    value: T,
}

impl<T> FencedRegister<T> {
    /// A register that has seen no token.
    pub const fn new(value: T) -> Self {
        Self { inside: Mutex::new(Inside { fence: Fence::new(), value }) }
    }

    /// A copy of the value, under an exclusive hold.
    ///
    /// # Errors
    /// [`Stale`]
    pub fn read(&self, token: FencingToken) -> Result<T, Stale>
    where
        T: Clone,
    {
        self.update(token, |value| value.clone())
    }

    /// A copy of the value, under a shared hold, side by side with others.
    ///
    /// # Errors
    /// [`Stale`] if a later exclusive holder was here.
    pub fn read_shared(&self, token: FencingToken) -> Result<T, Stale>
    where
        T: Clone,
    {
        let mut inside = self.lock();
        inside.fence.check_shared(token)?;
        Ok(inside.value.clone())
    }

    /// Replaces the value, under an exclusive hold.
    ///
    /// # Errors
    /// [`Stale`]; the value stays as it is.
    pub fn write(&self, token: FencingToken, value: T) -> Result<(), Stale> {
        self.update(token, |old| *old = value)
    }

    /// Changes the value in place, under an exclusive hold, and answers what `change` does. Others wait meanwhile, and block
    /// their threads: `change` should be short, and must not use the register.
    ///
    /// If `change` panics, what it has done by then stays done.
    ///
    /// # Errors
    /// [`Stale`]; then `change` is not called.
    pub fn update<R>(&self, token: FencingToken, change: impl FnOnce(&mut T) -> R) -> Result<R, Stale> {
        let mut inside = self.lock();
        inside.fence.check_exclusive(token)?;
        Ok(change(&mut inside.value))
    }

    /// Passes from one lock to another, under an exclusive hold of both: see [`Fence::hand_over`].
    ///
    /// # Errors
    /// [`Stale`]; then nothing is changed.
    pub fn hand_over(&self, from: FencingToken, to: FencingToken) -> Result<(), Stale> {
        self.lock().fence.hand_over(from, to)
    }

    /// The marks as they are now.
    pub fn fence(&self) -> Fence {
        self.lock().fence
    }

    /// The value, without a token, for whoever owns the register alone.
    pub fn into_inner(self) -> T {
        self.inside.into_inner().unwrap_or_else(PoisonError::into_inner).value
    }

    fn lock(&self) -> MutexGuard<'_, Inside<T>> {
        self.inside.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The marks alone: the value may be large or secret.
impl<T> fmt::Debug for FencedRegister<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FencedRegister").field("fence", &self.fence()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::panic::{AssertUnwindSafe, catch_unwind};
    use std::sync::Barrier;
    use std::thread;

    use super::*;

    fn token(order: u64) -> FencingToken {
        FencingToken::new(0, order, 0)
    }

    #[test]
    fn threads_are_accepted_in_an_order_of_rising_tokens_and_rejected_ones_change_nothing() {
        const HOLDERS: u64 = 8;
        const ROUNDS: usize = 2000;
        // Who changed it, in order.
        let register = FencedRegister::new(Vec::new());
        let start = Barrier::new(HOLDERS as usize);
        let accepted: Vec<usize> = thread::scope(|scope| {
            let holders: Vec<_> = (0..HOLDERS)
                .map(|holder| {
                    let (register, start) = (&register, &start);
                    scope.spawn(move || {
                        start.wait();
                        let add = |_: &usize| register.update(token(holder), |by| by.push(holder)).is_ok();
                        (0..ROUNDS).filter(add).count()
                    })
                })
                .collect();
            holders.into_iter().map(|holder| holder.join().unwrap()).collect()
        });
        assert_eq!(register.fence().exclusive(), token(HOLDERS - 1));
        let by = register.into_inner();
        assert!(by.is_sorted());
        for (holder, accepted) in (0..).zip(&accepted) {
            assert_eq!(by.iter().filter(|by| **by == holder).count(), *accepted, "holder {holder}");
        }
        assert_eq!(accepted.last(), Some(&ROUNDS), "nobody came after the last one");
    }

    #[test]
    fn readers_do_not_shut_each_other_out_and_shut_out_writers_that_came_before() {
        let register = FencedRegister::new("old");
        assert_eq!(register.read_shared(token(6)), Ok("old"));
        assert_eq!(register.read_shared(token(5)), Ok("old"));
        let rejected = Err(Stale { token: token(4), highest: token(6) });
        assert_eq!(register.write(token(4), "late"), rejected);
        assert_eq!(register.read(token(4)), Err(Stale { token: token(4), highest: token(6) }));
        assert_eq!(register.update(token(4), |_| unreachable!("it was rejected")), rejected);
        assert_eq!(register.write(token(7), "new"), Ok(()));
        assert_eq!(register.read_shared(token(6)), Err(Stale { token: token(6), highest: token(7) }));
        assert_eq!(register.read(token(7)), Ok("new"));
    }

    #[test]
    fn a_fence_is_handed_over_by_a_holder_of_both_locks_only() {
        let other = |order| FencingToken::new(1, order, 0);
        let register = FencedRegister::new("value");
        assert_eq!(register.read(token(6)), Ok("value"));
        let stale = register.hand_over(token(5), other(2));
        assert_eq!(stale, Err(Stale { token: token(5), highest: token(6) }), "not by a stale one");
        assert_eq!(register.hand_over(token(7), token(3)), Err(Stale { token: token(3), highest: token(6) }));
        assert_eq!(register.fence().exclusive(), token(6), "nothing was changed");
        assert_eq!(register.hand_over(token(7), other(3)), Ok(()));
        assert!(register.read(token(8)).is_err(), "nothing of the first lock's passes any more");
        assert!(register.read(other(2)).is_err(), "nor who held both before");
        assert_eq!(register.read(other(4)), Ok("value"));
    }

    #[test]
    fn a_panic_leaves_the_register_usable_and_its_token_seen() {
        let register = FencedRegister::new(1);
        let change = |value: &mut i32| {
            *value = 2;
            panic!("on purpose");
        };
        let panicked = catch_unwind(AssertUnwindSafe(|| register.update(token(2), change)));
        assert!(panicked.is_err());
        assert_eq!(register.read(token(1)), Err(Stale { token: token(1), highest: token(2) }));
        assert_eq!(register.read(token(2)), Ok(2));
        assert!(!format!("{register:?}").contains("value"));
    }
}
