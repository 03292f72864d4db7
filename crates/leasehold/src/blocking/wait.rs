//! Waits for a future on a thread.
//!
//! # Implementation
//!
//! The work is done by tasks on the driver's thread. All that the futures of this crate's methods do is to wait for an answer of theirs,
//! so they need no runtime here: a waker that unparks the thread is enough. A wake-up is remembered in a flag, since whatever is polled
//! may park this thread itself and so use up the one token that `unpark` leaves. The flag is set before the token is given and
//! taken before the poll, so a wake-up that comes during a poll leads to another one.
//!
//! Where the patience is limited, it is the parking that ends. There is one poll after it, whether or not the flag is set, so what has come by
//! then is not missed, and a future that wakes itself in every poll is given up all the same.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

/// Waits for a future of this crate, and answers its output: the bridge from code without async to what has no twin here.
///
/// ```
/// use leasehold::blocking::{self, wait};
///
/// # fn main() -> Result<(), leasehold::Error> {
/// let guard = blocking::connect("memory://")?.mutex("one").lock()?;
/// let lost = guard.lost();
/// std::thread::spawn(move || println!("{}", wait(lost))); // told as soon as the lock is released or lost
/// # Ok(()) }
/// ```
///
/// Futures of others work if they need no runtime to be polled in.
///
/// # Panics
/// When called from asynchronous code of Tokio; see [the module](crate::blocking#panics).
#[track_caller]
pub fn wait<F: Future>(future: F) -> F::Output {
    let parking = Parking::new();
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = parking.poll(future.as_mut()) {
            return output;
        }
        parking.park();
    }
}

/// As [`wait`], but for at most `patience`: then the future is dropped, and the answer is `None`.
///
/// What that means for each future is in its documentation, under the heading of cancel safety. Methods that have a time-out of their
/// own (`try_lock_for` and its like) tell more.
///
/// ```
/// use leasehold::blocking::{self, wait_for};
/// use std::time::Duration;
///
/// # fn main() -> Result<(), leasehold::Error> {
/// let coordinator = blocking::connect("memory://")?;
/// let barrier = coordinator.double_barrier("handover", 2);
/// let entered = wait_for(barrier.as_async().enter(), Duration::from_millis(10));
/// assert!(entered.is_none(), "the other one has not come");
/// # Ok(()) }
/// ```
///
/// # Panics
/// When called from asynchronous code of Tokio; see [the module](crate::blocking#panics).
#[track_caller]
pub fn wait_for<F: Future>(future: F, patience: Duration) -> Option<F::Output> {
    let parking = Parking::new();
    let mut future = pin!(future);
    // A patience beyond what the clock can tell has no end.
    let deadline = Instant::now().checked_add(patience);
    let mut is_over = false;
    loop {
        if let Poll::Ready(output) = parking.poll(future.as_mut()) {
            return Some(output);
        }
        if is_over {
            return None;
        }
        match deadline {
            Some(deadline) => is_over = parking.park_until(deadline),
            None => parking.park(),
        }
    }
}

/// Tokio knows whether this thread drives tasks, which is not the same as whether it has a runtime at hand: threads of `spawn_blocking`
/// have. It tells by a panic, in whatever of its methods waits.
#[track_caller]
fn panic_in_async_code() {
    let (sender, receiver) = oneshot::channel::<()>();
    drop(sender);
    // It is closed, so there is nothing to wait for.
    let _ = receiver.blocking_recv();
}

/// A thread that waits for a future.
struct Parking {
    parked: Arc<Parked>,
    waker: Waker,
}

impl Parking {
    /// Of this thread.
    #[track_caller]
    fn new() -> Self {
        panic_in_async_code();
        let parked = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
        Self { waker: Waker::from(parked.clone()), parked }
    }

    fn poll<F: Future>(&self, future: Pin<&mut F>) -> Poll<F::Output> {
        future.poll(&mut Context::from_waker(&self.waker))
    }

    /// Until the future wants to be polled.
    fn park(&self) {
        while !self.parked.take_wake_up() {
            thread::park();
        }
    }

    /// As that, until the deadline; whether that has passed.
    fn park_until(&self, deadline: Instant) -> bool {
        loop {
            let woken = self.parked.take_wake_up();
            let left = deadline.saturating_duration_since(Instant::now());
            if woken || left.is_zero() {
                return left.is_zero();
            }
            thread::park_timeout(left);
        }
    }
}

struct Parked {
    thread: Thread,
    woken: AtomicBool,
}

impl Parked {
    fn take_wake_up(&self) -> bool {
        self.woken.swap(false, Ordering::Acquire)
    }
}

impl Wake for Parked {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.woken.store(true, Ordering::Release);
        self.thread.unpark();
    }
}

#[cfg(test)]
mod tests {
    use std::future::{pending, poll_fn, ready};

    use super::*;

    #[test]
    fn a_wake_up_is_not_lost_to_a_park_inside_of_the_future() {
        for patience in [None, Some(Duration::MAX), Some(Duration::from_secs(60))] {
            let mut polls = 0;
            let future = poll_fn(|context| {
                polls += 1;
                if polls == 3 {
                    return Poll::Ready("done");
                }
                context.waker().wake_by_ref();
                // Uses up the token, as a lock of the standard library may.
                thread::park();
                Poll::Pending
            });
            let output = match patience {
                None => Some(wait(future)),
                Some(patience) => wait_for(future, patience),
            };
            assert_eq!(output, Some("done"));
        }
    }

    #[test]
    fn wake_ups_of_other_threads_arrive() {
        for round in 0..1000 {
            let (sender, receiver) = oneshot::channel();
            let sending = thread::spawn(move || sender.send(round));
            match round % 2 {
                0 => assert_eq!(wait(receiver), Ok(round)),
                _ => assert_eq!(wait_for(receiver, Duration::MAX), Some(Ok(round))),
            }
            sending.join().unwrap().unwrap();
        }
    }

    #[test]
    fn the_patience_ends_also_with_a_future_that_never_rests() {
        let restless = || {
            poll_fn(|context| {
                context.waker().wake_by_ref();
                Poll::<()>::Pending
            })
        };
        for patience in [Duration::ZERO, Duration::from_millis(30)] {
            let start = Instant::now();
            assert_eq!(wait_for(pending::<()>(), patience), None);
            assert_eq!(wait_for(restless(), patience), None);
            assert!(start.elapsed() >= 2 * patience);
            assert_eq!(wait_for(ready(7), patience), Some(7), "what is there is answered without patience");
        }
    }
}
