//! Versioned registers: hashes with a version and a value.

use leasehold_core::{BackendError, BackendErrorKind, KeyPath, RegisterWrite, RegisterWritten, Versioned};

use crate::error::{Effect, corrupt};
use crate::keys;
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
