//! Asking the members: all at once, or in order.
//!
//! # Implementation
//!
//! What an acquisition has and knows so far: guards, questions that are not answered yet, and the last answer of each member,
//! which outlives the guards so that whoever runs out of time can be told why. Its task owns it; a new round begins with
//! nothing held and nothing known.

use std::collections::VecDeque;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::{BoxFuture, FutureExt};
use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::sync::oneshot;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::QuorumLock;
use super::guard::{QuorumGuard, release};
use crate::acquisition::Patience;
use crate::backoff::Backoff;
use crate::error::{Error, ErrorKind};
use crate::guard::HeldGuard;
use crate::held::any_lost;

/// What is told to whoever has asked for the lock.
type Reply = oneshot::Sender<Result<Option<QuorumGuard>, Error>>;

/// Acquires, for as long as somebody waits for it.
pub(super) async fn answer(lock: QuorumLock, operation: &'static str, patience: Patience, mut reply: Reply) {
    let mut asking = Asking::new(&lock, operation);
    let answer = tokio::select! {
        biased;
        () = reply.closed() => return,
        answer = asking.acquire(patience) => answer,
    };
    // A guard that nobody receives is dropped here, which gives up the lock.
    let _ = reply.send(answer);
}

/// What a member is asked, and which one.
pub(super) struct Question {
    pub(super) at: usize,
    answer: BoxFuture<'static, Result<Option<HeldGuard>, Error>>,
}

impl Question {
    /// To one of the lock's members.
    pub(super) fn new(lock: &QuorumLock, at: usize, operation: &'static str, patience: Patience) -> Self {
        let mutex = lock.members[at].mutex.clone();
        let answer = async move { mutex.acquire_part(operation, patience).await }.boxed();
        Self { at, answer }
    }
}

impl Future for Question {
    type Output = (usize, Result<Option<HeldGuard>, Error>);

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.answer.poll_unpin(context).map(|answer| (self.at, answer))
    }
}

/// What a member said last.
enum Answer {
    None,
    Granted,
    Busy,
    Failed(Error),
}

impl Answer {
    /// Whether the member is there, whatever it said.
    fn is_an_answer(&self) -> bool {
        matches!(self, Answer::Granted | Answer::Busy)
    }
}

struct Asking<'a> {
    lock: &'a QuorumLock,
    operation: &'static str,
    answers: Vec<Answer>,
    taken: Vec<(usize, HeldGuard)>,
    pending: FuturesUnordered<Question>,
}

impl<'a> Asking<'a> {
    fn new(lock: &'a QuorumLock, operation: &'static str) -> Self {
        let answers = lock.members.iter().map(|_| Answer::None).collect();
        Self { lock, operation, answers, taken: Vec::new(), pending: FuturesUnordered::new() }
    }

    async fn acquire(&mut self, patience: Patience) -> Result<Option<QuorumGuard>, Error> {
        match patience {
            Patience::Try => self.try_once().await,
            Patience::Forever => self.insist().await.map(Some),
            Patience::For(patience) => match timeout(patience, self.insist()).await {
                Ok(locked) => locked.map(Some),
                Err(_) => self.refusal().map(|()| None),
            },
        }
    }

    async fn try_once(&mut self) -> Result<Option<QuorumGuard>, Error> {
        self.all_at_once(true).await;
        if let Some(guard) = self.take() {
            return Ok(Some(guard));
        }
        self.give_back().await;
        self.refusal().map(|()| None)
    }

    async fn insist(&mut self) -> Result<QuorumGuard, Error> {
        let first = || Backoff::new(Duration::from_millis(50), Duration::from_secs(2));
        let mut backoff = first();
        loop {
            self.all_at_once(false).await;
            if let Some(guard) = self.take() {
                return Ok(guard);
            }
            self.hopeless()?;
            if self.count(Answer::is_an_answer) >= self.lock.majority() {
                self.in_order().await;
                if let Some(guard) = self.take() {
                    return Ok(guard);
                }
                backoff = first();
            }
            self.let_go();
            sleep(backoff.next_delay()).await;
        }
    }

    /// Asks all members in parallel for what is free, until a majority is held, or all have answered, or the time for that is
    /// over. `in_haste`: or until no majority can come of it.
    async fn all_at_once(&mut self, in_haste: bool) {
        self.answers.fill_with(|| Answer::None);
        self.pending = (0..self.answers.len())
            .map(|at| Question::new(self.lock, at, self.operation, Patience::Try))
            .collect();
        let deadline = Instant::now().checked_add(self.lock.member_timeout);
        loop {
            let next = self.pending.next();
            let asked = match deadline {
                Some(deadline) => timeout_at(deadline, next).await.unwrap_or_default(),
                None => next.await,
            };
            let Some((at, answer)) = asked else { return };
            self.answers[at] = match answer {
                Ok(Some(guard)) => {
                    self.taken.push((at, guard));
                    Answer::Granted
                }
                Ok(None) => Answer::Busy,
                Err(error) => Answer::Failed(error),
            };
            if self.has_majority() || (in_haste && self.busy() > self.spare()) {
                return;
            }
        }
    }

    /// Takes the members that have answered one after the other, waiting for each, until a majority is held or none can come of
    /// it any more.
    ///
    /// What was taken all at once is given back first, in the background: the own entries are merely the first ones to wait for.
    async fn in_order(&mut self) {
        self.let_go();
        let mut order: VecDeque<_> =
            (0..self.answers.len()).filter(|at| self.answers[*at].is_an_answer()).collect();
        while let Some(at) = order.pop_front() {
            let granted = Question::new(self.lock, at, self.operation, Patience::Forever);
            let silent = self.lock.members[at].silent(self.lock.member_timeout);
            tokio::pin!(granted, silent);
            let granted = loop {
                if !self.can_have_majority(order.len() + 1) {
                    return;
                }
                tokio::select! {
                    biased;
                    (_, granted) = &mut granted => break granted,
                    () = &mut silent => {
                        self.answers[at] = Answer::None;
                        break Ok(None);
                    }
                    // What is lost is not taken anew, which would break the order.
                    () = any_lost(self.taken.iter().map(|(_, guard)| guard.held())) => {}
                }
            };
            match granted {
                Ok(Some(guard)) => self.taken.push((at, guard)),
                Ok(None) => {}
                Err(error) => self.answers[at] = Answer::Failed(error),
            }
            if self.has_majority() {
                return;
            }
        }
    }

    /// The guard, if a majority is held.
    fn take(&mut self) -> Option<QuorumGuard> {
        if !self.has_majority() {
            return None;
        }
        let guard =
            QuorumGuard::new(self.lock, std::mem::take(&mut self.taken), std::mem::take(&mut self.pending));
        // One more may have been lost in between.
        guard.is_held().then_some(guard)
    }

    /// Gives back what was taken, and waits for that as long as a member may take to answer.
    async fn give_back(&mut self) {
        self.pending.clear();
        let taken = self.taken.drain(..).map(|(at, guard)| (self.lock.members[at].label.clone(), guard));
        // What is not confirmed by then goes on in the background.
        let _ = timeout(self.lock.member_timeout, release(taken.collect(), 0, Duration::MAX)).await;
    }

    /// Gives back what was taken, in the background.
    fn let_go(&mut self) {
        self.pending.clear();
        self.taken.clear();
    }

    /// # Errors
    /// If so many members fail for good that the others are no majority: what one of them says.
    fn hopeless(&self) -> Result<(), Error> {
        let lasting = |answer: &Answer| matches!(answer, Answer::Failed(error) if !error.is_retryable());
        if self.count(lasting) <= self.spare() {
            return Ok(());
        }
        let failed = self.answers.iter().zip(&*self.lock.members).find(|(answer, _)| lasting(answer));
        match failed {
            Some((Answer::Failed(error), member)) => Err(error.clone().of_member(&member.label)),
            _ => Ok(()),
        }
    }

    /// # Errors
    /// If it was for members that did not answer; not, if it was for others that had them.
    fn refusal(&self) -> Result<(), Error> {
        self.hopeless()?;
        let (answered, busy) = (self.count(Answer::is_an_answer), self.busy());
        if busy > self.spare() || (busy > 0 && answered >= self.lock.majority()) {
            return Ok(());
        }
        let members = self.lock.members.len();
        let mut detail =
            format!("{answered} of {members} members answered, {} are needed", self.lock.majority());
        let mut source = None;
        for (answer, member) in self.answers.iter().zip(&*self.lock.members) {
            match answer {
                Answer::Failed(error) => {
                    detail.push_str(&format!("; member {:?}: {}", member.label, error.detail()));
                    source.get_or_insert(error);
                }
                Answer::None => {
                    detail.push_str(&format!("; member {:?} did not answer in time", member.label))
                }
                Answer::Granted | Answer::Busy => {}
            }
        }
        let error =
            Error::new(ErrorKind::Unavailable, self.operation, detail).with_name(self.lock.name.clone());
        Err(match source {
            Some(source) => error.with_source(source.clone()),
            None => error,
        })
    }

    fn busy(&self) -> usize {
        self.count(|answer| matches!(answer, Answer::Busy))
    }

    /// How many members can be lost.
    fn spare(&self) -> usize {
        self.answers.len() - self.lock.majority()
    }

    fn count(&self, which: impl Fn(&Answer) -> bool) -> usize {
        self.answers.iter().filter(|answer| which(answer)).count()
    }

    fn has_majority(&mut self) -> bool {
        self.can_have_majority(0)
    }

    /// Whether so many are held, once those are left out that are lost by now, with so many more.
    fn can_have_majority(&mut self, more: usize) -> bool {
        self.taken.retain(|(_, guard)| guard.held().is_held());
        self.taken.len() + more >= self.lock.majority()
    }
}
