//! A task that whoever waits for it carries out himself, and the driver where he does not.
//!
//! # Implementation
//!
//! The way to the driver's thread and back costs more than most of what an acquisition does. So its task is not spawned at once: it begins
//! as an [`Errand`], polled by the future that waits for its answer, on that one's thread, within the driver's runtime (timers and
//! sockets are the driver's). The task is the same wherever it is polled, and nothing is concluded from where that is.
//!
//! **States.** *Here*: `work` holds the future. *Gone*: it runs on the driver, or has ended; it never comes back. Somebody may
//! *attend* to an errand that is here ([`attend`]), which is one future at a time: where there is one, whoever comes second hands the errand
//! over, and both wait as one waits for any task.
//!
//! **Who wakes whom.** The errand is the waker of its future as long as it is here. A wake-up goes to whoever attends; if nobody does, the
//! errand is handed over to the driver, which looks after it from then on. A wake-up that came after the last poll of one who attended and
//! has left counts as one that nobody attends to (`woken`). So no wake-up is lost, and none waits for the application.
//!
//! **When it is handed over**, at the latest: when the future that attends is dropped before the answer; when something wakes it that nobody attends
//! to; when the guard of its hold is dropped; and in any case [`LONGEST`] after its beginning, by the sweep, because the
//! application may hold a future that it does not poll, or block its runtime. Then whoever attends is woken, to wait for the answer as one waits
//! for that of any task.
//!
//! **Handing over while it is polled** (by another thread, or from within its own poll) sets `hand_over`, and whoever has the lock of `work` sees to it
//! after he has let go of it ([`Errand::settle`]). Both have a fence between their two steps (to ask and to try the lock; to let go of it and to
//! look), so one of the two sees the other. The lock is held for one poll, never across an await; nobody else waits for it but
//! the end of the runtime.
//!
//! **The end of the driver's runtime** drops the sweep, which ends the errands that are here, and waits for a poll that is going on. None is here
//! without a sweep that the runtime has, so none is polled without the runtime: as long as the sweep of the first one has not begun to run, those
//! that begin beside it are spawned; so are those that begin when the runtime is gone, which drops them. Either way the answer's channel closes,
//! as it does for a task.
//!
//! **A panic** in a poll ends the errand, as it ends a task: whoever waits finds that there is no answer.

use std::cell::Cell;
use std::fmt;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::Duration;

use tokio::sync::oneshot::{self, error::TryRecvError};
use tokio::time::sleep;

use crate::driver::Driver;

/// How long an errand stays with whoever attends to it.
const LONGEST: Duration = Duration::from_millis(40);

type Work = Pin<Box<dyn Future<Output = ()> + Send>>;

pub(crate) struct Errand {
    driver: Driver,
    work: Mutex<Option<Work>>,
    hand_over: AtomicBool,
    attention: Mutex<Attention>,
}

#[derive(Default)]
struct Attention {
    /// Somebody attends.
    attended: bool,
    /// Of whoever attends, since its first poll.
    waker: Option<Waker>,
    /// Whether there was a wake-up since the last poll began.
    woken: bool,
}

/// The errands of one driver that began lately.
#[derive(Default)]
pub(crate) struct Fresh(Mutex<FreshState>);

#[derive(Default)]
struct FreshState {
    errands: Vec<Arc<Errand>>,
    sweep: Sweeping,
}

/// What is known of the sweep.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Sweeping {
    #[default]
    No,
    /// It was spawned, or is about to be, and has not run yet.
    Begins,
    Goes,
    /// It was dropped: the runtime is gone.
    Over,
}

impl Errand {
    /// Begins an errand. Nothing of it runs before somebody attends to it, or the driver has it.
    pub(crate) fn begin(driver: &Driver, work: impl Future<Output = ()> + Send + 'static) -> Arc<Self> {
        let work: Work = match driver.gate() {
            Some(gate) => Box::pin(gate.clone().pass(work)),
            None => Box::pin(work),
        };
        let errand = Arc::new(Self {
            driver: driver.clone(),
            work: Mutex::new(Some(work)),
            hand_over: AtomicBool::new(false),
            attention: Mutex::default(),
        });
        let fresh = driver.fresh();
        let found = {
            let mut state = lock(&fresh.0);
            let found = state.sweep;
            if matches!(found, Sweeping::No | Sweeping::Goes) {
                state.errands.push(errand.clone());
            }
            if found == Sweeping::No {
                state.sweep = Sweeping::Begins;
            }
            found
        };
        match found {
            Sweeping::Goes => {}
            Sweeping::No => {
                let sweep = Sweep { fresh: fresh.clone(), older: Vec::new(), ended: false };
                // On a runtime that is gone it is dropped at once, which ends the errand.
                driver.spawn(sweep.run());
            }
            Sweeping::Begins | Sweeping::Over => errand.hand_over(),
        }
        errand
    }

    /// The driver has it from now on.
    pub(crate) fn hand_over(&self) {
        self.hand_over.store(true, Ordering::SeqCst);
        self.settle();
    }

    /// Does what was asked for while somebody else had the lock. Whoever lets go of the lock calls it afterwards: what was asked for
    /// before is seen by one of the two.
    fn settle(&self) {
        loop {
            fence(Ordering::SeqCst);
            if !self.hand_over.load(Ordering::SeqCst) {
                return;
            }
            let mut work = match self.work.try_lock() {
                Ok(work) => work,
                Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
                Err(TryLockError::WouldBlock) => return,
            };
            if self.hand_over.swap(false, Ordering::SeqCst) {
                let taken = work.take();
                drop(work);
                if let Some(taken) = taken {
                    self.driver.handle().spawn(taken);
                    self.tell();
                }
            }
        }
    }

    /// Whoever attends is to look again.
    fn tell(&self) {
        let waker = lock(&self.attention).waker.clone();
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Somebody is there for it; false if somebody else is already, and then it goes to the driver.
    fn arrive(&self) -> bool {
        let is_first = !std::mem::replace(&mut lock(&self.attention).attended, true);
        if !is_first {
            self.hand_over();
        }
        is_first
    }

    /// Polls it for the one who attends; whether it is still here.
    fn poll(self: &Arc<Self>, context: &Context<'_>) -> bool {
        {
            let mut attention = lock(&self.attention);
            attention.woken = false;
            if !attention.waker.as_ref().is_some_and(|waker| waker.will_wake(context.waker())) {
                attention.waker = Some(context.waker().clone());
            }
        }
        let is_here = {
            let mut work = lock(&self.work);
            match work.take() {
                Some(mut taken) => {
                    let _runtime = self.driver.handle().enter();
                    let _attended = Attended::begin();
                    let waker = Waker::from(self.clone());
                    let mut inner = Context::from_waker(&waker);
                    match catch_unwind(AssertUnwindSafe(|| taken.as_mut().poll(&mut inner))) {
                        Ok(Poll::Pending) => {
                            *work = Some(taken);
                            true
                        }
                        Ok(Poll::Ready(())) | Err(_) => false,
                    }
                }
                None => false,
            }
        };
        self.settle();
        is_here
    }

    /// Nobody attends any more.
    fn leave(&self, answered: bool) {
        let woken = {
            let mut attention = lock(&self.attention);
            (attention.attended, attention.waker) = (false, None);
            attention.woken
        };
        if woken || !answered {
            self.hand_over();
        }
    }

    fn is_here(&self) -> bool {
        // It is locked while somebody polls it.
        let is_here = self.work.try_lock().map_or(true, |work| work.is_some());
        self.settle();
        is_here
    }

    /// The runtime is gone.
    fn end(&self) {
        let ended = lock(&self.work).take();
        drop(ended);
        self.tell();
    }
}

impl Wake for Errand {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        let waker = {
            let mut attention = lock(&self.attention);
            attention.woken = true;
            attention.waker.clone()
        };
        match waker {
            Some(waker) => waker.wake(),
            None => self.hand_over(),
        }
    }
}

/// Waits for what the errand answers, and carries it out as long as it is here. `None` if it will not answer.
///
/// Dropped before that, it hands the errand over.
pub(crate) async fn attend<T>(errand: &Arc<Errand>, mut answer: oneshot::Receiver<T>) -> Option<T> {
    struct Attending<'a> {
        errand: &'a Errand,
        answered: bool,
    }
    impl Drop for Attending<'_> {
        fn drop(&mut self) {
            self.errand.leave(self.answered);
        }
    }
    if !errand.arrive() {
        return answer.await.ok();
    }
    let mut attending = Attending { errand, answered: false };
    poll_fn(|context| {
        let answered = if errand.poll(context) {
            // As long as it is here, only the poll above answers, and nobody has to be woken.
            match answer.try_recv() {
                Ok(answer) => Poll::Ready(Some(answer)),
                Err(TryRecvError::Empty) => Poll::Pending,
                Err(TryRecvError::Closed) => Poll::Ready(None),
            }
        } else {
            Pin::new(&mut answer).poll(context).map(Result::ok)
        };
        attending.answered = matches!(answered, Poll::Ready(Some(_)));
        answered
    })
    .await
}

thread_local! {
    static ATTENDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether what is polled at the moment is an errand that somebody attends to, rather than a task of the driver's.
pub(crate) fn is_attended() -> bool {
    ATTENDED.get()
}

/// Stays until something wakes the errand, somebody attends to it again, or the driver takes it. A task of the driver's goes on at once: nothing
/// would wake it.
pub(crate) async fn pause() {
    let mut paused = !is_attended();
    poll_fn(|_| if std::mem::replace(&mut paused, true) { Poll::Ready(()) } else { Poll::Pending }).await;
}

impl fmt::Debug for Fresh {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Fresh").finish_non_exhaustive()
    }
}

struct Attended(bool);

impl Attended {
    fn begin() -> Self {
        Self(ATTENDED.replace(true))
    }
}

impl Drop for Attended {
    fn drop(&mut self) {
        ATTENDED.set(self.0);
    }
}

/// Hands over what has been here for long.
struct Sweep {
    fresh: Arc<Fresh>,
    /// What was here at the last look.
    older: Vec<Arc<Errand>>,
    ended: bool,
}

impl Sweep {
    async fn run(mut self) {
        lock(&self.fresh.0).sweep = Sweeping::Goes;
        loop {
            sleep(LONGEST / 2).await;
            self.older.drain(..).for_each(|errand| errand.hand_over());
            self.older = std::mem::take(&mut lock(&self.fresh.0).errands);
            // Not under that lock: this may wake somebody.
            self.older.retain(|errand| errand.is_here());
            let mut state = lock(&self.fresh.0);
            if self.older.is_empty() && state.errands.is_empty() {
                // What begins from now on has a sweep of its own.
                state.sweep = Sweeping::No;
                self.ended = true;
                return;
            }
        }
    }
}

impl Drop for Sweep {
    fn drop(&mut self) {
        if self.ended {
            return;
        }
        let here = {
            let mut state = lock(&self.fresh.0);
            state.sweep = Sweeping::Over;
            std::mem::take(&mut state.errands)
        };
        self.older.drain(..).chain(here).for_each(|errand| errand.end());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[path = "errand_tests.rs"]
mod tests;
