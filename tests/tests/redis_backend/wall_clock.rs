//! A server whose wall clock is set while it runs, and nobody else's.
//!
//! `wall_clock.c` is loaded into the server before its own libraries. (What is packaged for this, libfaketime, asks for
//! the time before it is ready when Redis's allocator starts, and Redis does not start then.)

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use leasehold_testkit::servers::{RedisServer, ServerOptions};
use tempfile::TempDir;

pub(crate) struct WallClock {
    dir: TempDir,
}

/// Which way a clock is set.
#[derive(Clone, Copy)]
pub(crate) enum Set {
    Forward(Duration),
    Back(Duration),
    Right,
}

impl WallClock {
    /// A server by this clock, which is right at first.
    pub(crate) async fn with_server() -> (Self, RedisServer) {
        let clock = Self { dir: tempfile::tempdir().unwrap() };
        fs::write(clock.offset(), 0_i64.to_ne_bytes()).unwrap();
        let library = clock.dir.path().join("wall_clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/redis_backend/wall_clock.c");
        let flags = ["-shared", "-fPIC", "-O1", "-Wall", "-Werror", "-o"];
        let compiled = Command::new("cc").args(flags).arg(&library).arg(source).status();
        let compiled = compiled.expect("cc, of the package gcc, is there");
        assert!(compiled.success());
        let options =
            ServerOptions::default().env("LD_PRELOAD", library).env("WALL_CLOCK_OFFSET", clock.offset());
        let server = RedisServer::start(options).await;
        // The check checked: the server goes by this clock.
        let before = time_of(&server).await;
        clock.set(Set::Forward(Duration::from_secs(1_000)));
        assert!(time_of(&server).await >= before + Duration::from_secs(1_000));
        clock.set(Set::Right);
        (clock, server)
    }

    /// Sets it, compared with the right time.
    pub(crate) fn set(&self, to: Set) {
        let micros = |by: Duration| i64::try_from(by.as_micros()).unwrap();
        let offset = match to {
            Set::Forward(by) => micros(by),
            Set::Back(by) => -micros(by),
            Set::Right => 0,
        };
        // In place: the server has the file mapped.
        let mut file = OpenOptions::new().write(true).open(self.offset()).unwrap();
        file.write_all(&offset.to_ne_bytes()).unwrap();
    }

    fn offset(&self) -> PathBuf {
        self.dir.path().join("offset")
    }
}

/// What time a server takes it to be.
async fn time_of(server: &RedisServer) -> Duration {
    let time = server.command(&["TIME"]).await.texts();
    let [seconds, micros] = time.as_slice() else { panic!("{time:?}") };
    Duration::from_secs(seconds.parse().unwrap()) + Duration::from_micros(micros.parse().unwrap())
}
