//! Waiting for one's turn, and saying meanwhile how it stands.

use std::time::{Duration, Instant};

use leasehold::{ContenderInfo, HolderInfo};
use rustix::process::Signal;
use tokio::time::sleep;

use crate::claim::{Claim, Holding, Patience};
use crate::exit::{Failure, NOT_OBTAINED};
use crate::output::span;
use crate::place::Place;
use crate::service::Service;
use crate::signals::Signals;
use crate::status_line::StatusLine;

/// Who gets his turn at once is not told that he waits.
const QUIET: Duration = Duration::from_millis(300);

/// How often the ages on the screen are counted on.
pub(crate) const TICK: Duration = Duration::from_secs(1);

/// How the waiting ended.
pub(crate) enum Waited {
    Obtained(Holding),
    Signalled(Signal),
}

/// Waits for the turn, or for a signal that ends it.
pub(crate) async fn wait(
    service: &Service,
    place: &Place,
    claim: &Claim,
    patience: Patience,
    signals: &mut Signals,
) -> Result<Waited, Failure> {
    let (name, line) = (place.text(), StatusLine::new());
    let acquired = tokio::select! {
        acquired = claim.acquire(service, place, patience) => acquired?,
        signal = signals.ending(|| line.clear()) => return Ok(Waited::Signalled(signal)),
        never = show(service, place, claim, &line) => never?,
    };
    acquired.map(Waited::Obtained).ok_or_else(|| {
        let message = match patience {
            Patience::For(time) => {
                format!("{name:?} was not obtained within {}", humantime::format_duration(time))
            }
            Patience::None | Patience::Forever => format!("{name:?} is taken"),
        };
        Failure::new(NOT_OBTAINED, message)
    })
}

/// Shows on a terminal how it stands, for as long as it is polled; elsewhere it only waits.
async fn show<T>(service: &Service, place: &Place, claim: &Claim, line: &StatusLine) -> Result<T, Failure> {
    if !line.is_seen() {
        return std::future::pending().await;
    }
    sleep(QUIET).await;
    let coordinator = match service {
        Service::Queues(coordinator) => coordinator,
        #[cfg(feature = "redis")]
        Service::Key(lock) => return crate::shared_key::show_waiting(lock, line).await,
    };
    let mut queue = place.admin(coordinator).observe(claim.recipe(), place.text())?;
    let us = HolderInfo::this_process();
    let mut seen: Option<(Vec<ContenderInfo>, Instant)> = None;
    loop {
        tokio::select! {
            state = queue.next() => match state {
                Some(state) => seen = Some((state, Instant::now())),
                None => return std::future::pending().await,
            },
            () = sleep(TICK) => {}
        }
        if let Some((contenders, at)) = &seen {
            line.show(&standing(place.text(), contenders, at.elapsed(), &us));
        }
    }
}

/// The place in the queue, who holds it and since when; `later` is how long ago that was seen.
fn standing(name: &str, contenders: &[ContenderInfo], later: Duration, us: &HolderInfo) -> String {
    let is_us = |contender: &ContenderInfo| {
        let holder = contender.details.as_ref().map(|details| &details.holder);
        holder.is_some_and(|holder| (&holder.host, holder.pid) == (&us.host, us.pid))
    };
    let mut text = format!("waiting for {name:?}");
    if let Some(place) = contenders.iter().position(|contender| is_us(contender) && !contender.holds()) {
        text += &format!(", place {} of {}", place + 1, contenders.len());
    }
    if let Some(holder) = contenders.iter().find(|contender| contender.holds()) {
        text += &match &holder.details {
            Some(details) => {
                let host = details.holder.host.escape_debug();
                format!("; held by {host} pid {} for {}", details.holder.pid, span(details.age + later))
            }
            None => "; held by another program".to_owned(),
        };
    }
    text
}
