//! Servers that are killed and started again over their data, and servers that are stopped.

use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::OwnedMutexGuard;
use tokio::time::sleep;

use super::fault::{Aim, Arena, Class, Excuses, Fault};
use crate::dice::Dice;
use crate::service::ServiceKind;

const CLUSTERS: &[ServiceKind] = &[ServiceKind::Etcd, ServiceKind::ZooKeeper];

/// How much later a change is seen that only a dead server has told its client of: another leader has to come first.
const ELECTION: Duration = Duration::from_secs(6);

/// Which server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Which {
    Any,
    Leader,
    /// One after the other, each when the one before serves again.
    Rolling,
    All,
}

/// What happens to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum How {
    Killed,
    Stopped,
}

/// One server, or all, killed or stopped.
#[derive(Debug)]
pub(super) struct Servers {
    which: Which,
    how: How,
    server: usize,
    reserved: Option<OwnedMutexGuard<()>>,
}

impl Servers {
    pub(super) fn new(how: How, which: Which) -> Self {
        Self { which, how, server: 0, reserved: None }
    }

    fn count(arena: &Arena) -> usize {
        arena.service.servers().endpoints().len()
    }
}

#[async_trait]
impl Fault for Servers {
    fn name(&self) -> &'static str {
        match (self.how, self.which) {
            (How::Killed, Which::Any) => "kill-server",
            (How::Killed, Which::Leader) => "kill-leader",
            (How::Killed, Which::Rolling) => "rolling-restart",
            (How::Killed, Which::All) => "restart-all",
            (How::Stopped, Which::Leader) => "pause-leader",
            (How::Stopped, _) => "pause-server",
        }
    }

    fn class(&self) -> Class {
        Class::Server
    }

    fn services(&self) -> &'static [ServiceKind] {
        match self.which {
            Which::Any | Which::All => &ServiceKind::ALL,
            Which::Leader | Which::Rolling => CLUSTERS,
        }
    }

    fn excuses(&self) -> Excuses {
        Excuses { tap_lag: ELECTION, recovery: ELECTION, ..Excuses::default() }
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        self.reserved = Some(arena.reserve_servers()?);
        self.server = match self.which {
            Which::Any => dice.below(Self::count(arena)),
            Which::Leader => match arena.service.servers().leader().await {
                Some(leader) => leader,
                None => {
                    self.reserved = None;
                    return None;
                }
            },
            Which::Rolling | Which::All => 0,
        };
        let target = match self.which {
            Which::Rolling | Which::All => "all servers".to_owned(),
            Which::Any | Which::Leader => format!("server {}", self.server),
        };
        // Past the election time-out, and sometimes past the TTL.
        let lasts = match self.how {
            How::Killed => dice.millis(200..=3000),
            How::Stopped => dice.millis(1500..=6000),
        };
        Some(Aim { target, lasts })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        match (self.how, self.which) {
            (How::Stopped, _) => arena.service.servers().pause(self.server),
            (How::Killed, Which::Any | Which::Leader) => arena.service.servers().kill(self.server).await,
            (How::Killed, Which::All) => {
                for server in 0..Self::count(arena) {
                    arena.service.servers().kill(server).await;
                }
            }
            (How::Killed, Which::Rolling) => {
                for server in 0..Self::count(arena) {
                    arena.service.servers().kill(server).await;
                    sleep(Duration::from_millis(200)).await;
                    arena.service.servers().respawn(server).await;
                    arena.service.servers().ready().await;
                }
            }
        }
    }

    async fn heal(&mut self, arena: &Arena) {
        match (self.how, self.which) {
            (How::Stopped, _) => arena.service.servers().resume(self.server),
            (How::Killed, Which::Any | Which::Leader) => arena.service.servers().respawn(self.server).await,
            (How::Killed, Which::All) => {
                for server in 0..Self::count(arena) {
                    arena.service.servers().respawn(server).await;
                }
            }
            (How::Killed, Which::Rolling) => {}
        }
        arena.service.servers().ready().await;
        self.reserved = None;
    }
}
