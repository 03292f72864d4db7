//! Which server is the primary.
//!
//! # Implementation
//!
//! It is asked anew for every connection and nothing of the answer is kept, but for a word of the last server that
//! refused us: a cluster's nodes tell who serves a slot instead. Who cannot be asked is passed over; what most of those
//! say who answer in time is believed ([`survey`]), so that one sentinel or node that lags behind, or is cut off
//! together with an old primary, decides nothing while the others can be reached. In the end the server itself decides:
//! one that is no primary is not connected to.

mod cluster;
mod sentinel;
mod survey;

use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Namespace};

use crate::config::{RedisConfig, Servers};
use crate::dial::{Client, Dialer};
use cluster::Cluster;
use sentinel::Sentinels;

pub(crate) enum Topology {
    Single(String),
    Sentinel(Sentinels),
    Cluster(Cluster),
}

impl Topology {
    /// How the primary that has the keys of this namespace is found.
    pub(crate) fn of(config: &RedisConfig, namespace: &Namespace) -> Self {
        match config.servers() {
            Servers::Single(endpoint) => Self::Single(endpoint.clone()),
            Servers::Sentinel { master, sentinels, user } => {
                Self::Sentinel(Sentinels::new(master, sentinels, user.as_ref()))
            }
            Servers::Cluster(nodes) => Self::Cluster(Cluster::new(nodes, namespace.as_str())),
        }
    }

    /// Where the primary is, as the servers tell it. Who does not answer within `limit` is passed over.
    pub(crate) async fn primary(
        &self,
        dialer: &Dialer,
        what: &str,
        limit: Duration,
    ) -> Result<String, BackendError> {
        match self {
            Self::Single(endpoint) => Ok(endpoint.clone()),
            Self::Sentinel(sentinels) => sentinels.primary(dialer, what, limit).await,
            Self::Cluster(cluster) => cluster.primary(dialer, what, limit).await,
        }
    }

    /// Where all primaries are, those of other namespaces included.
    pub(crate) async fn primaries(
        &self,
        dialer: &Dialer,
        what: &str,
        limit: Duration,
    ) -> Result<Vec<String>, BackendError> {
        match self {
            Self::Cluster(cluster) => cluster.primaries(dialer, what, limit).await,
            Self::Single(_) | Self::Sentinel(_) => Ok(vec![self.primary(dialer, what, limit).await?]),
        }
    }

    /// Refuses a server that is not what it was said to be, where its own refusals would come too late.
    pub(crate) async fn check(
        &self,
        what: &str,
        endpoint: &str,
        client: &mut Client,
    ) -> Result<(), BackendError> {
        match self {
            Self::Sentinel(_) => sentinel::check(what, endpoint, client).await,
            // A single one is told to be the primary by whoever configured it, and refuses writes if it is none; a
            // node of a cluster serves no slot that it has not.
            Self::Single(_) | Self::Cluster(_) => Ok(()),
        }
    }

    /// A server has told that the keys are elsewhere.
    pub(crate) fn moved(&self, told_by: &str, refusal: &str) {
        if let Self::Cluster(cluster) = self {
            cluster.moved(told_by, refusal);
        }
    }

    pub(crate) fn is_cluster(&self) -> bool {
        matches!(self, Self::Cluster(_))
    }
}

fn unavailable(message: String) -> BackendError {
    BackendError::new(BackendErrorKind::Unavailable, message)
}
