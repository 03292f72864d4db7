//! Drops a future at its k-th poll, for every k: what a claim of cancel safety is tested with.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")] async fn main() {
//! use std::time::Duration;
//! use leasehold_testkit::polls::drop_at_every_poll;
//!
//! let mutex = tokio::sync::Mutex::new(());
//! let guard = drop_at_every_poll(
//!     Duration::from_millis(50),
//!     || async {
//!         tokio::task::yield_now().await;
//!         mutex.lock().await
//!     },
//!     async |_polls| assert!(mutex.try_lock().is_ok(), "a dropped acquire left something behind"),
//! )
//! .await;
//! drop(guard);
//! # }
//! ```

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::Notify;

/// Polls a future at most `polls` times: the first time at once, then on each wake-up or, if none comes, after
/// `pace`. Answers its output if it finished, and otherwise drops it.
///
/// Wake-ups that come together count as one. With `polls` = 0 the future is dropped as it is.
///
/// The polls on `pace` are spurious ones, which every future must bear; they let a future be dropped between two of
/// its wake-ups, and end the wait for a future that nobody wakes. On paused time they come when everything else is idle.
///
/// # Cancel safety
/// Dropping it drops the future.
pub async fn poll_times<F: Future>(future: F, polls: usize, pace: Duration) -> Option<F::Output> {
    let woken = Arc::new(Woken(Notify::new()));
    let waker = Waker::from(Arc::clone(&woken));
    let mut future = pin!(future);
    for poll in 0..polls {
        if poll > 0 {
            // Whether it was a wake-up or the pace, the next thing is a poll.
            let _ = tokio::time::timeout(pace, woken.0.notified()).await;
        }
        if let Poll::Ready(output) = poll_once(future.as_mut(), &waker).await {
            return Some(output);
        }
    }
    None
}

/// Drops a future at its first poll, another at its second, and so on until one finishes; answers that one's output.
///
/// After each drop, `after_each` gets the number of polls and looks at what the future left behind. A future that waits
/// for something must get it within a finite number of polls: see `pace` in [`poll_times`].
///
/// # Cancel safety
/// Dropping it drops the future of the moment.
pub async fn drop_at_every_poll<T>(
    pace: Duration,
    mut make_future: impl AsyncFnMut() -> T,
    mut after_each: impl AsyncFnMut(usize),
) -> T {
    let mut polls = 0;
    loop {
        if let Some(output) = poll_times(make_future(), polls, pace).await {
            return output;
        }
        after_each(polls).await;
        polls += 1;
    }
}

/// Remembers one wake-up.
struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Polls once, with a waker of ours but within the caller's task, as the runtime's futures need it.
async fn poll_once<F: Future>(mut future: Pin<&mut F>, waker: &Waker) -> Poll<F::Output> {
    poll_fn(|_| Poll::Ready(future.as_mut().poll(&mut Context::from_waker(waker)))).await
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Duration = Duration::from_secs(3600);

    /// Is ready at its n-th poll, and wakes itself before that.
    async fn ready_at(polls: usize) -> usize {
        for _ in 1..polls {
            let mut first = true;
            poll_fn(|context| {
                if std::mem::take(&mut first) {
                    context.waker().wake_by_ref();
                    return Poll::Pending;
                }
                Poll::Ready(())
            })
            .await;
        }
        polls
    }

    #[tokio::test(start_paused = true)]
    async fn counts_polls() {
        assert_eq!(poll_times(ready_at(1), 0, NEVER).await, None);
        assert_eq!(poll_times(ready_at(3), 2, NEVER).await, None);
        assert_eq!(poll_times(ready_at(3), 3, NEVER).await, Some(3));
    }

    #[tokio::test(start_paused = true)]
    async fn a_wake_up_comes_before_the_pace() {
        let start = tokio::time::Instant::now();
        let slow = tokio::time::sleep(Duration::from_secs(5));
        assert_eq!(poll_times(slow, 2, NEVER).await, Some(()));
        assert_eq!(start.elapsed(), Duration::from_secs(5));
    }

    #[tokio::test(start_paused = true)]
    async fn the_pace_polls_what_nobody_wakes() {
        let start = tokio::time::Instant::now();
        assert_eq!(poll_times(std::future::pending::<()>(), 4, Duration::from_secs(1)).await, None);
        assert_eq!(start.elapsed(), Duration::from_secs(3));
    }

    #[tokio::test(start_paused = true)]
    async fn every_poll_is_a_place_to_drop() {
        let mut dropped_at = Vec::new();
        let output = drop_at_every_poll(NEVER, || ready_at(4), async |polls| dropped_at.push(polls)).await;
        assert_eq!(output, 4);
        assert_eq!(dropped_at, [0, 1, 2, 3]);
    }
}
