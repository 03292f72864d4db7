//! The registers of the service.

use std::sync::Arc;

use leasehold_core::{BackendError, KeyPath, RegisterWrite, RegisterWritten, Versioned};

use crate::queue_table::check_size;
use crate::state::{SessionRef, State, Topic};

impl State {
    /// The version of a register, 0 while it is absent.
    pub(crate) fn register_version(&self, register: &KeyPath) -> u64 {
        self.registers.get(register).map_or(0, |register| register.version)
    }

    pub(crate) fn write(
        &mut self,
        session: SessionRef,
        register: &Arc<KeyPath>,
        write: RegisterWrite,
    ) -> Result<RegisterWritten, BackendError> {
        self.session(session)?;
        check_size(&write.value)?;
        if let Some((path, attempt)) = &write.if_held
            && !self.queues.get(path).is_some_and(|queue| queue.has(*attempt))
        {
            return Ok(RegisterWritten::NotHeld);
        }
        if write.if_version.is_some_and(|expected| expected != self.register_version(register)) {
            return Ok(RegisterWritten::VersionDiffers);
        }
        let version = self.tick();
        self.registers.insert(Arc::clone(register), Versioned { value: write.value, version });
        self.touch(&Topic::Register(Arc::clone(register)));
        Ok(RegisterWritten::Written { version })
    }
}
