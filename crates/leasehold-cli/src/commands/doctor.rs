//! `leasehold doctor`.

use std::time::{Duration, Instant};

use clap::Args;
use leasehold::{Coordinator, Error, ServerReport, Severity, WallClock};
use serde_json::json;

use crate::exit::{End, Failure, NO_PERMISSION, Outcome, SOFTWARE, UNAVAILABLE, UNTRUSTED, USAGE};
use crate::guarded::duration;
use crate::output::{self, Format};
use crate::target::{Target, leave};

/// How many locks are taken and released to see how long it takes.
const LOCKS: usize = 20;

/// A clock that is off by less disturbs nobody who reads times.
const NOTABLE: Duration = Duration::from_secs(1);

/// Look for what is wrong with the service, and say what helps
///
/// Looks whether the service is reached, what its servers are and which known
/// bugs they have, what they promise, which TTL they grant, how their clocks
/// stand to this machine's, and how long a lock takes that nobody else wants.
///
/// The exit status is 70 if there is a problem, and 0 if there are notes and
/// warnings alone.
#[derive(Debug, Args)]
pub(crate) struct Arguments {
    /// The TTL to ask for; without it the URL's, else 15s
    #[arg(long, value_name = "TIME", value_parser = duration)]
    ttl: Option<Duration>,
    #[command(flatten)]
    format: Format,
}

/// What was seen so far.
struct Findings {
    format: Format,
    worst: Option<Severity>,
}

impl Findings {
    fn good(&mut self, check: &str, what: &str) -> Result<(), Failure> {
        self.tell(check, "ok", what, "")
    }

    fn bad(&mut self, severity: Severity, check: &str, what: &str, remedy: &str) -> Result<(), Failure> {
        self.worst = self.worst.max(Some(severity));
        self.tell(check, &severity.to_string(), what, remedy)
    }

    fn tell(&self, check: &str, severity: &str, what: &str, remedy: &str) -> Result<(), Failure> {
        if self.format.json {
            let remedy = (!remedy.is_empty()).then_some(remedy);
            return output::json(
                &json!({ "check": check, "severity": severity, "what": what, "remedy": remedy }),
            );
        }
        output::line(&format!("{severity:<8} {what}"))?;
        if remedy.is_empty() { Ok(()) } else { output::line(&format!("{:<8} -> {remedy}", "")) }
    }
}

pub(crate) async fn run(target: &Target, arguments: &Arguments) -> Outcome {
    let mut findings = Findings { format: arguments.format, worst: None };
    let begun = Instant::now();
    let coordinator = match target.connect(arguments.ttl, Some("leasehold doctor")).await {
        Ok(coordinator) => coordinator,
        // It is the command line that is wrong.
        Err(failure) if failure.status == USAGE => return Err(failure),
        Err(failure) => {
            findings.bad(Severity::Problem, "reach", &failure.message, remedy_of(failure.status))?;
            return Ok(End::Status(failure.status));
        }
    };
    let status = coordinator.status().borrow().clone();
    let what = format!(
        "{} at {} opens a session in {:?}",
        status.backend,
        status.endpoint,
        rounded(begun.elapsed())
    );
    findings.good("reach", &what)?;
    let seen = look(&coordinator, arguments, &mut findings).await;
    leave(&coordinator).await;
    seen?;
    Ok(End::Status(if findings.worst == Some(Severity::Problem) { SOFTWARE } else { 0 }))
}

async fn look(
    coordinator: &Coordinator,
    arguments: &Arguments,
    findings: &mut Findings,
) -> Result<(), Failure> {
    match coordinator.examine().await {
        Ok(servers) => {
            for server in &servers {
                tell_server(coordinator.backend_name(), server, findings)?;
            }
        }
        Err(error) => {
            let failure = Failure::from(error);
            let what = format!("the servers do not say what they are: {}", failure.message);
            findings.bad(Severity::Note, "servers", &what, remedy_of(failure.status))?;
        }
    }
    tell_promises(coordinator, findings)?;
    tell_ttl(coordinator, arguments.ttl, findings)?;
    match lock_often(coordinator).await {
        Ok(times) => tell_latency(coordinator, &times, findings),
        Err(error) => {
            let failure = Failure::from(error);
            findings.bad(Severity::Problem, "lock", &failure.message, remedy_of(failure.status))
        }
    }
}

fn tell_server(backend: &str, server: &ServerReport, findings: &mut Findings) -> Result<(), Failure> {
    let at = &server.endpoint;
    if let Some(version) = &server.version {
        let role = server.role.as_ref().map(|role| format!(", {role}")).unwrap_or_default();
        findings.good("server", &format!("{at} is {backend} {version}{role}"))?;
    }
    for finding in &server.findings {
        findings.bad(finding.severity, "server", &format!("{at}: {}", finding.what), &finding.remedy)?;
    }
    let apart = match server.wall_clock {
        Some(WallClock::Ahead(by)) if by >= NOTABLE => Some((by, "ahead of")),
        Some(WallClock::Behind(by)) if by >= NOTABLE => Some((by, "behind")),
        Some(_) => None,
        None => return Ok(()),
    };
    match apart {
        None => findings.good("clock", &format!("{at}: its clock agrees with this machine's")),
        Some((by, how)) => {
            let what = format!("{at}: its clock is {:?} {how} this machine's", rounded(by));
            let remedy = "keep both by NTP; deadlines are counted by each for itself, but the times that are shown are off";
            findings.bad(Severity::Note, "clock", &what, remedy)
        }
    }
}

fn tell_promises(coordinator: &Coordinator, findings: &mut Findings) -> Result<(), Failure> {
    let (promises, remedy) = (
        coordinator.capabilities(),
        "hand the fencing token to what the lock protects; where that is not enough, etcd and ZooKeeper promise it",
    );
    if !promises.safe_deadline {
        let what =
            "a jump of the servers' clock, a failover or an eviction can give a lock away while it is held";
        findings.bad(Severity::Note, "promises", what, remedy)?;
    }
    if !promises.durable_tokens {
        let what = "a failover may lose the newest fencing tokens";
        findings.bad(Severity::Note, "promises", what, remedy)?;
    }
    Ok(())
}

fn tell_ttl(
    coordinator: &Coordinator,
    asked: Option<Duration>,
    findings: &mut Findings,
) -> Result<(), Failure> {
    let Some(granted) = coordinator.status().borrow().ttl else { return Ok(()) };
    match asked {
        Some(asked) if asked != granted => {
            let what = format!("it grants a TTL of {granted:?} where {asked:?} was asked for");
            let remedy = "the bounds are the servers': two to twenty ticks of ZooKeeper, one and a half election time-outs of \
                          etcd at least, whole seconds";
            findings.bad(Severity::Note, "ttl", &what, remedy)
        }
        _ => findings.good("ttl", &format!("it grants a TTL of {granted:?}")),
    }
}

/// Takes and releases a lock that nobody else wants; how long each time took.
async fn lock_often(coordinator: &Coordinator) -> Result<Vec<Duration>, Error> {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap_or_default().as_nanos();
    let mutex = coordinator.mutex(format!("leasehold doctor/{}-{since}", std::process::id()));
    let mut times = Vec::with_capacity(LOCKS);
    for _ in 0..LOCKS {
        let begun = Instant::now();
        mutex.lock().await?.release().await?;
        times.push(begun.elapsed());
    }
    times.sort_unstable();
    Ok(times)
}

fn tell_latency(
    coordinator: &Coordinator,
    times: &[Duration],
    findings: &mut Findings,
) -> Result<(), Failure> {
    let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
    let what = format!(
        "a lock is taken and released in {:?}, {:?} at worst of {}",
        rounded(median),
        rounded(worst),
        times.len()
    );
    let ttl = coordinator.status().borrow().ttl.unwrap_or(Duration::MAX);
    if worst > ttl / 3 {
        let remedy =
            "a renewal that takes as long loses what is held: a longer TTL, faster disks, a nearer service";
        findings.bad(Severity::Warning, "lock", &what, remedy)
    } else {
        findings.good("lock", &what)
    }
}

fn remedy_of(status: u8) -> &'static str {
    match status {
        UNAVAILABLE => "see whether the service runs, and whether its host and port are reached from here",
        NO_PERMISSION => {
            "see the user and password of the URL, the certificate that it shows, and what that user may do in the namespace"
        }
        UNTRUSTED => {
            "see the authorities that are trusted (tls_ca), and the server's certificate: its hosts, its dates, who signed it"
        }
        _ => "see the log of the service",
    }
}

/// Short enough to read.
fn rounded(time: Duration) -> Duration {
    let unit = if time >= Duration::from_secs(1) { 10_000_000 } else { 10_000 };
    Duration::from_nanos(u64::try_from(time.as_nanos() / unit * unit).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use leasehold::ErrorKind;

    use super::*;

    #[test]
    fn times_are_rounded_to_what_is_read() {
        assert_eq!(format!("{:?}", rounded(Duration::from_nanos(1_234_567))), "1.23ms");
        assert_eq!(format!("{:?}", rounded(Duration::from_millis(2_345))), "2.34s");
    }

    #[test]
    fn each_failure_of_reaching_it_has_its_remedy() {
        let status = |kind| Failure::from(Error::new(kind, "connect", "x")).status;
        assert!(remedy_of(status(ErrorKind::Unavailable)).contains("port"));
        assert!(remedy_of(status(ErrorKind::Unauthenticated)).contains("password"));
        assert!(remedy_of(status(ErrorKind::Untrusted)).contains("tls_ca"));
    }
}
