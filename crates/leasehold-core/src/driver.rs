//! Where sessions are driven.
//!
//! # Implementation
//!
//! Renewals, watches and withdrawals must go on while the application blocks its own runtime, else it loses its
//! locks for being busy. So they run on one thread of the library's own, which is started at the first use and lives
//! as long as the process; all coordinators share it, so that one kept in a `static` serves any number of
//! runtimes that come and go. An application that wants them elsewhere gives a runtime's handle. What somebody waits for is carried out
//! by him at first ([`crate::errand`]).

use std::future::Future;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

use crate::errand::Fresh;
use crate::error::{Error, ErrorKind};
use crate::gate::Gate;

/// The runtime of the library's own thread, for what a backend offers beside its sessions and has to keep up while the
/// application blocks its own runtime.
///
/// # Errors
/// [`ErrorKind::DriverGone`] if the thread cannot be started.
pub fn driver_runtime() -> Result<Handle, Error> {
    Ok(Driver::own()?.handle)
}

/// The runtime that a coordinator's sessions are driven on.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    handle: Handle,
    gate: Option<Gate>,
    fresh: Arc<Fresh>,
}

impl Driver {
    /// The library's own thread.
    pub(crate) fn own() -> Result<Self, Error> {
        static OWN: Mutex<Option<Driver>> = Mutex::new(None);
        let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match &*own {
            Some(driver) => driver.clone(),
            None => own.insert(Self::on(start_thread().map_err(no_thread)?)).clone(),
        })
    }

    /// A runtime of the application's.
    pub(crate) fn on(handle: Handle) -> Self {
        Self { handle, gate: None, fresh: Arc::default() }
    }

    /// The same, whose tasks pass that gate.
    pub(crate) fn behind(self, gate: Gate) -> Self {
        Self { gate: Some(gate), ..self }
    }

    /// Starts a task.
    pub(crate) fn spawn<F>(&self, task: F) -> JoinHandle<F::Output>
    where
        F: Future + Send + 'static,
        F::Output: Send + 'static,
    {
        match &self.gate {
            Some(gate) => self.handle.spawn(gate.clone().pass(task)),
            None => self.handle.spawn(task),
        }
    }

    pub(crate) fn gate(&self) -> Option<&Gate> {
        self.gate.as_ref()
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.handle
    }

    /// The errands that began lately.
    pub(crate) fn fresh(&self) -> &Arc<Fresh> {
        &self.fresh
    }
}

fn no_thread(error: io::Error) -> Error {
    Error::new(ErrorKind::DriverGone, "connect", "the driver's thread could not be started")
        .with_source(error)
}

fn start_thread() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("leasehold-driver".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
