//! What an administrator does to the service's own keeping: etcd's history is compacted, ZooKeeper's directories go.

use std::time::Duration;

use async_trait::async_trait;

use super::fault::{Aim, Arena, Class, Fault};
use crate::dice::Dice;
use crate::service::ServiceKind;

/// etcd forgets its history up to now, while everybody watches.
#[derive(Debug, Default)]
pub(super) struct Compact;

#[async_trait]
impl Fault for Compact {
    fn name(&self) -> &'static str {
        "compact"
    }

    fn class(&self) -> Class {
        Class::Admin
    }

    fn services(&self) -> &'static [ServiceKind] {
        &[ServiceKind::Etcd]
    }

    async fn aim(&mut self, _arena: &Arena, _dice: &mut Dice) -> Option<Aim> {
        Some(Aim { target: "the history".into(), lasts: Duration::ZERO })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        // Where it fails, the servers are disturbed.
        let _ = arena.service.tidy().await;
    }
}

/// A queue's directory is deleted whenever it happens to be empty, as a container is reaped; with entries in it, they go too.
#[derive(Debug, Default)]
pub(super) struct DeleteQueue {
    lock: String,
}

#[async_trait]
impl Fault for DeleteQueue {
    fn name(&self) -> &'static str {
        "delete-queue"
    }

    fn class(&self) -> Class {
        Class::Admin
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let entries = arena.tap.entries();
        if entries.is_empty() {
            return None;
        }
        self.lock.clone_from(&dice.one_of(&entries).lock);
        Some(Aim { target: self.lock.clone(), lasts: Duration::ZERO })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        for entry in arena.tap.entries().iter().filter(|entry| entry.lock == self.lock) {
            arena.tap.force_entry(entry);
            let _ = arena.service.delete_entry(entry).await;
        }
        let _ = arena.service.delete_directory(&self.lock).await;
    }
}
