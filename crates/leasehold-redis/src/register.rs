//! Versioned registers: hashes with a version and a value.
//!
//! # Implementation
//!
//! A [`RegisterCopy`] holds the version that a followed register has; all waiters of the session share it. It is only
//! for waiting: a read asks the service. Its state is one `watch` channel, so that a waiter that is dropped leaves
//! nothing behind.

use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, KeyPath, RegisterWrite, RegisterWritten, Versioned};
use tokio::sync::watch;

use crate::error::{Effect, corrupt, session_over};
use crate::followed::{Failure, Replica};
use crate::keys::{self, Place};
use crate::link::Call;
use crate::records;
use crate::scripts;
use crate::session::Core;

pub(crate) async fn read(core: &Core, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
    const WHAT: &str = "read of a register";
    let key = core.keyspace.register(&core.keyspace.place(register));
    let fields = core.link.fields(WHAT, &key, &["version", "value"]).await?;
    let [version, value] = <[_; 2]>::try_from(fields).map_err(|_| corrupt(WHAT))?;
    match (version, value) {
        (Some(version), Some(value)) => {
            let version = records::number(&version).ok_or_else(|| not_ours(WHAT, &key))?;
            Ok(Some(Versioned { value: value.into(), version }))
        }
        (None, None) => Ok(None),
        _ => Err(not_ours(WHAT, &key)),
    }
}

fn not_ours(what: &str, key: &str) -> BackendError {
    let message = format!("{what}: {key} is no register of our making");
    BackendError::new(BackendErrorKind::Corrupt, message)
}

pub(crate) async fn write(
    core: &Core,
    register: &KeyPath,
    write: RegisterWrite,
) -> Result<RegisterWritten, BackendError> {
    const WHAT: &str = "write of a register";
    keys::check_value(WHAT, &write.value)?;
    let keyspace = &core.keyspace;
    let place = keyspace.place(register);
    let key = keyspace.register(&place);
    let mut keys = keyspace.shard(place.shard);
    keys.push(&key);
    let held = write.if_held.map(|(queue, attempt)| (keyspace.place(&queue), attempt.to_string()));
    let (queue, attempt) = match &held {
        Some((queue, attempt)) => {
            keys.push(keyspace.entries(queue.shard));
            (queue.name.as_bytes(), attempt.as_bytes())
        }
        None => (&b""[..], &b""[..]),
    };
    let if_version = write.if_version.map(records::version).unwrap_or_default();
    let args = core.args(&[place.name.as_bytes(), &write.value, if_version.as_bytes(), queue, attempt]);
    let call = Call { what: WHAT, effect: Effect::Write, script: &scripts::WRITE, keys: &keys, args: &args };
    let reply = core.run(&call).await?;
    match reply.first().map(Vec::as_slice) {
        Some(b"written") => {
            let version = reply.get(1).and_then(|version| records::number(version));
            Ok(RegisterWritten::Written { version: version.ok_or_else(|| corrupt(WHAT))? })
        }
        Some(b"differs") => Ok(RegisterWritten::VersionDiffers),
        Some(b"not-held") => Ok(RegisterWritten::NotHeld),
        _ => Err(corrupt(WHAT)),
    }
}

#[derive(Debug, Clone)]
enum State {
    Opening,
    /// The version, and changes up to which number are part of it.
    Known {
        version: u64,
        loaded: u64,
    },
    Failed(Failure),
}

/// What is known of one register.
pub(crate) struct RegisterCopy {
    place: Place,
    key: String,
    channel: String,
    state: watch::Sender<State>,
}

impl RegisterCopy {
    pub(crate) fn new(place: Place, key: String, channel: String) -> Self {
        Self { place, key, channel, state: watch::Sender::new(State::Opening) }
    }

    /// Resolves once the version is another one than `seen`.
    pub(crate) async fn changed(&self, seen: u64) -> Result<(), BackendError> {
        // Without it, whoever looks in a loop at what is there already would keep the channel from being read.
        tokio::task::coop::consume_budget().await;
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
            Ok(_) => Ok(()),
            Err(_) => Err(session_over("wait for a register")),
        }
    }

    /// Looks at what is there now, for changes that nobody publishes.
    pub(crate) async fn look(&self, core: &Core) -> Result<(), BackendError> {
        let (loaded, version) = self.ask(core).await?;
        self.state.send_if_modified(|state| match state {
            State::Known { version: known, loaded: until } if loaded >= *until => {
                let differs = *known != version;
                (*known, *until) = (version, loaded);
                differs
            }
            _ => false,
        });
        Ok(())
    }

    async fn ask(&self, core: &Core) -> Result<(u64, u64), BackendError> {
        const WHAT: &str = "wait for a register";
        let mut keys = core.keyspace.shard(self.place.shard);
        keys.push(&self.key);
        let (script, args) = (&scripts::VERSION, core.args(&[]));
        let reply = core
            .link
            .run(&Call { what: WHAT, effect: Effect::Read, script, keys: &keys, args: &args })
            .await?;
        match reply.as_slice() {
            [loaded, version] => {
                records::number(loaded).zip(records::number(version)).ok_or_else(|| corrupt(WHAT))
            }
            _ => Err(corrupt(WHAT)),
        }
    }
}

impl Replica for RegisterCopy {
    fn channel(&self) -> String {
        self.channel.clone()
    }

    fn begin(&self) {
        self.state.send_replace(State::Opening);
    }

    async fn load(&self, core: &Core) -> Result<Option<Duration>, BackendError> {
        let (loaded, version) = self.ask(core).await?;
        self.state.send_replace(State::Known { version, loaded });
        Ok(None)
    }

    fn apply(&self, message: &[u8]) {
        let Some(written) = records::number(message) else { return };
        self.state.send_if_modified(|state| match state {
            State::Known { version, loaded } if written > *loaded => {
                (*version, *loaded) = (written, written);
                true
            }
            _ => false,
        });
    }

    fn fail(&self, error: &BackendError) {
        self.state.send_replace(State::Failed(error.into()));
    }
}
