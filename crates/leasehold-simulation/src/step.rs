//! What a worker does, one after the other.

use crate::dice::Dice;
use crate::plan::{Millis, Settings};

/// One operation, or one hold with all that is done in it.
#[derive(Debug, Clone)]
pub(crate) enum Step {
    /// One of two mutexes.
    Mutex { name: u64, limits: Option<(Millis, Millis)>, ask: Ask, hold: Hold },
    /// The read/write lock, shared.
    Read { ask: Ask, hold: Hold },
    /// The read/write lock, exclusively; then perhaps shared.
    Write { ask: Ask, hold: Hold, downgrade: bool },
    /// Some permits of the semaphore.
    Permits { count: u32, ask: Ask, hold: Hold },
    /// To lead.
    Campaign { ask: Ask, hold: Hold, proclaim: bool, keep_ticket: bool },
    /// Both mutexes.
    Multi { ask: Ask, hold: Hold },
    /// The register.
    Register(RegisterStep),
    /// The counter.
    Count { amount: i64, polls: Option<usize> },
    /// The barrier.
    Barrier(BarrierStep),
    /// The latch: counts down, or waits that long.
    Latch { wait: Option<Millis>, polls: Option<usize> },
    /// Something that is done once.
    Once { occurrence: u64, work: Millis, polls: Option<usize> },
    /// To be in the group.
    Join { stay: Millis, end: End, polls: Option<usize> },
    /// To be in the group, whatever happens to the session.
    Stay { time: Millis, polls: Option<usize> },
    /// To pass the double barrier of two.
    Pass { patience: Millis, polls: Option<usize> },
    /// To break a mutex, or to ask its holder.
    Admin { name: u64, force: bool },
    /// To follow the election for a while.
    Observe { time: Millis },
}

/// How something is asked for.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Ask {
    /// As long as it takes.
    Forever,
    /// At once or not at all.
    Try,
    /// For that long.
    For(Millis),
    /// As long as it takes, and given up after so many polls, of which the spurious ones come at that pace.
    Dropped { polls: usize, pace: Millis },
}

/// What is done in a hold.
#[derive(Debug, Clone)]
pub(crate) struct Hold {
    /// In this order.
    pub(crate) work: Vec<Work>,
    /// And then.
    pub(crate) end: End,
}

/// Something that is done in a hold.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Work {
    /// Reads the resource. The answer takes that long.
    Read(Millis),
    /// Writes the resource, if it was read. The request takes that long.
    Write(Millis),
    /// Does something else.
    Rest(Millis),
}

/// How a hold ends.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    /// It is released.
    Release,
    /// Its guard is dropped.
    Drop,
    /// The release is begun and not awaited.
    ReleaseDropped,
    /// It is held until it is lost, for at most that long.
    UntilLost(Millis),
}

/// What is done with the register.
#[derive(Debug, Clone, Copy)]
pub(crate) enum RegisterStep {
    /// It is read.
    Read,
    /// It is written, whatever was in it.
    Write,
    /// It is read, and written if nobody else did meanwhile.
    CompareAndSet,
}

/// What is done with the barrier.
#[derive(Debug, Clone, Copy)]
pub(crate) enum BarrierStep {
    /// It is set.
    Set,
    /// It is lifted.
    Lift,
    /// Somebody waits for that.
    Wait(Millis),
}

impl Step {
    /// How many kinds there are.
    pub(crate) const KINDS: u64 = 19;

    /// One of the kind of that number; what is most used has several.
    pub(crate) fn draw(dice: &Dice, kind: u64, settings: &Settings) -> Self {
        let ask = || Ask::draw(dice, settings);
        let hold = || Hold::draw(dice, settings);
        let polls = || dice.chance(250).then(|| usize::try_from(dice.between(1, 12)).expect("small"));
        let wait = || dice.between(1, settings.ttl * 3);
        match kind {
            0..=2 => {
                let limits = dice.chance(150).then(|| (dice.below(300), dice.between(300, settings.ttl)));
                Self::Mutex { name: dice.below(2), limits, ask: ask(), hold: hold() }
            }
            3 if dice.chance(600) => Self::Read { ask: ask(), hold: hold() },
            3 => Self::Write { ask: ask(), hold: hold(), downgrade: dice.chance(400) },
            4 | 5 => {
                let count = u32::try_from(dice.between(1, 3)).expect("small");
                Self::Permits { count, ask: ask(), hold: hold() }
            }
            6 | 7 => Self::Campaign {
                ask: ask(),
                hold: hold(),
                proclaim: dice.chance(500),
                keep_ticket: dice.chance(700),
            },
            8 => Self::Multi { ask: ask(), hold: hold() },
            9 => Self::Register(dice.pick(&[
                RegisterStep::Read,
                RegisterStep::Write,
                RegisterStep::CompareAndSet,
            ])),
            10 => Self::Count { amount: i64::try_from(dice.between(0, 5)).expect("small"), polls: polls() },
            11 => Self::Barrier(match dice.below(3) {
                0 => BarrierStep::Set,
                1 => BarrierStep::Lift,
                _ => BarrierStep::Wait(wait()),
            }),
            12 => Self::Latch { wait: dice.chance(500).then(wait), polls: polls() },
            13 => Self::Once { occurrence: dice.below(2), work: dice.below(settings.ttl), polls: polls() },
            14 => Self::Join { stay: wait(), end: End::draw(dice, settings), polls: polls() },
            15 => Self::Pass { patience: wait(), polls: polls() },
            17 => Self::Stay { time: wait(), polls: polls() },
            16 => Self::Admin { name: dice.below(2), force: dice.chance(500) },
            _ => Self::Observe { time: wait() },
        }
    }

    /// How long it takes at most, beside what it waits for.
    pub(crate) fn longest(&self) -> Millis {
        match self {
            Self::Mutex { limits, ask, hold, .. } => {
                ask.longest() + hold.longest() + limits.map_or(0, |(min, _)| min)
            }
            Self::Read { ask, hold } | Self::Permits { ask, hold, .. } | Self::Campaign { ask, hold, .. } => {
                ask.longest() + hold.longest()
            }
            // The work is done twice.
            Self::Write { ask, hold, .. } | Self::Multi { ask, hold } => ask.longest() + hold.longest() * 2,
            Self::Barrier(BarrierStep::Wait(time)) | Self::Observe { time } | Self::Stay { time, .. } => {
                *time
            }
            Self::Latch { wait, .. } => wait.unwrap_or(0),
            Self::Once { work, .. } => *work,
            Self::Join { stay, end, .. } => *stay + end.longest(),
            Self::Pass { patience, .. } => *patience * 2,
            Self::Register(_) | Self::Count { .. } | Self::Barrier(_) | Self::Admin { .. } => 0,
        }
    }

    /// What is counted under.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Mutex { .. } => "mutex",
            Self::Read { .. } => "read",
            Self::Write { .. } => "write",
            Self::Permits { .. } => "permits",
            Self::Campaign { .. } => "campaign",
            Self::Multi { .. } => "multi_lock",
            Self::Register(_) => "register",
            Self::Count { .. } => "counter",
            Self::Barrier(_) => "barrier",
            Self::Latch { .. } => "latch",
            Self::Once { .. } => "once",
            Self::Join { .. } => "group",
            Self::Stay { .. } => "stay",
            Self::Pass { .. } => "double_barrier",
            Self::Admin { .. } => "admin",
            Self::Observe { .. } => "observe",
        }
    }
}

impl Ask {
    fn longest(self) -> Millis {
        match self {
            Self::Forever | Self::Try => 0,
            Self::For(time) => time,
            Self::Dropped { polls, pace } => polls as u64 * pace,
        }
    }

    fn draw(dice: &Dice, settings: &Settings) -> Self {
        match dice.below(10) {
            0..=4 => Self::Forever,
            5 => Self::Try,
            6 | 7 => Self::For(dice.between(1, settings.ttl * 2)),
            _ => Self::Dropped {
                polls: usize::try_from(dice.between(1, 20)).expect("small"),
                pace: dice.pick(&[1, 10, 100, settings.ttl]),
            },
        }
    }
}

impl Hold {
    fn longest(&self) -> Millis {
        let time = |work: &Work| match *work {
            Work::Read(time) | Work::Write(time) | Work::Rest(time) => time,
        };
        self.work.iter().map(time).sum::<Millis>() + self.end.longest()
    }

    fn draw(dice: &Dice, settings: &Settings) -> Self {
        let mut work = Vec::new();
        for _ in 0..dice.below(3) {
            let time = || if dice.chance(100) { dice.below(settings.ttl * 2) } else { dice.below(5) };
            work.extend([Work::Read(time()), Work::Rest(time()), Work::Write(time())]);
        }
        if dice.chance(300) {
            work.push(Work::Rest(dice.below(settings.ttl * 2)));
        }
        Self { work, end: End::draw(dice, settings) }
    }
}

impl End {
    fn longest(self) -> Millis {
        match self {
            Self::UntilLost(time) => time,
            Self::Release | Self::Drop | Self::ReleaseDropped => 0,
        }
    }

    fn draw(dice: &Dice, settings: &Settings) -> Self {
        match dice.below(6) {
            0..=2 => Self::Release,
            3 => Self::Drop,
            4 => Self::ReleaseDropped,
            _ => Self::UntilLost(dice.between(1, settings.ttl * 2)),
        }
    }
}
