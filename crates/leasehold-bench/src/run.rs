//! A run: everybody in turns on one server, so that what else the machine does hits all of them.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use async_trait::async_trait;
use leasehold_testkit::servers::Storage;

use crate::measure::{Contended, Took};
use crate::options::{Options, Service};
use crate::peers::Peer;
use crate::results::{Missing, Results, Run, Sample};
use crate::{Failure, etcd, machine, process, redis, zookeeper};

/// What is measured on.
#[async_trait]
pub(crate) trait Site: Send + Sync {
    /// Facts of the server.
    fn facts(&self) -> machine::Facts;

    /// Where the server really has its data.
    fn storage(&self) -> Storage;

    /// The server's process.
    fn pid(&self) -> Option<u32>;

    /// What the server has counted so far that concerns this client.
    async fn counts(&self, client: &dyn Peer) -> Result<Counts, Failure>;
}

/// Numbers that only grow, and what they are called.
pub(crate) type Counts = Vec<(&'static str, f64)>;

/// A server, and who is measured on it; the first is the floor.
pub(crate) struct Field {
    pub(crate) site: Box<dyn Site>,
    pub(crate) peers: Vec<Box<dyn Peer>>,
    pub(crate) missing: Vec<Missing>,
}

impl Field {
    /// Adds a peer, or why there is none.
    pub(crate) fn add(&mut self, name: &str, peer: Result<impl Peer + 'static, Failure>) {
        match peer {
            Ok(peer) => self.peers.push(Box::new(peer)),
            Err(error) => self.missing.push(Missing { name: name.to_owned(), why: error.to_string() }),
        }
    }
}

/// Measures everything on one server.
pub(crate) async fn run(options: &Options, service: Service, storage: Storage) -> Result<Results, Failure> {
    let load_before = machine::load();
    let Field { site, mut peers, missing } = match service {
        Service::Redis => redis::field(storage).await?,
        Service::Etcd => etcd::field(storage).await?,
        Service::ZooKeeper => zookeeper::field(storage).await?,
    };
    for only in &options.only {
        if !peers.iter().any(|peer| peer.name() == *only) {
            let names: Vec<_> = peers.iter().map(|peer| peer.name()).collect();
            return Err(format!("nobody is called {only:?}, but {}", names.join("; ")).into());
        }
    }
    if !options.only.is_empty() {
        let mut is_floor = true;
        peers.retain(|peer| {
            std::mem::take(&mut is_floor) || options.only.iter().any(|name| *name == peer.name())
        });
    }
    let storage = match site.storage() {
        Storage::Disk => "disk",
        Storage::Tmpfs => "tmpfs",
    };
    let id = SystemTime::now().duration_since(UNIX_EPOCH)?.as_secs();
    let mut run = Measuring { options, site: &*site, run: id, storage, samples: Vec::new() };
    run.alone(&mut peers).await?;
    run.contended(&mut peers).await?;
    let samples = run.samples;
    let mut facts = machine::facts();
    facts.extend(site.facts());
    facts.push(("command", command_line()));
    facts.push(("load, before and after", format!("{load_before} and {}", machine::load())));
    let facts = facts.into_iter().map(|(name, fact)| (name.to_owned(), fact)).collect();
    let runs = vec![Run { id, storage: storage.to_owned(), facts }];
    Ok(Results { runs, samples, missing: if options.only.is_empty() { missing } else { Vec::new() } })
}

fn command_line() -> String {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let quoted = arguments.iter().map(|a| if a.contains(' ') { format!("'{a}'") } else { a.clone() });
    quoted.collect::<Vec<_>>().join(" ")
}

struct Measuring<'a> {
    options: &'a Options,
    site: &'a dyn Site,
    run: u64,
    storage: &'static str,
    samples: Vec<Sample>,
}

/// What was counted up to some time.
struct Reading {
    counts: Counts,
    server: Duration,
    client: Duration,
}

impl Measuring<'_> {
    async fn alone(&mut self, peers: &mut [Box<dyn Peer>]) -> Result<(), Failure> {
        let rounds = self.options.rounds;
        // The first one makes connections and scripts known.
        for repetition in 0..=self.options.repetitions {
            if self.options.repetitions == 0 {
                break;
            }
            let mut floor = None;
            for peer in &mut *peers {
                let before = self.read(&**peer).await?;
                let Took { time, wake_ups } = peer.uncontended(rounds).await?;
                if repetition == 0 {
                    continue;
                }
                let mut values = self.since(&before, &**peer, rounds as u64).await?;
                let micros = time.as_secs_f64() * 1e6 / rounds as f64;
                let of_floor = *floor.get_or_insert(micros) / micros;
                values.insert(0, ("µs".into(), micros));
                values.insert(1, ("of the floor's speed".into(), of_floor));
                values.push(("wake-ups".into(), wake_ups as f64 / rounds as f64));
                self.keep(0, &peer.name(), values);
            }
        }
        Ok(())
    }

    async fn contended(&mut self, peers: &mut [Box<dyn Peer>]) -> Result<(), Failure> {
        for repetition in 1..=self.options.contentions {
            for &contenders in &self.options.contenders {
                for peer in peers.iter_mut().filter(|peer| peer.contends(contenders)) {
                    let name = peer.name();
                    peer.prepare(contenders).await?;
                    let before = self.read(&**peer).await?;
                    let contended = peer.contend(contenders, self.options.time).await?;
                    let mut values = self.since(&before, &**peer, contended.acquisitions).await?;
                    eprintln!(
                        "{contenders} contenders, {repetition} of {}: {name}: {:.0} a second",
                        self.options.contentions,
                        contended.per_second(contended.granted()),
                    );
                    values.splice(0..0, of(&contended));
                    let wake_ups = contended.wake_ups as f64 / contended.acquisitions.max(1) as f64;
                    values.push(("wake-ups".into(), wake_ups));
                    self.keep(contenders, &name, values);
                }
            }
        }
        Ok(())
    }

    async fn read(&self, peer: &dyn Peer) -> Result<Reading, Failure> {
        Ok(Reading {
            counts: self.site.counts(peer).await?,
            server: process::processor_time(self.site.pid())?,
            client: process::processor_time(peer.pid())?,
        })
    }

    /// What was counted since, for each of so many acquisitions.
    async fn since(
        &self,
        before: &Reading,
        peer: &dyn Peer,
        acquisitions: u64,
    ) -> Result<Vec<(String, f64)>, Failure> {
        let after = self.read(peer).await?;
        let each = |total: f64| total / acquisitions.max(1) as f64;
        let counted = before.counts.iter().zip(&after.counts);
        let mut values: Vec<(String, f64)> =
            counted.map(|((name, before), (_, after))| ((*name).to_owned(), each(after - before))).collect();
        for (name, before, after) in
            [("client µs", before.client, after.client), ("server µs", before.server, after.server)]
        {
            values.push((name.into(), each(after.saturating_sub(before).as_secs_f64() * 1e6)));
        }
        Ok(values)
    }

    fn keep(&mut self, clients: usize, name: &str, values: Vec<(String, f64)>) {
        let who = match &self.options.how {
            Some(how) => format!("{name}, {how}"),
            None => name.to_owned(),
        };
        // As many digits as anybody reads.
        let values = values.into_iter().map(|(name, value)| (name, (value * 1e4).round() / 1e4)).collect();
        let storage = self.storage.to_owned();
        self.samples.push(Sample { run: self.run, storage, clients, who, values });
    }
}

fn of(contended: &Contended) -> [(String, f64); 5] {
    let millis = |time: Duration| time.as_secs_f64() * 1e3;
    // Somebody who got nothing is shown as a number too large to be one.
    let unfairness = contended.unfairness().min(1e6);
    [
        ("acquisitions/s".into(), contended.per_second(contended.granted())),
        ("owner changes/s".into(), contended.per_second(contended.changes)),
        ("most/least".into(), unfairness),
        ("ms waited".into(), millis(contended.waits.median)),
        ("p99".into(), millis(contended.waits.p99)),
    ]
}
