//! The two passages of a party, in and out, as steps that look, decide and wait. The argument for them is at the
//! head of
//! [`crate::double_barrier`].

use std::collections::BTreeSet;

use async_trait::async_trait;

use super::round::{Phase, Round};
use crate::attempt::AttemptId;
use crate::backend::{Interest, Queue, RegisterWrite, RegisterWritten};
use crate::backend_error::BackendError;
use crate::mode::Mode;
use crate::name::KeyPath;
use crate::requests::Step;
use crate::session_keeper::LiveSession;

/// Why a passage failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Failure {
    PeerLost,
    /// Others count this many parties.
    Mismatch(u32),
    /// The party's own entry is gone.
    Lost,
}

/// The mode of a party that has come.
pub(super) fn entering(parties: u32) -> Mode {
    Mode::Permits { count: 1, limit: parties, granted: false }
}

/// The mode of a party that has left: the flag is its word for it.
pub(super) fn left(parties: u32) -> Mode {
    Mode::Permits { count: 1, limit: parties, granted: true }
}

/// The barrier as one party sees it.
#[derive(Clone)]
pub(super) struct View {
    pub(super) queue: KeyPath,
    pub(super) register: KeyPath,
    pub(super) me: AttemptId,
    pub(super) parties: u32,
    /// The register and its version, until it is known to have changed.
    known: Option<(u64, Round)>,
}

/// The queue as it was looked at.
struct Seen {
    revision: u64,
    entries: Vec<(AttemptId, Mode)>,
}

impl Seen {
    async fn look(queue: &dyn Queue) -> Result<Self, BackendError> {
        let mut seen = Self { revision: 0, entries: Vec::new() };
        let look = &mut |contenders: &crate::contenders::Contenders| {
            seen.revision = contenders.revision();
            seen.entries = contenders.iter().map(|contender| (contender.attempt, contender.mode)).collect();
        };
        queue.contenders(look).await?;
        Ok(seen)
    }

    /// A reading that is newer than anything this session was told before.
    async fn read(queue: &dyn Queue) -> Result<Self, BackendError> {
        let entries = queue.entries().await?;
        Ok(Self { revision: 0, entries: entries.iter().map(|entry| (entry.attempt, entry.mode)).collect() })
    }

    fn has(&self, attempt: AttemptId) -> bool {
        self.entries.iter().any(|(present, _)| *present == attempt)
    }

    /// Where those stand that come after the last of the round.
    fn behind(&self, round: &Round) -> usize {
        self.entries.iter().rposition(|(party, _)| round.concerns(*party)).map_or(0, |last| last + 1)
    }

    fn with_mode(&self, mode: Mode) -> impl Iterator<Item = AttemptId> + '_ {
        self.entries.iter().filter(move |(_, has)| *has == mode).map(|(attempt, _)| *attempt)
    }
}

/// What came of a conditional write of the register.
enum Written {
    Done,
    /// The register is another by now.
    Outdated,
    /// The party's entry is gone.
    NotHeld,
}

impl View {
    pub(super) fn new(queue: KeyPath, register: KeyPath, me: AttemptId, parties: u32) -> Self {
        Self { queue, register, me, parties, known: None }
    }

    /// The round; read before the queue is looked at.
    async fn round(&mut self, live: &LiveSession) -> Result<(u64, Round), BackendError> {
        if let Some(known) = &self.known {
            return Ok(known.clone());
        }
        let register = live.session.read(&self.register).await?;
        let version = register.as_ref().map_or(0, |register| register.version);
        let known = (version, Round::read(register.as_ref())?);
        self.known = Some(known.clone());
        Ok(known)
    }

    /// Replaces the round, if it is still the one of `version` and the party's entry exists.
    async fn write(
        &mut self,
        live: &LiveSession,
        version: u64,
        round: Round,
    ) -> Result<Written, BackendError> {
        self.known = None;
        let write = RegisterWrite {
            value: round.encode(),
            if_version: Some(version),
            if_held: Some((self.queue.clone(), self.me)),
        };
        Ok(match live.session.write(&self.register, write).await? {
            RegisterWritten::Written { version } => {
                self.known = Some((version, round));
                Written::Done
            }
            RegisterWritten::VersionDiffers => Written::Outdated,
            RegisterWritten::NotHeld => Written::NotHeld,
        })
    }

    /// Waits until queue or register have changed.
    async fn changed(
        &mut self,
        live: &LiveSession,
        queue: &dyn Queue,
        revision: u64,
        version: u64,
    ) -> Result<(), BackendError> {
        tokio::select! {
            changed = queue.changed(Interest::Queue { revision }) => changed,
            changed = live.session.register_changed(&self.register, version) => {
                self.known = None;
                changed
            }
        }
    }
}

/// The way in. Its output is the round that the party is inside of.
pub(super) struct Enter {
    view: View,
    /// Who was seen to wait beside this party, while the round of that number was the newest.
    met: (u64, BTreeSet<AttemptId>),
}

impl Enter {
    pub(super) fn new(view: View) -> Self {
        Self { view, met: (0, BTreeSet::new()) }
    }
}

#[async_trait]
impl Step for Enter {
    type Output = Result<Round, Failure>;

    async fn step(&mut self, live: &LiveSession) -> Result<Option<Self::Output>, BackendError> {
        let view = &mut self.view;
        let (version, round) = view.round(live).await?;
        if round.concerns(view.me) {
            return Ok(Some(match round.phase {
                Phase::Open => Ok(round),
                Phase::Done | Phase::Broken => Err(Failure::PeerLost),
            }));
        }
        let queue = live.session.queue(&view.queue);
        let seen = Seen::look(&*queue).await?;
        if !seen.has(view.me) {
            return Ok(Some(Err(Failure::Lost)));
        }
        if let Some((_, Mode::Permits { limit, .. })) = seen.entries.first()
            && *limit != view.parties
        {
            return Ok(Some(Err(Failure::Mismatch(*limit))));
        }
        if self.met.0 != round.number {
            self.met = (round.number, BTreeSet::new());
        }
        let mode = entering(view.parties);
        // Whoever waits stands behind those of the round that is not over.
        let over = seen.behind(&round);
        self.met
            .1
            .extend(seen.entries[over..].iter().filter(|(_, has)| *has == mode).map(|(party, _)| *party));
        if over == 0 {
            let gone = |seen: &Seen| self.met.1.iter().any(|party| !seen.has(*party));
            if gone(&seen) {
                let fresh = Seen::read(&*queue).await?;
                if gone(&fresh) {
                    let parties = fresh.with_mode(mode).collect();
                    let broken = Round { number: round.number + 1, phase: Phase::Broken, parties };
                    return Ok(match view.write(live, version, broken).await? {
                        Written::Done => Some(Err(Failure::PeerLost)),
                        Written::Outdated => None,
                        Written::NotHeld => Some(Err(Failure::Lost)),
                    });
                }
            }
            let parties: Vec<_> = seen.with_mode(mode).take(view.parties as usize).collect();
            if parties.len() == view.parties as usize {
                let open = Round { number: round.number + 1, phase: Phase::Open, parties };
                return Ok(match view.write(live, version, open).await? {
                    // The next step reads whether this party is one of them.
                    Written::Done | Written::Outdated => None,
                    Written::NotHeld => Some(Err(Failure::Lost)),
                });
            }
        }
        view.changed(live, &*queue, seen.revision, version).await?;
        Ok(None)
    }
}

/// The way out, of a party that has said that it leaves.
pub(super) struct Leave {
    view: View,
    round: Round,
    /// Who has been seen to have left.
    left: BTreeSet<AttemptId>,
}

impl Leave {
    pub(super) fn new(view: View, round: Round) -> Self {
        Self { view, round, left: BTreeSet::new() }
    }

    /// Notes who has left, and answers whether somebody has gone without.
    fn learn(&mut self, seen: &Seen) -> bool {
        let parties = &self.round.parties;
        self.left.extend(seen.with_mode(left(self.view.parties)).filter(|party| parties.contains(party)));
        parties.iter().any(|party| !seen.has(*party) && !self.left.contains(party))
    }
}

#[async_trait]
impl Step for Leave {
    type Output = Result<(), Failure>;

    async fn step(&mut self, live: &LiveSession) -> Result<Option<Self::Output>, BackendError> {
        let (version, round) = self.view.round(live).await?;
        if round.number != self.round.number || round.phase != Phase::Open {
            let done = round.number == self.round.number && round.phase == Phase::Done;
            return Ok(Some(if done { Ok(()) } else { Err(Failure::PeerLost) }));
        }
        let queue = live.session.queue(&self.view.queue);
        let seen = Seen::look(&*queue).await?;
        let mut gone = self.learn(&seen);
        if gone {
            // What shows the queue may be late. The register is older than this reading, so who is not in it has
            // come and gone.
            gone = self.learn(&Seen::read(&*queue).await?);
        }
        let all_left = self.left.len() == self.round.parties.len();
        if !all_left && !gone {
            self.view.changed(live, &*queue, seen.revision, version).await?;
            return Ok(None);
        }
        let phase = if all_left { Phase::Done } else { Phase::Broken };
        let outcome = if all_left { Ok(()) } else { Err(Failure::PeerLost) };
        Ok(match self.view.write(live, version, Round { phase, ..round }).await? {
            Written::Done => Some(outcome),
            Written::Outdated => None,
            Written::NotHeld => Some(Err(Failure::Lost)),
        })
    }
}
