//! What the servers' reports mean for people who look for what is wrong.

use std::time::SystemTime;

use leasehold_core::{Finding, ServerReport, Severity, WallClock};

use crate::report::RedisReport;

/// The same for people, of a server that was asked between these two times of this machine.
pub(crate) fn explain(report: &RedisReport, asked: SystemTime, answered: SystemTime) -> ServerReport {
    let mut told = ServerReport::new(&*report.endpoint);
    told.version = Some(report.version.clone());
    told.role = Some(if report.primary { "primary" } else { "replica" }.to_owned());
    told.wall_clock = report.time.map(|time| {
        // Later than the answer, or earlier than the question: it cannot be the same clock.
        match (time.duration_since(answered), asked.duration_since(time)) {
            (Ok(ahead), _) if !ahead.is_zero() => WallClock::Ahead(ahead),
            (_, Ok(behind)) if !behind.is_zero() => WallClock::Behind(behind),
            _ => WallClock::Agrees,
        }
    });
    let mut find = |severity, what: &str, remedy: &str| {
        told.findings.push(Finding::new(severity, what, remedy));
    };
    if report.may_evict() {
        let what = format!(
            "it may evict the keys of locks when it is short of memory (maxmemory-policy {})",
            report.eviction_policy
        );
        find(Severity::Warning, &what, "set maxmemory-policy noeviction");
    }
    if !report.append_only {
        let what = "it keeps no append-only file: a crash loses locks and counters of tokens since the last snapshot";
        find(
            Severity::Warning,
            what,
            "set appendonly yes and appendfsync always, or rely on nothing but fencing",
        );
    } else if !report.is_durable() {
        let how = report.append_fsync.as_deref().unwrap_or("unknown to us");
        let what = format!("a crash of its machine loses what it answered last (appendfsync {how})");
        find(Severity::Note, &what, "set appendfsync always, which costs a disk write each time");
    }
    if report.replicas == 0 && !report.cluster {
        find(
            Severity::Note,
            "it has no replica: while it is down nobody locks",
            "add replicas and sentinels",
        );
    }
    told
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn report(info: &str) -> RedisReport {
        let fields = "redis_version:7.0.15\r\nrole:master\r\nmaxmemory:0\r\n";
        RedisReport::read("a:1", &format!("{fields}{info}"), Some("always".into())).unwrap()
    }

    #[test]
    fn clocks_are_told_apart_where_a_request_can_tell() {
        let at = |millis| SystemTime::UNIX_EPOCH + Duration::from_millis(millis);
        let clock = |info: &str| explain(&report(info), at(1_000), at(1_500)).wall_clock;
        assert_eq!(clock(""), None);
        assert_eq!(clock("server_time_usec:1200000\r\n"), Some(WallClock::Agrees));
        assert_eq!(clock("server_time_usec:1000000\r\n"), Some(WallClock::Agrees));
        assert_eq!(clock("server_time_usec:3500000\r\n"), Some(WallClock::Ahead(Duration::from_secs(2))));
        assert_eq!(clock("server_time_usec:900000\r\n"), Some(WallClock::Behind(Duration::from_millis(100))));
    }

    #[test]
    fn what_a_crash_loses_is_said() {
        let worst = |info: &str| {
            let told = explain(&report(info), SystemTime::UNIX_EPOCH, SystemTime::UNIX_EPOCH);
            told.findings.iter().map(|finding| finding.severity).max()
        };
        assert_eq!(worst("aof_enabled:0\r\n"), Some(Severity::Warning));
        assert_eq!(worst("aof_enabled:1\r\n"), Some(Severity::Note), "it has no replica");
        assert_eq!(worst("aof_enabled:1\r\nconnected_slaves:1\r\n"), None);
    }
}
