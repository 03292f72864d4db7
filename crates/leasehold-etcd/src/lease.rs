//! The lease of a session.
//!
//! # Implementation
//!
//! One task a session runs [`Lease::keep`]. It renews every third of the TTL over one stream, with one renewal under way at a
//! time, so that every answer belongs to the last request. It is the only writer of renewals into the liveness.
//!
//! Each one comes with a look at the session's key, since etcd renews for whoever asks (see [`incarnation`](crate::incarnation)).
//!
//! - Both answered in time: `renewed`, and the next one is due a third of the TTL after this one was *sent*.
//! - The stream ends or fails, also between renewals: suspect at once, a new stream without delay, then with a backoff.
//! - No answer in time: suspect, new connections (see [`Link::replace`]), a new stream.
//! - etcd does not know the lease, or another process has resumed the session: it is over, and so is the task. It also ends once the local deadline has passed:
//!   renewing what was given up would only keep others waiting.
//!
//! The task is dropped with the session's other tasks. A renewal that was on its way then may still prolong the lease
//! by its TTL, unless it was revoked.

use std::sync::Arc;
use std::time::Duration;

use etcd_client::{Error, LeaseKeepAliveStream, LeaseKeeper};
use leasehold_core::{BackendError, BackendErrorKind, Backoff, Clock, LivenessCell, LossReason};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::{Effect, backend_error, corrupt};
use crate::incarnation::Incarnation;
use crate::link::Link;

/// The shortest time that a renewal has; a busy machine needs more than a round trip now and then.
const LEAST_PATIENCE: Duration = Duration::from_millis(250);

/// A lease at the service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Lease {
    pub(crate) id: i64,
    pub(crate) ttl: Duration,
}

/// What came of a renewal.
enum Renewal {
    Renewed(Duration),
    Lost(LossReason),
}

/// A stream of renewals.
pub(crate) type Stream = (LeaseKeeper, LeaseKeepAliveStream);

impl Lease {
    /// Asks for a lease of `ttl`, rounded up to whole seconds. The service may grant a longer one.
    pub(crate) async fn grant(
        link: &Link,
        ttl: Duration,
        limit: Duration,
        clock: &Clock,
    ) -> Result<(Self, Arc<LivenessCell>), BackendError> {
        let seconds = ttl.as_secs().saturating_add(u64::from(ttl.subsec_nanos() > 0)).max(1);
        let seconds = i64::try_from(seconds).unwrap_or(i64::MAX);
        let sent_at = clock.now();
        // Nobody misses a lease whose grant went unanswered: it ends by itself.
        let granted = link
            .call_within(limit, "lease grant", Effect::Read, |clients| {
                let mut client = clients.lease.clone();
                async move { client.grant(seconds, None).await }
            })
            .await?;
        let Some(ttl) = positive_seconds(granted.ttl()).filter(|_| granted.id() != 0) else {
            return Err(corrupt("lease grant"));
        };
        let liveness = Arc::new(LivenessCell::new(clock.clone(), sent_at, ttl));
        Ok((Self { id: granted.id(), ttl }, liveness))
    }

    /// Renews a lease that was taken over for the first time; also answers the stream.
    pub(crate) async fn adopt(
        link: &Link,
        id: i64,
        limit: Duration,
        clock: &Clock,
    ) -> Result<(Self, Arc<LivenessCell>, Stream), BackendError> {
        const WHAT: &str = "renewal of a session that was resumed";
        let gone = || BackendError::new(BackendErrorKind::SessionLost, format!("{WHAT}: it is gone"));
        let renewed = link
            .call_within(limit, WHAT, Effect::Read, |clients| {
                let mut client = clients.lease.clone();
                async move {
                    let (mut requests, mut answers) = match client.keep_alive(id).await {
                        Err(Error::LeaseKeepAliveError(_)) => return Ok(None),
                        opened => opened?,
                    };
                    // The client does not show the first answer's TTL.
                    let sent_at = clock.now();
                    requests.keep_alive().await?;
                    let answer = answers.message().await?;
                    Ok(answer.map(|answer| (sent_at, answer.ttl(), (requests, answers))))
                }
            })
            .await?;
        let (sent_at, ttl, stream) = renewed.ok_or_else(gone)?;
        let ttl = positive_seconds(ttl).ok_or_else(gone)?;
        Ok((Self { id, ttl }, Arc::new(LivenessCell::new(clock.clone(), sent_at, ttl)), stream))
    }

    /// Renews until the session is lost, or the future is dropped.
    pub(crate) async fn keep(
        self,
        link: Arc<Link>,
        liveness: Arc<LivenessCell>,
        incarnation: Incarnation,
        mut stream: Option<Stream>,
    ) {
        let period = self.ttl / 3;
        let patience = (self.ttl / 6).max(LEAST_PATIENCE).min(link.request_timeout());
        let new_backoff = || Backoff::new(Duration::from_millis(20), period / 2);
        let mut backoff = new_backoff();
        let mut due = Instant::now() + period;
        loop {
            if let Some((_, answers)) = &mut stream {
                tokio::select! {
                    () = sleep_until(due) => {}
                    // Nothing was asked, so the stream is over.
                    _ = answers.message() => {
                        stream = None;
                        liveness.suspect();
                    }
                }
            } else {
                sleep_until(due).await;
            }
            if !liveness.is_alive() {
                return;
            }
            let (sent_at, asked) = (liveness.clock().now(), Instant::now());
            match timeout(patience, self.renew(&link, &incarnation, &mut stream)).await {
                Ok(Ok(Renewal::Renewed(ttl))) => {
                    if !liveness.renewed(sent_at, ttl) {
                        return;
                    }
                    backoff = new_backoff();
                    due = asked + period;
                    continue;
                }
                Ok(Ok(Renewal::Lost(reason))) => return liveness.end(reason),
                Ok(Err(_)) => {
                    stream = None;
                    liveness.suspect();
                }
                Err(_) => {
                    stream = None;
                    liveness.suspect();
                    // Without an answer to this either, the old connections stay.
                    let _ = timeout(patience, link.replace()).await;
                }
            }
            due = Instant::now() + backoff.next_delay();
        }
    }

    /// Renews once, and sees whether the session is still this incarnation's after that was sent.
    async fn renew(
        &self,
        link: &Link,
        incarnation: &Incarnation,
        stream: &mut Option<Stream>,
    ) -> Result<Renewal, BackendError> {
        let (renewed, loss) = tokio::join!(self.send_renewal(link, stream), incarnation.loss(link));
        Ok(match (loss, renewed) {
            (Ok(Some(reason)), _) => Renewal::Lost(reason),
            (loss, renewed) => {
                let renewed = renewed
                    .map_err(|error| backend_error("renewal", link.endpoint(), error, Effect::Read))?;
                loss?;
                renewed
            }
        })
    }

    /// Renews once, over the stream or a new one.
    async fn send_renewal(&self, link: &Link, stream: &mut Option<Stream>) -> Result<Renewal, Error> {
        let Some((requests, answers)) = stream else {
            return match link.clients().lease.keep_alive(self.id).await {
                Ok(opened) => {
                    *stream = Some(opened);
                    // The first answer was seen by the client, which does not show its TTL.
                    Ok(Renewal::Renewed(self.ttl))
                }
                // When it opens a stream, the client says by this and nothing else that there is no such lease.
                Err(Error::LeaseKeepAliveError(_)) => Ok(Renewal::Lost(LossReason::SessionEnded)),
                Err(error) => Err(error),
            };
        };
        requests.keep_alive().await?;
        match answers.message().await? {
            // An expired lease has a TTL of zero here.
            Some(answer) => Ok(match positive_seconds(answer.ttl()) {
                Some(ttl) => Renewal::Renewed(ttl),
                None => Renewal::Lost(LossReason::SessionEnded),
            }),
            None => Err(Error::LeaseKeepAliveError("the stream has ended".into())),
        }
    }

    /// Ends the lease and everything tied to it. Tries until it is done, or the future is dropped.
    pub(crate) async fn revoke(self, link: &Link) {
        let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        loop {
            let revoked = link
                .call("lease revocation", Effect::Write, |clients| {
                    let mut client = clients.lease.clone();
                    async move { client.revoke(self.id).await }
                })
                .await;
            match revoked {
                Err(error) if error.is_transient() => sleep(backoff.next_delay()).await,
                // Revoked, or unknown, or we may not: nothing is left to do.
                _ => return,
            }
        }
    }
}

fn positive_seconds(seconds: i64) -> Option<Duration> {
    u64::try_from(seconds).ok().filter(|seconds| *seconds > 0).map(Duration::from_secs)
}
