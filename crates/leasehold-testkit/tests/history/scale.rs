//! Long histories are checked in seconds.

use std::time::{Duration, Instant};

use leasehold_testkit::history::History;

use crate::generator::{Use, generate};
use crate::script::checker;

#[test]
fn a_hundred_thousand_events_take_seconds() {
    for usage in [Use::Mutex, Use::ReadersAndWriters, Use::Permits] {
        let events = generate(1, usage, 100_000);
        let start = Instant::now();
        let report = checker().check(&History::new(events));
        let took = start.elapsed();
        report.assert_sound();
        assert!(report.events >= 100_000 && report.operations > 20_000, "{report}");
        // Without optimization and beside other tests; something quadratic takes minutes.
        assert!(took < Duration::from_secs(30), "{usage:?}: {took:?}");
        println!("{usage:?}: {took:?}");
    }
}
