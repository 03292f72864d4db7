//! What is measured on Redis.

use std::time::Duration;

use leasehold_testkit::servers::{RedisServer, ServerOptions, Storage};

use crate::floor::RedisFloor;
use crate::measure::Spread;
use crate::options::Options;
use crate::peers::{Client, Leasehold, Peer, RedisPy, Rslock};
use crate::report::{Alone, Contention, Missing, Results};
use crate::{Failure, machine};

/// Measures everything on one server.
pub(crate) async fn measure(options: &Options) -> Result<Results, Failure> {
    let server = RedisServer::try_start(ServerOptions::default().storage(options.storage)).await?;
    let endpoint = server.endpoint();
    let url = format!("redis://{endpoint}");
    let load_before = machine::load();
    let mut peers: Vec<Box<dyn Peer>> = vec![
        Box::new(Leasehold::connect(&url).await?),
        Box::new(Leasehold::on_this_runtime(&url).await?),
        Box::new(Rslock::new(endpoint.clone())),
    ];
    let mut missing = Vec::new();
    match RedisPy::start(&endpoint).await {
        Ok(peer) => peers.push(Box::new(peer)),
        Err(error) => missing.push(Missing { name: "redis-py", why: error.to_string() }),
    }
    if let Some(only) = &options.only {
        peers.retain(|peer| peer.name() == only);
        if peers.is_empty() {
            return Err(format!("nobody is called {only:?}").into());
        }
    }
    let alone = alone(options, &server, &mut peers).await?;
    let mut contentions = Vec::new();
    for &contenders in &options.contenders {
        for peer in &mut peers {
            eprintln!("{} with {contenders} contenders", peer.name());
            let before = Load::of(&server, peer.commands()).await;
            let contended = peer.contend(contenders, options.time).await?;
            let requests = Load::of(&server, peer.commands()).await.requests - before.requests;
            contentions.push(Contention { name: peer.name(), contenders, contended, requests });
        }
    }
    let mut facts = machine::facts();
    let medium = if server.storage() == Storage::Disk { "on a disk" } else { "in memory (tmpfs)" };
    facts.push(("server", machine::said_by("redis-server", "--version")));
    facts.push(("its data", format!("{medium}, appended and synced at every write")));
    facts.push(("load, before and after", format!("{load_before} and {}", machine::load())));
    Ok(Results { service: options.service, facts, alone, contentions, missing, time: options.time })
}

/// Everybody in turns, so that what else the machine does hits all of them.
async fn alone(
    options: &Options,
    server: &RedisServer,
    peers: &mut [Box<dyn Peer>],
) -> Result<Vec<Alone>, Failure> {
    let mut floor = RedisFloor::open(&server.endpoint()).await?;
    let mut aside = RedisFloor::open_aside(&server.endpoint()).await?;
    let mut turns: Vec<&mut dyn Client> = vec![&mut floor, &mut aside];
    turns.extend(peers.iter_mut().map(|peer| peer.as_mut() as &mut dyn Client));
    let mut seen: Vec<Turns> = turns.iter().map(|_| Turns::default()).collect();
    for repetition in 0..=options.repetitions {
        for (client, seen) in turns.iter_mut().zip(&mut seen) {
            let before = Load::of(server, client.commands()).await;
            let took = client.uncontended(options.rounds).await?;
            let after = Load::of(server, client.commands()).await;
            // The first one makes connections and scripts known.
            if repetition > 0 {
                seen.micros.push(took.time.as_secs_f64() * 1e6 / options.rounds as f64);
                seen.requests += after.requests - before.requests;
                seen.busy += after.busy - before.busy;
                seen.wake_ups += took.wake_ups;
            }
        }
    }
    let rounds = (options.rounds * options.repetitions) as f64;
    let bare = &seen[0].micros;
    let rows = turns.iter().zip(&seen).map(|(client, seen)| Alone {
        name: client.name(),
        micros: Spread::of(seen.micros.iter().copied()),
        of_floor: Spread::of(bare.iter().zip(&seen.micros).map(|(bare, own)| bare / own)),
        requests: seen.requests as f64 / rounds,
        wake_ups: seen.wake_ups as f64 / rounds,
        busy_micros: seen.busy.as_secs_f64() * 1e6 / rounds,
    });
    Ok(rows.collect())
}

/// What was seen of one client.
#[derive(Default)]
struct Turns {
    micros: Vec<f64>,
    requests: u64,
    busy: Duration,
    wake_ups: u64,
}

/// What the server has had to do so far.
struct Load {
    requests: u64,
    busy: Duration,
}

impl Load {
    /// With requests of these kinds.
    async fn of(server: &RedisServer, commands: &[&str]) -> Self {
        let mut load = Self { requests: 0, busy: Duration::ZERO };
        for command in commands {
            load.requests += server.calls(command).await;
            load.busy += server.busy(command).await;
        }
        load
    }
}
