//! Waits for a future on a thread.
//!
//! # Implementation
//!
//! The work is done by tasks on the driver's thread. All that the futures of this crate's methods do is to wait for an answer of theirs,
//! so they need no runtime here: a waker that unparks the thread is enough. A wake-up is remembered in a flag, since whatever is polled
//! may park this thread itself and so use up the one token that `unpark` leaves. The flag is set before the token is given and
//! taken before the poll, so a wake-up that comes during a poll leads to another one.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::{self, Thread};

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
    panic_in_async_code();
    let parked = Arc::new(Parked { thread: thread::current(), woken: AtomicBool::new(false) });
    let waker = Waker::from(parked.clone());
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        while !parked.woken.swap(false, Ordering::Acquire) {
            thread::park();
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

struct Parked {
    thread: Thread,
    woken: AtomicBool,
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
    use std::future::poll_fn;

    use super::*;

    #[test]
    fn a_wake_up_is_not_lost_to_a_park_inside_of_the_future() {
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
        assert_eq!(wait(future), "done");
    }

    #[test]
    fn wake_ups_of_other_threads_arrive() {
        for round in 0..1000 {
            let (sender, receiver) = oneshot::channel();
            let sending = thread::spawn(move || sender.send(round));
            assert_eq!(wait(receiver), Ok(round));
            sending.join().unwrap().unwrap();
        }
    }
}
