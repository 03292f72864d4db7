//! A server's disk that is slow, fails or is full.
//!
//! A server that cannot write ends; it is started again over what it has when its disk is well again.

use std::time::Duration;

use async_trait::async_trait;
use leasehold_testkit::servers::{ServerOptions, Storage, SyncFault, fill_disk, free_disk};
use tokio::sync::OwnedMutexGuard;

use super::fault::{Aim, Arena, Class, Excuses, Fault};
use crate::dice::Dice;

/// A server that ends, starts, and catches up; and for as long nobody may lead.
const RECOVERY: Duration = Duration::from_secs(10);

/// What every service starts on: etcd preallocates two segments of 64 MB.
const SMALL: Storage = Storage::Small(200);

const STRACE: &[(&str, &str)] = &[("strace", "strace")];

/// The leader, or now and then another one.
async fn target(arena: &Arena, dice: &mut Dice) -> Option<(usize, OwnedMutexGuard<()>)> {
    let reserved = arena.reserve_servers()?;
    let servers = arena.service.servers().endpoints().len();
    let leader = arena.service.servers().leader().await?;
    let step = if dice.percent(70) { 0 } else { dice.below(servers) };
    Some(((leader + step) % servers, reserved))
}

/// Starts a server again if it has ended, and waits for it: the next fault may take another one out. What keeps it from starting, now or the next time, is taken
/// away as its operator would, when the others have all that it has.
async fn mend(arena: &Arena, server: usize) {
    let servers = arena.service.servers();
    if is_running(arena, server) {
        servers.ready().await;
        if arena.service.is_spoilt(server) {
            servers.kill(server).await;
        }
    }
    if !is_running(arena, server) {
        if arena.service.is_spoilt(server) {
            arena.service.wipe(server);
        }
        servers.respawn(server).await;
    }
    servers.ready().await;
}

fn is_running(arena: &Arena, server: usize) -> bool {
    arena.service.servers().pid(server).is_some_and(leasehold_testkit::process::runs)
}

/// Each sync takes longer, up to a TTL.
#[derive(Debug, Default)]
pub(super) struct SlowFsync {
    target: Option<(usize, OwnedMutexGuard<()>)>,
    by: Duration,
    fault: Option<SyncFault>,
}

#[async_trait]
impl Fault for SlowFsync {
    fn name(&self) -> &'static str {
        "slow-fsync"
    }

    fn class(&self) -> Class {
        Class::Server
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        STRACE
    }

    fn excuses(&self) -> Excuses {
        Excuses { recovery: RECOVERY, tap_lag: RECOVERY, ..Excuses::default() }
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let (server, reserved) = target(arena, dice).await?;
        self.target = Some((server, reserved));
        let ttl = u64::try_from(arena.ttl.as_millis()).unwrap_or(u64::MAX);
        self.by = dice.millis(20..=ttl);
        Some(Aim { target: format!("server {server} by {:?}", self.by), lasts: dice.millis(1_000..=8_000) })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        let Some((server, _)) = &self.target else { return };
        if let Some(pid) = arena.service.servers().pid(*server) {
            self.fault = Some(SyncFault::slow(pid, self.by).await);
        }
    }

    async fn heal(&mut self, arena: &Arena) {
        self.fault = None;
        if let Some((server, _reserved)) = self.target.take() {
            mend(arena, server).await;
        }
    }
}

/// Each sync fails until the server ends.
#[derive(Debug, Default)]
pub(super) struct Eio {
    target: Option<(usize, OwnedMutexGuard<()>)>,
    fault: Option<SyncFault>,
}

#[async_trait]
impl Fault for Eio {
    fn name(&self) -> &'static str {
        "eio"
    }

    fn class(&self) -> Class {
        Class::Server
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        STRACE
    }

    fn excuses(&self) -> Excuses {
        Excuses { tap_lag: RECOVERY, recovery: RECOVERY, ..Excuses::default() }
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let (server, reserved) = target(arena, dice).await?;
        self.target = Some((server, reserved));
        Some(Aim { target: format!("server {server}"), lasts: dice.millis(500..=4_000) })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        let Some((server, _)) = &self.target else { return };
        if let Some(pid) = arena.service.servers().pid(*server) {
            self.fault = Some(SyncFault::failing(pid).await);
        }
    }

    async fn heal(&mut self, arena: &Arena) {
        self.fault = None;
        if let Some((server, _reserved)) = self.target.take() {
            mend(arena, server).await;
        }
    }
}

/// No room is left until the server ends, or for a while.
#[derive(Debug, Default)]
pub(super) struct DiskFull {
    target: Option<(usize, OwnedMutexGuard<()>)>,
}

#[async_trait]
impl Fault for DiskFull {
    fn name(&self) -> &'static str {
        "disk-full"
    }

    fn class(&self) -> Class {
        Class::Server
    }

    fn needs(&self) -> &'static [(&'static str, &'static str)] {
        &[("mount", "mount")]
    }

    fn prepare(&self, options: ServerOptions) -> ServerOptions {
        options.storage(SMALL)
    }

    fn excuses(&self) -> Excuses {
        Excuses { tap_lag: RECOVERY, recovery: RECOVERY, ..Excuses::default() }
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let (server, reserved) = target(arena, dice).await?;
        self.target = Some((server, reserved));
        Some(Aim { target: format!("server {server}"), lasts: dice.millis(1_000..=6_000) })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        if let Some((server, _)) = &self.target {
            fill_disk(&arena.service.servers().dir(*server));
        }
    }

    async fn heal(&mut self, arena: &Arena) {
        if let Some((server, _reserved)) = self.target.take() {
            free_disk(&arena.service.servers().dir(server));
            mend(arena, server).await;
        }
    }
}
