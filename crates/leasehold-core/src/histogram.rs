//! Histograms of times.
//!
//! # Implementation
//!
//! Buckets are log-linear over microseconds: each power of two is cut into [`PARTS`] buckets of equal width, and what is below
//! `PARTS` has a bucket a microsecond. So a bucket is never wider than an eighth of the least value in it, or than a
//! microsecond. Times beyond [`LONGEST`] count in the last bucket; the greatest is kept exactly. The recording half is a
//! fixed array of atomics, which any number of tasks add to without waiting for each other; a snapshot taken meanwhile may lack what is
//! being added.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// Into how many buckets a power of two is cut, as a power of two.
const PART_BITS: u32 = 3;
const PARTS: u64 = 1 << PART_BITS;

/// Above that many bits of microseconds, 12.7 days, times are not told apart.
const BITS: u32 = 40;
const LONGEST: u64 = (1 << BITS) - 1;

const BUCKETS: usize = bucket_of(LONGEST) + 1;

/// The bucket of a time in microseconds.
const fn bucket_of(micros: u64) -> usize {
    let micros = if micros > LONGEST { LONGEST } else { micros };
    if micros < PARTS {
        return micros as usize;
    }
    let shift = micros.ilog2() - PART_BITS;
    // The leading bit of the shifted value counts one power of two further.
    (shift as u64 * PARTS + (micros >> shift)) as usize
}

/// The least time of a bucket in microseconds.
const fn least_of(bucket: usize) -> u64 {
    let bucket = bucket as u64;
    if bucket < 2 * PARTS {
        return bucket;
    }
    let shift = bucket / PARTS - 1;
    (bucket % PARTS + PARTS) << shift
}

/// The greatest time of a bucket, rounded down to microseconds.
const fn greatest_of(bucket: usize) -> u64 {
    if bucket + 1 < BUCKETS { least_of(bucket + 1) - 1 } else { LONGEST }
}

/// Where times are counted. It takes its memory, about 2.5 kB, with the first one.
#[derive(Debug, Default)]
pub(crate) struct TimeRecorder(OnceLock<Box<Atomics>>);

#[derive(Debug)]
struct Atomics {
    counts: [AtomicU64; BUCKETS],
    sum: AtomicU64,
    max: AtomicU64,
}

impl TimeRecorder {
    pub(crate) fn record(&self, time: Duration) {
        let atomics = self.0.get_or_init(|| {
            let counts = std::array::from_fn(|_| AtomicU64::new(0));
            Box::new(Atomics { counts, sum: AtomicU64::new(0), max: AtomicU64::new(0) })
        });
        let micros = u64::try_from(time.as_micros()).unwrap_or(u64::MAX);
        atomics.sum.fetch_add(micros, Ordering::Relaxed);
        atomics.max.fetch_max(micros, Ordering::Relaxed);
        // Last, and read first: whoever sees it counted sees it in the maximum.
        atomics.counts[bucket_of(micros)].fetch_add(1, Ordering::Release);
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        let Some(atomics) = self.0.get() else { return Histogram::default() };
        let counts: Vec<_> = atomics.counts.iter().map(|count| count.load(Ordering::Acquire)).collect();
        let (sum, max) = (atomics.sum.load(Ordering::Relaxed), atomics.max.load(Ordering::Relaxed));
        Histogram { counts, sum, max }
    }
}

/// A histogram of times, as it was when it was taken.
///
/// Its buckets are no wider than an eighth of the times in them, or than a microsecond; so what
/// [`quantile`](Histogram::quantile) answers is at most 12.5 % (or a microsecond) above the true value, and never below the
/// true value's whole microseconds. Times of 12.7 days and more are not told apart but in [`max`](Histogram::max).
///
/// All histograms have the same buckets, so that those of several handles, or processes, can be [merged](Histogram::merge).
#[derive(Clone, Default)]
pub struct Histogram {
    /// Empty as long as there is nothing to count.
    counts: Vec<u64>,
    sum: u64,
    max: u64,
}

/// One bucket of a [`Histogram`] that is not empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Bucket {
    /// The least time that it counts.
    pub least: Duration,
    /// The greatest time that it counts, in whole microseconds.
    pub greatest: Duration,
    /// How many there were.
    pub count: u64,
}

impl Histogram {
    /// How many times were recorded.
    pub fn count(&self) -> u64 {
        self.counts.iter().sum()
    }

    /// The greatest of them, exact to the microsecond; zero if there are none.
    pub fn max(&self) -> Duration {
        Duration::from_micros(self.max)
    }

    /// Their mean; zero if there are none.
    pub fn mean(&self) -> Duration {
        Duration::from_micros(self.sum.checked_div(self.count()).unwrap_or_default())
    }

    /// The time that a share of them, from 0 to 1, did not exceed: 0.99 answers what 99 of 100 stayed within. `None` if there are
    /// none, or if `share` is not a number from 0 to 1.
    ///
    /// For its error see [`Histogram`].
    pub fn quantile(&self, share: f64) -> Option<Duration> {
        if !(0.0..=1.0).contains(&share) {
            return None;
        }
        let rank = ((self.count() as f64 * share).ceil() as u64).max(1);
        let mut below = 0;
        let bucket = self.counts.iter().position(|count| {
            below += count;
            below >= rank
        })?;
        // What counts in the last bucket has no other upper end than the maximum.
        let greatest = if bucket + 1 < BUCKETS { greatest_of(bucket).min(self.max) } else { self.max };
        Some(Duration::from_micros(greatest))
    }

    /// The median; zero if there are none.
    pub fn p50(&self) -> Duration {
        self.quantile(0.5).unwrap_or_default()
    }

    /// What 90 of 100 did not exceed; zero if there are none.
    pub fn p90(&self) -> Duration {
        self.quantile(0.9).unwrap_or_default()
    }

    /// What 99 of 100 did not exceed; zero if there are none.
    pub fn p99(&self) -> Duration {
        self.quantile(0.99).unwrap_or_default()
    }

    /// The buckets that are not empty, from the shortest times to the longest.
    pub fn buckets(&self) -> impl Iterator<Item = Bucket> + '_ {
        self.counts.iter().enumerate().filter(|(_, count)| **count > 0).map(|(bucket, count)| Bucket {
            least: Duration::from_micros(least_of(bucket)),
            greatest: Duration::from_micros(if bucket + 1 < BUCKETS {
                greatest_of(bucket)
            } else {
                self.max
            }),
            count: *count,
        })
    }

    /// Adds what another one has counted.
    pub fn merge(&mut self, other: &Histogram) {
        if self.counts.is_empty() {
            self.counts.clone_from(&other.counts);
        } else {
            self.counts.iter_mut().zip(&other.counts).for_each(|(count, more)| *count += more);
        }
        self.sum = self.sum.saturating_add(other.sum);
        self.max = self.max.max(other.max);
    }
}

impl std::fmt::Debug for Histogram {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Histogram")
            .field("count", &self.count())
            .field("p50", &self.p50())
            .field("p90", &self.p90())
            .field("p99", &self.p99())
            .field("max", &self.max())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Around every power of two, and beyond the last one.
    fn samples() -> Vec<u64> {
        let powers = (0..64).map(|bits| 1_u64 << bits);
        let near =
            powers.flat_map(|power| [power - 1, power, power + 1, power + power / 3, power + power / 8]);
        let mut samples: Vec<_> = near.chain(0..5_000).collect();
        samples.sort_unstable();
        samples.dedup();
        samples
    }

    #[test]
    fn buckets_join_without_gaps_and_are_narrow() {
        assert_eq!(least_of(0), 0);
        for bucket in 0..BUCKETS - 1 {
            let (least, greatest) = (least_of(bucket), greatest_of(bucket));
            assert!(least <= greatest && greatest + 1 == least_of(bucket + 1), "{bucket}");
            assert_eq!((bucket_of(least), bucket_of(greatest)), (bucket, bucket));
            assert!(greatest - least <= least / PARTS, "{least}..={greatest}");
        }
        assert_eq!((bucket_of(LONGEST), bucket_of(u64::MAX)), (BUCKETS - 1, BUCKETS - 1));
    }

    #[test]
    fn a_quantile_is_at_most_an_eighth_above_the_truth() {
        let recorder = TimeRecorder::default();
        let samples: Vec<_> = samples().into_iter().filter(|micros| *micros <= LONGEST).collect();
        for micros in &samples {
            recorder.record(Duration::from_micros(*micros));
        }
        let histogram = recorder.snapshot();
        assert_eq!(histogram.count(), samples.len() as u64);
        for step in 0..=1_000 {
            let share = f64::from(step) / 1_000.0;
            let rank = ((samples.len() as f64 * share).ceil() as usize).max(1);
            let truth = samples[rank - 1];
            let said = histogram.quantile(share).unwrap().as_micros() as u64;
            assert!(said >= truth && said - truth <= truth / PARTS, "{said} for {truth} at {share}");
        }
        assert_eq!(histogram.quantile(1.0), Some(histogram.max()));
        let counted: u64 = histogram.buckets().map(|bucket| bucket.count).sum();
        assert_eq!(counted, histogram.count());
    }

    #[test]
    fn extremes_and_nonsense() {
        let nothing = TimeRecorder::default().snapshot();
        assert_eq!((nothing.count(), nothing.quantile(0.5), nothing.mean()), (0, None, Duration::ZERO));
        assert_eq!(
            (nothing.p50(), nothing.max(), nothing.buckets().count()),
            (Duration::ZERO, Duration::ZERO, 0)
        );
        let recorder = TimeRecorder::default();
        recorder.record(Duration::MAX);
        recorder.record(Duration::from_nanos(999));
        let histogram = recorder.snapshot();
        assert_eq!(histogram.max(), Duration::from_micros(u64::MAX));
        assert_eq!(histogram.quantile(1.0), Some(histogram.max()));
        assert_eq!(histogram.quantile(0.0), Some(Duration::ZERO));
        for share in [-0.1, 1.1, f64::NAN, f64::INFINITY] {
            assert_eq!(histogram.quantile(share), None, "{share}");
        }
    }

    #[test]
    fn merged_histograms_count_like_one() {
        let (one, other, both) = (TimeRecorder::default(), TimeRecorder::default(), TimeRecorder::default());
        for (nth, micros) in samples().into_iter().filter(|micros| *micros < 1 << 50).enumerate() {
            let time = Duration::from_micros(micros);
            if nth % 3 == 0 {
                one.record(time)
            } else {
                other.record(time)
            }
            both.record(time);
        }
        let mut merged = Histogram::default();
        merged.merge(&one.snapshot());
        merged.merge(&other.snapshot());
        merged.merge(&Histogram::default());
        let both = both.snapshot();
        assert_eq!(merged.buckets().collect::<Vec<_>>(), both.buckets().collect::<Vec<_>>());
        assert_eq!((merged.mean(), merged.max()), (both.mean(), both.max()));
    }

    #[test]
    fn threads_lose_no_count() {
        let recorder = TimeRecorder::default();
        std::thread::scope(|scope| {
            for thread in 0..4_u64 {
                let recorder = &recorder;
                scope.spawn(move || {
                    (0..10_000).for_each(|nth| recorder.record(Duration::from_micros(nth * thread)));
                });
            }
        });
        let histogram = recorder.snapshot();
        assert_eq!((histogram.count(), histogram.max()), (40_000, Duration::from_micros(9_999 * 3)));
    }
}
