//! What every recipe's handle is: a name over a coordinator.

use std::fmt;
use std::sync::Arc;

use bytes::Bytes;

use crate::acquisition::{Patience, Request};
use crate::coordinator::Coordinator;
use crate::error::{Error, ErrorKind};
use crate::guard::HeldGuard;
use crate::hold::HoldLimits;
use crate::mode::Mode;
use crate::name::{KeyPath, Kind, NameError};
use crate::rule::Rule;
use crate::stats::{Recorder, Stats};

/// A name of one kind over a coordinator. Making one touches no service; a name that cannot be used is reported by the first
/// operation. Clones count together what is acquired through them.
#[derive(Clone)]
pub(crate) struct Named {
    coordinator: Coordinator,
    name: Arc<str>,
    path: Result<KeyPath, NameError>,
    stats: Arc<Recorder>,
}

/// What to acquire under a name.
pub(crate) struct Acquire {
    pub(crate) operation: &'static str,
    pub(crate) rule: &'static dyn Rule,
    pub(crate) mode: Mode,
    pub(crate) payload: Bytes,
    pub(crate) patience: Patience,
    /// Without waiting for anybody, as is every [`Patience::Try`].
    pub(crate) only_if_free: bool,
    pub(crate) limits: HoldLimits,
    /// Where its outcome is counted, if that is not with the name's own.
    pub(crate) outcomes: Option<Arc<Recorder>>,
}

impl Acquire {
    /// With no payload and no limits.
    pub(crate) fn new(
        operation: &'static str,
        rule: &'static dyn Rule,
        mode: Mode,
        patience: Patience,
    ) -> Self {
        Self {
            operation,
            rule,
            mode,
            payload: Bytes::new(),
            patience,
            only_if_free: patience == Patience::Try,
            limits: HoldLimits::default(),
            outcomes: None,
        }
    }
}

impl Named {
    pub(crate) fn new(coordinator: Coordinator, kind: Kind, name: &str) -> Self {
        let path = KeyPath::new(coordinator.namespace(), kind, name);
        Self { coordinator, name: name.into(), path, stats: Arc::default() }
    }

    /// At a path that was found good.
    pub(crate) fn at(coordinator: Coordinator, name: Arc<str>, path: KeyPath) -> Self {
        Self { coordinator, name, path: Ok(path), stats: Arc::default() }
    }

    pub(crate) fn coordinator(&self) -> &Coordinator {
        &self.coordinator
    }

    /// The name, as it was given.
    pub(crate) fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// The path of the name.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`]
    pub(crate) fn path(&self, operation: &'static str) -> Result<KeyPath, Error> {
        self.path.clone().map_err(|error| {
            self.error(ErrorKind::InvalidName, operation, &error.to_string()).with_source(error)
        })
    }

    /// What has been acquired through this handle and its clones.
    pub(crate) fn stats(&self) -> Stats {
        self.stats.snapshot()
    }

    /// Where that is counted.
    pub(crate) fn recorder(&self) -> &Arc<Recorder> {
        &self.stats
    }

    /// What the engine is asked for, to acquire.
    ///
    /// # Errors
    /// [`ErrorKind::InvalidName`], and [`ErrorKind::InvalidArgument`] if the limits contradict each other.
    pub(crate) fn request(&self, acquire: Acquire) -> Result<Request, Error> {
        let path = self.path(acquire.operation)?;
        let Acquire { operation, rule, mode, payload, patience, only_if_free, limits, outcomes } = acquire;
        if let Some(objection) = limits.objection() {
            return Err(self.error(ErrorKind::InvalidArgument, operation, objection));
        }
        // Only with a minimum hold can the entry outlive its guard.
        let _keeps = (!limits.min.is_zero()).then(|| self.coordinator.clone());
        let (name, stats) = (self.name.clone(), self.stats.clone());
        Ok(Request {
            operation,
            name,
            path,
            rule,
            mode,
            payload,
            patience,
            only_if_free,
            limits,
            outcomes: outcomes.unwrap_or_else(|| stats.clone()),
            stats,
            _keeps,
        })
    }

    /// Acquires for the application; `None` when somebody else was there, as far as the patience went.
    pub(crate) async fn acquire(&self, acquire: Acquire) -> Result<Option<HeldGuard>, Error> {
        let guard = self.acquire_part(acquire).await?;
        Ok(guard.inspect(HeldGuard::hand_over))
    }

    /// Acquires a part of what is then [handed over](HeldGuard::hand_over) as a whole.
    pub(crate) async fn acquire_part(&self, acquire: Acquire) -> Result<Option<HeldGuard>, Error> {
        let grant = self.coordinator.acquire(self.request(acquire)?).await?;
        Ok(grant.map(|grant| HeldGuard::new(grant, self.coordinator.clone())))
    }

    /// Acquires with no end to the patience.
    pub(crate) async fn acquire_patiently(&self, acquire: Acquire) -> Result<HeldGuard, Error> {
        let operation = acquire.operation;
        debug_assert_eq!(acquire.patience, Patience::Forever);
        match self.acquire(acquire).await? {
            Some(guard) => Ok(guard),
            // Only a try, a time-out or a caller that is gone ends without a guard.
            None => Err(self.error(ErrorKind::Closed, operation, "the acquisition was given up")),
        }
    }

    pub(crate) fn error(&self, kind: ErrorKind, operation: &'static str, detail: &str) -> Error {
        self.with_name(Error::new(kind, operation, detail))
    }

    /// The error, with the name and the backend.
    pub(crate) fn with_name(&self, error: Error) -> Error {
        error.with_name(self.name.clone()).with_backend(self.coordinator.backend_name())
    }
}

impl fmt::Debug for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.name)
    }
}
