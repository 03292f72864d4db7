//! What can happen.

/// One step, of a client, of the service or of fate. `usize` numbers a client or an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Step {
    /// The client sends the first enqueue of a new attempt.
    Begin(usize),
    /// The client sends the enqueue once more: no answer can come any more.
    AskAgain(usize),
    /// Fault: the client gives up on an answer that is late, and sends the enqueue once more.
    TimeOut(usize),
    /// An enqueue of the attempt arrives and is answered.
    Enqueue(usize),
    /// An enqueue of the attempt arrives; nobody waits for the answer.
    EnqueueLate(usize),
    /// Fault: an enqueue of the attempt arrives, and the answer is lost.
    EnqueueUnanswered(usize),
    /// Fault: an enqueue of the attempt is lost.
    EnqueueLost(usize),
    /// Two attempts' enqueues arrive and are carried out in one transaction: only with that [flaw](crate::Flaw).
    EnqueueTogether(usize, usize),
    /// The client begins to hold, if its deadline has not passed.
    Grant(usize),
    /// The client watches the entry ahead.
    Watch(usize),
    /// The client looks at the queue.
    Look(usize),
    /// Fault: the client is woken though nothing has changed.
    WakeUp(usize),
    /// The client is told that its own entry is gone.
    OwnEntryGone(usize),
    /// The client goes on after the loss of its session: its deadline has passed.
    SessionLost(usize),
    /// The client reads the resource.
    Read(usize),
    /// The client writes the resource.
    Write(usize),
    /// The client sends the withdrawal of its entry.
    Release(usize),
    /// The client sends the withdrawal once more.
    WithdrawAgain(usize),
    /// A withdrawal of the attempt arrives and is answered.
    Withdraw(usize),
    /// Fault: a withdrawal of the attempt arrives, and the answer is lost.
    WithdrawUnanswered(usize),
    /// Fault: a withdrawal of the attempt is lost.
    WithdrawLost(usize),
    /// Fault: the caller of a waiting client goes away.
    Cancel(usize),
    /// Fault: the process dies.
    Crash(usize),
    /// No renewal comes through any more, and the local deadline of the client's session passes: a fault while the process lives.
    DeadlinePasses(usize),
    /// The service ends the first or the second session of the client.
    SessionEnds(usize, bool),
    /// Fault: somebody removes the attempt's entry by hand.
    RemoveByHand(usize),
}
