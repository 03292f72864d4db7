//! Versioned registers: one key each.

use etcd_client::{Compare, CompareOp, GetOptions, TxnOp, TxnOpResponse};
use leasehold_core::{BackendError, KeyPath, RegisterWrite, RegisterWritten, Versioned};

use crate::error::{Effect, corrupt};
use crate::keys;
use crate::layout::Layout;
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
    let entry = |queue, attempt| Layout::of(&core.namespace, queue).entry(core.lease.id, attempt);
    let held = write.if_held.as_ref().map(|(queue, attempt)| entry(queue, *attempt));
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
