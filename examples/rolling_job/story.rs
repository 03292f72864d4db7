//! The story of a rolling restart and of a kill, told as it happens, and found out if it does not.

use std::error::Error;
use std::time::{Duration, Instant};

use leasehold_examples::fresh_name;

use crate::log::PERIOD;
use crate::rollout::Rollout;
use crate::worker::Job;

const WORKERS: usize = 3;

/// Ticks between two events.
const TICKS: u64 = 4;

/// What a handover may take that does not wait for the TTL.
const AT_ONCE: Duration = Duration::from_secs(1);

/// What the services may take to expire a session once its TTL is over: etcd looks every 500 ms, ZooKeeper rounds up to its tick; and this machine is
/// busy.
const BOUND: Duration = Duration::from_millis(2500);

pub(crate) async fn tell(url: &str) -> Result<(), Box<dyn Error>> {
    let job = Job { url: url.into(), election: fresh_name("rolling_job") };
    let coordinator = job.builder()?.connect().await?;
    let ttl = coordinator.status().borrow().ttl.ok_or("connected without a session")?;
    println!("{url}, TTL {ttl:?}, a tick every {PERIOD:?}");
    let mut rollout = Rollout::new(job, &coordinator);
    for number in 1..=WORKERS {
        rollout.start(&number.to_string()).await?;
    }
    rollout.until(|rollout| rollout.leader.is_some()).await?;
    let mut story = Story { rollout };
    story.first_leads()?;

    // They lead in the order in which they stand: each of the three is the leader when its turn to be restarted comes.
    let mut longest = Duration::ZERO;
    for number in 0..WORKERS {
        longest = longest.max(story.restart(number).await?);
        story.rollout.start(&format!("{}'", number + 1)).await?;
    }
    let (killed, handover) = story.kill(WORKERS, ttl).await?;
    check(longest < handover, "a killed worker was succeeded faster than one that said goodbye")?;
    story.rollout.start("1''").await?;
    let due = story.catch_up().await?;
    story.end().await?;
    coordinator.shutdown(Duration::from_secs(5)).await?;

    let Rollout { log, begun, .. } = story.rollout;
    let count = log.judge(due)?;
    for tick in 0..count {
        let (times, wanted) = (begun.get(&tick).copied(), if tick == killed { 2 } else { 1 });
        check(times == Some(wanted), &format!("tick {tick} was begun {times:?} times"))?;
    }
    check(begun.len() as u64 == count, "a tick was begun that is not in the log")?;
    println!("  {count} ticks in the log: none twice, none skipped; tick {killed} was begun twice");
    Ok(())
}

struct Story {
    rollout: Rollout,
}

impl Story {
    fn first_leads(&self) -> Result<(), Box<dyn Error>> {
        let (leader, since) = self.rollout.leader.ok_or("nobody leads")?;
        self.print(since, format!("{} leads", self.name(leader)));
        Ok(())
    }

    /// Asks the leader, which is to be this worker, to end; answers how long nobody led.
    async fn restart(&mut self, worker: usize) -> Result<Duration, Box<dyn Error>> {
        let tick = self.in_the_middle_of_a_tick(worker).await?;
        let asked = Instant::now();
        self.rollout.terminate(worker)?;
        self.print(asked, format!("SIGTERM to {}, in the middle of tick {tick}", self.name(worker)));
        let (leader, since) = self.successor(worker).await?;
        self.rollout.until(|rollout| rollout.workers[worker].is_gone()).await?;
        let (last, done) = self.rollout.workers[worker].done.ok_or("it has done nothing")?;
        check(last >= tick, "it has given up a tick in the middle")?;
        self.print(done, format!("  it has done tick {last}"));
        let (handover, all) = (since.saturating_duration_since(done), since - asked);
        self.print(since, format!("{} leads, {handover:.1?} later", self.name(leader)));
        check(all < AT_ONCE, &format!("that took {all:?}"))?;
        Ok(handover)
    }

    /// Kills the leader, which is to be this worker; answers in which tick, and how long nobody led.
    async fn kill(&mut self, worker: usize, ttl: Duration) -> Result<(u64, Duration), Box<dyn Error>> {
        let tick = self.in_the_middle_of_a_tick(worker).await?;
        let at = Instant::now();
        self.rollout.kill(worker)?;
        self.print(at, format!("kill -9 to {}, in the middle of tick {tick}", self.name(worker)));
        let (leader, since) = self.successor(worker).await?;
        let handover = since - at;
        self.print(since, format!("{} leads, {handover:.1?} later", self.name(leader)));
        check(handover < ttl + BOUND, "that took longer than the TTL and the service's own time")?;
        Ok((tick, handover))
    }

    /// Waits until no tick is late; answers how many were due by then.
    async fn catch_up(&mut self) -> Result<u64, Box<dyn Error>> {
        self.rollout.log.up_to_date = None;
        self.rollout.until(|rollout| rollout.log.up_to_date.is_some()).await?;
        let due = self.rollout.log.up_to_date.ok_or("it is late")?;
        self.print(Instant::now(), "it has caught up with the ticks that were late".into());
        Ok(due)
    }

    /// Ends all, the leader last.
    async fn end(&mut self) -> Result<(), Box<dyn Error>> {
        let (leader, _) = self.rollout.leader.ok_or("nobody leads")?;
        let asked = Instant::now();
        let standing = (0..self.rollout.workers.len()).filter(|&worker| worker != leader);
        for worker in standing.chain([leader]) {
            self.rollout.terminate(worker)?;
            self.rollout.until(|rollout| rollout.workers[worker].is_gone()).await?;
        }
        self.print(asked, "SIGTERM to all three; they end".into());
        Ok(())
    }

    /// Waits until the leader, which is to be `worker`, is in the middle of a tick, some ticks from now.
    async fn in_the_middle_of_a_tick(&mut self, worker: usize) -> Result<u64, Box<dyn Error>> {
        let leads = self.rollout.leader.is_some_and(|(leader, _)| leader == worker);
        check(leads, &format!("{} should lead, and {} does", self.name(worker), self.leader_name()))?;
        let last = self.rollout.begun.keys().last().copied().unwrap_or_default();
        let far_enough = |tick: u64| tick >= last + TICKS;
        self.rollout.until(|rollout| rollout.workers[worker].in_hand.is_some_and(far_enough)).await?;
        Ok(self.rollout.workers[worker].in_hand.ok_or("it works on nothing")?)
    }

    async fn successor(&mut self, worker: usize) -> Result<(usize, Instant), Box<dyn Error>> {
        let is_another = |(leader, _): (usize, Instant)| leader != worker;
        self.rollout.until(|rollout| rollout.leader.is_some_and(is_another)).await?;
        Ok(self.rollout.leader.ok_or("nobody leads")?)
    }

    fn name(&self, worker: usize) -> &str {
        &self.rollout.workers[worker].name
    }

    fn leader_name(&self) -> &str {
        self.rollout.leader.map_or("nobody", |(leader, _)| self.name(leader))
    }

    fn print(&self, at: Instant, what: String) {
        println!("  {:+.3} s  {what}", (at - self.rollout.log.start).as_secs_f64());
    }
}

fn check(holds: bool, otherwise: &str) -> Result<(), String> {
    if holds { Ok(()) } else { Err(otherwise.into()) }
}
