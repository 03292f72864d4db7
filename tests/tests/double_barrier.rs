//! The double barrier on paused time, over the memory service with seeded faults: parties that are slow, give up and
//! die while requests and replies are lost, late and out of order, and waits end for no reason.
//!
//! A failure names its seed.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold::memory::{Call, Fault, MemoryService, Operation};
use leasehold::{Coordinator, DoubleBarrier, ErrorKind, Inside};
use leasehold_core::{KeyPath, Kind, Namespace};
use tokio::runtime::Handle;
use tokio::time::{sleep, timeout};

const TTL: Duration = Duration::from_secs(10);
const REQUEST_TIMEOUT: Duration = Duration::from_secs(2);
/// How long a run may take, in its own time.
const LIMIT: Duration = Duration::from_secs(36_000);

/// SplitMix64 (Steele, Lea and Flood, 2014).
#[derive(Clone)]
struct Random(Arc<Mutex<u64>>);

impl Random {
    fn new(seed: u64) -> Self {
        Self(Arc::new(Mutex::new(seed)))
    }

    fn below(&self, bound: u64) -> u64 {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }

    fn millis(&self, bound: u64) -> Duration {
        Duration::from_millis(self.below(bound))
    }

    /// A fault in one of `rarity` calls; everything but the sessions themselves.
    fn fault(&self, call: &Call, rarity: u64) -> Fault {
        let is_wait = match call.operation {
            Operation::OpenSession | Operation::Renew | Operation::CloseSession => return Fault::None,
            Operation::Changed | Operation::RegisterChanged => true,
            _ => false,
        };
        match self.below(rarity) {
            // A wait that is refused ends for no reason.
            0 => Fault::Refuse,
            1 if is_wait => Fault::Delay(self.millis(3_000)),
            1 => Fault::LoseReply,
            2 if !is_wait => Fault::LoseRequest,
            3 if !is_wait => Fault::DeliverLate(self.millis(4_000)),
            4..=6 => Fault::Delay(self.millis(50)),
            _ => Fault::None,
        }
    }
}

/// What the parties of each round did, by the word of the parties.
#[derive(Clone, Default)]
struct History(Arc<Mutex<HashMap<u64, Doings>>>);

#[derive(Default)]
struct Doings {
    let_in: u32,
    left: u32,
    /// Let in, and not yet gone by their own doing.
    inside: Vec<leasehold::Held>,
}

impl History {
    fn let_in(&self, inside: &Inside, parties: u32) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for (round, doings) in rounds.iter() {
            let others = doings.inside.iter().filter(|held| held.is_held()).count();
            assert!(*round == inside.round() || others == 0, "round {round} is not over: {others} inside");
        }
        let round = rounds.entry(inside.round()).or_default();
        round.let_in += 1;
        round.inside.push(inside.held());
        assert!(round.let_in <= parties, "{} are let into round {}", round.let_in, inside.round());
    }

    fn leaves(&self, round: u64) {
        let mut rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        rounds.entry(round).or_default().left += 1;
    }

    fn out(&self, round: u64, parties: u32) {
        let rounds = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let left = rounds[&round].left;
        assert_eq!(left, parties, "a party is out of round {round} when {left} have left");
    }
}

async fn node(service: &MemoryService) -> Coordinator {
    let builder = Coordinator::builder(service.backend()).ttl(TTL).request_timeout(REQUEST_TIMEOUT);
    builder.runtime(Handle::current()).connect().await.unwrap()
}

async fn nothing_is_left(service: &MemoryService) {
    let path = KeyPath::new(&Namespace::default(), Kind::DoubleBarrier, "one").unwrap();
    timeout(LIMIT, async {
        while !service.entries(&path).is_empty() {
            sleep(Duration::from_millis(100)).await;
        }
    })
    .await
    .expect("nothing is left");
}

/// Passes so many rounds, none of which may fail.
async fn pass(barrier: DoubleBarrier, random: Random, history: History, rounds: u32) {
    for _ in 0..rounds {
        sleep(random.millis(20)).await;
        let inside = barrier.enter().await.expect("nobody dies");
        history.let_in(&inside, barrier.parties());
        let round = inside.round();
        sleep(random.millis(20)).await;
        history.leaves(round);
        inside.leave().await.expect("nobody dies");
        history.out(round, barrier.parties());
    }
}

/// No fault of requests and waits is one of the barrier: as long as nobody dies, each round is passed by all.
#[tokio::test(start_paused = true)]
async fn faults_alone_break_no_round() {
    for seed in 0..150 {
        println!("seed {seed}");
        let (random, history) = (Random::new(seed), History::default());
        let service = MemoryService::with_tokio_time();
        let parties = 2 + random.below(3) as u32;
        let mut passing = Vec::new();
        for _ in 0..parties {
            let barrier = node(&service).await.double_barrier("one", parties);
            passing.push(tokio::spawn(pass(barrier, random.clone(), history.clone(), 5)));
        }
        let faults = random.clone();
        service.on_call(move |call| faults.fault(call, 60));
        for party in passing {
            timeout(LIMIT, party).await.expect("nobody hangs").unwrap();
        }
        nothing_is_left(&service).await;
    }
}

/// More parties than are let in at once: each round that a party passes has exactly n.
#[tokio::test(start_paused = true)]
async fn a_crowd_passes_in_rounds_of_n() {
    for seed in 1_000..1_080 {
        println!("seed {seed}");
        let (random, history) = (Random::new(seed), History::default());
        let service = MemoryService::with_tokio_time();
        let (parties, rounds) = (2 + random.below(2) as u32, 4);
        let nodes = [node(&service).await, node(&service).await];
        let faults = random.clone();
        service.on_call(move |call| faults.fault(call, 80));
        let crowd: Vec<_> = (0..parties * rounds)
            .map(|party| {
                let barrier = nodes[party as usize % 2].double_barrier("one", parties);
                tokio::spawn(pass(barrier, random.clone(), history.clone(), 1))
            })
            .collect();
        for party in crowd {
            timeout(LIMIT, party).await.expect("nobody hangs").unwrap();
        }
        let passed = history.0.lock().unwrap().values().filter(|round| round.let_in == parties).count();
        assert_eq!(passed, rounds as usize);
    }
}

/// What a party does, whatever happens to it, until it is told to stop.
async fn muddle_through(
    service: MemoryService,
    node: Coordinator,
    random: Random,
    history: History,
    parties: u32,
) {
    let barrier = node.double_barrier("one", parties);
    for _ in 0..12 {
        sleep(random.millis(200)).await;
        // The others may be gone for good, and it alone in line.
        let patience = if random.below(6) == 0 { random.millis(1_500) } else { TTL * 3 };
        let entering = timeout(patience, barrier.enter());
        let entered = if random.below(5) == 0 {
            let expiry = async {
                sleep(random.millis(300)).await;
                expire(&service, &node);
            };
            tokio::join!(entering, expiry).0
        } else {
            entering.await
        };
        let Ok(entered) = entered else { continue };
        let inside = match entered {
            Ok(inside) => inside,
            Err(error) => {
                assert!([ErrorKind::PeerLost, ErrorKind::Lost].contains(&error.kind()), "{error}");
                continue;
            }
        };
        if !inside.is_held() {
            continue;
        }
        history.let_in(&inside, parties);
        sleep(random.millis(100)).await;
        let round = inside.round();
        match random.below(8) {
            0 => drop(inside),
            choice => {
                if choice == 1 {
                    expire(&service, &node);
                }
                history.leaves(round);
                let leaving = inside.leave();
                let left = if choice == 2 {
                    timeout(random.millis(500), leaving).await.ok()
                } else {
                    Some(timeout(LIMIT, leaving).await.expect("nobody hangs"))
                };
                match left {
                    None => {}
                    Some(Ok(())) => history.out(round, parties),
                    Some(Err(error)) => {
                        assert!([ErrorKind::PeerLost, ErrorKind::Lost].contains(&error.kind()), "{error}");
                    }
                }
            }
        }
    }
}

fn expire(service: &MemoryService, node: &Coordinator) {
    if let Some(session) = node.status().borrow().session.clone() {
        service.expire_session(&session);
    }
}

/// Parties give up, drop out and lose their sessions at every step, under faults. Nobody is let in wrongly, nobody
/// is out too early, nobody hangs; and when it is over, the barrier works as if nothing had been.
#[tokio::test(start_paused = true)]
async fn deaths_at_every_step_harm_nobody_but_their_round() {
    for seed in 2_000..2_300 {
        println!("seed {seed}");
        let (random, history) = (Random::new(seed), History::default());
        let service = MemoryService::with_tokio_time();
        let parties = 2 + random.below(2) as u32;
        let mut muddling = Vec::new();
        let crowd = parties + random.below(3) as u32;
        for _ in 0..crowd {
            let node = node(&service).await;
            let party = muddle_through(service.clone(), node, random.clone(), history.clone(), parties);
            muddling.push(tokio::spawn(party));
        }
        let faults = random.clone();
        service.on_call(move |call| faults.fault(call, 120));
        for party in muddling {
            timeout(LIMIT, party).await.expect("nobody hangs").unwrap();
        }
        service.clear_on_call();
        nothing_is_left(&service).await;
        let mut passing = Vec::new();
        for _ in 0..parties {
            let barrier = node(&service).await.double_barrier("one", parties);
            passing.push(tokio::spawn(pass(barrier, random.clone(), history.clone(), 3)));
        }
        for party in passing {
            timeout(LIMIT, party).await.expect("nobody hangs").unwrap();
        }
    }
}
