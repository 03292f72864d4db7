//! How is measured: with the spread of what was seen, and contenders for a time.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Barrier;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use crate::Failure;
use crate::process;

/// Several measurements of one thing.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Spread {
    pub(crate) median: f64,
    pub(crate) min: f64,
    pub(crate) max: f64,
}

impl Spread {
    /// Of one or more.
    pub(crate) fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = if values.len().is_multiple_of(2) {
            (values[middle - 1] + values[middle]) / 2.0
        } else {
            values[middle]
        };
        Self { median, min: values[0], max: values[values.len() - 1] }
    }
}

/// What something took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Took {
    pub(crate) time: Duration,
    /// How often a thread of the client's process went to sleep and was woken.
    pub(crate) wake_ups: u64,
}

/// The beginning of something that is measured in this process.
pub(crate) struct Started {
    at: Instant,
    wake_ups: u64,
}

impl Started {
    pub(crate) fn now() -> Result<Self, Failure> {
        let wake_ups = process::own_wake_ups()?;
        Ok(Self { at: Instant::now(), wake_ups })
    }

    pub(crate) fn took(&self) -> Result<Took, Failure> {
        let time = self.at.elapsed();
        Ok(Took { time, wake_ups: process::own_wake_ups()?.saturating_sub(self.wake_ups) })
    }
}

/// Somebody who gets a lock and gives it up.
pub(crate) trait Contender: Send + Sync + 'static {
    /// Once; `inside` is called while the lock is held.
    fn once(&self, inside: impl FnOnce() + Send) -> impl Future<Output = Result<(), Failure>> + Send;
}

/// What came of a contention.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Contended {
    /// How often each contender got the lock in the time.
    pub(crate) grants: Vec<u64>,
    /// How often somebody else got it than the one before.
    pub(crate) changes: u64,
    pub(crate) took: Duration,
    /// How often anybody got it, before and after the time too.
    pub(crate) acquisitions: u64,
    /// How often a thread of the contenders' process went to sleep and was woken, meanwhile.
    pub(crate) wake_ups: u64,
    /// From the call to the grant, in the time.
    pub(crate) waits: Waits,
}

impl Contended {
    pub(crate) fn per_second(&self, count: u64) -> f64 {
        count as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn granted(&self) -> u64 {
        self.grants.iter().sum()
    }

    /// The most that one got, over the least; infinite if somebody got nothing.
    pub(crate) fn unfairness(&self) -> f64 {
        let (most, least) = (self.grants.iter().max(), self.grants.iter().min());
        most.copied().unwrap_or(0) as f64 / least.copied().unwrap_or(0) as f64
    }
}

/// How long was waited for a lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Waits {
    pub(crate) median: Duration,
    /// All but one of a hundred waited no longer.
    pub(crate) p99: Duration,
}

impl Waits {
    fn of(mut waits: Vec<Duration>) -> Self {
        waits.sort_unstable();
        let at = |hundredths: usize| waits.get(waits.len() * hundredths / 100).copied().unwrap_or_default();
        Self { median: at(50), p99: at(99) }
    }
}

/// Who holds, as it is seen from inside the lock.
#[derive(Debug, Default)]
struct Owners {
    grants: Vec<u64>,
    last: Option<usize>,
    changes: u64,
    acquisitions: u64,
    waits: Vec<Duration>,
}

/// Lets them contend for that time. Everybody has had the lock once before.
pub(crate) async fn contend(contenders: Vec<impl Contender>, time: Duration) -> Result<Contended, Failure> {
    let owners = Owners { grants: vec![0; contenders.len()], ..Owners::default() };
    let (owners, counts) = (Arc::new(Mutex::new(owners)), Arc::new(AtomicBool::new(false)));
    let start = Arc::new(Barrier::new(contenders.len() + 1));
    let stop = Arc::new(AtomicBool::new(false));
    let started = Started::now()?;
    let mut tasks = JoinSet::new();
    for (number, contender) in contenders.into_iter().enumerate() {
        let (owners, counts) = (owners.clone(), counts.clone());
        let (start, stop) = (start.clone(), stop.clone());
        tasks.spawn(async move {
            let enter = |asked: Instant| {
                let mut owners = owners.lock().unwrap_or_else(PoisonError::into_inner);
                owners.acquisitions += 1;
                if counts.load(Ordering::SeqCst) {
                    owners.grants[number] += 1;
                    owners.changes += u64::from(owners.last.is_some_and(|last| last != number));
                    owners.last = Some(number);
                    owners.waits.push(asked.elapsed());
                }
            };
            let asked = Instant::now();
            let first = contender.once(|| enter(asked)).await;
            start.wait().await;
            first?;
            while !stop.load(Ordering::SeqCst) {
                let asked = Instant::now();
                contender.once(|| enter(asked)).await?;
            }
            Ok::<(), Failure>(())
        });
    }
    start.wait().await;
    counts.store(true, Ordering::SeqCst);
    let began = Instant::now();
    sleep(time).await;
    counts.store(false, Ordering::SeqCst);
    let took = began.elapsed();
    stop.store(true, Ordering::SeqCst);
    while let Some(ended) = tasks.join_next().await {
        ended??;
    }
    let wake_ups = started.took()?.wake_ups;
    let owners = std::mem::take(&mut *owners.lock().unwrap_or_else(PoisonError::into_inner));
    let Owners { grants, changes, acquisitions, waits, .. } = owners;
    Ok(Contended { grants, changes, took, acquisitions, wake_ups, waits: Waits::of(waits) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_spread_is_of_any_number() {
        assert_eq!(Spread::of([3.0]), Spread { median: 3.0, min: 3.0, max: 3.0 });
        assert_eq!(Spread::of([3.0, 1.0, 2.0]), Spread { median: 2.0, min: 1.0, max: 3.0 });
        assert_eq!(Spread::of([4.0, 1.0, 2.0, 9.0]).median, 3.0);
    }

    #[test]
    fn waits_are_told_by_rank() {
        let waits = Waits::of((0..200).rev().map(Duration::from_millis).collect());
        assert_eq!(waits, Waits { median: Duration::from_millis(100), p99: Duration::from_millis(198) });
        assert_eq!(Waits::of(Vec::new()), Waits::default());
    }

    struct InProcess(Arc<tokio::sync::Mutex<()>>);

    impl Contender for InProcess {
        async fn once(&self, inside: impl FnOnce() + Send) -> Result<(), Failure> {
            let _held = self.0.lock().await;
            inside();
            sleep(Duration::from_millis(1)).await;
            Ok(())
        }
    }

    #[tokio::test]
    async fn a_fair_lock_is_found_fair() {
        let mutex = Arc::default();
        let contenders = (0..4).map(|_| InProcess(Arc::clone(&mutex))).collect();
        let contended = contend(contenders, Duration::from_millis(200)).await.unwrap();
        assert!(contended.unfairness() < 1.3, "{contended:?}");
        assert_eq!(contended.changes + 1, contended.granted(), "each is another's");
        assert!(contended.acquisitions >= contended.granted() + 4, "the first ones do not count");
        // Behind three others, each for a millisecond.
        assert!(contended.waits.median >= Duration::from_millis(3), "{contended:?}");
        let starved = Contended { grants: vec![7, 0], ..contended };
        assert!(starved.unfairness().is_infinite());
    }
}
