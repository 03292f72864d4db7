//! What somebody else takes away: sessions, and entries.

use std::time::Duration;

use async_trait::async_trait;

use super::fault::{Aim, Arena, Class, Fault};
use crate::dice::Dice;
use crate::tap::TappedEntry;

/// A session that an administrator ends: a lease that is revoked, a ZooKeeper session that a second connection closes.
#[derive(Debug, Default)]
pub(super) struct EndSession {
    session: String,
}

/// An entry that an administrator deletes.
#[derive(Debug, Default)]
pub(super) struct DeleteEntry {
    entry: Option<TappedEntry>,
}

fn any_entry(arena: &Arena, dice: &mut Dice) -> Option<TappedEntry> {
    let entries = arena.tap.entries();
    (!entries.is_empty()).then(|| dice.one_of(&entries).clone())
}

#[async_trait]
impl Fault for EndSession {
    fn name(&self) -> &'static str {
        "end-session"
    }

    fn class(&self) -> Class {
        Class::Admin
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        self.session = any_entry(arena, dice)?.session;
        Some(Aim { target: format!("session {}", self.session), lasts: Duration::ZERO })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        arena.tap.force_session(&self.session);
        // Where it fails, the servers are disturbed: then nothing was done, or it is done later.
        let _ = arena.service.end_session(&self.session).await;
    }
}

#[async_trait]
impl Fault for DeleteEntry {
    fn name(&self) -> &'static str {
        "delete-entry"
    }

    fn class(&self) -> Class {
        Class::Admin
    }

    async fn aim(&mut self, arena: &Arena, dice: &mut Dice) -> Option<Aim> {
        let entry = any_entry(arena, dice)?;
        let target = format!("{} {}", entry.lock, entry.entry);
        self.entry = Some(entry);
        Some(Aim { target, lasts: Duration::ZERO })
    }

    async fn inject(&mut self, arena: &Arena, _dice: &mut Dice) {
        if let Some(entry) = self.entry.take() {
            arena.tap.force_entry(&entry);
            let _ = arena.service.delete_entry(&entry).await;
        }
    }
}
