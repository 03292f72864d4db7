//! The URLs of the backend.

use std::sync::Arc;

use leasehold_core::{BackendError, BackendErrorKind, LockBackend, Scheme, ServiceUrl};

use crate::memory_service::MemoryService;

/// The scheme `memory://NAME`: a service in this process; equal names meet, and no name is a name too.
#[derive(Debug, Clone, Copy, Default)]
pub struct MemoryScheme;

impl Scheme for MemoryScheme {
    fn names(&self) -> &'static [&'static str] {
        &["memory"]
    }

    fn backend(&self, url: &mut ServiceUrl) -> Result<Arc<dyn LockBackend>, BackendError> {
        if url.user().is_some() || url.password().is_some() {
            return Err(invalid("memory:// takes no user"));
        }
        let name = match url.hosts() {
            [] => "",
            [name] => name,
            _ => return Err(invalid("memory:// takes one name, not several hosts")),
        };
        Ok(Arc::new(MemoryService::named(name).backend()))
    }
}

fn invalid(message: &str) -> BackendError {
    BackendError::new(BackendErrorKind::InvalidConfig, message)
}
