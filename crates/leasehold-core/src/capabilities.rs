//! What a service can promise and what it cannot.

use std::time::Duration;

use crate::admin::Recipe;
use crate::name::Kind;
use crate::wire::WireProfile;

/// What a backend promises. Differences between services are declared here and never hidden.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Capabilities {
    /// Fencing tokens keep rising across restarts and failovers of the service.
    pub durable_tokens: bool,
    /// The service cannot give a lock away before the holder's local deadline has passed, short of the known
    /// server bugs that the backend's documentation lists.
    pub safe_deadline: bool,
    /// Contenders are granted in the order in which the service received them.
    pub fifo: bool,
    /// A register can be written on condition that an attempt still holds, decided by the service.
    pub conditional_writes: bool,
    /// A session can be resumed by another process with its credentials.
    pub resumable_sessions: bool,
    /// The smallest TTL that the service grants, where it is known beforehand.
    pub min_ttl: Duration,
    /// The largest value of an entry or a register, in bytes.
    pub max_value_bytes: usize,
    /// What can be shared with other programs' clients, in their layouts: see [`Coordinator::at`](crate::Coordinator::at).
    pub wire: &'static [(WireProfile, Kind)],
}

impl Capabilities {
    /// The strongest: everything is promised, but for the layouts of other clients. A backend takes away what it cannot promise.
    pub const fn full(min_ttl: Duration, max_value_bytes: usize) -> Self {
        Self {
            durable_tokens: true,
            safe_deadline: true,
            fifo: true,
            conditional_writes: true,
            resumable_sessions: true,
            min_ttl,
            max_value_bytes,
            wire: &[],
        }
    }

    /// Whether this recipe can be shared with that client.
    pub fn speaks(&self, profile: WireProfile, recipe: Recipe) -> bool {
        self.wire.contains(&(profile, recipe.kind()))
    }
}
