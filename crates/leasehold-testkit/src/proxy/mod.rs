//! A TCP proxy between a client and a server that fails on command.
//!
//! ```no_run
//! # async fn test() {
//! use leasehold_testkit::proxy::Proxy;
//! use leasehold_testkit::servers::{EtcdServer, ServerOptions};
//!
//! let etcd = EtcdServer::start(ServerOptions::default()).await;
//! let proxy = Proxy::start(&etcd.endpoint()).await;
//! let url = format!("etcd://{}", proxy.endpoint());
//! // … a client connects by that url, and then:
//! proxy.drop_replies(); // what it asks for is done, and it never hears so
//! proxy.until(|counts| counts.swallowed_bytes > 0).await; // now it is done
//! proxy.heal();
//! # }
//! ```
//!
//! # What it does when
//!
//! Nothing is random: a fault begins when its method returns and ends when the method that ends it returns. A
//! fault acts on whole chunks, as they were read; where a test needs a byte's precision there are
//! [`cut_after_reply_bytes`](Proxy::cut_after_reply_bytes) and its sisters. Bytes that were handed to the kernel before
//! count as delivered. Faults may be combined; [`heal`](Proxy::heal) ends them all.
//!
//! | method | existing connections | new connections |
//! |---|---|---|
//! | [`cut`](Proxy::cut), [`reset`](Proxy::reset) | closed, aborted | refused |
//! | [`black_hole`](Proxy::black_hole) | silent both ways, nothing is lost | accepted, silent |
//! | [`hold_requests`](Proxy::hold_requests) | requests wait, replies pass | pass |
//! | [`close_clients`](Proxy::close_clients) | the client's end is closed, the server's stays | pass |
//! | [`drop_replies`](Proxy::drop_replies) | requests pass, replies are lost | pass |
//! | [`delay`](Proxy::delay) | everything comes later | the same |
//!
//! # Implementation
//!
//! One thread with a runtime of its own, so that a test that blocks its runtime does not block the network. All
//! state lives on that thread: a control task owns the listener and the list of connections, takes the
//! commands one by one and acknowledges each when it is in force (the caller blocks for that long, well under a
//! millisecond); a task a connection relays (see `relay`) and follows a `watch` channel with its orders. The thread ends
//! when the [`Proxy`] is dropped, and its connections with it.

mod control;
mod door;
mod relay;

use std::sync::mpsc as blocking;
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use control::{Fault, Request};

/// What a proxy has in hand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Counts {
    /// Connections that are open.
    pub connections: usize,
    /// Connections that were accepted since the start.
    pub accepted: usize,
    /// Bytes of requests that came in and are held back, on all connections.
    pub held_bytes: usize,
    /// Bytes of replies that were lost since the start.
    pub swallowed_bytes: usize,
    /// Bytes of requests that were delivered since the start, on all connections.
    pub request_bytes: usize,
    /// Bytes of replies that were delivered since the start, on all connections.
    pub reply_bytes: usize,
    /// Connections that were cut after a number of bytes since the start.
    pub cut_after_bytes: usize,
}

/// A proxy for one server.
#[derive(Debug)]
pub struct Proxy {
    endpoint: String,
    counts: watch::Receiver<Counts>,
    /// `None` once dropped.
    commands: Option<mpsc::UnboundedSender<Request>>,
    thread: Option<JoinHandle<()>>,
}

impl Proxy {
    /// Starts a proxy for the server at `upstream` (`host:port`), which need not be up.
    ///
    /// A server that is down shows to a client as a connection that is accepted and reset: the client finds out while it
    /// connects or at its first read.
    ///
    /// # Panics
    /// If no port or thread can be had.
    pub async fn start(upstream: &str) -> Self {
        let (commands, requests) = mpsc::unbounded_channel();
        let (counts_sender, counts) = watch::channel(Counts::default());
        let (started, start) = oneshot::channel();
        let upstream = upstream.to_owned();
        let thread = std::thread::Builder::new()
            .name("leasehold-proxy".into())
            .spawn(move || control::run(upstream, requests, counts_sender, started))
            .unwrap_or_else(|error| panic!("no thread for a proxy: {error}"));
        match start.await {
            Ok(Ok(endpoint)) => Self { endpoint, counts, commands: Some(commands), thread: Some(thread) },
            Ok(Err(error)) => panic!("cannot start a proxy: {error}"),
            Err(_) => panic!("the proxy's thread ended"),
        }
    }

    /// Where clients connect: `127.0.0.1:<port>`. It stays the same over cuts.
    pub fn endpoint(&self) -> String {
        self.endpoint.clone()
    }

    /// Closes all connections and refuses new ones. What is held back is lost.
    ///
    /// Clients see an orderly end, unless bytes of theirs were unread: then a reset.
    pub fn cut(&self) {
        self.fault(Fault::Cut);
    }

    /// As [`cut`](Self::cut), but clients and server see a reset.
    pub fn reset(&self) {
        self.fault(Fault::Reset);
    }

    /// Forwards nothing either way, not even that a side closed; new connections are accepted and as silent. As with packets
    /// that are dropped and sent again, everything arrives after [`heal`](Self::heal).
    pub fn black_hole(&self) {
        self.fault(Fault::BlackHole);
    }

    /// Holds back what the clients of the existing connections send; replies and new connections pass.
    pub fn hold_requests(&self) {
        self.fault(Fault::HoldRequests);
    }

    /// Delivers what was held back, and holds no more.
    pub fn release(&self) {
        self.fault(Fault::Release);
    }

    /// Closes the clients' end of the existing connections and keeps the server's, with what is held back for it: after
    /// [`release`](Self::release) the server receives requests whose clients have given up on them long ago.
    ///
    /// The server's end then stays open until the server closes it, or to the next [`cut`](Self::cut).
    pub fn close_clients(&self) {
        self.fault(Fault::CloseClients);
    }

    /// Loses the replies of the existing connections from now on; their requests pass, and so do new connections.
    ///
    /// A connection that lost a reply has no way back: [`heal`](Self::heal) closes it.
    pub fn drop_replies(&self) {
        self.fault(Fault::DropReplies);
    }

    /// Delivers everything that is read from now on so much later, both ways; zero ends that.
    pub fn delay(&self, delay: Duration) {
        self.fault(Fault::Delay(delay));
    }

    /// Delivers `bytes` bytes of replies on every new connection and cuts it when there is one more: then the server
    /// has done what the client never hears of. Until [`heal`](Self::heal).
    pub fn cut_after_reply_bytes(&self, bytes: usize) {
        self.fault(Fault::CutAfterReplyBytes { bytes, once: false });
    }

    /// As [`cut_after_reply_bytes`](Self::cut_after_reply_bytes), for the next connection only.
    pub fn cut_once_after_reply_bytes(&self, bytes: usize) {
        self.fault(Fault::CutAfterReplyBytes { bytes, once: true });
    }

    /// Delivers `bytes` bytes of requests on every new connection and cuts it when there is one more. Until
    /// [`heal`](Self::heal).
    pub fn cut_after_request_bytes(&self, bytes: usize) {
        self.fault(Fault::CutAfterRequestBytes { bytes, once: false });
    }

    /// As [`cut_after_request_bytes`](Self::cut_after_request_bytes), for the next connection only.
    pub fn cut_once_after_request_bytes(&self, bytes: usize) {
        self.fault(Fault::CutAfterRequestBytes { bytes, once: true });
    }

    /// Ends every fault: new connections are accepted, what was held back is delivered, connections that lost replies
    /// are closed.
    ///
    /// # Panics
    /// If the port was taken while connections were refused.
    pub fn heal(&self) {
        self.fault(Fault::Heal);
    }

    /// How many connections are open.
    pub fn connections(&self) -> usize {
        self.counts().connections
    }

    /// What it has in hand now.
    pub fn counts(&self) -> Counts {
        *self.counts.borrow()
    }

    /// Resolves once the counts are such.
    ///
    /// # Cancel safety
    /// Dropping it changes nothing.
    pub async fn until(&self, such: impl FnMut(&Counts) -> bool) -> Counts {
        match self.counts.clone().wait_for(such).await {
            Ok(counts) => *counts,
            Err(_) => panic!("the proxy's thread ended"),
        }
    }

    fn fault(&self, fault: Fault) {
        let (done, acknowledged) = blocking::channel();
        let sent =
            self.commands.as_ref().is_some_and(|commands| commands.send(Request { fault, done }).is_ok());
        match acknowledged.recv() {
            Ok(Ok(())) if sent => {}
            Ok(Err(error)) => panic!("the proxy cannot {fault:?}: {error}"),
            _ => panic!("the proxy's thread ended"),
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.commands = None;
        if let Some(thread) = self.thread.take() {
            // Its panic has been reported by itself.
            let _ = thread.join();
        }
    }
}
