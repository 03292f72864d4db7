//! Versioned registers.
//!
//! # Implementation
//!
//! A [`RegisterCopy`] holds the version that a watched register has; all waiters of the session share it. It is only for
//! waiting: a read asks the service. Its state is one `watch` channel, so that a waiter that is dropped leaves nothing behind.

use etcd_client::{Compare, CompareOp, Event, GetOptions, TxnOp, TxnOpResponse};
use leasehold_core::{BackendError, KeyPath, RegisterWrite, RegisterWritten, Versioned};
use tokio::sync::watch;

use crate::error::{Effect, corrupt, session_over};
use crate::followed::{Failure, Replica};
use crate::hub::KeyRange;
use crate::keys;
use crate::link::Link;
use crate::session::Core;

pub(crate) async fn read(link: &Link, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
    const WHAT: &str = "read of a register";
    let answer = link
        .call(WHAT, Effect::Read, |clients| {
            let mut kv = clients.kv.clone();
            async move { kv.get(register.as_str(), None).await }
        })
        .await?;
    let Some(kv) = answer.kvs().first() else { return Ok(None) };
    let version = keys::revision(kv.mod_revision()).ok_or_else(|| corrupt(WHAT))?;
    Ok(Some(Versioned { value: kv.value().to_vec().into(), version }))
}

pub(crate) async fn write(
    core: &Core,
    register: &KeyPath,
    write: RegisterWrite,
) -> Result<RegisterWritten, BackendError> {
    const WHAT: &str = "write of a register";
    keys::check_value(WHAT, &write.value)?;
    let key = register.as_str();
    let held = write.if_held.as_ref().map(|(queue, attempt)| keys::entry(queue, *attempt));
    let mut conditions = Vec::new();
    match write.if_version {
        None => {}
        Some(0) => conditions.push(Compare::create_revision(key, CompareOp::Equal, 0)),
        // A version beyond etcd's numbers is no register's; that of an absent one is zero, and so is no other's.
        Some(version) => {
            let version = i64::try_from(version).unwrap_or(-1);
            conditions.push(Compare::mod_revision(key, CompareOp::Equal, version));
        }
    }
    if let Some(entry) = &held {
        conditions.push(Compare::create_revision(entry.as_str(), CompareOp::Greater, 0));
    }
    let keys_only = || Some(GetOptions::new().with_keys_only());
    let then = vec![TxnOp::put(key, write.value, None)];
    let otherwise = held.iter().map(|entry| TxnOp::get(entry.as_str(), keys_only())).collect();
    let answer = core.txn(WHAT, conditions, then, otherwise).await?;
    if answer.succeeded() {
        let version = answer.header().and_then(|header| keys::revision(header.revision()));
        return Ok(RegisterWritten::Written { version: version.ok_or_else(|| corrupt(WHAT))? });
    }
    match answer.op_responses().first() {
        Some(TxnOpResponse::Get(entry)) if held.is_some() && entry.kvs().is_empty() => {
            Ok(RegisterWritten::NotHeld)
        }
        _ => Ok(RegisterWritten::VersionDiffers),
    }
}

#[derive(Debug, Clone)]
enum State {
    Opening,
    /// The version, and events up to which revision are part of it.
    Known {
        version: u64,
        loaded: u64,
    },
    Failed(Failure),
}

/// What is known of one register.
pub(crate) struct RegisterCopy {
    key: String,
    state: watch::Sender<State>,
}

impl RegisterCopy {
    pub(crate) fn new(key: &str) -> Self {
        Self { key: key.to_owned(), state: watch::Sender::new(State::Opening) }
    }

    /// Resolves once the version is another one than `seen`, with that.
    pub(crate) async fn changed(&self, seen: u64) -> Result<u64, BackendError> {
        let mut states = self.state.subscribe();
        let state = states
            .wait_for(|state| match state {
                State::Opening => false,
                // The copy may be older than what was seen: versions rise, or the register is gone.
                State::Known { version, loaded } => {
                    *version != seen && (*version > seen || *version == 0 && *loaded >= seen)
                }
                State::Failed(_) => true,
            })
            .await;
        match state.as_deref() {
            Ok(State::Failed(failure)) => Err(failure.error()),
            Ok(State::Known { version, .. }) => Ok(*version),
            // It was not waited for; and the sender is in `self`.
            Ok(State::Opening) | Err(_) => Err(session_over("watch of a register")),
        }
    }
}

impl Replica for RegisterCopy {
    fn range(&self) -> KeyRange {
        KeyRange { from: self.key.clone(), to: None }
    }

    fn begin(&self) {
        self.state.send_replace(State::Opening);
    }

    async fn load(&self, link: &Link) -> Result<(), BackendError> {
        const WHAT: &str = "read of a register";
        let answer = link
            .call(WHAT, Effect::Read, |clients| {
                let mut kv = clients.kv.clone();
                let key = self.key.as_str();
                async move { kv.get(key, Some(GetOptions::new().with_keys_only())).await }
            })
            .await?;
        let loaded = answer.header().and_then(|header| keys::revision(header.revision()));
        let loaded = loaded.ok_or_else(|| corrupt(WHAT))?;
        let version = answer.kvs().first().and_then(|kv| keys::revision(kv.mod_revision())).unwrap_or(0);
        self.state.send_replace(State::Known { version, loaded });
        Ok(())
    }

    fn apply(&self, events: &[Event]) {
        self.state.send_if_modified(|state| {
            let State::Known { version, loaded } = state else { return false };
            let before = *version;
            for kv in events.iter().filter_map(Event::kv) {
                let Some(revision) = keys::revision(kv.mod_revision()).filter(|r| *r > *loaded) else {
                    continue;
                };
                // A removal shows the key alone.
                *version = if kv.version() > 0 { revision } else { 0 };
                *loaded = revision;
            }
            *version != before
        });
    }

    fn fail(&self, error: &BackendError) {
        self.state.send_replace(State::Failed(error.into()));
    }
}
