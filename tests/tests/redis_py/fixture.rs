//! A server, and programs of both languages that use it.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use leasehold_redis::{RedisConfig, SharedKeyLock, SharedKeys};
use leasehold_testkit::interop::{self, Meets};
use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::{RedisServer, ServerOptions};
use tokio::process::Command;

pub(crate) const TTL: Duration = Duration::from_secs(2);

pub(crate) async fn server() -> RedisServer {
    RedisServer::start(ServerOptions::default()).await
}

pub(crate) async fn keys(endpoint: &str) -> SharedKeys {
    let builder = SharedKeys::builder(RedisConfig::new(endpoint)).request_timeout(Duration::from_secs(2));
    builder.connect().await.unwrap()
}

pub(crate) async fn lock(endpoint: &str) -> SharedKeyLock {
    keys(endpoint).await.lock(KEY).ttl(TTL)
}

/// Of a form that a key of ours never has.
pub(crate) const KEY: &str = "reports:nightly";

/// At the head of a test that shares the key's lock with redis-py.
pub(crate) fn meets() -> Meets {
    let requirements = include_str!("../../../ci/python-requirements.txt");
    let version = requirements.lines().find_map(|line| line.strip_prefix("redis=="));
    interop::meets("redis-py", version.expect("the requirements name it"), "lock on one key")
}

/// A program in Python, that is connected.
pub(crate) async fn python(server: &RedisServer, database: u32) -> Worker {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let made = Command::new(here.join("../ci/python-venv.sh")).stderr(Stdio::inherit()).output();
    let made = made.await.expect("ci/python-venv.sh is there");
    assert!(made.status.success(), "ci/python-venv.sh says why");
    let interpreter = String::from_utf8(made.stdout).unwrap();
    let endpoint = server.endpoint();
    let (_, port) = endpoint.rsplit_once(':').unwrap();
    let program = here.join("tests/redis_py/worker.py");
    let arguments = [program.to_str().unwrap(), port, &database.to_string()].map(str::to_owned);
    let mut worker = Worker::start(interpreter.trim(), arguments);
    worker.expect("ready").await;
    worker
}

/// What the program in Python answers.
pub(crate) async fn told(python: &mut Worker, line: &str) -> String {
    python.send(line).await;
    python.line().await.expect("it has ended")
}

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it never came")
}

/// What the key holds; nothing if it is not there.
pub(crate) async fn token(server: &RedisServer) -> String {
    server.command(&["GET", KEY]).await.text()
}

/// In how many milliseconds the key expires.
pub(crate) async fn left(server: &RedisServer) -> i64 {
    server.command(&["PTTL", KEY]).await.text().parse().unwrap()
}

/// Waits until the key is not there, as somebody who has removed it in the background brings about.
pub(crate) async fn until_free(server: &RedisServer) {
    soon(async {
        while !token(server).await.is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}
