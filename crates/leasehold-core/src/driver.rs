//! Where sessions are driven.
//!
//! # Implementation
//!
//! Renewals, watches and withdrawals must go on while the application blocks its own runtime, else it loses its
//! locks for being busy. So they run on one thread of the library's own, which is started at the first use and lives
//! as long as the process; all coordinators share it, so that one kept in a `static` serves any number of
//! runtimes that come and go. An application that wants them elsewhere gives a runtime's handle.

use std::future::Future;
use std::io;
use std::sync::{Mutex, PoisonError};

use tokio::runtime::{Builder, Handle};
use tokio::task::JoinHandle;

use crate::gate::Gate;

use crate::error::{Error, ErrorKind};

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
}

impl Driver {
    /// The library's own thread.
    pub(crate) fn own() -> Result<Self, Error> {
        static OWN: Mutex<Option<Handle>> = Mutex::new(None);
        let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = match &*own {
            Some(handle) => handle.clone(),
            None => own.insert(start_thread().map_err(no_thread)?).clone(),
        };
        Ok(Self::on(handle))
    }

    /// A runtime of the application's.
    pub(crate) fn on(handle: Handle) -> Self {
        Self { handle, gate: None }
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
