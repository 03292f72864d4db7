use std::cell::{Cell, RefCell};
use std::io;
use std::rc::Rc;
use std::sync::mpsc as blocking;
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::task::{JoinHandle, LocalSet};

use super::Counts;
use super::door::Door;
use super::relay::{self, Direction, Ending, Flow, Orders, Wire};
use crate::servers::Port;

/// How many ports are tried: a stranger may take one after it was reserved.
const PORT_ATTEMPTS: usize = 5;

/// What [`Proxy`](super::Proxy)'s methods ask for.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Cut,
    Reset,
    BlackHole,
    HoldRequests,
    Release,
    CloseClients,
    DropReplies,
    Delay(Duration),
    CutAfterReplyBytes { bytes: usize, once: bool },
    CutAfterRequestBytes { bytes: usize, once: bool },
    Heal,
}

pub(super) struct Request {
    pub(super) fault: Fault,
    /// Answered when the fault is in force.
    pub(super) done: blocking::Sender<io::Result<()>>,
}

/// The proxy's thread, until the requests' sender is dropped.
pub(super) fn run(
    upstream: String,
    requests: mpsc::UnboundedReceiver<Request>,
    counts: watch::Sender<Counts>,
    started: oneshot::Sender<io::Result<String>>,
) {
    let runtime = match tokio::runtime::Builder::new_current_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return drop(started.send(Err(error))),
    };
    LocalSet::new().block_on(&runtime, async {
        match open() {
            Ok((port, door)) => {
                let _ = started.send(Ok(port.endpoint()));
                Control::new(upstream, port, door, counts).run(requests).await;
            }
            Err(error) => drop(started.send(Err(error))),
        }
    });
}

fn open() -> io::Result<(Port, Door)> {
    let mut attempt = 1;
    loop {
        let port = Port::reserve().map_err(io::Error::other)?;
        match Door::open(&port.endpoint()) {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && attempt < PORT_ATTEMPTS => attempt += 1,
            result => return result.map(|door| (port, door)),
        }
    }
}

/// Where a new connection is to be cut.
#[derive(Debug, Clone, Copy)]
struct Limit {
    bytes: usize,
    once: bool,
}

/// One connection, as the control task knows it.
struct Connection {
    wire: Rc<Wire>,
    task: JoinHandle<()>,
}

/// What the counts are made of. Relays publish, control changes.
pub(super) struct Ledger {
    wires: RefCell<Vec<Rc<Wire>>>,
    accepted: Cell<usize>,
    swallowed: Cell<usize>,
    request_bytes: Cell<usize>,
    reply_bytes: Cell<usize>,
    cut_after_bytes: Cell<usize>,
    counts: watch::Sender<Counts>,
}

impl Ledger {
    /// Counts anew, and tells those who wait if it made a difference.
    pub(super) fn publish(&self) {
        let wires = self.wires.borrow();
        let now = Counts {
            connections: wires.len(),
            accepted: self.accepted.get(),
            held_bytes: wires.iter().map(|wire| wire.held_bytes()).sum(),
            swallowed_bytes: self.swallowed.get(),
            request_bytes: self.request_bytes.get(),
            reply_bytes: self.reply_bytes.get(),
            cut_after_bytes: self.cut_after_bytes.get(),
        };
        self.counts.send_if_modified(|counts| std::mem::replace(counts, now) != now);
    }

    pub(super) fn swallowed(&self, bytes: usize) {
        self.swallowed.set(self.swallowed.get() + bytes);
    }

    pub(super) fn delivered(&self, direction: Direction, bytes: usize) {
        let counter = match direction {
            Direction::Requests => &self.request_bytes,
            Direction::Replies => &self.reply_bytes,
        };
        counter.set(counter.get() + bytes);
    }

    pub(super) fn cut_after_bytes(&self) {
        self.cut_after_bytes.set(self.cut_after_bytes.get() + 1);
    }

    pub(super) fn closed(&self, wire: &Rc<Wire>) {
        self.wires.borrow_mut().retain(|other| !Rc::ptr_eq(other, wire));
        self.publish();
    }

    fn opened(&self, wire: &Rc<Wire>) {
        self.wires.borrow_mut().push(Rc::clone(wire));
        self.accepted.set(self.accepted.get() + 1);
        self.publish();
    }
}

struct Control {
    upstream: Rc<str>,
    port: Port,
    /// `None` while connections are refused.
    door: Option<Door>,
    connections: Vec<Connection>,
    black_hole: bool,
    delay: Rc<Cell<Duration>>,
    reply_limit: Option<Limit>,
    request_limit: Option<Limit>,
    ledger: Rc<Ledger>,
}

impl Control {
    fn new(upstream: String, port: Port, door: Door, counts: watch::Sender<Counts>) -> Self {
        Self {
            upstream: upstream.into(),
            port,
            door: Some(door),
            connections: Vec::new(),
            black_hole: false,
            delay: Rc::default(),
            reply_limit: None,
            request_limit: None,
            ledger: Rc::new(Ledger {
                wires: RefCell::default(),
                accepted: Cell::new(0),
                swallowed: Cell::new(0),
                request_bytes: Cell::new(0),
                reply_bytes: Cell::new(0),
                cut_after_bytes: Cell::new(0),
                counts,
            }),
        }
    }

    async fn run(mut self, mut requests: mpsc::UnboundedReceiver<Request>) {
        loop {
            tokio::select! {
                request = requests.recv() => match request {
                    Some(Request { fault, done }) => {
                        self.let_in_who_is_connected();
                        let result = self.apply(fault).await;
                        self.ledger.publish();
                        // The caller waits for it, unless it panics already.
                        let _ = done.send(result);
                    }
                    None => return,
                },
                client = next_client(self.door.as_ref()) => self.opened(client),
            }
        }
    }

    /// Who was connected before a fault was asked for has an existing connection.
    fn let_in_who_is_connected(&mut self) {
        while let Some(client) = self.door.as_ref().and_then(Door::waiting) {
            self.opened(client);
        }
    }

    fn opened(&mut self, client: TcpStream) {
        self.connections.retain(|connection| !connection.task.is_finished());
        let flow = if self.black_hole { Flow::Hold } else { Flow::Pass };
        let orders = Orders { requests: flow, replies: flow, ..Orders::default() };
        let wire = Rc::new(Wire::new(
            orders,
            take(&mut self.request_limit),
            take(&mut self.reply_limit),
            Rc::clone(&self.delay),
        ));
        self.ledger.opened(&wire);
        let relay = relay::run(client, Rc::clone(&self.upstream), Rc::clone(&wire), Rc::clone(&self.ledger));
        self.connections.push(Connection { wire, task: tokio::task::spawn_local(relay) });
    }

    async fn apply(&mut self, fault: Fault) -> io::Result<()> {
        match fault {
            Fault::Cut => {
                self.door = None;
                self.end(Ending::Close, |_| true).await;
            }
            Fault::Reset => {
                self.door = None;
                self.end(Ending::Reset, |_| true).await;
            }
            Fault::BlackHole => {
                self.black_hole = true;
                self.order(|orders| {
                    orders.requests = Flow::Hold;
                    orders.replies = Flow::Hold;
                });
            }
            Fault::HoldRequests => self.order(|orders| orders.requests = Flow::Hold),
            Fault::Release if self.black_hole => {}
            Fault::Release => self.order(|orders| orders.requests = Flow::Pass),
            Fault::CloseClients => self.order(|orders| orders.clientless = true),
            Fault::DropReplies => self.order(|orders| orders.replies = Flow::Swallow),
            Fault::Delay(delay) => self.delay.set(delay),
            Fault::CutAfterReplyBytes { bytes, once } => self.reply_limit = Some(Limit { bytes, once }),
            Fault::CutAfterRequestBytes { bytes, once } => self.request_limit = Some(Limit { bytes, once }),
            Fault::Heal => self.heal().await?,
        }
        Ok(())
    }

    async fn heal(&mut self) -> io::Result<()> {
        self.black_hole = false;
        self.delay.set(Duration::ZERO);
        self.reply_limit = None;
        self.request_limit = None;
        self.end(Ending::Close, |wire| wire.broken.get()).await;
        self.order(|orders| {
            orders.requests = Flow::Pass;
            orders.replies = Flow::Pass;
        });
        if self.door.is_none() {
            self.door = Some(Door::open(&self.port.endpoint())?);
        }
        Ok(())
    }

    /// Gives all connections their orders; no relay forwards a chunk against them from here on.
    fn order(&self, mut change: impl FnMut(&mut Orders)) {
        for connection in &self.connections {
            connection.wire.orders.send_modify(&mut change);
        }
    }

    /// Ends some connections and returns when their sockets are closed.
    async fn end(&mut self, ending: Ending, which: impl Fn(&Wire) -> bool) {
        let (ending_now, staying) =
            std::mem::take(&mut self.connections).into_iter().partition(|c: &Connection| which(&c.wire));
        self.connections = staying;
        for connection in &ending_now {
            connection.wire.orders.send_modify(|orders| orders.ending = Some(ending));
        }
        for connection in ending_now {
            // A relay does not panic; if one did, its sockets are closed all the same.
            let _ = connection.task.await;
        }
    }
}

/// Never one while connections are refused.
async fn next_client(door: Option<&Door>) -> TcpStream {
    match door {
        Some(door) => door.next().await,
        None => std::future::pending().await,
    }
}

fn take(limit: &mut Option<Limit>) -> Option<usize> {
    let Limit { bytes, once } = (*limit)?;
    if once {
        *limit = None;
    }
    Some(bytes)
}
