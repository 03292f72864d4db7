//! What the history checker says of a run, and what else has to be so.

use std::collections::HashMap;
use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use leasehold_testkit::history::{Checker, Event, History, Report, What, read_files};

use crate::nemesis::Excuses;
use crate::operator::ASTRAY;
use crate::page;
use crate::resource::{LogLine, cross_check};
use crate::run::{Options, STALLED};
use crate::scenario::Scenario;
use crate::service::ServiceKind;
use crate::steadiness::Steadiness;

/// How long it may take a process to hear of a loss: the longest timer of the library is one second, and the machine is busy.
const GRACE: Duration = Duration::from_secs(2);

/// How much later than it happened the tap may see something, on a busy machine.
const TAP_LAG: Duration = Duration::from_millis(1500);

/// In so much disturbed time somebody is stopped who holds, and goes on after another has held: some five of ten who are stopped do.
const ENOUGH_FOR_THE_FENCE: Duration = Duration::from_secs(75);

/// With fewer a run has tested nothing.
const LEAST_FAULTS: usize = 5;

/// What a run left, besides the histories.
#[derive(Debug)]
pub struct Evidence {
    /// What went wrong with processes.
    pub problems: Vec<String>,
    /// The sessions that the service has ended, and when.
    pub expired: HashMap<String, u64>,
    /// How long there were faults.
    pub disturbed_for: Duration,
    /// What the faults break by design.
    pub excuses: Excuses,
    /// Where the resource wrote down what it decided.
    pub resource_log: PathBuf,
    /// What was counted of what may not grow.
    pub census: String,
    /// How long it took.
    pub took: Duration,
}

/// What is said of a run.
#[derive(Debug)]
pub struct Verdict {
    /// Of which run.
    pub title: String,
    /// What the checker says.
    pub report: Report,
    /// The sessions that expired.
    pub expiries: usize,
    /// What is wrong beyond the history: processes, expiries that were not, accounts that differ.
    pub problems: Vec<String>,
    /// What else was measured, for a reader.
    pub seen: String,
    /// How long it took.
    pub took: Duration,
    /// Where everything is.
    pub dir: PathBuf,
    /// What repeats it.
    pub command: String,
}

impl Verdict {
    /// Whether nothing is wrong.
    pub fn is_sound(&self) -> bool {
        self.report.is_sound() && self.problems.is_empty()
    }
}

impl Verdict {
    /// The run in one line.
    pub fn line(&self) -> String {
        let report = &self.report;
        let faults: Vec<usize> = made(report).map(|(_, count)| count).collect();
        format!(
            "{}: {} operations ({} unanswered), {} grants, {} losses, {} sessions expired, {} faults of {} kinds, \
             {} stale operations rejected, {} violations, {:.0} s",
            self.title,
            report.operations,
            report.unanswered,
            report.grants,
            report.losses,
            self.expiries,
            faults.iter().sum::<usize>(),
            faults.len(),
            report.stale_rejections,
            report.violations.len() + self.problems.len(),
            self.took.as_secs_f64(),
        )
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let report = &self.report;
        let faults: Vec<_> = report.faults.iter().map(|(kind, count)| format!("{count} {kind}")).collect();
        writeln!(f, "{}", self.line())?;
        write!(f, "  faults: {}", if faults.is_empty() { "none".to_owned() } else { faults.join(", ") })?;
        if !self.seen.is_empty() {
            write!(f, "\n  {}", self.seen)?;
        }
        for problem in &self.problems {
            write!(f, "\n  {problem}")?;
        }
        for violation in report.violations.iter().take(10) {
            write!(f, "\n  {violation}")?;
        }
        if !self.is_sound() {
            write!(f, "\n  histories: {}\n  again: {}", self.dir.display(), self.command)?;
        }
        Ok(())
    }
}

/// How long anybody may wait once nothing is disturbed: until the sessions of the dead have ended, if there are any, those who wait have a session again,
/// and the tenures of all who are ahead are over.
pub fn progress_bound(options: &Options, excuses: &Excuses) -> Duration {
    let shape = &options.shape;
    let tasks = u32::try_from(shape.processes * shape.sessions * shape.tasks).unwrap_or(u32::MAX);
    let names = u32::try_from(shape.names * options.recipes.len()).unwrap_or(1).max(1);
    // A tenure has at most two rests and four requests.
    let tenures = (shape.longest_rest * 2 + Duration::from_millis(100)) * (tasks / names + 1);
    let ended = if shape.steady { Duration::ZERO } else { options.ttl * 3 };
    ended + Duration::from_secs(5) + tenures + excuses.recovery
}

/// Judges a run by what it left.
///
/// # Errors
/// If a history cannot be read.
pub fn judge(options: &Options, evidence: Evidence) -> Result<Verdict, String> {
    let files: Vec<PathBuf> = fs::read_dir(&options.dir)
        .map_err(|error| error.to_string())?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|extension| extension == "jsonl"))
        .collect();
    let events =
        read_files(files).map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error)))?;
    let log = fs::read_to_string(&evidence.resource_log).map_err(|error| error.to_string())?;
    let log: Vec<LogLine> =
        log.lines().map(serde_json::from_str).collect::<Result<_, _>>().map_err(|error| error.to_string())?;
    let mut problems = evidence.problems;
    problems.extend(cross_check(&log, &events));
    let expiries = expiries(&evidence.expired, &events);
    let least_expiries = (options.least_expiries)(evidence.disturbed_for);
    if expiries < least_expiries {
        problems.push(format!("{expiries} sessions have expired, and the run is about {least_expiries}"));
    }
    let mut seen = evidence.census;
    if options.shape.steady {
        let steadiness = Steadiness::of(&events);
        problems.extend(steadiness.problems(progress_bound(options, &evidence.excuses)));
        seen = steadiness.to_string();
    }
    let history = History::new(events);
    let mut checker = Checker::new()
        .grace(GRACE)
        .tap_lag(TAP_LAG + evidence.excuses.tap_lag)
        .progress_within(progress_bound(options, &evidence.excuses))
        .also_documented("try", "Lost");
    if options.service == ServiceKind::Redis || evidence.excuses.two_believers {
        checker = checker.without_exclusive_belief();
    }
    if options.service == ServiceKind::ZooKeeper {
        checker = checker.tries_look_after_creating();
    }
    let long_enough = evidence.disturbed_for >= ENOUGH_FOR_THE_FENCE;
    if evidence.excuses.only_the_fence && options.fenced && long_enough {
        checker = checker.expect_stale_rejections(1);
    }
    let report = checker.check(&history);
    let faults: usize = made(&report).map(|(_, count)| count).sum();
    if faults < LEAST_FAULTS {
        problems.push(format!("{faults} faults are too few to tell anything"));
    }
    let verdict = Verdict {
        title: format!("{} {} seed {}", options.service.name(), options.name, options.seed),
        report,
        expiries,
        problems,
        seen,
        took: evidence.took,
        dir: options.dir.clone(),
        command: command(options),
    };
    page::write(&verdict, &history).map_err(|error| error.to_string())?;
    Ok(verdict)
}

/// The faults that were made, by kind.
fn made(report: &Report) -> impl Iterator<Item = (&str, usize)> {
    let faults = report.faults.iter().map(|(kind, count)| (kind.as_str(), *count));
    faults.filter(|(kind, _)| ![STALLED, ASTRAY].contains(kind))
}

/// What repeats a run.
fn command(options: &Options) -> String {
    let what = if options.scenario == Scenario::Faults { "fault" } else { "scenario" };
    let mut command = format!(
        "ci/chaos.sh --service {} --{what} {} --seed {} --minutes {:.1}",
        options.service.name(),
        options.name,
        options.seed,
        options.time.as_secs_f64() / 60.0
    );
    if options.recipes.len() == 1 && options.scenario == Scenario::Faults {
        command.push_str(&format!(" --recipe {}", options.recipes[0].name()));
    }
    command
}

/// How many of these sessions have expired: not those that their owners had closed before.
fn expiries(expired: &HashMap<String, u64>, events: &[Event]) -> usize {
    let mut closed: HashMap<&str, u64> = HashMap::new();
    for event in events {
        if let What::SessionLost { session, reason } = &event.what
            && reason == crate::worker::CLOSED
        {
            closed.entry(session).or_insert(event.at);
        }
    }
    expired
        .iter()
        .filter(|(session, at)| closed.get(session.as_str()).is_none_or(|closed| closed > at))
        .count()
}
