//! A member that is cut from its quorum while its clients stay attached to it.
//!
//! The servers run in network namespaces of their own: see [`leasehold_testkit::network`].

use std::sync::OnceLock;
use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::network::Network;
use leasehold_testkit::servers::ServerOptions;
use tokio::sync::OwnedMutexGuard;

use super::fault::{Aim, Arena, Class, Excuses, Fault};
use crate::dice::Dice;
use crate::service::ServiceKind;

/// What is sent again after a cut comes some seconds after it, and then a member has to catch up.
const RECOVERY: Duration = Duration::from_secs(10);

/// Which member.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Whom {
    Leader,
    Follower,
}

/// Packets between one member and all others are dropped, both ways.
#[derive(Debug)]
pub(super) struct Partition {
    whom: Whom,
    network: OnceLock<Network>,
    target: Option<(usize, OwnedMutexGuard<()>)>,
}

impl Partition {
    pub(super) fn of(whom: Whom) -> Self {
        Self { whom, network: OnceLock::new(), target: None }
    }
}

#[async_trait]
impl Fault for Partition {
    fn name(&self) -> &'static str {
        match self.whom {
            Whom::Leader => "partition-leader",
            Whom::Follower => "partition-follower",
        }
    }

    fn class(&self) -> Class {
        Class::Server
    }

    fn services(&self) -> &'static [ServiceKind] {
        &[ServiceKind::Etcd, ServiceKind::ZooKeeper]
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("ip", "iproute2"), ("nft", "nftables"), ("nsenter", "util-linux")]
    }

    fn prepare(&self, options: ServerOptions) -> ServerOptions {
        // One network for all partitions of a run.
        let network = options.in_network().cloned().unwrap_or_else(|| Network::start(3));
        let options = options.network(&network);
        let _ = self.network.set(network);
        options
    }

    fn excuses(&self) -> Excuses {
        Excuses { tap_lag: RECOVERY, recovery: RECOVERY, ..Excuses::default() }
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let reserved = arena.reserve_servers()?;
        let leader = arena.service.servers().leader().await?;
        let target = match self.whom {
            Whom::Leader => leader,
            Whom::Follower => (leader + 1 + dice.below(2)) % 3,
        };
        self.target = Some((target, reserved));
        // From shorter than a TTL to longer than what any service serves on without its quorum.
        Some(Aim { target: format!("server {target}"), lasts: dice.millis(500..=8_000) })
    }

    async fn inject(&mut self, _arena: &Arena, _dice: &mut Dice) {
        if let (Some(network), Some((target, _))) = (self.network.get(), &self.target) {
            network.isolate(*target);
        }
    }

    async fn heal(&mut self, arena: &Arena) {
        if let Some(network) = self.network.get() {
            network.heal();
        }
        // Before the next fault takes another one out.
        arena.service.servers().ready().await;
        self.target = None;
    }
}
