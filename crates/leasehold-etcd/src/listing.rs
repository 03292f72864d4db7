//! Listings of ranges of keys.

use etcd_client::{GetOptions, KeyValue};
use leasehold_core::BackendError;

use crate::error::{Effect, corrupt};
use crate::keys;
use crate::link::Link;

/// How many keys are asked for at once.
const PAGE: i64 = 2_000;

/// The keys of a range as of one revision.
pub(crate) struct Listing {
    pub(crate) revision: i64,
    pub(crate) kvs: Vec<KeyValue>,
}

/// Lists what begins with `prefix`, which ends with a slash, at least as new as everything that any client was
/// answered before.
pub(crate) async fn list(link: &Link, what: &str, prefix: &str) -> Result<Listing, BackendError> {
    let end = keys::end_of(prefix);
    let mut kvs = Vec::new();
    let mut revision = 0;
    let mut from = prefix.as_bytes().to_vec();
    loop {
        let mut answer = link
            .call(what, Effect::Read, |clients| {
                let mut kv = clients.kv.clone();
                let options =
                    GetOptions::new().with_range(end.as_str()).with_limit(PAGE).with_revision(revision);
                let from = from.clone();
                async move { kv.get(from, Some(options)).await }
            })
            .await?;
        if revision == 0 {
            // The pages that follow show this revision.
            revision = answer.header().ok_or_else(|| corrupt(what))?.revision();
        }
        let more = answer.more();
        kvs.append(&mut answer.take_kvs());
        match kvs.last() {
            Some(last) if more => {
                from = last.key().to_vec();
                from.push(0);
            }
            _ => return Ok(Listing { revision, kvs }),
        }
    }
}
