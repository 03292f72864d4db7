//! What is fuzzed.

use std::fmt;

use leasehold_core::fuzzing as core;
use leasehold_etcd::fuzzing as etcd;
use leasehold_redis::fuzzing as redis;
use leasehold_zookeeper::fuzzing as zookeeper;

/// One decoder.
#[derive(Clone, Copy)]
pub struct Target {
    /// `<crate>/<what it reads>`.
    pub name: &'static str,
    /// Whether the decoder takes these bytes for ours; panics if it does and they are not.
    pub check: fn(&[u8]) -> bool,
    /// Inputs that it takes for ours, to begin with.
    pub corpus: &'static [&'static [u8]],
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target({})", self.name)
    }
}

const fn target(name: &'static str, check: fn(&[u8]) -> bool, corpus: &'static [&'static [u8]]) -> Target {
    Target { name, check, corpus }
}

/// All of them.
pub const TARGETS: &[Target] = &[
    target(
        "core/texts",
        core::texts,
        &[
            b"0123456789abcdef0123456789abcdef",
            b"p3of8g",
            b"00000000000000000000126700000000-00000000000000000000126800000000",
        ],
    ),
    target("core/segment", core::segment, &[b"a%2Fb", b"%2E.", b"na%C3%AFve", b"%F0%9F%94%92"]),
    target("core/fence", core::fence, &[&[0; 32]]),
    target(
        "core/ticket",
        core::ticket,
        &[b"leadership ticket 1\n0123456789abcdef0123456789abcdef\x00\x05a/b/csecret"],
    ),
    target(
        "core/entry-value",
        core::entry_value,
        &[
            b"host=a&pid=1&since=1234567&purpose=x%20y",
            b"host=a&later=1%26&pid=1&since=1&purpose=&flag&value=%FF&turn=2&asked=me&broken=b",
        ],
    ),
    target(
        "core/record",
        core::record,
        &[
            b"leasehold/1 7:00000000000000ff 0:0000000000000001\nvalue",
            b"leasehold/1 -:0000000000000005\n",
        ],
    ),
    target(
        "core/completions",
        core::completions,
        &[b"occurrence=2026%2D01%2D01&at=1767225600000&by=00000000000000070000000000000001&result=ok&later=x\n"],
    ),
    target("core/latch", core::latch, &[b"round=2&count=3&left=1"]),
    target(
        "core/double-barrier",
        core::double_barrier,
        &[
            b"round=0&phase=done&parties=",
            b"round=9&phase=open&parties=00000000000000070000000000000001,00000000000000070000000000000002",
        ],
    ),
    target("etcd/entry-key", etcd::entry_key, &[b"leasehold/locks/a/00000000000000070000000000000001"]),
    target("etcd/entry-value", etcd::entry_value, &[b"x\nhost=a", b"p1of2g\n\n\xff", b"s\n"]),
    target("etcd/listed-key", etcd::listed_key, &[b"leasehold/locks/a%2Fb/00000000000000070000000000000001"]),
    target("etcd/credentials", etcd::credentials, &[b"etcd:01234567secretsecretsecr"]),
    target(
        "redis/change",
        redis::change,
        &[
            b"+ 0000000000000012 00000000000000070000000000000001 0000000000000007 p1of2",
            b"- 0000000000000013 00000000000000070000000000000001",
        ],
    ),
    target("redis/number", redis::number, &[b"0000000000000012", b"18446744073709551615"]),
    target(
        "redis/rows",
        redis::rows,
        &[
            b"00000000000000070000000000000001\x000000000000000007\x000000000000000008\x00s",
            b"00000000000000070000000000000001\x000000000000000007\x000000000000000008\x00x\x00value",
        ],
    ),
    target(
        "redis/report",
        redis::report,
        &[b"# Server\r\nredis_version:7.0.15\r\nrole:master\r\nconnected_slaves:2\r\naof_enabled:1\r\nmaxmemory:0\r\n"],
    ),
    target("redis/credentials", redis::credentials, &[b"leasehold redis 1\x00idididididididididsecretsecretse"]),
    target(
        "zookeeper/node-name",
        zookeeper::node_name,
        &[
            b"00000000000000070000000000000001-x-0000000007",
            b"00000000000000070000000000000001-p1of2g-0000002a00000001--2147483648",
            b"_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-0000000007",
            b"_c_0f8fad5b-d9cb-469f-a165-70867728950e-__WRIT__0000000007",
            b"0f8fad5bd9cb469fa16570867728950e__rlock__-999999999",
        ],
    ),
    target(
        "zookeeper/directory",
        zookeeper::directory,
        &[
            b"00000000000000070000000000000001-x-0000000007\n00000000000000070000000000000002-s-0000000003",
            b"00000000000000070000000000000001-x-2147483647\n00000000000000070000000000000002-s--000000001",
            b"0f8fad5bd9cb469fa16570867728950e__lock__0000000007\n0f8fad5bd9cb469fa16570867728950e__lock__0000000008",
            b"_c_0f8fad5b-d9cb-469f-a165-70867728950e-latch-0000000007\nsettings",
        ],
    ),
    target(
        "zookeeper/hello",
        zookeeper::hello,
        &[b"\x2c................\0\0\0\0\0\0\0\x07\0\0\0\x10secretsecretsecr\0\xff\xff\xff\xfcauth"],
    ),
    target("zookeeper/credentials", zookeeper::credentials, &[b"zookeeper:01234567\0\0\x0f\xa0secretsecretsecr"]),
];
