//! The scripts: every operation is one of them, so that it is one round trip and one atomic step of the server.
//!
//! They read before they write, and the first thing that they write is refused whole if the server refuses writes: so
//! an error of a script means that nothing has changed. Keys that they derive (those of sessions) have the hash tag
//! of the keys that they are given.

use std::sync::LazyLock;

use redis::Script;

macro_rules! scripts {
    ($($(#[$doc:meta])* $name:ident = $file:literal;)*) => {$(
        $(#[$doc])*
        pub(crate) static $name: LazyLock<Script> = LazyLock::new(|| {
            Script::new(concat!(include_str!("scripts/prelude.lua"), include_str!(concat!("scripts/", $file, ".lua"))))
        });
    )*};
}

scripts! {
    OPEN = "open";
    RENEW = "renew";
    RESUME = "resume";
    CLOSE = "close";
    ENQUEUE = "enqueue";
    WITHDRAW = "withdraw";
    AGAIN = "again";
    PUBLISH = "publish";
    LOAD = "load";
    NEAR = "near";
    ENTRY = "entry";
    ENTRIES = "entries";
    CHECK = "check";
    QUEUES = "queues";
    WRITE = "write";
    VERSION = "version";
}
