//! The client of one session, and how a request goes through it.
//!
//! # Implementation
//!
//! The link owns the only lasting handle of the client; a request borrows it for as long as it runs. Taking the handle out
//! ([`Link::retire`]) and cancelling `retired` makes every request and every wait end at its next poll, the last borrowed
//! handle falls, and the client ends. A task that outlives the link then closes the session at the service, unless
//! another process has resumed it (see [`ending`](crate::ending)): that is how entries of a session that was closed, dropped
//! or lost go away there. A client that belongs to the application is not ended; there the
//! session's own entries are removed one by one, by a task that goes on until they are gone or the client's session is.
//!
//! A request first waits for a connection. The client crate would take it at once and send it whenever it can,
//! so a request that gave up before it was sent would still be applied later; this way it is certainly not applied.
//! From the moment a write is handed to the client until the server's decision it is in doubt, and giving up then means
//! [`Indeterminate`](BackendErrorKind::Indeterminate).

use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Liveness, LivenessCell, LossReason};
use tokio_util::sync::CancellationToken;
use zookeeper_client::{Acls, Client, CreateMode, CreateOptions, Error, SessionState, StateWatcher};

use crate::access::Access;
use crate::cleanup;
use crate::ending::{self, Closer};
use crate::failure::{self, Effect};
use crate::fenced::Fenced;
use crate::incarnation::Incarnation;
use crate::layout::{Directory, Layout};
use crate::ledger::Ledger;
use crate::watches::Watches;

/// Whose the client is.
pub(crate) enum Ownership {
    /// The backend made it; it ends with the session, which can be resumed.
    Ours { incarnation: Incarnation, closer: Box<Closer> },
    /// The application's; it stays.
    Shared,
}

/// What all parts of a session share.
pub(crate) struct Link {
    client: Mutex<Option<Arc<Client>>>,
    states: StateWatcher,
    retired: CancellationToken,
    /// What the session had at the service is gone, or cannot be removed from here.
    ended: CancellationToken,
    ownership: Ownership,
    request_timeout: Duration,
    access: Access,
    session_id: i64,
    pub(crate) liveness: Arc<LivenessCell>,
    pub(crate) ledger: Ledger,
    pub(crate) watches: Arc<Watches>,
}

impl Link {
    pub(crate) fn new(
        client: Client,
        ownership: Ownership,
        access: Access,
        liveness: Arc<LivenessCell>,
        request_timeout: Duration,
    ) -> Self {
        Self {
            states: client.state_watcher(),
            session_id: client.session_id().0,
            client: Mutex::new(Some(Arc::new(client))),
            retired: CancellationToken::new(),
            ended: CancellationToken::new(),
            ownership,
            request_timeout,
            access,
            liveness,
            ledger: Ledger::default(),
            watches: Arc::default(),
        }
    }

    /// The session's number at the service.
    pub(crate) fn session_id(&self) -> i64 {
        self.session_id
    }

    /// Follows the states of the client.
    pub(crate) fn states(&self) -> StateWatcher {
        self.states.clone()
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Resolves when the session has ended here.
    pub(crate) async fn retired(&self) {
        self.retired.cancelled().await;
    }

    /// The client, while the session lives.
    pub(crate) fn client(&self) -> Result<Arc<Client>, BackendError> {
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).clone();
        client.filter(|_| self.liveness.is_alive()).ok_or_else(session_is_over)
    }

    /// Begins a request about entries, which do not outlive the session.
    pub(crate) fn request(&self, what: &'static str) -> Result<Request<'_>, BackendError> {
        Ok(Request {
            link: self,
            client: self.client()?,
            what,
            lasting: false,
            in_doubt: AtomicBool::new(false),
        })
    }

    /// Begins a request whose effect outlives the session.
    pub(crate) fn lasting_request(&self, what: &'static str) -> Result<Request<'_>, BackendError> {
        Ok(Request { lasting: true, ..self.request(what)? })
    }

    /// How nodes of a kind are created.
    pub(crate) fn options(&self, mode: CreateMode) -> CreateOptions<'_> {
        mode.with_acls(self.access.own())
    }

    /// The incarnation of a session that can be resumed.
    pub(crate) fn incarnation(&self) -> Option<&Incarnation> {
        match &self.ownership {
            Ownership::Ours { incarnation, .. } => Some(incarnation),
            Ownership::Shared => None,
        }
    }

    /// The client for writes.
    pub(crate) fn fenced<'a>(&'a self, client: &'a Client) -> Fenced<'a> {
        Fenced { client, fence: self.incarnation().map(|incarnation| (incarnation, &*self.liveness)) }
    }

    /// Ends the session here. A task that is spawned ends it at the service too, or, where the client is the application's,
    /// removes what it has there.
    pub(crate) fn retire(&self, reason: LossReason) {
        self.liveness.end(reason);
        let client = self.client.lock().unwrap_or_else(PoisonError::into_inner).take();
        let left = self.ledger.close();
        self.retired.cancel();
        let Some(client) = client else { return };
        let superseded = self.liveness.current() == Liveness::Lost(LossReason::Superseded);
        let ended = self.ended.clone().drop_guard();
        // Without a runtime there is no driver either: what is left goes when the session expires, or with the client's.
        let Ok(runtime) = tokio::runtime::Handle::try_current() else { return };
        match &self.ownership {
            Ownership::Ours { incarnation, .. } if superseded => incarnation.leave(&client),
            Ownership::Ours { incarnation, closer } => {
                let end = ending::end(client, incarnation.clone(), (**closer).clone());
                runtime.spawn(async move {
                    let _ended = ended;
                    end.await;
                });
            }
            Ownership::Shared if !left.is_empty() => {
                runtime.spawn(async move {
                    let _ended = ended;
                    cleanup::remove_entries(client, left).await;
                });
            }
            Ownership::Shared => {}
        }
    }

    /// Resolves after a retirement, when nothing is left to do at the service.
    pub(crate) async fn ended(&self) {
        self.ended.cancelled().await;
    }
}

/// The error of whatever is asked of a session that has ended.
pub(crate) fn session_is_over() -> BackendError {
    BackendError::new(BackendErrorKind::SessionLost, "the ZooKeeper session has ended")
}

/// Resolves once the client is connected.
pub(crate) async fn connected(client: &Client) -> Result<(), Error> {
    if client.state() == SessionState::SyncConnected {
        return Ok(());
    }
    let mut states = client.state_watcher();
    loop {
        match states.peek_state() {
            SessionState::SyncConnected => return Ok(()),
            SessionState::AuthFailed => return Err(Error::AuthFailed),
            SessionState::Expired => return Err(Error::SessionExpired),
            SessionState::Closed => return Err(Error::ClientClosed),
            _ => states.changed().await,
        };
    }
}

/// One operation of the contract under way, which may take several requests to the server.
pub(crate) struct Request<'a> {
    link: &'a Link,
    client: Arc<Client>,
    what: &'static str,
    lasting: bool,
    in_doubt: AtomicBool,
}

impl Request<'_> {
    pub(crate) fn client(&self) -> &Arc<Client> {
        &self.client
    }

    /// The client for writes that are the session's.
    pub(crate) fn fenced(&self) -> Fenced<'_> {
        self.link.fenced(&self.client)
    }

    /// Runs `work` within the request time-out.
    ///
    /// # Errors
    /// Those of `work`; `SessionLost` when the session ends meanwhile; after the time-out `Indeterminate` if a write
    /// is in doubt, else `Unavailable`.
    pub(crate) async fn run<T>(
        &self,
        work: impl Future<Output = Result<T, BackendError>> + Send,
    ) -> Result<T, BackendError> {
        let connected_work = async {
            connected(&self.client).await.map_err(|error| self.unread(error))?;
            work.await
        };
        let what = self.what;
        tokio::select! {
            biased;
            outcome = connected_work => outcome,
            () = self.link.retired() => Err(if self.lasting && self.is_in_doubt() {
                BackendError::new(BackendErrorKind::Indeterminate, format!("{what}: the session ended before the reply"))
            } else {
                session_is_over()
            }),
            () = tokio::time::sleep(self.link.request_timeout) => Err(if self.is_in_doubt() {
                BackendError::new(BackendErrorKind::Indeterminate, format!("{what}: no reply in time"))
            } else {
                BackendError::new(BackendErrorKind::Unavailable, format!("{what}: no ZooKeeper server answered in time"))
            }),
        }
    }

    /// The reply to a read.
    pub(crate) async fn read<T>(
        &self,
        reply: impl Future<Output = Result<T, Error>>,
    ) -> Result<T, BackendError> {
        reply.await.map_err(|error| self.unread(error))
    }

    /// The reply to a write; until the server has decided, the operation is in doubt. The client's error is
    /// answered as it is, for the caller to make out the decisions that it expects.
    pub(crate) async fn write<T>(&self, reply: impl Future<Output = Result<T, Error>>) -> Result<T, Error> {
        self.doubt(true);
        let outcome = reply.await;
        self.doubt(outcome.as_ref().is_err_and(|error| !failure::is_decided(error)));
        outcome
    }

    /// Notes whether a write is in doubt.
    pub(crate) fn doubt(&self, in_doubt: bool) {
        self.in_doubt.store(in_doubt, Ordering::Relaxed);
    }

    fn is_in_doubt(&self) -> bool {
        self.in_doubt.load(Ordering::Relaxed)
    }

    /// The error of a read that failed, and that leaves what was written before in doubt if it was.
    pub(crate) fn unread(&self, error: Error) -> BackendError {
        let effect = if self.is_in_doubt() { Effect::Writes } else { Effect::Reads };
        failure::failed(self.what, effect, error)
    }

    /// The error of a write that failed.
    pub(crate) fn unwritten(&self, error: Error) -> BackendError {
        failure::failed(self.what, Effect::Writes, error)
    }

    /// Creates the directory of a queue.
    pub(crate) async fn create_queue_directory(&self, directory: &Directory) -> Result<(), BackendError> {
        // Where other clients' locks are, what is above is not ours either.
        let above =
            if directory.layout == Layout::Own { self.link.access.own() } else { self.link.access.above() };
        self.create_directory(&directory.path, directory.layout.directory_mode(), above).await
    }

    /// Creates what is missing above a node.
    pub(crate) async fn create_parents(&self, path: &str) -> Result<(), BackendError> {
        match path.rfind('/') {
            None | Some(0) => Ok(()),
            Some(end) => {
                self.create_directory(&path[..end], CreateMode::Persistent, self.link.access.own()).await
            }
        }
    }

    /// A directory that appears although its creation was in doubt does no harm, so this is never in doubt.
    async fn create_directory(
        &self,
        directory: &str,
        mode: CreateMode,
        above: Acls<'_>,
    ) -> Result<(), BackendError> {
        let missing = |error| failure::failed(self.what, Effect::Reads, error);
        loop {
            match self.client.create(directory, &[], &self.link.options(mode)).await {
                Ok(_) | Err(Error::NodeExists) => return Ok(()),
                Err(Error::NoNode) => {
                    let end = directory.rfind('/').unwrap_or(0);
                    // What is missing above the first level is the chroot.
                    let parent = directory.get(1..end).map(|_| &directory[..end]).ok_or_else(no_chroot)?;
                    let options = CreateMode::Persistent.with_acls(above);
                    self.client.mkdir(parent, &options).await.map_err(missing)?;
                }
                Err(error) => return Err(missing(error)),
            }
        }
    }
}

/// The error of a chroot that does not exist.
pub(crate) fn no_chroot() -> BackendError {
    BackendError::new(BackendErrorKind::InvalidConfig, "the ZooKeeper chroot does not exist")
}
