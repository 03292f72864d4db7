//! What happens to processes and to the service.

use crate::dice::Dice;
use crate::plan::{Millis, Settings};

/// Something that happens at some time.
#[derive(Debug, Clone)]
pub(crate) struct Drama {
    /// When it begins.
    pub(crate) at: Millis,
    /// What.
    pub(crate) what: Disturbance,
}

/// What happens. Processes are known by their numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disturbance {
    /// Nothing of a process runs for a while.
    Pause { process: usize, time: Millis },
    /// Nothing of a process runs ever again, or not for a long time. A new one takes its place, and the leadership of which it kept a
    /// ticket. The old one may wake after that, and shuts down.
    Crash { process: usize, back_after: Millis, wakes_after: Option<Millis> },
    /// A process shuts its coordinator down and opens another one.
    ShutDown { process: usize, grace: Millis, back_after: Millis },
    /// A process is cut off.
    Cut { process: usize, time: Millis },
    /// A process gets no replies.
    CutReplies { process: usize, time: Millis },
    /// The service answers nobody.
    ServicePause { time: Millis },
    /// The service breaks all connections.
    Restart,
    /// The same, and sessions live that much longer than their owners know.
    LeaderChange { more: Millis },
    /// An administrator ends a process's session.
    Expire { process: usize },
    /// An administrator removes the entry of this place (from the front) of a queue.
    RemoveEntry { queue: u64, place: u64 },
    /// An administrator removes the entries of a queue. (With what keeps withdrawn attempts out he would let in what is still on its way, to stay for as long as its
    /// session lives: no client can make that good.)
    RemoveQueue { queue: u64 },
    /// The service restarts without its data.
    LoseData,
    /// Renewals are acknowledged and not carried out: the service breaks its contract.
    Unrelayed { time: Millis },
}

impl Disturbance {
    /// How many kinds there are.
    pub(crate) const KINDS: u64 = 13;

    /// One of the kind of that number.
    pub(crate) fn draw(dice: &Dice, kind: u64, settings: &Settings) -> Self {
        let process = usize::try_from(dice.below(settings.processes as u64)).expect("small");
        let ttl = settings.ttl;
        let time = || dice.pick(&[ttl / 10, ttl / 2, ttl, ttl + ttl / 4, ttl * 3]);
        match kind {
            0 => Self::Pause { process, time: time() },
            1 => Self::Crash {
                process,
                back_after: dice.pick(&[ttl / 20, ttl / 4, ttl, ttl * 3]),
                wakes_after: dice.chance(400).then(time),
            },
            2 => Self::ShutDown { process, grace: time(), back_after: dice.below(1000) },
            3 => Self::Cut { process, time: time() },
            4 => Self::CutReplies { process, time: time() },
            5 => Self::ServicePause { time: time() },
            6 => Self::Restart,
            7 => Self::LeaderChange { more: time() },
            8 => Self::Expire { process },
            9 => Self::RemoveEntry { queue: dice.below(8), place: dice.below(3) },
            10 => Self::RemoveQueue { queue: dice.below(8) },
            11 => Self::LoseData,
            _ => Self::Unrelayed { time: time() },
        }
    }

    /// A word for it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Pause { .. } => "pause",
            Self::Crash { .. } => "crash",
            Self::ShutDown { .. } => "shutdown",
            Self::Cut { .. } => "cut",
            Self::CutReplies { .. } => "cut_replies",
            Self::ServicePause { .. } => "service_pause",
            Self::Restart => "restart",
            Self::LeaderChange { .. } => "leader_change",
            Self::Expire { .. } => "session_expiry",
            Self::RemoveEntry { .. } => "entry_removed",
            Self::RemoveQueue { .. } => "queue_removed",
            Self::LoseData => "data_lost",
            Self::Unrelayed { .. } => "unrelayed_renewals",
        }
    }
}
