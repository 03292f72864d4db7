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

/// The runtime that a coordinator's sessions are driven on.
#[derive(Debug, Clone)]
pub(crate) struct Driver {
    handle: Handle,
    gate: Option<Gate>,
}

impl Driver {
    /// The library's own thread.
    pub(crate) fn own() -> io::Result<Self> {
        static OWN: Mutex<Option<Handle>> = Mutex::new(None);
        let mut own = OWN.lock().unwrap_or_else(PoisonError::into_inner);
        let handle = match &*own {
            Some(handle) => handle.clone(),
            None => own.insert(start_thread()?).clone(),
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

fn start_thread() -> io::Result<Handle> {
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let handle = runtime.handle().clone();
    std::thread::Builder::new()
        .name("leasehold-driver".into())
        .spawn(move || runtime.block_on(std::future::pending::<()>()))?;
    Ok(handle)
}
