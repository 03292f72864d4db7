//! The harness says no: without its fence the resource takes what is stale, and the checker has to notice; of workers that leave something behind, the
//! census has to.

use std::path::{Path, PathBuf};
use std::time::Duration;

use leasehold_chaos::run::run;
use leasehold_chaos::scenario::{Common, Scenario};
use leasehold_chaos::service::ServiceKind;
use leasehold_chaos::worker::Recipe;
use leasehold_testkit::history::{Kind, parse_lines};

/// Long enough for some ten pauses, each with holders that never look whether they hold.
const TIME: Duration = Duration::from_secs(75);

fn common(fenced: bool) -> Common {
    let worker = PathBuf::from(env!("CARGO_BIN_EXE_leasehold-chaos-worker"));
    assert!(Path::new(env!("CARGO_BIN_EXE_leasehold-chaos-resource")).exists());
    Common {
        time: TIME,
        recipes: vec![Recipe::Mutex, Recipe::Election],
        fenced,
        leaks: false,
        dir: PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("chaos-controls"),
        programs: worker.parent().expect("a program is in a directory").to_owned(),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_fence_pauses_break_the_resource() {
    let options = common(false).options(ServiceKind::Etcd, Scenario::Faults, "pause", 7).unwrap();
    let verdict = run(&options).await.unwrap();
    let broken = verdict.report.violations.iter().map(|violation| violation.kind);
    let broken: Vec<Kind> =
        broken.filter(|kind| matches!(kind, Kind::TokenRegressed | Kind::LostUpdate)).collect();
    assert!(!broken.is_empty(), "nobody noticed that there is no fence\n{verdict}");
    assert!(!verdict.is_sound() && verdict.report.stale_rejections == 0, "{verdict}");
    let said = verdict.to_string();
    assert!(
        said.contains("ci/chaos.sh --service etcd --fault pause --seed 7"),
        "it tells how to repeat it: {said}"
    );
    let history = std::fs::read_to_string(options.dir.join("w0.jsonl")).unwrap();
    assert!(!parse_lines("w0", &history).unwrap().is_empty(), "the histories are left");
    let page = std::fs::read_to_string(options.dir.join("page.html")).unwrap();
    assert!(page.contains("<svg") && page.contains("paused"), "the page has a timeline");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_workers_leave_behind_is_noticed() {
    // A sample is taken every ten seconds, and there have to be some in each quarter.
    let common = Common { leaks: true, time: TIME * 2, ..common(true) };
    let options = common.options(ServiceKind::Redis, Scenario::Endurance, "all", 7).unwrap();
    let verdict = run(&options).await.unwrap();
    for grown in ["keys has grown", "memory of process 0, KB has grown", "memory of process 3, KB has grown"]
    {
        assert!(verdict.problems.iter().any(|problem| problem.starts_with(grown)), "{grown}?\n{verdict}");
    }
}
