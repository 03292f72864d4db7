//! What a case needs beyond the contract.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_core::{KeyPath, LockBackend};

/// A service, ways to it, and the power over both that a test has.
///
/// Cases run beside each other on one service, each in a namespace of its own, but a world's network and server are its
/// own: a case cuts and restarts them. So a maker of worlds answers a fresh one, with a network of its own, each time.
#[async_trait]
pub trait World: Send + Sync {
    /// What the service is: `memory`, `etcd`, …
    fn service(&self) -> &'static str;

    /// A fresh connection, over the network that the world can cut.
    fn backend(&self) -> Arc<dyn LockBackend>;

    /// A fresh connection that [`cut`](World::cut) and [`cut_replies`](World::cut_replies) do not concern.
    fn direct(&self) -> Arc<dyn LockBackend>;

    /// The TTL that the cases use.
    fn ttl(&self) -> Duration;

    /// Ends a session at the service, as its expiry would. The id is that of `Session::id`.
    async fn expire_session(&self, id: &str);

    /// Deletes everything of a queue, as an administrator would, its parent included.
    async fn remove_queue(&self, path: &KeyPath);

    /// Puts data that is not of our form beside the entries of a queue, with binary values too.
    async fn plant_foreign(&self, path: &KeyPath);

    /// All keys that begin with `prefix`, tombstones included, as an independent client reads them. Left out is what the backend
    /// keeps of each session as such, by which it can be resumed.
    async fn listing(&self, prefix: &str) -> Vec<String>;

    /// Cuts the network between the world's backends and the service.
    async fn cut(&self);

    /// Repairs the network.
    async fn heal(&self);

    /// From now on requests arrive and replies are lost, until the network is healed.
    async fn cut_replies(&self);

    /// Kills the service and starts it on the same data.
    async fn restart(&self);

    /// Has the service forget the history of its data, so that a watch that lags behind cannot be caught up from it. Nothing,
    /// where watches do not read a history.
    async fn compact(&self);
}
