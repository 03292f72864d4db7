//! A connection that takes any number of requests at once, each written to the socket by whoever makes it.
//!
//! # Implementation
//!
//! The client's own connection has a task that writes and reads, so a request from another thread wakes that task before it is
//! even sent. Here a request is encoded and written under one short lock, on the caller's thread, by a write that does not
//! wait; the answers are read by the connection's task, which wakes whoever asked, directly. The encoding and the reading of answers are the client's.
//!
//! **Order.** The server answers in the order of requests. Under the lock of `state` a request takes the next place in `waiting` and its bytes
//! the next place in the stream, so both orders are one.
//!
//! **A full socket, and many at once.** What the socket does not take stays in `unsent`, and the task writes it when the socket is ready; until it is
//! empty whoever comes later only appends. While [`MANY`] are unanswered, whoever comes leaves the writing to the task as well, which
//! takes all that has come by then in one write. The lock is held for one write that does not wait, and never across an await.
//!
//! **The end.** The task ends when the server closes the connection, when reading or writing fails, when an answer is none, or when it is
//! dropped; in any case `closed` is set, the socket is let go of and everybody in `waiting` is told, in one step. Who comes later is refused by
//! [`Wire::send`]. What became of a request that nobody answered is not known here.
//!
//! **At each await.** [`Wire::send`] has none: the request is on its way when it returns. A receiver that is dropped keeps its place, and its answer is
//! dropped when it comes. The task's two halves, reading and writing, are dropped together, and end the connection, whoever still has the [`Wire`].

use std::collections::VecDeque;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use redis::{Cmd, RedisError, RedisResult, Value};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Notify, oneshot};

/// With so many requests unanswered, writing them one by one costs more than the way to the task.
const MANY: usize = 8;

/// What is kept of the room for unsent bytes.
const KEPT_ROOM: usize = 64 * 1024;

pub(crate) struct Wire {
    state: Mutex<State>,
    /// There is something to write for the task.
    to_write: Notify,
    closed: AtomicBool,
}

struct State {
    /// Until the end.
    writer: Option<Arc<OwnedWriteHalf>>,
    /// Who waits for an answer, in the order of the requests.
    waiting: VecDeque<oneshot::Sender<RedisResult<Value>>>,
    unsent: Vec<u8>,
    /// What the server has said without being asked, before it closed the connection.
    refusal: Option<Value>,
}

impl Wire {
    /// Over a socket on which nothing is unanswered, and the future that its task is.
    pub(crate) fn over(socket: TcpStream) -> (Arc<Self>, impl Future<Output = ()> + Send + use<>) {
        let (reader, writer) = socket.into_split();
        let writer = Arc::new(writer);
        let state = State {
            writer: Some(writer.clone()),
            waiting: VecDeque::new(),
            unsent: Vec::new(),
            refusal: None,
        };
        let (state, closed) = (Mutex::new(state), AtomicBool::new(false));
        let wire = Arc::new(Self { state, to_write: Notify::new(), closed });
        let closing = Closing(wire.clone());
        (wire, async move {
            let wire = &closing.0;
            tokio::select! {
                () = wire.read(reader) => {}
                _ = wire.write(&writer) => {}
            }
        })
    }

    /// Whether there is nobody any more who reads answers.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    /// Sends a request; the answer comes by the channel, which closes if none can come any more.
    pub(crate) fn send(&self, command: &Cmd) -> oneshot::Receiver<RedisResult<Value>> {
        let (sender, answer) = oneshot::channel();
        let mut state = self.state();
        if self.is_closed() {
            if let Some(refusal) = state.refusal.take() {
                let _ = sender.send(Ok(refusal));
            }
            return answer;
        }
        let is_first = state.unsent.is_empty();
        command.write_packed_command(&mut state.unsent);
        state.waiting.push_back(sender);
        // If there was something unsent the task knows of it.
        if is_first {
            let written = state.waiting.len() <= MANY && state.write().unwrap_or(false);
            drop(state);
            // An error shows there again.
            if !written {
                self.to_write.notify_one();
            }
        }
        answer
    }

    /// Sends a request and waits for the answer.
    pub(crate) async fn request(&self, command: &Cmd) -> RedisResult<Value> {
        match self.send(command).await {
            Ok(answer) => answer.and_then(Value::extract_error),
            Err(_) => Err(io::Error::from(io::ErrorKind::BrokenPipe).into()),
        }
    }

    /// Reads answers until there will be no more.
    async fn read(&self, mut reader: OwnedReadHalf) {
        let mut decoder = combine::stream::Decoder::new();
        loop {
            let answer = redis::parse_redis_value_async(&mut decoder, &mut reader).await;
            match answer {
                Ok(value) => {
                    let mut state = self.state();
                    let Some(asked) = state.waiting.pop_front() else {
                        state.refusal = Some(value);
                        return;
                    };
                    drop(state);
                    // Whoever asked may be gone.
                    let _ = asked.send(Ok(value));
                }
                Err(error) => return self.close(Some(error)),
            }
        }
    }

    /// Writes what others have left, until that fails.
    async fn write(&self, writer: &OwnedWriteHalf) -> io::Result<()> {
        loop {
            self.to_write.notified().await;
            while !self.state().write()? {
                writer.writable().await?;
            }
        }
    }

    /// Nothing is answered any more. The first one who waits is told why, if that is known.
    fn close(&self, error: Option<RedisError>) {
        let waiting = {
            let mut state = self.state();
            self.closed.store(true, Ordering::SeqCst);
            state.writer = None;
            std::mem::take(&mut state.waiting)
        };
        let mut waiting = waiting.into_iter();
        if let (Some(error), Some(first)) = (error, waiting.next()) {
            let _ = first.send(Err(error));
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Writes as much as the socket takes; whether that is all.
    fn write(&mut self) -> io::Result<bool> {
        let Some(writer) = &self.writer else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let mut sent = 0;
        let failure = loop {
            if sent == self.unsent.len() {
                break None;
            }
            match writer.try_write(&self.unsent[sent..]) {
                Ok(written) => sent += written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break None,
                Err(error) => break Some(error),
            }
        };
        self.unsent.drain(..sent);
        if self.unsent.is_empty() {
            self.unsent.shrink_to(KEPT_ROOM);
        }
        failure.map_or(Ok(self.unsent.is_empty()), Err)
    }
}

/// Closes the connection with its task.
struct Closing(Arc<Wire>);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0.close(None);
    }
}

#[cfg(test)]
#[path = "wire_tests.rs"]
mod tests;
