//! The story of the stopped holder, told as it happens, and found out if it does not.

use std::error::Error;
use std::fmt::Write as _;
use std::time::{Duration, Instant};

use leasehold::FencingToken;
use leasehold_examples::child_process::ChildProcess;
use tokio::sync::mpsc::unbounded_channel;

use crate::holder::{self, Holder};
use crate::judge::Judge;
use crate::worker::Job;

/// Holder A, which is stopped, and holder B, which gets the lock meanwhile.
const A: usize = 0;
const B: usize = 1;

/// How many times B adds 1.
const ROUNDS: u32 = 10;

/// What happened, and when.
struct Outcome {
    /// By what means A was stopped.
    means: &'static str,
    stopped: Instant,
    granted: Instant,
    resumed: Instant,
    /// A's token, and B's first and last.
    tokens: [FencingToken; 3],
    /// A's second token, if it has locked again.
    again: Option<FencingToken>,
    /// What A's `is_held()` said when it went on.
    believed: bool,
    lost: (Instant, String),
}

/// Runs it over a service; answers the tale, or what of it is not true.
pub(crate) async fn tell(url: &str, ttl: Duration) -> Result<String, Box<dyn Error>> {
    let mut judge = cast(url, ttl)?;
    let outcome = run(&mut judge).await?;
    let rejected = judge.rejected.clone();
    let (fenced, unfenced) = judge.numbers();
    let wanted = u64::from(ROUNDS) + 1;

    let [a, b, last_b] = outcome.tokens;
    check(a < b && b <= last_b, "the tokens do not rise")?;
    // That A said nothing, and so was not told, between its stop and B's end, the judge has seen to.
    check(!outcome.believed, "A believed that it still held the lock")?;
    let [stale] = rejected.as_slice() else {
        return Err(format!("the fenced store rejected {} accesses, not 1", rejected.len()).into());
    };
    check((stale.token, stale.highest) == (a, last_b), "the fenced store rejected another access")?;
    let again = outcome.again.ok_or("A did not lock again")?;
    check(last_b < again, "the tokens do not rise")?;
    check(fenced == wanted, &format!("the fenced store has {fenced} and not {wanted}"))?;
    check(unfenced != wanted, "the unfenced store is right: the run shows nothing")?;

    let since_stop = |at: Instant| (at - outcome.stopped).as_secs_f64();
    let (granted, resumed) = (since_stop(outcome.granted), since_stop(outcome.resumed));
    let lost = since_stop(outcome.lost.0);
    let mut tale = String::new();
    writeln!(tale, "{url}, TTL {ttl:?}")?;
    writeln!(
        tale,
        "  +0.000 s  A holds token {a}, has read both stores, and stands still: {}",
        outcome.means
    )?;
    writeln!(tale, "  {granted:+.3} s  the service has given the lock to B, token {b}")?;
    writeln!(tale, "  {resumed:+.3} s  B has added 1 to both stores {ROUNDS} times; A goes on, and writes")?;
    writeln!(
        tale,
        "  {lost:+.3} s  A's lost() fired, {:.1} ms after A woke and {:.3} s after the lock was B's: {}",
        (lost - resumed) * 1e3,
        lost - granted,
        outcome.lost.1
    )?;
    writeln!(tale, "            A's is_held() said {} as soon as it woke", outcome.believed)?;
    writeln!(tale, "            the fenced store rejected A's write ({stale})")?;
    writeln!(tale, "            and took it when A had locked again, token {again}")?;
    writeln!(tale, "  fenced store:   {fenced:>2} of {wanted}")?;
    write!(
        tale,
        "  unfenced store: {unfenced:>2} of {wanted}, {} lost without a word",
        wanted.abs_diff(unfenced)
    )?;
    Ok(tale)
}

fn check(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}

fn cast(url: &str, ttl: Duration) -> Result<Judge, Box<dyn Error>> {
    // What cannot work is said here rather than by a process that has ended.
    let _ = leasehold::builder(url)?;
    let (judge, said) = unbounded_channel();
    let lock = format!("paused_holder/{}", std::process::id());
    let holder = |number, rounds, pauses| -> Result<Box<dyn Holder>, Box<dyn Error>> {
        let job = Job { url: url.into(), ttl, lock: lock.clone(), rounds, pauses };
        let judge = judge.clone();
        Ok(if url.starts_with("memory:") {
            Box::new(holder::Thread::start(number, job, judge)?)
        } else {
            Box::new(ChildProcess::start(number, &job.arguments(), judge)?)
        })
    };
    Ok(Judge::new([holder(A, 1, true)?, holder(B, ROUNDS, false)?], said))
}

async fn run(judge: &mut Judge) -> Result<Outcome, Box<dyn Error>> {
    judge.connected().await?;
    judge.holders[A].tell("start")?;
    let (_, a) = judge.expect(A, "granted").await?;
    judge.expect(A, "thinking").await?;
    let means = judge.holders[A].stop()?;
    let stopped = Instant::now();

    judge.holders[B].tell("start")?;
    let (granted, b) = judge.expect(B, "granted").await?;
    let mut last_b = b.clone();
    loop {
        let said = judge.next(B).await?;
        match said.line.split_once(' ') {
            None if said.line == "done" => break,
            Some(("granted", token)) => last_b = token.into(),
            _ => return Err(format!("B says {:?}", said.line).into()),
        }
    }

    let resumed = Instant::now();
    judge.holders[A].tell("go on")?;
    judge.holders[A].resume()?;
    let (mut believed, mut lost, mut again) = (None, None, None);
    loop {
        let said = judge.next(A).await?;
        match said.line.split_once(' ') {
            None if said.line == "done" => break,
            Some(("awake", held)) => believed = Some(held.parse()?),
            Some(("lost", reason)) => lost = Some((said.at, reason.to_owned())),
            Some(("granted", token)) => again = Some(token.parse()?),
            _ => return Err(format!("A says {:?}", said.line).into()),
        }
    }
    Ok(Outcome {
        means,
        stopped,
        granted,
        resumed,
        tokens: [a.parse()?, b.parse()?, last_b.parse()?],
        again,
        believed: believed.ok_or("A did not wake")?,
        lost: lost.ok_or("A was never told")?,
    })
}
