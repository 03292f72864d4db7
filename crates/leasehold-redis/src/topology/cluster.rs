//! The primary of a slot of a cluster.
//!
//! # Implementation
//!
//! A node that does not serve our slot says who does (`MOVED`); that word is taken for the next connection, and only for
//! one, so that a node that lags behind cannot lead us astray for longer. Else the configured nodes are asked for the
//! slots, and beside them those that were learned, so that a cluster whose nodes were all replaced since is still found.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind};
use redis::Value;

use super::survey::survey;
use super::unavailable;
use crate::dial::Dialer;
use crate::endpoint;
use crate::error::corrupt;

const SLOTS: u16 = 16_384;

/// How many nodes are kept beside the configured ones.
const MOST_LEARNED: usize = 8;

pub(crate) struct Cluster {
    configured: Vec<String>,
    slot: u16,
    learned: Mutex<Learned>,
}

#[derive(Default)]
struct Learned {
    /// Who serves the slot, by the word of a node that does not.
    hint: Option<String>,
    nodes: BTreeSet<String>,
}

/// The slots of one primary.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Range {
    from: u16,
    to: u16,
    primary: String,
}

impl Cluster {
    pub(super) fn new(nodes: &[String], hash_tag: &str) -> Self {
        Self { configured: nodes.to_vec(), slot: slot_of(hash_tag), learned: Mutex::default() }
    }

    pub(super) async fn primary(
        &self,
        dialer: &Dialer,
        what: &str,
        limit: Duration,
    ) -> Result<String, BackendError> {
        if let Some(hint) = self.learned().hint.take() {
            return Ok(hint);
        }
        let ranges = self.slots(dialer, what, limit).await?;
        let found = ranges.into_iter().find(|range| (range.from..=range.to).contains(&self.slot));
        found.map(|range| range.primary).ok_or_else(|| {
            unavailable(format!("{what}: no node of Redis's cluster serves slot {}: CLUSTERDOWN", self.slot))
        })
    }

    /// All primaries that have slots.
    pub(super) async fn primaries(
        &self,
        dialer: &Dialer,
        what: &str,
        limit: Duration,
    ) -> Result<Vec<String>, BackendError> {
        let ranges = self.slots(dialer, what, limit).await?;
        let primaries: BTreeSet<String> = ranges.into_iter().map(|range| range.primary).collect();
        Ok(primaries.into_iter().collect())
    }

    async fn slots(&self, dialer: &Dialer, what: &str, limit: Duration) -> Result<Vec<Range>, BackendError> {
        let mut nodes = self.learned().nodes.clone();
        nodes.extend(self.configured.iter().cloned());
        let ranges = survey(nodes.iter().map(|node| ask(dialer, what, node)), limit).await?;
        let primaries = ranges.iter().map(|range| range.primary.clone());
        self.learned().nodes = primaries.take(MOST_LEARNED).collect();
        Ok(ranges)
    }

    /// `refusal` is `MOVED <slot> <endpoint>`, whose host may be left out: then it is the one of who says so.
    pub(super) fn moved(&self, told_by: &str, refusal: &str) {
        let told = refusal.split(' ').next_back().and_then(|told| told.rsplit_once(':'));
        let Some((host, Ok(port))) = told.map(|(host, port)| (host, port.parse())) else { return };
        let host = if host.is_empty() { endpoint::host(told_by) } else { host };
        self.learned().hint = Some(endpoint::join(host, port));
    }

    fn learned(&self) -> MutexGuard<'_, Learned> {
        self.learned.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn ask(dialer: &Dialer, what: &str, node: &str) -> Result<Vec<Range>, BackendError> {
    let mut question = redis::cmd("CLUSTER");
    question.arg("SLOTS");
    let answer = dialer.ask(dialer.config().credentials(), what, node, &question).await;
    let answer = answer.map_err(|error| {
        if !error.to_string().contains("cluster support disabled") {
            return error;
        }
        let message = format!("{what}: Redis at {node} is no node of a cluster");
        BackendError::new(BackendErrorKind::InvalidConfig, message).with_source(error)
    })?;
    let mut ranges = read(node, answer).ok_or_else(|| corrupt(what))?;
    ranges.sort_unstable_by_key(|range| range.from);
    Ok(ranges)
}

/// Reads `[[from, to, [host, port, …], replica…]…]`. A host that is empty or absent is the one that was asked.
fn read(asked: &str, answer: Value) -> Option<Vec<Range>> {
    let ranges: Vec<Vec<Value>> = redis::from_redis_value(answer).ok()?;
    let range = |range: &Vec<Value>| {
        let [from, to, Value::Array(primary), ..] = range.as_slice() else { return None };
        let [host, port, ..] = primary.as_slice() else { return None };
        let host: Option<String> = redis::from_redis_value_ref(host).ok()?;
        let host = host.filter(|host| !host.is_empty() && host != "?");
        let host = host.as_deref().unwrap_or_else(|| endpoint::host(asked));
        let primary = endpoint::join(host, redis::from_redis_value_ref(port).ok()?);
        let [from, to] = [redis::from_redis_value_ref(from).ok()?, redis::from_redis_value_ref(to).ok()?];
        Some(Range { from, to, primary })
    };
    ranges.iter().map(range).collect()
}

/// The slot of keys with this hash tag: CRC-16/XMODEM, modulo the number of slots.
fn slot_of(hash_tag: &str) -> u16 {
    let crc =
        hash_tag.bytes().fold(0, |crc, byte| {
            (0..8).fold(crc ^ u16::from(byte) << 8, |crc, _| {
                if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 }
            })
        });
    crc % SLOTS
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::RedisConfig;

    #[test]
    fn slots_are_those_that_redis_computes() {
        // The first is the check value of CRC-16/XMODEM; the others are answers to CLUSTER KEYSLOT.
        assert_eq!(slot_of("123456789"), 0x31C3);
        assert_eq!(slot_of("foo"), 12_182);
        assert_eq!(slot_of("leasehold"), 15_249);
    }

    fn text(text: &str) -> Value {
        Value::BulkString(text.as_bytes().to_vec())
    }

    fn told(from: i64, to: i64, host: Value, port: i64) -> Value {
        let node = Value::Array(vec![host, Value::Int(port), text("id"), Value::Array(vec![])]);
        Value::Array(vec![Value::Int(from), Value::Int(to), node.clone(), node])
    }

    #[test]
    fn slots_are_read_whatever_form_the_hosts_have() {
        let answer = Value::Array(vec![
            told(0, 100, text("10.0.0.1"), 1),
            told(101, 200, text("::1"), 2),
            told(201, 300, Value::Nil, 3),
            told(301, 16_383, text(""), 4),
        ]);
        let primaries: Vec<String> =
            read("[fe80::1]:9", answer).unwrap().into_iter().map(|range| range.primary).collect();
        assert_eq!(primaries, ["10.0.0.1:1", "[::1]:2", "[fe80::1]:3", "[fe80::1]:4"]);
        assert_eq!(read("a:1", Value::Array(vec![Value::Array(vec![Value::Int(1)])])), None);
        assert_eq!(read("a:1", text("x")), None);
    }

    #[tokio::test]
    async fn the_word_of_a_node_counts_once() {
        let nodes = ["127.0.0.1:1".to_owned()];
        let dialer = Dialer::new(RedisConfig::cluster(nodes.clone())).unwrap();
        let cluster = Cluster::new(&nodes, "leasehold");
        for (refusal, hint) in
            [("MOVED 1 b:2", "b:2"), ("MOVED 1 :3", "a:3"), ("MOVED 1 fe80::1:4", "[fe80::1]:4")]
        {
            cluster.moved("a:1", refusal);
            let limit = Duration::from_secs(5);
            assert_eq!(cluster.primary(&dialer, "test", limit).await.unwrap(), hint);
            let error = cluster.primary(&dialer, "test", limit).await.unwrap_err();
            assert_eq!(error.kind(), BackendErrorKind::Unavailable, "nobody listens there");
        }
        cluster.moved("a:1", "MOVED");
        assert_eq!(cluster.learned().hint, None);
    }
}
