//! What a server says of itself that decides about safety.

use std::collections::HashMap;
use std::time::{Duration, SystemTime};

use leasehold_core::{BackendError, BackendErrorKind};

/// Scripts before it replicate themselves instead of their effects; and it is the oldest that is tested for.
const OLDEST: (u32, u32) = (6, 0);

/// What a server says of itself that decides what can be promised over it; see the crate's documentation.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct RedisReport {
    /// Where it is.
    pub endpoint: String,
    /// Its version, such as `7.0.15`.
    pub version: String,
    /// Whether it is a primary: a replica takes no writes.
    pub primary: bool,
    /// Whether it is a node of a cluster.
    pub cluster: bool,
    /// How many replicas are connected. What they take over in a failover lags behind.
    pub replicas: u32,
    /// Whether it keeps an append-only file. Without one, a crash loses the locks and the counters since the last
    /// snapshot.
    pub append_only: bool,
    /// When it syncs that file: `always`, `everysec` or `no`; `None` if it does not tell us. With anything but
    /// `always`, a crash of the machine loses what was answered last.
    pub append_fsync: Option<String>,
    /// Its `maxmemory` in bytes; 0 is no limit.
    pub max_memory: u64,
    /// Its `maxmemory-policy`.
    pub eviction_policy: String,
    /// Its wall clock when it answered, where it tells.
    pub time: Option<SystemTime>,
}

impl RedisReport {
    /// Whether a crash of the server loses nothing that it has answered.
    pub fn is_durable(&self) -> bool {
        self.append_only && self.append_fsync.as_deref() == Some("always")
    }

    /// Whether the server may evict our keys when it is short of memory. Those of sessions expire, so the policies
    /// that look for such keys hit them first.
    pub fn may_evict(&self) -> bool {
        self.max_memory > 0 && self.eviction_policy != "noeviction"
    }

    /// Reads the answer to `INFO`, and what `CONFIG GET appendfsync` told.
    pub(crate) fn read(endpoint: &str, info: &str, append_fsync: Option<String>) -> Option<Self> {
        let fields: HashMap<&str, &str> =
            info.lines().filter_map(|line| line.trim().split_once(':')).collect();
        let flag = |name| fields.get(name).copied() == Some("1");
        Some(Self {
            endpoint: endpoint.to_owned(),
            version: (*fields.get("redis_version")?).to_owned(),
            primary: *fields.get("role")? == "master",
            cluster: flag("cluster_enabled"),
            replicas: fields.get("connected_slaves").and_then(|count| count.parse().ok()).unwrap_or(0),
            append_only: flag("aof_enabled"),
            append_fsync,
            // Servers that do not tell have no limit to tell of, or a proxy hides it: then the policy counts.
            max_memory: fields.get("maxmemory").map_or(Some(u64::MAX), |bytes| bytes.parse().ok())?,
            eviction_policy: (*fields.get("maxmemory_policy").unwrap_or(&"unknown")).to_owned(),
            time: fields.get("server_time_usec").and_then(|micros| {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_micros(micros.parse().ok()?))
            }),
        })
    }

    /// Refuses a server over which sessions would break what is promised. `in_cluster` is what it was said to be.
    pub(crate) fn check(&self, in_cluster: bool, accept_eviction: bool) -> Result<(), BackendError> {
        let refuse =
            |kind, why: String| Err(BackendError::new(kind, format!("Redis at {} {why}", self.endpoint)));
        if !self.is_recent() {
            let why = format!("is of version {}; it takes {}.{} or later", self.version, OLDEST.0, OLDEST.1);
            return refuse(BackendErrorKind::Unsupported, why);
        }
        if self.cluster && !in_cluster {
            let why = "is a node of a cluster: RedisConfig::cluster and redis+cluster:// are for those";
            return refuse(BackendErrorKind::Unsupported, why.into());
        }
        if !self.primary {
            // It may be promoted, or the name lead to the primary later.
            return refuse(BackendErrorKind::Unavailable, "is a replica: READONLY".into());
        }
        if self.may_evict() && !accept_eviction {
            let why = format!(
                "may evict the keys of locks (maxmemory-policy {}); set it to noeviction, or accept that locks are given \
                 away with RedisConfig::accept_eviction or the option accept_eviction=true",
                self.eviction_policy
            );
            return refuse(BackendErrorKind::InvalidConfig, why);
        }
        Ok(())
    }

    fn is_recent(&self) -> bool {
        let mut numbers = self.version.split('.').map(|number| number.parse::<u32>().unwrap_or(0));
        (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)) >= OLDEST
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(changes: &[(&str, &str)]) -> RedisReport {
        let mut fields = HashMap::from([
            ("redis_version", "7.0.15"),
            ("role", "master"),
            ("connected_slaves", "2"),
            ("aof_enabled", "1"),
            ("maxmemory", "0"),
            ("maxmemory_policy", "allkeys-lru"),
            ("cluster_enabled", "0"),
        ]);
        fields.extend(changes.iter().copied());
        let lines: String = fields.iter().map(|(name, value)| format!("{name}:{value}\r\n")).collect();
        RedisReport::read("a:1", &format!("# Server\r\n{lines}"), Some("always".into())).unwrap()
    }

    #[test]
    fn what_is_refused_and_why() {
        let kind = |changes: &[(&str, &str)], accept| {
            report(changes).check(false, accept).err().map(|error| error.kind())
        };
        assert_eq!(kind(&[], false), None, "without a limit nothing is evicted");
        let limited = ("maxmemory", "1000");
        for policy in ["allkeys-lru", "volatile-ttl", "volatile-lfu", "something-new"] {
            let changes = [limited, ("maxmemory_policy", policy)];
            assert_eq!(kind(&changes, false), Some(BackendErrorKind::InvalidConfig), "{policy}");
            assert_eq!(kind(&changes, true), None, "{policy}");
        }
        assert_eq!(kind(&[limited, ("maxmemory_policy", "noeviction")], false), None);
        assert_eq!(kind(&[("role", "slave")], true), Some(BackendErrorKind::Unavailable));
        assert_eq!(kind(&[("cluster_enabled", "1")], true), Some(BackendErrorKind::Unsupported));
        assert_eq!(kind(&[("redis_version", "5.0.14")], true), Some(BackendErrorKind::Unsupported));
        assert_eq!(kind(&[("redis_version", "6.0.0")], false), None);
    }

    #[test]
    fn what_is_durable() {
        assert!(report(&[]).is_durable());
        assert!(!report(&[("aof_enabled", "0")]).is_durable());
        assert_eq!(report(&[]).replicas, 2);
        assert_eq!(RedisReport::read("a:1", "# Server\r\n", None), None);
    }
}
