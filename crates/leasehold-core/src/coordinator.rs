//! The coordinator: what an application keeps.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::acquisition::{self, Request};
use crate::backend::{Credentials, LockBackend};
use crate::barrier::Barrier;
use crate::builder::CoordinatorBuilder;
use crate::capabilities::Capabilities;
use crate::counter::Counter;
use crate::double_barrier::DoubleBarrier;
use crate::election::Election;
use crate::engine::Engine;
use crate::error::{Error, ErrorKind};
use crate::group::Group;
use crate::hold::Grant;
use crate::latch::CountDownLatch;
use crate::mutex::Mutex;
use crate::name::Namespace;
use crate::once::Once;
use crate::register::Register;
use crate::rw_lock::RwLock;
use crate::semaphore::Semaphore;
use crate::session_keeper::Shutdown;
use crate::status::Status;

/// A way to coordinate over one service: it keeps a session there, and makes the locks.
///
/// Cloning is cheap and shares the session; one coordinator serves any number of locks and tasks, and may be kept in a
/// `static` and used from several runtimes. The session is renewed on a thread of the library's own.
///
/// When the last clone, lock and guard of it is dropped, the session is closed in the background. A process
/// that exits should call [`Coordinator::shutdown`], which hands its locks over at once; a process that just ends lets the
/// others wait for the TTL.
#[derive(Clone)]
pub struct Coordinator {
    shared: Arc<Shared>,
}

struct Shared {
    engine: Arc<Engine>,
    /// Closing it tells the keeper that nobody is left.
    commands: mpsc::UnboundedSender<Shutdown>,
}

impl Coordinator {
    /// Configures a coordinator over a backend.
    pub fn builder(backend: impl LockBackend) -> CoordinatorBuilder {
        CoordinatorBuilder::new(Arc::new(backend))
    }

    pub(crate) fn new(engine: Arc<Engine>, commands: mpsc::UnboundedSender<Shutdown>) -> Self {
        Self { shared: Arc::new(Shared { engine, commands }) }
    }

    /// The mutex of that name. It costs nothing; a name that cannot be used is reported when it is locked.
    pub fn mutex(&self, name: impl AsRef<str>) -> Mutex {
        Mutex::new(self.clone(), name.as_ref())
    }

    /// The read/write lock of that name. It costs nothing; a name that cannot be used is reported when it is locked.
    pub fn rw_lock(&self, name: impl AsRef<str>) -> RwLock {
        RwLock::new(self.clone(), name.as_ref())
    }

    /// The semaphore of that name with `limit` permits. It costs nothing; a name or a limit that cannot be used is reported when
    /// permits are acquired.
    pub fn semaphore(&self, name: impl AsRef<str>, limit: u32) -> Semaphore {
        Semaphore::new(self.clone(), name.as_ref(), limit)
    }

    /// The election of that name. It costs nothing; a name that cannot be used is reported when it is used.
    pub fn election(&self, name: impl AsRef<str>) -> Election {
        Election::new(self.clone(), name.as_ref())
    }

    /// The versioned register of that name. It costs nothing; a name that cannot be used is reported when it is read or written.
    pub fn register(&self, name: impl AsRef<str>) -> Register {
        Register::new(self.clone(), name.as_ref())
    }

    /// The counter of that name: the number in the [register](Coordinator::register) of the same name. It costs nothing; a name that
    /// cannot be used is reported when it is used.
    pub fn counter(&self, name: impl AsRef<str>) -> Counter {
        Counter::new(self.clone(), name.as_ref())
    }

    /// The barrier of that name. It costs nothing; a name that cannot be used is reported when it is used.
    pub fn barrier(&self, name: impl AsRef<str>) -> Barrier {
        Barrier::new(self.clone(), name.as_ref())
    }

    /// The latch of that name, which counts down from `count`. It costs nothing; a name or a count that cannot be used is reported when
    /// it is used.
    pub fn latch(&self, name: impl AsRef<str>, count: u32) -> CountDownLatch {
        CountDownLatch::new(self.clone(), name.as_ref(), count)
    }

    /// What is to be done once under that name. It costs nothing; a name that cannot be used is reported when it is run.
    pub fn once(&self, name: impl AsRef<str>) -> Once {
        Once::new(self.clone(), name.as_ref())
    }

    /// The group of that name. It costs nothing; a name that cannot be used is reported by the first operation.
    pub fn group(&self, name: impl AsRef<str>) -> Group {
        Group::new(self.clone(), name.as_ref())
    }

    /// The double barrier of that name, for so many parties. It costs nothing; what cannot be used is reported when it is entered.
    pub fn double_barrier(&self, name: impl AsRef<str>, parties: u32) -> DoubleBarrier {
        DoubleBarrier::new(self.clone(), name.as_ref(), parties)
    }

    /// Another coordinator over the same backend, with the same options but for those set on the builder: its session, and so
    /// its TTL, is its own.
    pub fn session(&self) -> CoordinatorBuilder {
        CoordinatorBuilder::like(&self.shared.engine)
    }

    /// What the backend promises.
    pub fn capabilities(&self) -> Capabilities {
        self.shared.engine.backend.capabilities()
    }

    /// What the backend is called.
    pub fn backend_name(&self) -> &'static str {
        self.shared.engine.backend_name
    }

    /// The namespace of all names.
    pub fn namespace(&self) -> &Namespace {
        &self.shared.engine.options.namespace
    }

    /// How it is doing, now and from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.shared.engine.status.subscribe()
    }

    /// What [resumes](CoordinatorBuilder::resume) the present session in another process, with all that is held in it; `None` while
    /// there is no session, or where the backend [cannot](Capabilities::resumable_sessions). A secret.
    ///
    /// They are of this session alone: keep the new ones whenever [`Coordinator::status`] shows another session. A shutdown ends
    /// the session; a process that ends without one leaves it to be resumed within the TTL.
    pub fn credentials(&self) -> Option<Credentials> {
        let live = self.shared.engine.slot.borrow().live.clone()?;
        live.session.credentials().filter(|_| live.liveness().is_alive())
    }

    /// Shuts down in order: refuses new acquisitions, ends the waits, asks the holders to stop (their
    /// [cancellation tokens](crate::Held::cancellation_token)), waits up to `grace` until they have released, and closes the session.
    /// Until then registers can be read and written: work that is brought to its end may have a last word to write.
    ///
    /// It does not take a lock from under work that goes on: if there is still a guard after `grace`, the guard is told that
    /// its hold is [lost](crate::LossReason::ShutDown), and the session is closed only a TTL later, or by the service when
    /// the process ends.
    ///
    /// # Errors
    /// [`ShutdownError`] if acquisitions had not ended when `grace` was over.
    ///
    /// # Cancel safety
    /// Once polled, the shutdown goes on whether or not the future is.
    pub async fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        let (done, answer) = oneshot::channel();
        let asked = self.shared.commands.send(Shutdown { grace, done });
        match if asked.is_ok() { answer.await } else { Ok(0) } {
            Ok(0) => Ok(()),
            Ok(unfinished) => Err(ShutdownError { unfinished }),
            // The keeper went with its runtime, and everything else with it.
            Err(_) => Ok(()),
        }
    }

    pub(crate) fn engine(&self) -> &Arc<Engine> {
        &self.shared.engine
    }

    pub(crate) async fn acquire(&self, request: Request) -> Result<Option<Grant>, Error> {
        acquisition::acquire(&self.shared.engine, request).await
    }
}

impl fmt::Debug for Coordinator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Coordinator").field(&self.shared.engine).finish()
    }
}

/// A shutdown was over before everything had ended.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{unfinished} acquisition(s) had not ended when the grace period was over; what they hold is free after the TTL"
)]
#[non_exhaustive]
pub struct ShutdownError {
    /// How many acquisitions were still held, or being released without the service's confirmation.
    pub unfinished: usize,
}

impl From<ShutdownError> for Error {
    fn from(error: ShutdownError) -> Self {
        Error::new(ErrorKind::Unavailable, "shutdown", error.to_string())
    }
}
