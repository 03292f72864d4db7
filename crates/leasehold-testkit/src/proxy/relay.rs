//! One connection through the proxy.
//!
//! # Implementation
//!
//! Each direction is a reader, a bounded queue of chunks and a writer, so that bytes come in (and a test sees that they
//! did) while they are delayed or held back. The four run in one task, on the proxy's thread, and consult the connection's
//! [`Orders`] before each chunk; whoever waits for a chunk to be let through waits for the orders to change. The task ends
//! when both directions have reached their end, when a limit is reached, or when it is ordered to; its sockets are then closed.
//!
//! The end of one direction is passed on as such (half-closed), after the bytes before it. A side that has vanished
//! does not stop the other direction: what is held back for the server is delivered although the client is gone.

use std::cell::Cell;
use std::io;
use std::rc::Rc;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::control::Ledger;

/// The size of a chunk, at most.
const CHUNK: usize = 16 << 10;

/// How many chunks a direction keeps; then it stops reading, and the sender feels it.
const QUEUED: usize = 1024;

/// What happens to the chunks of a direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Flow {
    #[default]
    Pass,
    Hold,
    Swallow,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ending {
    Close,
    Reset,
}

/// What a connection has to do.
#[derive(Debug, Default)]
pub(super) struct Orders {
    pub(super) requests: Flow,
    pub(super) replies: Flow,
    /// The client is told that the connection has ended; the server is not.
    pub(super) clientless: bool,
    pub(super) ending: Option<Ending>,
}

/// What the control task and the relay share.
pub(super) struct Wire {
    pub(super) orders: watch::Sender<Orders>,
    /// Replies were lost.
    pub(super) broken: Cell<bool>,
    /// Bytes of requests that were read and not delivered yet.
    undelivered: Cell<usize>,
    request_limit: Option<usize>,
    reply_limit: Option<usize>,
    delay: Rc<Cell<Duration>>,
}

impl Wire {
    pub(super) fn new(
        orders: Orders,
        request_limit: Option<usize>,
        reply_limit: Option<usize>,
        delay: Rc<Cell<Duration>>,
    ) -> Self {
        Self {
            orders: watch::Sender::new(orders),
            broken: Cell::new(false),
            undelivered: Cell::new(0),
            request_limit,
            reply_limit,
            delay,
        }
    }

    pub(super) fn held_bytes(&self) -> usize {
        if self.orders.borrow().requests == Flow::Hold { self.undelivered.get() } else { 0 }
    }
}

/// Bytes that were read together, and when they may be written.
struct Chunk {
    bytes: Vec<u8>,
    due: Instant,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Direction {
    Requests,
    Replies,
}

/// A limit was reached.
struct Cut;

/// Relays one connection to its end.
pub(super) async fn run(mut client: TcpStream, upstream: Rc<str>, wire: Rc<Wire>, ledger: Rc<Ledger>) {
    let mut orders = wire.orders.subscribe();
    let mut server = None;
    let ending = tokio::select! {
        biased;
        ending = ordered_to_end(&mut orders) => ending,
        ending = relay(&mut client, &mut server, &upstream, &wire, &ledger) => ending,
    };
    if ending == Ending::Reset {
        for socket in [Some(&client), server.as_ref()].into_iter().flatten() {
            // Fails on a socket that has been reset from the other side already.
            let _ = socket.set_zero_linger();
        }
    }
    drop((client, server));
    ledger.closed(&wire);
}

async fn ordered_to_end(orders: &mut watch::Receiver<Orders>) -> Ending {
    match orders.wait_for(|orders| orders.ending.is_some()).await {
        Ok(orders) => orders.ending.unwrap_or(Ending::Close),
        Err(_) => Ending::Close,
    }
}

/// Answers how the sockets are to be closed.
async fn relay(
    client: &mut TcpStream,
    server: &mut Option<TcpStream>,
    upstream: &str,
    wire: &Wire,
    ledger: &Ledger,
) -> Ending {
    // In a black hole, which alone holds replies, the server does not hear of the connection.
    pass_or_swallow(wire, Direction::Replies).await;
    let Ok(stream) = TcpStream::connect(upstream).await else { return Ending::Reset };
    let server = server.insert(stream);
    // Without this, one chunk would wait until the one before it was acknowledged.
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return Ending::Reset;
    }
    let (from_client, to_client) = client.split();
    let (from_server, to_server) = server.split();
    let (requests, requests_out) = mpsc::channel(QUEUED);
    let (replies, replies_out) = mpsc::channel(QUEUED);
    let both = async {
        tokio::try_join!(
            read(from_client, requests, wire, ledger, Direction::Requests),
            write(to_server, requests_out, wire, ledger, Direction::Requests),
            read(from_server, replies, wire, ledger, Direction::Replies),
            write(to_client, replies_out, wire, ledger, Direction::Replies),
        )
    };
    // However it comes to its end.
    let _ = both.await;
    Ending::Close
}

/// Takes in what one side sends, up to its end.
async fn read(
    mut from: ReadHalf<'_>,
    chunks: mpsc::Sender<Chunk>,
    wire: &Wire,
    ledger: &Ledger,
    direction: Direction,
) -> Result<(), Cut> {
    let mut buffer = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut buffer).await {
        if direction == Direction::Requests {
            if wire.orders.borrow().clientless {
                continue;
            }
            wire.undelivered.set(wire.undelivered.get() + length);
            ledger.publish();
        }
        let due = Instant::now() + wire.delay.get();
        if chunks.send(Chunk { bytes: buffer[..length].to_vec(), due }).await.is_err() {
            break;
        }
    }
    Ok(())
}

/// Delivers to the other side, as ordered, and then the end.
async fn write(
    mut to: WriteHalf<'_>,
    mut chunks: mpsc::Receiver<Chunk>,
    wire: &Wire,
    ledger: &Ledger,
    direction: Direction,
) -> Result<(), Cut> {
    let mut orders = wire.orders.subscribe();
    let mut allowance = match direction {
        Direction::Requests => wire.request_limit,
        Direction::Replies => wire.reply_limit,
    };
    let mut vanished = false;
    loop {
        let chunk = tokio::select! {
            chunk = chunks.recv() => chunk,
            _ = orders.wait_for(|orders| orders.clientless),
                if direction == Direction::Replies && !vanished =>
            {
                let _ = to.shutdown().await;
                vanished = true;
                continue;
            }
        };
        let Some(chunk) = chunk else { break };
        tokio::time::sleep_until(chunk.due).await;
        let passes = pass_or_swallow(wire, direction).await;
        let within = allowance.map_or(chunk.bytes.len(), |left| left.min(chunk.bytes.len()));
        if !passes {
            wire.broken.set(true);
            ledger.swallowed(chunk.bytes.len());
        } else if !vanished {
            vanished = to.write_all(&chunk.bytes[..within]).await.is_err();
            if !vanished {
                ledger.delivered(direction, within);
            }
        }
        if direction == Direction::Requests {
            wire.undelivered.set(wire.undelivered.get() - chunk.bytes.len());
        }
        if within < chunk.bytes.len() {
            ledger.cut_after_bytes();
            ledger.publish();
            return Err(Cut);
        }
        ledger.publish();
        allowance = allowance.map(|left| left - within);
    }
    pass_or_swallow(wire, direction).await;
    if !(direction == Direction::Requests && wire.orders.borrow().clientless) {
        // Nobody is there to be told that it has ended, if it fails.
        let _: io::Result<()> = to.shutdown().await;
    }
    Ok(())
}

/// Waits while the direction is held back; then whether its chunks pass or are lost.
async fn pass_or_swallow(wire: &Wire, direction: Direction) -> bool {
    let flow = |orders: &Orders| match direction {
        Direction::Requests => orders.requests,
        Direction::Replies => orders.replies,
    };
    let mut orders = wire.orders.subscribe();
    match orders.wait_for(|orders| flow(orders) != Flow::Hold).await {
        Ok(orders) => flow(&orders) == Flow::Pass,
        // The sender is in the wire.
        Err(_) => false,
    }
}
