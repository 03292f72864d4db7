//! Negative controls: each safety is taken away from a client or a resource, which is then run on the memory service through a
//! pause, an expiry or an administrator's deletion, and the checker must say exactly what is wrong, on every run.
//!
//! What is wrong is built here, beside the product: a client that is a few lines over the contract, and a resource that checks what it is told
//! to. The same schedules with nothing taken away are sound, which is checked too.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use leasehold::FencingToken;
use leasehold::fencing::Fence;
use leasehold::memory::{MemoryBackend, MemoryService};
use leasehold_core::{
    AttemptId, AttemptIds, Certainty, Interest, KeyPath, Kind as PathKind, LockBackend, Mode, Namespace,
    NewEntry, OpenSession, Session,
};
use leasehold_testkit::history::{
    Call, Checker, History, Kind, OpId, Outcome, Recorder, Removal, Report, STALE, What,
};
use tokio::time::sleep;

const TTL: Duration = Duration::from_secs(2);
const GRACE: Duration = Duration::from_millis(50);
const RUNS: u64 = 20;

/// Numbers that look like chance, the same for a seed.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        // Knuth's constants of a linear congruential generator; its high bits are the good ones.
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    async fn nap(&mut self) {
        sleep(Duration::from_millis(1 + self.roll(40))).await;
    }
}

/// One service, one lock, one resource, and the history.
struct Scene {
    service: MemoryService,
    path: KeyPath,
    recorder: Recorder,
    resource: Resource,
    dice: Dice,
}

impl Scene {
    fn new(seed: u64, checks: Checks) -> Self {
        let service = MemoryService::with_tokio_time();
        let recorder = Recorder::in_memory("harness", service.backend().clock());
        let path = KeyPath::new(&Namespace::default(), PathKind::Lock, "one").unwrap();
        Self { service, path, recorder, resource: Resource::new(checks), dice: Dice(seed) }
    }

    async fn client(&self, name: &str) -> Client {
        let backend = self.service.backend();
        let options = OpenSession {
            namespace: Namespace::default(),
            ttl: TTL,
            connect_timeout: TTL,
            request_timeout: TTL,
            clock: backend.clock(),
            resume: None,
        };
        let session = backend.open_session(options).await.unwrap();
        let (recorder, path) = (self.recorder.process(name), self.path.clone());
        Client { backend, session, recorder, path, ids: AttemptIds::new().unwrap() }
    }

    fn judge(&self, checker: Checker) -> Report {
        checker.grace(GRACE).check(&History::new(self.recorder.events()))
    }

    fn assert_exactly(&self, seed: u64, expected: &[Kind]) {
        let report = self.judge(Checker::new());
        let found: BTreeSet<_> = report.violations.iter().map(|violation| violation.kind).collect();
        assert_eq!(found, BTreeSet::from_iter(expected.iter().copied()), "seed {seed}\n{report}");
    }

    fn entry(&self, tenure: &Tenure, order: u64, what: fn(String, String, u64) -> What) {
        self.recorder.record(what(self.path.to_string(), tenure.attempt.to_string(), order));
    }
}

/// What the resource looks at.
#[derive(Clone, Copy, PartialEq)]
enum Checks {
    Everything,
    WritesOnly,
    Nothing,
}

struct Resource {
    checks: Checks,
    inside: Mutex<(Fence, u64, u64)>,
}

impl Resource {
    fn new(checks: Checks) -> Self {
        Self { checks, inside: Mutex::new((Fence::new(), 0, 0)) }
    }

    /// The version, if the access is accepted.
    fn read(&self, client: &Client, tenure: &Tenure) -> Option<u64> {
        let token = tenure.token;
        let op = client.recorder.invoke(Call::Read { resource: "R".into(), token, shared: false });
        let mut inside = self.inside.lock().unwrap();
        if self.checks == Checks::Everything && inside.0.check_exclusive(token).is_err() {
            client.recorder.fail(op, STALE);
            return None;
        }
        client.recorder.ok(op, Outcome::Value { version: inside.1, value: inside.2 });
        Some(inside.1)
    }

    fn write(&self, client: &Client, tenure: &Tenure, based_on: u64) {
        let (token, value) = (tenure.token, based_on + 1);
        let op = client.recorder.invoke(Call::Write { resource: "R".into(), token, based_on, value });
        let mut inside = self.inside.lock().unwrap();
        if self.checks != Checks::Nothing && inside.0.check_exclusive(token).is_err() {
            client.recorder.fail(op, STALE);
            return;
        }
        (inside.1, inside.2) = (inside.1 + 1, value);
        client.recorder.ok(op, Outcome::Written { version: inside.1 });
    }
}

/// A client of the contract, without the library's engine.
struct Client {
    backend: MemoryBackend,
    session: Arc<dyn Session>,
    recorder: Recorder,
    path: KeyPath,
    ids: AttemptIds,
}

#[derive(Clone)]
struct Tenure {
    op: OpId,
    attempt: AttemptId,
    token: FencingToken,
}

/// When a client holds.
#[derive(Clone, Copy, PartialEq)]
enum Rule {
    /// When its entry is the first.
    First,
    /// When the one that was ahead is gone: whether its own is still there it does not look.
    PredecessorGone,
}

impl Client {
    fn ask(&self) -> OpId {
        let lock = self.path.to_string();
        self.recorder.invoke(Call::Acquire { lock, mode: Mode::Exclusive, only_if_free: false })
    }

    fn granted(&self, op: OpId, token: FencingToken) {
        self.recorder.ok(op, Outcome::Granted { token, session: None });
    }

    /// Creates an entry; its order becomes the token.
    async fn enqueue(&self, op: OpId) -> Tenure {
        let attempt = self.ids.next();
        let entry = NewEntry { attempt, mode: Mode::Exclusive, value: "".into(), only_if_free: false };
        let placed = self.session.queue(&self.path).enqueue(entry).await.unwrap();
        let leasehold_core::Enqueued::Placed { order, .. } = placed else { panic!("{placed:?}") };
        Tenure { op, attempt, token: FencingToken::new(0, order, 0) }
    }

    /// Who is next ahead, and whether the own entry is there.
    async fn look(&self, own: AttemptId) -> (Option<AttemptId>, bool) {
        let (mut ahead, mut present) = (None, false);
        let mut look = |contenders: &leasehold_core::Contenders| {
            let before = contenders.iter().take_while(|contender| contender.attempt != own);
            ahead = before.last().map(|contender| contender.attempt);
            present = contenders.iter().any(|contender| contender.attempt == own);
        };
        self.session.queue(&self.path).contenders(&mut look).await.unwrap();
        (ahead, present)
    }

    async fn wait(&self, tenure: &Tenure, rule: Rule) {
        while let (Some(attempt), _) = self.look(tenure.attempt).await {
            let interest = Interest::Entry { attempt, mode: Mode::Exclusive, version: None };
            self.session.queue(&self.path).changed(interest).await.unwrap();
            if rule == Rule::PredecessorGone {
                break;
            }
        }
        self.granted(tenure.op, tenure.token);
    }

    async fn lock(&self) -> Tenure {
        let tenure = self.enqueue(self.ask()).await;
        self.wait(&tenure, Rule::First).await;
        tenure
    }

    async fn release(&self, tenure: &Tenure) {
        let op = self.recorder.invoke(Call::Release { hold: tenure.op });
        self.session.queue(&self.path).withdraw(tenure.attempt, Certainty::Placed).await.unwrap();
        self.recorder.ok(op, Outcome::Done);
    }

    fn lost(&self, tenure: &Tenure) {
        self.recorder.record(What::Lost { hold: tenure.op, reason: "SessionEnded".into() });
    }
}

/// A reads, is paused beyond its TTL, and writes; B has read in between, and writes before or after.
async fn a_pause_between_read_and_write(seed: u64, checks: Checks, b_writes_first: bool) -> Scene {
    let mut scene = Scene::new(seed, checks);
    let (a, b) = (scene.client("a").await, scene.client("b").await);
    for _ in 0..scene.dice.roll(4) {
        let tenure = b.lock().await;
        let version = scene.resource.read(&b, &tenure).unwrap();
        scene.dice.nap().await;
        scene.resource.write(&b, &tenure, version);
        b.release(&tenure).await;
    }
    let old = a.lock().await;
    let seen_by_a = scene.resource.read(&a, &old).unwrap();
    scene.dice.nap().await;
    scene.recorder.record(What::Paused { whom: "a".into() });
    a.backend.cut();
    let new = b.lock().await;
    scene.dice.nap().await;
    let seen_by_b = scene.resource.read(&b, &new).unwrap();
    if b_writes_first {
        scene.resource.write(&b, &new, seen_by_b);
    }
    scene.dice.nap().await;
    scene.recorder.record(What::Resumed { whom: "a".into() });
    scene.resource.write(&a, &old, seen_by_a);
    a.lost(&old);
    scene.dice.nap().await;
    if !b_writes_first {
        scene.resource.write(&b, &new, seen_by_b);
    }
    b.release(&new).await;
    scene
}

#[tokio::test(start_paused = true)]
async fn with_nothing_taken_away_the_fence_saves_the_run() {
    for seed in 0..RUNS {
        for b_writes_first in [false, true] {
            let scene = a_pause_between_read_and_write(seed, Checks::Everything, b_writes_first).await;
            scene.judge(Checker::new().expect_stale_rejections(1)).assert_sound();
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_fence() {
    for seed in 0..RUNS {
        for b_writes_first in [false, true] {
            let scene = a_pause_between_read_and_write(seed, Checks::Nothing, b_writes_first).await;
            scene.assert_exactly(seed, &[Kind::TokenRegressed, Kind::LostUpdate, Kind::SectionsOverlap]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn with_a_fence_on_writes_only() {
    for seed in 0..RUNS {
        let scene = a_pause_between_read_and_write(seed, Checks::WritesOnly, false).await;
        scene.assert_exactly(seed, &[Kind::TokenRegressed, Kind::LostUpdate, Kind::SectionsOverlap]);
        // It does see what comes after a write.
        let scene = a_pause_between_read_and_write(seed, Checks::WritesOnly, true).await;
        scene.judge(Checker::new().expect_stale_rejections(1)).assert_sound();
    }
}

/// A counter that lives in the queue's parent begins anew when an empty parent is reaped.
#[tokio::test(start_paused = true)]
async fn with_sequence_numbers_as_tokens() {
    for seed in 0..RUNS {
        let mut scene = Scene::new(seed, Checks::Everything);
        let clients = [scene.client("a").await, scene.client("b").await];
        let mut sequence = 0;
        for reaped in [false, true] {
            if reaped {
                scene.service.remove_queue(&scene.path);
                sequence = 0;
            }
            for round in 0..2 + scene.dice.roll(4) {
                let client = &clients[(round % 2) as usize];
                let op = client.ask();
                let tenure = Tenure { token: FencingToken::new(0, sequence, 0), ..client.enqueue(op).await };
                sequence += 1;
                client.wait(&tenure, Rule::First).await;
                if let Some(version) = scene.resource.read(client, &tenure) {
                    scene.resource.write(client, &tenure, version);
                }
                scene.dice.nap().await;
                client.release(&tenure).await;
            }
        }
        scene.assert_exactly(seed, &[Kind::TokenNotRising, Kind::TokenReused]);
    }
}

/// An administrator removes the entry of B, who waits behind A and before C.
async fn an_entry_removed_from_the_midst(seed: u64, rule: Rule) -> Scene {
    let mut scene = Scene::new(seed, Checks::Everything);
    let (a, b, c) = (scene.client("a").await, scene.client("b").await, scene.client("c").await);
    let created = |lock, entry, order| What::EntryCreated {
        lock,
        entry,
        order,
        position: order,
        mode: Mode::Exclusive,
    };
    let mut tenures = Vec::new();
    for client in [&a, &b, &c] {
        let tenure = client.enqueue(client.ask()).await;
        scene.entry(&tenure, tenure.token.order(), created);
        scene.dice.nap().await;
        tenures.push(tenure);
    }
    a.wait(&tenures[0], Rule::First).await;
    let waiting = async {
        if rule == Rule::First {
            // The library looks whether its entry is there, and gives up or enqueues again.
            while b.look(tenures[1].attempt).await.1 {
                sleep(Duration::from_millis(1)).await;
            }
            b.recorder.fail(tenures[1].op, "Closed");
        } else {
            b.wait(&tenures[1], rule).await;
        }
    };
    let (first, second) = (1 + scene.dice.roll(100), 100 + scene.dice.roll(100));
    let administration = async {
        sleep(Duration::from_millis(first)).await;
        assert!(scene.service.remove_entry(&scene.path, tenures[1].attempt));
        let removed = |lock, entry, _| What::EntryRemoved { lock, entry, why: Removal::Forced };
        scene.entry(&tenures[1], 0, removed);
        sleep(Duration::from_millis(second)).await;
        let withdrawn = |lock, entry, _| What::EntryRemoved { lock, entry, why: Removal::Withdrawn };
        let op = a.recorder.invoke(Call::Release { hold: tenures[0].op });
        scene.entry(&tenures[0], 0, withdrawn);
        a.session.queue(&a.path).withdraw(tenures[0].attempt, Certainty::Placed).await.unwrap();
        a.recorder.ok(op, Outcome::Done);
    };
    // C looks a moment after B, or the order of the two would be chance and one run would show more than another.
    let patient = async {
        sleep(Duration::from_millis(first + second + 5)).await;
        c.wait(&tenures[2], Rule::First).await;
    };
    tokio::join!(waiting, patient, administration);
    scene
}

#[tokio::test(start_paused = true)]
async fn with_a_grant_that_does_not_look_for_its_own_entry() {
    for seed in 0..RUNS {
        let scene = an_entry_removed_from_the_midst(seed, Rule::PredecessorGone).await;
        scene.assert_exactly(seed, &[Kind::TwoBelievers, Kind::GrantedWithoutEntry]);
        let scene = an_entry_removed_from_the_midst(seed, Rule::First).await;
        scene.judge(Checker::new()).assert_sound();
    }
}

/// Entries that one transaction creates have the transaction's order: nobody is ahead of either.
#[tokio::test(start_paused = true)]
async fn with_two_enqueues_in_one_transaction() {
    for seed in 0..RUNS {
        let mut scene = Scene::new(seed, Checks::Everything);
        let (a, b) = (scene.client("a").await, scene.client("b").await);
        let (asked_a, asked_b) = (a.ask(), b.ask());
        let first = a.enqueue(asked_a).await;
        let second = Tenure { token: first.token, ..b.enqueue(asked_b).await };
        a.wait(&first, Rule::First).await;
        b.granted(second.op, second.token);
        let (seen_by_a, seen_by_b) =
            (scene.resource.read(&a, &first).unwrap(), scene.resource.read(&b, &second).unwrap());
        scene.dice.nap().await;
        scene.resource.write(&a, &first, seen_by_a);
        scene.dice.nap().await;
        scene.resource.write(&b, &second, seen_by_b);
        a.release(&first).await;
        b.release(&second).await;
        let expected = [Kind::TokenReused, Kind::TwoBelievers, Kind::SectionsOverlap, Kind::LostUpdate];
        scene.assert_exactly(seed, &expected);
    }
}

/// Somebody between the client and the service answers its pings and relays none: what a follower of ZooKeeper does that is cut off from its leader.
/// A client that believes by pings goes on while the service gives the lock away.
#[tokio::test(start_paused = true)]
async fn with_renewal_by_pings_that_are_not_relayed() {
    for seed in 0..RUNS {
        for believes_pings in [true, false] {
            let mut scene = Scene::new(seed, Checks::Everything);
            let (a, b) = (scene.client("a").await, scene.client("b").await);
            let until = |time: Duration| scene.recorder.nanos(a.backend.clock().now() + time);
            let live = |until| What::SessionLive { session: "a".into(), until };
            // Less than the TTL, as the library does: its own deadline passes first.
            a.recorder.record(live(until(TTL - GRACE)));
            let op = a.ask();
            let tenure = a.enqueue(op).await;
            a.recorder.ok(op, Outcome::Granted { token: tenure.token, session: Some("a".into()) });
            a.backend.cut();
            let pings = async {
                for _ in 0..4 {
                    sleep(TTL / 3).await;
                    if believes_pings {
                        a.recorder.record(live(until(TTL - GRACE)));
                    }
                }
                // The follower gives up serving.
                a.lost(&tenure);
            };
            let loss = async {
                if !believes_pings {
                    sleep(TTL - GRACE).await;
                    a.lost(&tenure);
                }
            };
            let next = async {
                let tenure = b.lock().await;
                sleep(TTL).await;
                b.release(&tenure).await;
            };
            tokio::join!(pings, loss, next);
            scene.dice.nap().await;
            scene.assert_exactly(seed, if believes_pings { &[Kind::TwoBelievers] } else { &[] });
        }
    }
}
