//! One run: from the start of the servers to the judgement.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use leasehold_core::Clock;
use leasehold_testkit::history::{Recorder, What};
use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::ServerOptions;
use tokio::time::{sleep, timeout};

use crate::census::Census;
use crate::crew::{self, Crew};
use crate::dice::Dice;
use crate::judge::{self, Evidence, Verdict};
use crate::nemesis::registry::{self, Make};
use crate::nemesis::{Arena, Excuses, Fault, Pace, strand};
use crate::operator;
use crate::resource::{Answer, Request, ResourceClient};
use crate::scenario::Scenario;
use crate::service::{self, Service, ServiceKind};
use crate::tap::Tap;
use crate::worker::{Recipe, WorkerPlan};

/// What the locks of a run are below.
pub const NAMESPACE: &str = "chaos";

/// What is run.
#[derive(Debug, Clone)]
pub struct Options {
    /// On which service.
    pub service: ServiceKind,
    /// The faults: each strand injects its own, one at a time. Pauses come with every run.
    pub strands: Vec<Vec<Make>>,
    /// In which way.
    pub scenario: Scenario,
    /// What it is called: the faults, as on the command line.
    pub name: String,
    /// What repeats its choices.
    pub seed: u64,
    /// How long all of it takes, roughly.
    pub time: Duration,
    /// The recipes under test.
    pub recipes: Vec<Recipe>,
    /// The TTL of the sessions.
    pub ttl: Duration,
    /// Who works.
    pub shape: Shape,
    /// `false` to see that the checker notices.
    pub fenced: bool,
    /// `true` to see that the census notices.
    pub leaks: bool,
    /// How many sessions have to expire while everything is disturbed for so long.
    pub least_expiries: fn(Duration) -> usize,
    /// Where the histories and the page go.
    pub dir: PathBuf,
    /// Where the worker and the resource are.
    pub programs: PathBuf,
}

/// Who works, and on what.
#[derive(Debug, Clone, Copy)]
pub struct Shape {
    /// Worker processes.
    pub processes: usize,
    /// Sessions of each.
    pub sessions: usize,
    /// Tasks of each session.
    pub tasks: usize,
    /// Names of each recipe.
    pub names: usize,
    /// The longest time between two accesses of a tenure.
    pub longest_rest: Duration,
    /// The longest time between two rounds of a task.
    pub longest_pause: Duration,
    /// Whether processes are paused all the time.
    pub pauses: bool,
    /// Whether what may not grow is counted: nobody is killed then, whose memory would be that of another.
    pub census: bool,
    /// Whether nothing may be lost, and somebody is served all the time.
    pub steady: bool,
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            processes: 4,
            sessions: 3,
            tasks: 2,
            names: 1,
            longest_rest: Duration::from_millis(200),
            longest_pause: Duration::from_millis(250),
            pauses: true,
            census: false,
            steady: false,
        }
    }
}

/// A fault that nobody made: the machine itself stood still.
pub(crate) const STALLED: &str = "machine-stalled";

/// How long a request of a worker may take.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);

/// Runs it.
///
/// # Errors
/// If it could not be run to its end; what is wrong with the library is in the verdict.
pub async fn run(options: &Options) -> Result<Verdict, String> {
    let start = Instant::now();
    prepare_dir(&options.dir).map_err(|error| format!("{}: {error}", options.dir.display()))?;
    let faults: Vec<Vec<Box<dyn Fault>>> =
        options.strands.iter().map(|makes| makes.iter().map(|make| make()).collect()).collect();
    let mut server_options = ServerOptions::default();
    for fault in faults.iter().flatten() {
        registry::check_needs(fault.as_ref())?;
        server_options = fault.prepare(server_options);
    }
    let excuses = all_excuses(options.shape.pauses, faults.iter().flatten().map(AsRef::as_ref));
    let service = service::start(options.service, server_options).await;
    let recorder = Recorder::to_file("nemesis", Clock::system(), &options.dir.join("nemesis.jsonl"))
        .map_err(|error| error.to_string())?;
    let tap = Tap::new(NAMESPACE, recorder.process("tap"));
    service.tap(tap.clone());
    let resource = Resource::start(options).await?;
    let crew = start_crew(options, service.as_ref(), &resource, &recorder).await;
    let arena =
        Arena { service, crew, tap, recorder: recorder.clone(), ttl: options.ttl, servers: Arc::default() };
    let machine = tokio::spawn(watch_machine(recorder.clone()));
    let bound = judge::progress_bound(options, &excuses);
    // Long enough that whoever is stuck shows, and some more to let go.
    let calm = bound + Duration::from_secs(3);
    let until =
        start + options.time.saturating_sub(calm + Duration::from_secs(6)).max(Duration::from_secs(10));
    let disturbed_for = until.saturating_duration_since(Instant::now());
    let mut census = Census::default();
    let disturbed = async {
        disturb(&arena, options, faults, until).await;
        arena.service.servers().ready().await;
        sleep(calm).await;
        // Whoever is about to start one again is waited for.
        let _servers = arena.servers.lock().await;
    };
    let counted = async {
        match options.shape.census {
            true => census.take(&arena).await,
            false => std::future::pending().await,
        }
    };
    tokio::select! {
        () = disturbed => {}
        () = counted => {}
        () = operator::look_after(&arena) => {}
    }
    // Of the service two things, and the memory of each process.
    let counted = if options.shape.census { options.shape.processes + 2 } else { 0 };
    let mut problems = census.grown(counted);
    problems.extend(crew::stopped(&arena.crew).await.err());
    problems.extend(arena.crew.problems());
    settle(&arena, &recorder, excuses.recovery).await;
    machine.abort();
    resource.inspect(&recorder).await?;
    let expired = arena.tap.expired();
    drop(arena);
    let evidence = Evidence {
        census: census.summary(),
        problems,
        expired,
        disturbed_for,
        excuses,
        resource_log: resource.log.clone(),
        took: start.elapsed(),
    };
    drop(resource);
    judge::judge(options, evidence)
}

/// Writes down when this process was not run for so long that nobody can be blamed for being late.
async fn watch_machine(recorder: Recorder) {
    const TICK: Duration = Duration::from_millis(50);
    const STALL: Duration = Duration::from_millis(700);
    loop {
        let before = Instant::now();
        sleep(TICK).await;
        let late = before.elapsed().saturating_sub(TICK);
        if late > STALL {
            let (kind, target) = (STALLED.to_owned(), format!("for {} ms", late.as_millis()));
            recorder.record(What::Fault { id: recorder.number(), kind, target, lasting: false });
        }
    }
}

/// An empty directory.
fn prepare_dir(dir: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(dir) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::create_dir_all(dir)
}

fn all_excuses<'a>(pauses: bool, faults: impl Iterator<Item = &'a dyn Fault>) -> Excuses {
    let pause = pauses.then(|| registry::by_name("pause").map(|make| make().excuses()).unwrap_or_default());
    faults.map(Fault::excuses).chain(pause).fold(Excuses::default(), |all, one| Excuses {
        only_the_fence: all.only_the_fence || one.only_the_fence,
        two_believers: all.two_believers || one.two_believers,
        tap_lag: all.tap_lag.max(one.tap_lag),
        recovery: all.recovery.max(one.recovery),
    })
}

async fn start_crew(
    options: &Options,
    service: &dyn Service,
    resource: &Resource,
    recorder: &Recorder,
) -> Crew {
    let shape = &options.shape;
    let millis = |time: Duration| u64::try_from(time.as_millis()).unwrap_or(u64::MAX);
    let plans = (0..shape.processes).map(|number| WorkerPlan {
        process: format!("w{number}"),
        service: options.service,
        endpoints: Vec::new(),
        namespace: NAMESPACE.to_owned(),
        ttl_ms: millis(options.ttl),
        request_timeout_ms: millis(REQUEST_TIMEOUT),
        recipes: options.recipes.clone(),
        names: shape.names,
        sessions: shape.sessions,
        tasks: shape.tasks,
        longest_rest_ms: millis(shape.longest_rest),
        longest_pause_ms: millis(shape.longest_pause),
        leaks: options.leaks,
        resource: resource.socket.clone(),
        history: options.dir.join(format!("w{number}.jsonl")),
        seed: options.seed,
    });
    let program = options.programs.join("leasehold-chaos-worker");
    Crew::start(program, plans.collect(), &service.servers().endpoints(), recorder).await
}

/// The disturbed part.
async fn disturb(arena: &Arena, options: &Options, faults: Vec<Vec<Box<dyn Fault>>>, until: Instant) {
    let pauses: Vec<Box<dyn Fault>> = registry::by_name("pause")
        .ok()
        .filter(|_| options.shape.pauses)
        .map(|make| make())
        .into_iter()
        .collect();
    let pauses =
        strand(arena, pauses, Dice::of(options.seed, "pauses"), Pace { least_ms: 50, most_ms: 500 }, until);
    let strands = faults.into_iter().enumerate().map(|(number, faults)| {
        let dice = Dice::of(options.seed, &format!("strand {number}"));
        strand(arena, faults, dice, Pace { least_ms: 500, most_ms: 3500 }, until)
    });
    tokio::join!(pauses, all(strands));
}

/// Runs all of them to their ends, side by side.
async fn all(futures: impl Iterator<Item = impl Future<Output = ()>>) {
    let mut futures: Vec<_> = futures.map(Box::pin).collect();
    std::future::poll_fn(|context| {
        futures.retain_mut(|future| future.as_mut().poll(context).is_pending());
        if futures.is_empty() { std::task::Poll::Ready(()) } else { std::task::Poll::Pending }
    })
    .await;
}

/// Waits until nothing is left of what the workers had, the dead ones too; what is left all the same goes into the history.
async fn settle(arena: &Arena, recorder: &Recorder, recovery: Duration) {
    let limit = arena.ttl * 3 + Duration::from_secs(10) + recovery;
    let gone = async {
        loop {
            let left = arena.service.leftovers(NAMESPACE).await.unwrap_or_else(|error| vec![error]);
            let tapped = arena.tap.entries().len();
            if left.is_empty() && tapped == 0 {
                return;
            }
            sleep(Duration::from_millis(200)).await;
        }
    };
    let _ = timeout(limit, gone).await;
    let mut left = arena.service.leftovers(NAMESPACE).await.unwrap_or_else(|error| vec![error]);
    arena.tap.close();
    let silent = async {
        while !arena.service.watches().await.is_empty() {
            sleep(Duration::from_millis(200)).await;
        }
    };
    let _ = timeout(Duration::from_secs(5), silent).await;
    left.extend(arena.service.watches().await);
    recorder.record(What::Quiescent { left });
}

/// The process of the resource.
struct Resource {
    socket: PathBuf,
    log: PathBuf,
    /// Ends when this is dropped.
    _process: Worker,
}

impl Resource {
    async fn start(options: &Options) -> Result<Self, String> {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        // A socket's path is short, which a directory's is not always. One process may run several at a time.
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let socket = std::env::temp_dir().join(format!("leasehold-chaos-{}-{number}", std::process::id()));
        let _ = fs::remove_file(&socket);
        let log = options.dir.join("resource.log");
        let mut arguments = vec![socket.clone().into_os_string(), log.clone().into_os_string()];
        if !options.fenced {
            arguments.push("--no-fence".into());
        }
        let mut process = Worker::start(options.programs.join("leasehold-chaos-resource"), arguments);
        process.expect("serves").await;
        Ok(Self { socket, log, _process: process })
    }

    /// Writes down what the registers hold in the end.
    async fn inspect(&self, recorder: &Recorder) -> Result<(), String> {
        let asked = async { ResourceClient::connect(&self.socket).await?.ask(&Request::Inspect).await };
        match asked.await.map_err(|error| error.to_string())? {
            Answer::Registers { all } => {
                for (resource, version, value) in all {
                    recorder.record(What::Verdict { resource, version, value });
                }
                Ok(())
            }
            other => Err(format!("{other:?} is no answer to the judge")),
        }
    }
}

impl Drop for Resource {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.socket);
    }
}
