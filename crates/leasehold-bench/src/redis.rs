//! What is measured on Redis.

use leasehold_testkit::servers::{RedisServer, ServerOptions, Storage};

use crate::floor::RedisFloor;
use crate::measure::Spread;
use crate::options::Options;
use crate::peers::{Leasehold, Peer, RedisPy, Rslock};
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
            let before = requests(&server, &**peer).await;
            let contended = peer.contend(contenders, options.time).await?;
            let requests = requests(&server, &**peer).await - before;
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
    let mut times = vec![Vec::new(); peers.len() + 1];
    let mut requested = vec![0; peers.len()];
    let micros = |took: std::time::Duration| took.as_secs_f64() * 1e6 / options.rounds as f64;
    for repetition in 0..=options.repetitions {
        // The first one makes connections and scripts known, and is not counted.
        let counts = repetition > 0;
        let took = micros(floor.uncontended(options.rounds).await?);
        if counts {
            times[0].push(took);
        }
        for (number, peer) in peers.iter_mut().enumerate() {
            let before = requests(server, &**peer).await;
            let took = micros(peer.uncontended(options.rounds).await?);
            if counts {
                requested[number] += requests(server, &**peer).await - before;
                times[number + 1].push(took);
            }
        }
    }
    let rounds = (options.rounds * options.repetitions) as f64;
    let row = |name, number: usize, requests| Alone {
        name,
        micros: Spread::of(times[number].iter().copied()),
        of_floor: Spread::of(times[0].iter().zip(&times[number]).map(|(floor, own)| floor / own)),
        requests,
    };
    let bare = row("the same two scripts, bare", 0, 2.0);
    let others = peers.iter().zip(&requested).enumerate();
    let others = others.map(|(at, (peer, &requests))| row(peer.name(), at + 1, requests as f64 / rounds));
    Ok(std::iter::once(bare).chain(others).collect())
}

/// How many requests of a peer's kind the server has had.
async fn requests(server: &RedisServer, peer: &dyn Peer) -> u64 {
    let mut sum = 0;
    for command in peer.commands() {
        sum += server.calls(command).await;
    }
    sum
}
