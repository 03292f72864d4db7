//! Campaign, work, campaign again.

use std::future::Future;
use std::pin::pin;

use super::Election;
use crate::error::Error;
#[cfg(doc)]
use crate::error::ErrorKind;
use crate::held::Held;

impl Election {
    /// Stands for election with the handle's [value](Election::proclaiming), runs `work` while leading, and stands again whenever
    /// the leadership was lost, until `work` has returned or `shutdown` has resolved.
    ///
    /// * When the leadership is **lost**, `work` is dropped at the await it is at (what it had sent away by then still
    ///   happens: fence it), and made anew for the next leadership. A return in the very moment of the loss counts as lost as well.
    /// * When `work` **returns** by itself, the leadership is resigned and the output answered.
    /// * When `shutdown` **resolves** while standing, the candidacy is withdrawn and the answer is `None`. While leading, `work` sees
    ///   it by [`Held::cancellation_token`] and brings itself to its end; the leadership is kept, and renewed, until it has
    ///   returned, and only then resigned. `work` that does not look at the token is waited for without end.
    ///
    /// A session that is lost, a service that cannot be reached and an entry that was removed by hand are waited out; also one
    /// whose leadership a newer incarnation has [resumed](Election::resume) stands again, behind that. A
    /// [shutdown of the coordinator](crate::Coordinator::shutdown) is seen by `work` in the same way.
    ///
    /// ```
    /// # async fn example(
    /// #     coordinator: leasehold_core::Coordinator,
    /// #     shutdown: tokio_util::sync::CancellationToken,
    /// # ) -> Result<(), leasehold_core::Error> {
    /// let election = coordinator.election("scheduler").proclaiming("10.0.0.7:4000");
    /// election.lead(shutdown.cancelled(), |held| async move {
    ///     let stop = held.cancellation_token();
    ///     while !stop.is_cancelled() {
    ///         // Schedule, under held.fencing_token().
    ///         # break
    ///     }
    /// }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Election::campaign`], each time it stands. [`ErrorKind::Lost`] if the leadership was lost after `shutdown` had resolved
    /// and before `work` had returned. A resignation that the service does not confirm in time, or that finds the leadership gone, is
    /// no error here.
    ///
    /// # Cancel safety
    /// Dropping the future drops `work`, if it runs, and withdraws the candidacy or resigns in the background.
    pub async fn lead<F, W>(&self, shutdown: impl Future, mut work: F) -> Result<Option<W::Output>, Error>
    where
        F: FnMut(Held) -> W,
        W: Future,
    {
        let mut shutdown = pin!(shutdown);
        loop {
            let leadership = tokio::select! {
                biased;
                _ = &mut shutdown => return Ok(None),
                leadership = self.campaign(self.value.clone()) => leadership?,
            };
            let held = leadership.held();
            let (outcome, is_last) = {
                let mut working = pin!(held.work(&mut work));
                tokio::select! {
                    biased;
                    outcome = &mut working => (outcome, false),
                    _ = &mut shutdown => {
                        held.state().ask_to_stop();
                        (working.await, true)
                    }
                }
            };
            match outcome {
                Ok(output) => {
                    // The work was done under the leadership. What becomes of the rest of it concerns nobody any more.
                    let _ = leadership.resign().await;
                    return Ok(Some(output));
                }
                Err(lost) if is_last => return Err(lost),
                Err(_) => {}
            }
        }
    }
}
