//! Which cases there are, and which of them are run.

use std::sync::Arc;

use futures::future::LocalBoxFuture;
use leasehold_core::{Capabilities, WireProfile};

use super::record::{Outcome, Run};
use crate::contract::World;
use crate::mutex::exclusive::{ADAPTERS, Exclusive};
use crate::worlds::LaidOutWorld;
use crate::{contract, mutex, recipes};

/// The environment variable that has everything run.
pub const NIGHTLY: &str = "LEASEHOLD_NIGHTLY";

/// A case over one backend.
pub(super) struct Planned {
    /// What it cites, where it runs; the outcome is that of not running it, where there is a reason.
    pub(super) run: Run,
    pub(super) body: Body,
}

type Body = Box<dyn FnOnce(Arc<dyn World>) -> LocalBoxFuture<'static, ()> + Send>;

/// What stands in the record between a service and a profile.
pub(super) const IN_LAYOUT: &str = " in ";

impl Planned {
    /// Why it is not run; `None` if it is.
    pub(super) fn objection(&self) -> Option<&str> {
        match &self.run.outcome {
            Outcome::NotRun(reason) => Some(reason),
            Outcome::Passed | Outcome::Failed => None,
        }
    }
}

/// What is run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Extent {
    All,
    /// All but those of the adapters beside the mutex: of these each case over one, in turn.
    Selection,
}

impl Extent {
    /// A service in memory costs next to nothing; for the others everything is the nightly run's.
    pub(super) fn of(service: &str) -> Self {
        let nightly = std::env::var_os(NIGHTLY).is_some_and(|value| value == "1");
        if nightly || service == "memory" { Self::All } else { Self::Selection }
    }
}

/// All cases, each with whether it is run.
pub(super) fn plan(service: &str, capabilities: Capabilities, extent: Extent) -> Vec<Planned> {
    let contract = contract::CASES.iter().map(|case| (format!("contract::{}", case.name), case));
    let recipes = recipes::SUITES.iter().flat_map(|(suite, cases)| {
        cases.iter().map(move |case| (format!("recipes::{suite}::{}", case.name), case))
    });
    let plain = |(name, case): (String, &'static super::Case)| {
        let objection = case.requires.and_then(|requirement| requirement.objection(&capabilities));
        Planned {
            run: Run {
                case: name,
                clauses: case.clauses.to_owned(),
                behaviours: case.behaviours.to_vec(),
                backend: service.to_owned(),
                adapter: String::new(),
                outcome: objection.map_or(Outcome::Passed, Outcome::NotRun),
            },
            body: Box::new(case.run),
        }
    };
    let mut planned: Vec<Planned> = contract.map(plain).collect();
    for (turn, exclusive) in ADAPTERS.into_iter().enumerate() {
        for (index, case) in mutex::CASES.iter().enumerate() {
            let objection = case.objection(exclusive).map(str::to_owned);
            let objection = objection.or_else(|| not_in_the_selection(service, extent, (index, turn)));
            planned.push(over(service, case, exclusive, objection));
        }
    }
    planned.extend(recipes.map(plain));
    planned
}

/// The cases that say nothing of another client's layout, or something else than is so there, and the reason.
const NOT_IN_LAYOUTS: [(&str, &str); 3] = [
    (
        "faults::data_of_strangers_is_ignored",
        "what the other client would not take for sound is refused there",
    ),
    ("names::bad_names_are_refused", "a name is what the other client calls it"),
    ("names::hostile_names_are_kept_apart", "a name is what the other client calls it"),
];

/// The cases in which a creation is sent while no reply arrives. In a directory of ZooKeeper's other clients it is sent only after a look.
const SENT_WITHOUT_A_LOOK: [&str; 3] = [
    "faults::an_enqueue_whose_reply_is_lost",
    "faults::a_cancelled_enqueue_whose_reply_is_lost",
    "faults::a_ghost_of_a_lost_session_is_not_adopted",
];

/// The cases of the mutex in the layouts of other clients, as far as the backend speaks them. A semaphore there is more than a queue,
/// and is not among them.
pub(super) fn plan_in_layouts(service: &str, capabilities: Capabilities, extent: Extent) -> Vec<Planned> {
    let profiles = WireProfile::ALL.into_iter().flat_map(|profile| {
        let spoken = move |exclusive: &&dyn Exclusive| {
            exclusive.name() != "semaphore" && capabilities.wire.contains(&(profile, exclusive.kind()))
        };
        ADAPTERS.into_iter().filter(spoken).map(move |exclusive| (profile, exclusive))
    });
    let layouts: Vec<_> = profiles.collect();
    let mut planned = Vec::new();
    for (index, case) in mutex::CASES.iter().enumerate() {
        for (turn, (profile, exclusive)) in layouts.iter().copied().enumerate() {
            let reason =
                NOT_IN_LAYOUTS.iter().find(|(name, _)| *name == case.name).map(|(_, reason)| *reason);
            let looks = profile != WireProfile::EtcdV3 && SENT_WITHOUT_A_LOOK.contains(&case.name);
            let reason = reason.or(looks.then_some("nothing is created there before a look was answered"));
            let objection = case.objection(exclusive).or(reason).map(str::to_owned);
            let objection = objection.or_else(|| {
                let chosen = extent == Extent::All || index % layouts.len() == turn;
                (!chosen)
                    .then(|| format!("this case runs in another layout here, and in all with {NIGHTLY}=1"))
            });
            let Planned { run, body } = over(service, case, exclusive, objection);
            let run = Run {
                case: format!("in_{profile}::{}", run.case),
                backend: format!("{service}{IN_LAYOUT}{profile}"),
                ..run
            };
            let body: Body = Box::new(move |world| body(Arc::new(LaidOutWorld::new(world, profile))));
            planned.push(Planned { run, body });
        }
    }
    planned
}

fn over(
    service: &str,
    case: &'static mutex::Case,
    exclusive: &'static dyn Exclusive,
    objection: Option<String>,
) -> Planned {
    let suite = match exclusive.name() {
        "mutex" => "mutex".to_owned(),
        other => format!("as_{other}"),
    };
    Planned {
        run: Run {
            case: format!("{suite}::{}", case.name),
            clauses: String::new(),
            behaviours: case.behaviours.to_vec(),
            backend: service.to_owned(),
            adapter: exclusive.name().to_owned(),
            outcome: objection.map_or(Outcome::Passed, Outcome::NotRun),
        },
        body: Box::new(move |world| case.run(world, exclusive)),
    }
}

/// The rule of the selection: every case runs over the mutex and over one of the others. Which one goes round with the cases, and begins
/// elsewhere for a service whose name has another length, so that several services have each case over several of them.
fn not_in_the_selection(service: &str, extent: Extent, (case, adapter): (usize, usize)) -> Option<String> {
    let others = ADAPTERS.len() - 1;
    let chosen = adapter == 0 || (case + service.len()) % others == adapter - 1;
    (extent == Extent::Selection && !chosen)
        .then(|| format!("of the adapters this case runs over another here, and over all with {NIGHTLY}=1"))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use leasehold_core::Kind;

    use super::*;

    fn ran(service: &str, extent: Extent) -> Vec<Planned> {
        let mut planned = plan(service, Capabilities::full(Duration::ZERO, 1), extent);
        planned.retain(|planned| planned.objection().is_none());
        planned
    }

    #[test]
    fn the_names_of_all_cases_differ() {
        let all = plan("x", Capabilities::full(Duration::ZERO, 1), Extent::All);
        let names: HashSet<_> = all.iter().map(|planned| &planned.run.case).collect();
        assert_eq!(names.len(), all.len());
    }

    #[test]
    fn the_selection_runs_each_case_over_the_mutex_and_one_more() {
        let all = ran("redis", Extent::All);
        for service in ["etcd", "redis", "zookeeper"] {
            let selected = ran(service, Extent::Selection);
            let of = |planned: &[Planned], adapter: &str| {
                planned.iter().filter(|planned| planned.run.adapter == adapter).count()
            };
            assert_eq!(of(&selected, ""), of(&all, ""));
            assert_eq!(of(&selected, "mutex"), mutex::CASES.len());
            for exclusive in &ADAPTERS[1..] {
                let (some, full) = (of(&selected, exclusive.name()), of(&all, exclusive.name()));
                assert!(
                    some * 3 >= full - 3 && some < full,
                    "{service} as {}: {some} of {full}",
                    exclusive.name()
                );
            }
        }
        // The three services together leave out nothing.
        let over_all: HashSet<String> = ["etcd", "redis", "zookeeper"]
            .iter()
            .flat_map(|service| ran(service, Extent::Selection).into_iter().map(|planned| planned.run.case))
            .collect();
        assert_eq!(over_all.len(), all.len());
    }

    #[test]
    fn in_the_layouts_that_are_spoken_each_case_runs_once_or_in_all() {
        let mut speaks = Capabilities::full(Duration::ZERO, 1);
        assert_eq!(plan_in_layouts("x", speaks, Extent::All).len(), 0);
        speaks.wire = &[
            (WireProfile::Curator, Kind::Lock),
            (WireProfile::Kazoo, Kind::Lock),
            (WireProfile::Kazoo, Kind::Election),
            (WireProfile::Curator, Kind::Semaphore),
        ];
        let count = |extent| {
            let planned = plan_in_layouts("x", speaks, extent);
            planned.iter().filter(|planned| planned.objection().is_none()).count()
        };
        let cases = mutex::CASES.len() - NOT_IN_LAYOUTS.len() - SENT_WITHOUT_A_LOOK.len();
        // One of them says nothing of an election.
        assert_eq!(count(Extent::All), 3 * cases - 1);
        assert!((cases - 1..=cases).contains(&count(Extent::Selection)));
        for name in NOT_IN_LAYOUTS.map(|(name, _)| name).into_iter().chain(SENT_WITHOUT_A_LOOK) {
            assert!(mutex::CASES.iter().any(|case| case.name == name), "{name}");
        }
    }

    #[test]
    fn what_is_not_declared_is_listed_with_the_reason() {
        let mut less = Capabilities::full(Duration::ZERO, 1);
        less.resumable_sessions = false;
        let planned = plan("memory", less, Extent::All);
        let reason = |name: &str| {
            let case = planned.iter().find(|planned| planned.run.case.ends_with(name)).expect(name);
            case.objection().map(str::to_owned)
        };
        assert_eq!(
            reason("an_older_incarnation_has_no_effect").unwrap(),
            "it does not declare resumable_sessions"
        );
        assert_eq!(reason("what_cannot_be_resumed_is_refused"), None);
        assert!(reason("as_election::lifecycle::the_status_follows_the_session").is_some());
    }
}
