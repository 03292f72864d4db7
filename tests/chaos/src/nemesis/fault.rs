//! What a fault is.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::history::Recorder;
use leasehold_testkit::servers::ServerOptions;
use tokio::sync::{Mutex, OwnedMutexGuard};

use crate::crew::Crew;
use crate::dice::Dice;
use crate::service::{Service, ServiceKind};
use crate::tap::Tap;

/// Where faults happen.
pub struct Arena {
    /// The servers.
    pub service: Box<dyn Service>,
    /// The worker processes with their proxies.
    pub crew: Crew,
    /// The service's own word.
    pub tap: Tap,
    /// In the name of the nemesis.
    pub recorder: Recorder,
    /// The TTL of the sessions.
    pub ttl: Duration,
    /// Who has the servers: see [`Arena::reserve_servers`].
    pub servers: Arc<Mutex<()>>,
}

impl Arena {
    /// The servers for one fault alone: two at once could take the quorum for as long as either lasts.
    pub fn reserve_servers(&self) -> Option<OwnedMutexGuard<()>> {
        Arc::clone(&self.servers).try_lock_owned().ok()
    }
}

impl fmt::Debug for Arena {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Arena").field("service", &self.service.kind()).finish_non_exhaustive()
    }
}

/// What a fault does something to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// A worker process.
    Client,
    /// The way between a worker process and a server.
    Connection,
    /// A server.
    Server,
    /// What is kept at the service, by somebody else's hand.
    Admin,
}

/// What a fault breaks by design, so that nobody can promise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Excuses {
    /// Only the fence saves the resource: a run with this fault has to see at least one stale access rejected.
    pub only_the_fence: bool,
    /// Two may believe at the same time that they hold.
    pub two_believers: bool,
    /// How much later than it happened the tap may see something, beyond what it may anyway.
    pub tap_lag: Duration,
    /// How much longer than otherwise it may take until everybody gets on after it.
    pub recovery: Duration,
}

/// What a fault is about to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Aim {
    /// To what, for the history.
    pub target: String,
    /// How long it goes on; one that takes no time is not healed.
    pub lasts: Duration,
}

/// A family of faults.
///
/// The nemesis calls [`aim`](Fault::aim), [`inject`](Fault::inject), and after the time that it lasts [`heal`](Fault::heal), in this order and each once,
/// again and again. What was reserved for it is given back by `heal`. A fault that lasts no time is over when `inject` returns, and gives
/// back there.
#[async_trait]
pub trait Fault: Send {
    /// As it is called on a command line and in the history.
    fn name(&self) -> &'static str;

    /// What it does something to.
    fn class(&self) -> Class;

    /// The services that it can be done to.
    fn services(&self) -> &'static [ServiceKind] {
        &ServiceKind::ALL
    }

    /// The programs that have to be installed, each with its Debian package.
    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[]
    }

    /// How the servers have to be started for it.
    fn prepare(&self, options: ServerOptions) -> ServerOptions {
        options
    }

    /// What it breaks by design.
    fn excuses(&self) -> Excuses {
        Excuses::default()
    }

    /// Whether it is written down by itself, with events of its own, and not as a fault.
    fn is_written_down(&self) -> bool {
        false
    }

    /// Chooses a target; `None` if there is none at the moment.
    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim>;

    /// Does it.
    async fn inject(&mut self, arena: &Arena, dice: &mut Dice);

    /// Ends it; returns when it is over.
    async fn heal(&mut self, _arena: &Arena) {}
}
