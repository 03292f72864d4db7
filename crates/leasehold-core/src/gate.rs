//! A gate that tasks pass at each of their polls.

use std::fmt;
use std::future::{Future, poll_fn};
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

/// Decides before each poll of a task whether it comes to the poll.
///
/// Tasks that find the gate shut stay where they are, as those of a process that is stopped; time goes on meanwhile. It is made
/// for tests that stop a coordinator ([`CoordinatorBuilder::gate`](crate::CoordinatorBuilder::gate)) and start it again, and for whoever
/// counts or traces what the library's tasks do.
#[derive(Clone)]
pub struct Gate(Arc<Ready>);

/// Whether whoever comes may pass, and if not, wakes it when it may.
type Ready = dyn Fn(&mut Context<'_>) -> Poll<()> + Send + Sync;

impl Gate {
    /// A gate that is open whenever `open` answers `Ready`. If it answers `Pending` it must see to it that the task is woken when it is to
    /// be asked again.
    pub fn new(open: impl Fn(&mut Context<'_>) -> Poll<()> + Send + Sync + 'static) -> Self {
        Self(Arc::new(open))
    }

    /// Polls `future` only when the gate is open.
    ///
    /// # Cancel safety
    /// Dropping it drops the future, open or not.
    pub async fn pass<F: Future>(self, future: F) -> F::Output {
        let mut future = pin!(future);
        poll_fn(|context| {
            ready!((self.0)(context));
            future.as_mut().poll(context)
        })
        .await
    }
}

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gate").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::sync::watch;
    use tokio::time::{Instant, sleep, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_became_ready_behind_a_shut_gate_is_seen_when_it_opens() {
        let (open, opened) = watch::channel(true);
        let gate = Gate::new(move |context| {
            let mut opened = opened.clone();
            pin!(opened.wait_for(|open| *open)).poll(context).map(|_| ())
        });
        // A gate of this kind does not keep its waker, so the test polls anew.
        let (start, mut slept) = (Instant::now(), Box::pin(gate.pass(sleep(Duration::from_secs(2)))));
        assert!(timeout(Duration::from_secs(1), &mut slept).await.is_err(), "it sleeps");
        open.send_replace(false);
        assert!(timeout(Duration::from_secs(9), &mut slept).await.is_err(), "the gate is shut");
        open.send_replace(true);
        slept.await;
        assert_eq!(start.elapsed(), Duration::from_secs(10));
    }
}
