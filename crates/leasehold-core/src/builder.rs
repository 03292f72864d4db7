//! Configures and opens coordinators.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::backend::{Credentials, LockBackend, OpenSession};
use crate::coordinator::Coordinator;
use crate::driver::Driver;
use crate::engine::Engine;
use crate::entropy::Entropy;
use crate::error::{Error, ErrorKind};
use crate::gate::Gate;
use crate::holder::HolderInfo;
use crate::name::Namespace;
use crate::observe::Alerts;
use crate::session_keeper::{SessionKeeper, Slot};
use crate::status::{State, Status};

/// The TTL where none was asked for.
pub const DEFAULT_TTL: Duration = Duration::from_secs(15);

/// The connect and request time-out where none was asked for.
const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

/// Configures a [`Coordinator`]. All methods but the last have defaults.
#[derive(Debug, Clone)]
#[must_use = "a builder does nothing until it connects"]
pub struct CoordinatorBuilder {
    backend: Arc<dyn LockBackend>,
    namespace: Namespace,
    ttl: Duration,
    connect_timeout: Duration,
    request_timeout: Duration,
    holder: HolderInfo,
    epoch: u32,
    runtime: Option<Handle>,
    gate: Option<Gate>,
    entropy: Entropy,
    resume: Option<Credentials>,
    alerts: Option<Alerts>,
}

impl CoordinatorBuilder {
    pub(crate) fn new(backend: Arc<dyn LockBackend>) -> Self {
        Self {
            backend,
            namespace: Namespace::default(),
            ttl: DEFAULT_TTL,
            connect_timeout: DEFAULT_TIMEOUT,
            request_timeout: DEFAULT_TIMEOUT,
            holder: HolderInfo::this_process(),
            epoch: 0,
            runtime: None,
            gate: None,
            entropy: Entropy::system(),
            resume: None,
            alerts: None,
        }
    }

    pub(crate) fn like(engine: &Engine) -> Self {
        Self {
            backend: engine.backend.clone(),
            namespace: engine.options.namespace.clone(),
            ttl: engine.options.ttl,
            connect_timeout: engine.options.connect_timeout,
            request_timeout: engine.request_timeout,
            holder: engine.holder.clone(),
            epoch: engine.epoch,
            runtime: Some(engine.driver.handle().clone()),
            gate: engine.driver.gate().cloned(),
            entropy: engine.entropy.clone(),
            resume: None,
            alerts: engine.alerts.clone(),
        }
    }

    /// Where all keys go; `leasehold` if not set. Coordinators of different namespaces never meet.
    pub fn namespace(mut self, namespace: Namespace) -> Self {
        self.namespace = namespace;
        self
    }

    /// How long the service keeps the locks of a process it does not hear of; 15 s if not set. The service may grant
    /// another one: see [`Status::ttl`].
    pub fn ttl(mut self, ttl: Duration) -> Self {
        self.ttl = ttl;
        self
    }

    /// How long opening a session may take; 5 s if not set.
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// How long one request to the service may take; 5 s if not set.
    pub fn request_timeout(mut self, timeout: Duration) -> Self {
        self.request_timeout = timeout;
        self
    }

    /// What others can read of this process beside its entries; host and process id if not set.
    pub fn holder(mut self, holder: HolderInfo) -> Self {
        self.holder = holder;
        self
    }

    /// The epoch of the fencing tokens; 0 if not set. Raise it, on all processes at once, when the service's own
    /// order starts anew: after a migration to another service or the restoration of a backup.
    pub fn epoch(mut self, epoch: u32) -> Self {
        self.epoch = epoch;
        self
    }

    /// Drives the session on a runtime of the application's, which needs its time (and for real services its I/O)
    /// driver enabled. If that runtime is blocked for a TTL, the session is lost, and until it runs again nobody is *told*:
    /// [`Held::is_held`](crate::Held::is_held) answers rightly, as it looks at the clock itself, but [`Held::lost`](crate::Held::lost),
    /// [`Held::while_held`](crate::Held::while_held) and cancellation tokens wait for the runtime. The thread of the library's own, which is used if this is
    /// not set, does not have that problem.
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Lets the tasks of this coordinator pass a gate at each of their polls, which a test can shut: what a stopped process looks like
    /// to the others. Tasks of the backend's own are not concerned, nor are the application's.
    pub fn gate(mut self, gate: Gate) -> Self {
        self.gate = Some(gate);
        self
    }

    /// Where random numbers come from; the operating system if not set. For tests that are to go the same way each time: see
    /// [`Entropy::seeded`].
    pub fn entropy(mut self, entropy: Entropy) -> Self {
        self.entropy = entropy;
        self
    }

    /// Tells the application what somebody should look at; see [`Alerts`]. Nobody is told if this is not set.
    pub fn alerts(mut self, alerts: Alerts) -> Self {
        self.alerts = Some(alerts);
        self
    }

    /// Takes the session over that has these [credentials](Coordinator::credentials), with all that is held in it, instead
    /// of opening a fresh one: after a restart of the process, or for a successor that shall go on without a gap. It has to be in
    /// the same namespace. The TTL is the session's. If it is lost later, the next ones are fresh.
    ///
    /// Whoever had the session until then is told that it is [superseded](crate::LossReason::Superseded), and has no effect on
    /// it any more. It may take that long to hear of it as its own deadline allows, so the protected resource should check fencing
    /// tokens all the same.
    ///
    /// If the session is gone, [`connect`](Self::connect) says so by [`ErrorKind::Lost`], and
    /// [`connect_lazy`](Self::connect_lazy) goes on with a fresh one.
    pub fn resume(mut self, credentials: Credentials) -> Self {
        self.resume = Some(credentials);
        self
    }

    /// Opens the first session and answers the coordinator, or says why it could not be opened.
    ///
    /// # Errors
    /// [`ErrorKind::Unavailable`] within the connect time-out if the service does not answer;
    /// [`ErrorKind::Untrusted`], [`ErrorKind::Unauthenticated`], [`ErrorKind::PermissionDenied`], [`ErrorKind::InvalidConfig`].
    /// To resume a session also [`ErrorKind::Lost`] if it is gone, and [`ErrorKind::Unsupported`] if the backend
    /// [cannot](crate::Capabilities::resumable_sessions); the credentials are wrong if it is `Unauthenticated`, and none of
    /// this service's if it is `InvalidConfig`.
    ///
    /// # Cancel safety
    /// Dropping the future closes what was opened, a session that was resumed included, or leaves it to end within its TTL.
    pub async fn connect(self) -> Result<Coordinator, Error> {
        let backend = self.backend.name();
        let (first, opened) = oneshot::channel();
        let coordinator = self.start(Some(first))?;
        match opened.await {
            Ok(Ok(())) => Ok(coordinator),
            Ok(Err(error)) => Err(Error::from_backend("connect", error).with_backend(backend)),
            Err(_) => Err(Error::new(ErrorKind::DriverGone, "connect", "the driver's runtime is gone")
                .with_backend(backend)),
        }
    }

    /// Answers a coordinator at once and keeps trying to open a session; acquisitions wait for it.
    /// [`Coordinator::status`] tells how it goes.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidConfig`].
    pub fn connect_lazy(self) -> Result<Coordinator, Error> {
        self.start(None)
    }

    fn start(
        self,
        first: Option<oneshot::Sender<Result<(), Arc<crate::backend_error::BackendError>>>>,
    ) -> Result<Coordinator, Error> {
        let backend = self.backend.name();
        let invalid =
            |detail: &str| Err(Error::new(ErrorKind::InvalidConfig, "connect", detail).with_backend(backend));
        if self.ttl.is_zero() {
            return invalid("a TTL of zero");
        }
        if self.connect_timeout.is_zero() || self.request_timeout.is_zero() {
            return invalid("a time-out of zero");
        }
        let mut driver = match self.runtime {
            Some(handle) => Driver::on(handle),
            None => Driver::own()?,
        };
        if let Some(gate) = self.gate {
            driver = driver.behind(gate);
        }
        let (slot, slots) = watch::channel(Slot::default());
        let (commands, received) = mpsc::unbounded_channel();
        let status = Status {
            state: State::Connecting,
            backend,
            endpoint: self.backend.endpoint(),
            session: None,
            ttl: None,
            last_error: None,
        };
        let engine = Arc::new(Engine {
            backend_name: backend,
            options: OpenSession {
                namespace: self.namespace,
                ttl: self.ttl,
                connect_timeout: self.connect_timeout,
                request_timeout: self.request_timeout,
                clock: self.backend.clock(),
                resume: None,
            },
            backend: self.backend,
            holder: self.holder,
            epoch: self.epoch,
            request_timeout: self.request_timeout,
            driver: driver.clone(),
            entropy: self.entropy,
            alerts: self.alerts,
            slot: slots,
            status: watch::Sender::new(status),
            acquisitions: TaskTracker::new(),
            draining: CancellationToken::new(),
            abandon: CancellationToken::new(),
        });
        let keeper = SessionKeeper::new(engine.clone(), slot, received, self.resume);
        driver.spawn(keeper.run(first));
        Ok(Coordinator::new(engine, commands))
    }
}
