//! The resource that a lock protects.

use std::sync::{Mutex, PoisonError};

use leasehold_core::FencingToken;
use leasehold_core::fencing::{Fence, Stale};

/// A value that was written so many times, behind a fence.
pub(crate) struct Resource(Mutex<Inside>);

struct Inside {
    /// None: it takes whatever comes.
    fence: Option<Fence>,
    content: Content,
}

/// What is in it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Content {
    pub(crate) version: u64,
    pub(crate) value: u64,
}

impl Resource {
    pub(crate) fn new(fenced: bool) -> Self {
        let fence = fenced.then(Fence::new);
        Self(Mutex::new(Inside { fence, content: Content::default() }))
    }

    pub(crate) fn read(&self, token: FencingToken, shared: bool) -> Result<Content, Stale> {
        let mut inside = self.lock();
        if let Some(fence) = &mut inside.fence {
            if shared { fence.check_shared(token) } else { fence.check_exclusive(token) }?;
        }
        Ok(inside.content)
    }

    /// Writes, and answers the version that was overwritten.
    pub(crate) fn write(&self, token: FencingToken, value: u64) -> Result<u64, Stale> {
        let mut inside = self.lock();
        if let Some(fence) = &mut inside.fence {
            fence.check_exclusive(token)?;
        }
        let version = inside.content.version;
        inside.content = Content { version: version + 1, value };
        Ok(version)
    }

    /// Without a token.
    pub(crate) fn content(&self) -> Content {
        self.lock().content
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Inside> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
