//! The blocking twin of the coordinator.

use std::time::Duration;

use leasehold_core::{
    Capabilities, CoordinatorBuilder, Credentials, Error, Namespace, ShutdownError, Status,
};
use tokio::sync::watch;

use super::wait::wait;
use super::{
    Admin, Barrier, CountDownLatch, Counter, DoubleBarrier, Election, Group, Mutex, Once, Register, RwLock,
    Semaphore, twin,
};

twin::handle! {
    /// The blocking twin of [`Coordinator`](crate::Coordinator): it shares its session with the one that it was made from, and with its
    /// clones.
    Coordinator
}

/// Connects to the service that the URL names, as [`leasehold::connect`](crate::connect).
///
/// # Errors
/// As [`leasehold::connect`](crate::connect).
///
/// # Panics
/// When called from asynchronous code; see [the module](crate::blocking#panics).
#[track_caller]
pub fn connect(url: &str) -> Result<Coordinator, Error> {
    Coordinator::open(crate::builder(url)?)
}

/// Like [`connect`], but answers at once and keeps trying; acquisitions wait for the service.
///
/// # Errors
/// As [`leasehold::connect_lazy`](crate::connect_lazy).
pub fn connect_lazy(url: &str) -> Result<Coordinator, Error> {
    crate::connect_lazy(url).map(From::from)
}

impl Coordinator {
    /// Opens what the builder describes.
    ///
    /// # Errors
    /// As [`CoordinatorBuilder::connect`].
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics).
    #[track_caller]
    pub fn open(builder: CoordinatorBuilder) -> Result<Self, Error> {
        wait(builder.connect()).map(From::from)
    }

    /// The mutex of that name. It costs nothing; a name that cannot be used is reported when it is locked.
    pub fn mutex(&self, name: impl AsRef<str>) -> Mutex {
        self.inner.mutex(name).into()
    }

    /// The read/write lock of that name. It costs nothing; a name that cannot be used is reported when it is locked.
    pub fn rw_lock(&self, name: impl AsRef<str>) -> RwLock {
        self.inner.rw_lock(name).into()
    }

    /// The semaphore of that name with `limit` permits. It costs nothing; a name or a limit that cannot be used is reported when
    /// permits are acquired.
    pub fn semaphore(&self, name: impl AsRef<str>, limit: u32) -> Semaphore {
        self.inner.semaphore(name, limit).into()
    }

    /// The election of that name. It costs nothing; a name that cannot be used is reported when it is used.
    pub fn election(&self, name: impl AsRef<str>) -> Election {
        self.inner.election(name).into()
    }

    /// The versioned register of that name. It costs nothing.
    pub fn register(&self, name: impl AsRef<str>) -> Register {
        self.inner.register(name).into()
    }

    /// The counter of that name. It costs nothing.
    pub fn counter(&self, name: impl AsRef<str>) -> Counter {
        self.inner.counter(name).into()
    }

    /// The barrier of that name. It costs nothing.
    pub fn barrier(&self, name: impl AsRef<str>) -> Barrier {
        self.inner.barrier(name).into()
    }

    /// The latch of that name, which counts down from `count`. It costs nothing.
    pub fn latch(&self, name: impl AsRef<str>, count: u32) -> CountDownLatch {
        self.inner.latch(name, count).into()
    }

    /// What is to be done once under that name. It costs nothing.
    pub fn once(&self, name: impl AsRef<str>) -> Once {
        self.inner.once(name).into()
    }

    /// The group of that name. It costs nothing; a name that cannot be used is reported by the first operation.
    pub fn group(&self, name: impl AsRef<str>) -> Group {
        self.inner.group(name).into()
    }

    /// The double barrier of that name, for so many parties. It costs nothing; what cannot be used is reported when it is entered.
    pub fn double_barrier(&self, name: impl AsRef<str>, parties: u32) -> DoubleBarrier {
        self.inner.double_barrier(name, parties).into()
    }

    /// Administration of the namespace: who holds, who waits, asking for a release, breaking a lock.
    pub fn admin(&self) -> Admin {
        self.inner.admin().into()
    }

    /// Another coordinator over the same backend, with a session of its own, to be [opened](Coordinator::open); see
    /// [`Coordinator::session`](crate::Coordinator::session).
    pub fn session(&self) -> CoordinatorBuilder {
        self.inner.session()
    }

    /// What the backend promises.
    pub fn capabilities(&self) -> Capabilities {
        self.inner.capabilities()
    }

    /// What the backend is called.
    pub fn backend_name(&self) -> &'static str {
        self.inner.backend_name()
    }

    /// The namespace of all names.
    pub fn namespace(&self) -> &Namespace {
        self.inner.namespace()
    }

    /// How it is doing, now (`borrow`) and from now on.
    pub fn status(&self) -> watch::Receiver<Status> {
        self.inner.status()
    }

    /// What resumes the present session in another process; see [`Coordinator::credentials`](crate::Coordinator::credentials). A secret.
    pub fn credentials(&self) -> Option<Credentials> {
        self.inner.credentials()
    }

    /// Shuts down in order, as [`Coordinator::shutdown`](crate::Coordinator::shutdown).
    ///
    /// # Errors
    /// [`ShutdownError`] if acquisitions had not ended when `grace` was over.
    ///
    /// # Panics
    /// When called from asynchronous code; see [the module](crate::blocking#panics).
    #[track_caller]
    pub fn shutdown(&self, grace: Duration) -> Result<(), ShutdownError> {
        wait(self.inner.shutdown(grace))
    }
}
