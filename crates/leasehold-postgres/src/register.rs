//! Versioned registers: rows with a version, a value and the write that made them.

use bytes::Bytes;
use leasehold_core::{BackendError, BackendErrorKind, KeyPath, RegisterWrite, RegisterWritten, Versioned};
use tokio::time::Instant;

use crate::error::{Effect, corrupt};
use crate::identity::fresh_text;
use crate::link::{self, Call, bytes, text};
use crate::records::{self, column, number};
use crate::session::{Core, check_value};

pub(crate) async fn read(core: &Core, register: &KeyPath) -> Result<Option<Versioned>, BackendError> {
    const WHAT: &str = "read of a register";
    let statement = "SELECT version, value FROM leasehold.registers WHERE path = $1";
    let path = register.as_str();
    let call = Call { what: WHAT, effect: Effect::Read, statement, args: &[text(&path)] };
    let rows = core.link.run(&call).await?;
    let Some(row) = rows.first() else { return Ok(None) };
    let value = Bytes::copy_from_slice(column::<&[u8]>(row, 1, WHAT)?);
    Ok(Some(Versioned { value, version: number(row, 0, WHAT)? }))
}

pub(crate) async fn write(
    core: &Core,
    register: &KeyPath,
    write: RegisterWrite,
) -> Result<RegisterWritten, BackendError> {
    const WHAT: &str = "write of a register";
    core.check_alive(WHAT)?;
    check_value(WHAT, &write.value)?;
    let statement = "SELECT outcome, written FROM leasehold.write($1, $2, $3, $4, $5, $6, $7, $8)";
    let (path, value, op) = (register.as_str(), write.value.as_ref(), fresh_text()?);
    let if_version = write.if_version.map(records::version);
    let held = write.if_held.map(|(queue, attempt)| (queue.as_str().to_owned(), attempt.to_string()));
    let (queue, attempt) = held.unzip();
    let [id, incarnation] = core.who();
    let args = &[
        id,
        incarnation,
        text(&path),
        bytes(&value),
        text(&op),
        link::int(&if_version),
        text(&queue),
        text(&attempt),
    ];
    let until = Instant::now() + core.link.request_timeout();
    let row = match core.run(&Call { what: WHAT, effect: Effect::Write, statement, args }).await {
        Err(error) if error.kind() == BackendErrorKind::Indeterminate => {
            // Not repeated; but it may show that it was applied.
            return match written_by(core, path, &op, until).await {
                Some(version) => Ok(RegisterWritten::Written { version }),
                None => Err(error),
            };
        }
        answered => answered?,
    };
    match column(&row, 0, WHAT)? {
        "written" => Ok(RegisterWritten::Written { version: number(&row, 1, WHAT)? }),
        "differs" => Ok(RegisterWritten::VersionDiffers),
        "not-held" => Ok(RegisterWritten::NotHeld),
        _ => Err(corrupt(WHAT)),
    }
}

/// The version that a write has made, if the register still shows it. `None` proves nothing.
async fn written_by(core: &Core, path: &str, op: &str, until: Instant) -> Option<u64> {
    const WHAT: &str = "look for a write of a register";
    let statement = "SELECT leasehold.written_by($1, $2)";
    let call = Call { what: WHAT, effect: Effect::Read, statement, args: &[text(&op), text(&path)] };
    let left = until.saturating_duration_since(Instant::now());
    let rows = core.link.run_within(left, &call).await.ok()?;
    column::<Option<i64>>(rows.first()?, 0, WHAT).ok()?.and_then(|version| u64::try_from(version).ok())
}
