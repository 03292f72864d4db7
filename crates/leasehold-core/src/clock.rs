//! The clock that deadlines are counted on.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// A point on a [`Clock`]; only points of one clock compare.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(Duration);

impl Timestamp {
    /// The time from `earlier` to here, zero if it is later.
    pub fn saturating_since(self, earlier: Timestamp) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time since the origin of its clock. That of [`Clock::system`] on Linux is the start of the machine, the same for all
    /// processes of the host.
    pub fn since_origin(self) -> Duration {
        self.0
    }
}

impl std::ops::Add<Duration> for Timestamp {
    type Output = Timestamp;

    fn add(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_add(time))
    }
}

impl std::ops::Sub<Duration> for Timestamp {
    type Output = Timestamp;

    fn sub(self, time: Duration) -> Timestamp {
        Timestamp(self.0.saturating_sub(time))
    }
}

/// The clock that leases are counted on.
///
/// [`Clock::system`] reads `CLOCK_BOOTTIME` (clock_gettime(2)): it never steps with the wall clock, and unlike
/// `std::time::Instant` on Linux it goes on while the machine is suspended, as the service's clock does.
#[derive(Debug, Clone)]
pub struct Clock(Source);

#[derive(Debug, Clone)]
enum Source {
    System,
    Tokio(tokio::time::Instant),
    Manual(Arc<AtomicU64>),
}

impl Clock {
    /// The system's clock.
    pub fn system() -> Self {
        Self(Source::System)
    }

    /// The time of the tokio runtime, which a test can pause. Call it inside a runtime.
    ///
    /// Its wall time begins with the Unix epoch, the same each time.
    pub fn tokio() -> Self {
        Self(Source::Tokio(tokio::time::Instant::now()))
    }

    /// A clock that a test moves by hand, and that timers know nothing of: what a suspended machine sees.
    /// Its wall time begins with the Unix epoch.
    pub fn manual() -> (Self, ManualClock) {
        let nanos = Arc::new(AtomicU64::new(0));
        (Self(Source::Manual(nanos.clone())), ManualClock(nanos))
    }

    /// The time.
    pub fn now(&self) -> Timestamp {
        Timestamp(match &self.0 {
            Source::System => boottime(),
            Source::Tokio(origin) => origin.elapsed(),
            Source::Manual(nanos) => Duration::from_nanos(nanos.load(Ordering::SeqCst)),
        })
    }

    /// The time of day, for people: what it says is told to others, and no deadline is counted by it.
    pub(crate) fn wall_time(&self) -> SystemTime {
        match &self.0 {
            Source::System => SystemTime::now(),
            Source::Tokio(_) | Source::Manual(_) => SystemTime::UNIX_EPOCH + self.now().0,
        }
    }
}

/// Moves a [`Clock::manual`].
#[derive(Debug, Clone)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// Lets `time` pass.
    pub fn advance(&self, time: Duration) {
        self.0.fetch_add(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX), Ordering::SeqCst);
    }
}

#[cfg(any(target_os = "linux", target_os = "android"))]
fn boottime() -> Duration {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    Duration::new(u64::try_from(now.tv_sec).unwrap_or(0), u32::try_from(now.tv_nsec).unwrap_or(0))
}

/// Elsewhere `Instant` is the best there is; on macOS and Windows it does not promise to count suspend.
#[cfg(not(any(target_os = "linux", target_os = "android")))]
fn boottime() -> Duration {
    static ORIGIN: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    ORIGIN.get_or_init(std::time::Instant::now).elapsed()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(target_os = "linux")]
    #[test]
    fn the_system_clock_counts_suspend() {
        // The kernel documents /proc/uptime as "including time spent in suspend" (proc(5)).
        let uptime = || {
            let text = std::fs::read_to_string("/proc/uptime").unwrap();
            Duration::from_secs_f64(text.split(' ').next().unwrap().parse().unwrap())
        };
        let before = uptime();
        let Timestamp(now) = Clock::system().now();
        let after = uptime();
        let resolution = Duration::from_millis(10);
        assert!(before <= now + resolution && now <= after + resolution, "{before:?} {now:?} {after:?}");
    }

    #[test]
    fn a_manual_clock_moves_only_by_hand() {
        let (clock, hand) = Clock::manual();
        let start = clock.now();
        hand.advance(Duration::from_secs(3));
        assert_eq!(clock.now(), start + Duration::from_secs(3));
        assert_eq!(start.saturating_since(clock.now()), Duration::ZERO);
    }
}
