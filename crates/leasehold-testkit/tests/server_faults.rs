//! Servers on slow, failing and full disks, and by a clock that is set.

#![cfg(target_os = "linux")]

use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use leasehold_testkit::servers::{
    EtcdServer, RedisServer, Server, ServerOptions, Service, Set, StartError, Storage, WallClock,
    ZooKeeperServer,
};

/// base64 of `key` and `value`.
const PUT: &str = r#"{"key":"a2V5","value":"dmFsdWU="}"#;

const DELAY: Duration = Duration::from_millis(300);

async fn time_of_a_put(etcd: &EtcdServer) -> Duration {
    let began = Instant::now();
    etcd.gateway("/v3/kv/put", PUT).await;
    began.elapsed()
}

async fn until_it_has_ended<S: Service>(server: &Server<S>) {
    let began = Instant::now();
    while server.is_running() {
        assert!(began.elapsed() < Duration::from_secs(30), "{}", server.log());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn syncs_are_slow_until_the_fault_is_dropped() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    let pid = etcd.pid();
    assert!(time_of_a_put(&etcd).await < DELAY);
    let fault = etcd.slow_syncs(DELAY).await;
    assert!(time_of_a_put(&etcd).await >= DELAY);
    drop(fault);
    // What was slow is over when it is.
    time_of_a_put(&etcd).await;
    assert!(time_of_a_put(&etcd).await < DELAY);
    assert_eq!(etcd.pid(), pid, "the same process");
}

#[tokio::test]
async fn what_was_tampered_with_is_counted() {
    let redis = RedisServer::start(ServerOptions::default()).await;
    let fault = redis.slow_syncs(Duration::from_millis(10)).await;
    assert_eq!(fault.hits(), 0);
    for _ in 0..5 {
        redis.command(&["INCR", "a"]).await;
    }
    assert_eq!(fault.hits(), 5);
}

/// A server that cannot sync ends rather than serve what it might forget; over the same data it has what it acknowledged.
#[tokio::test]
async fn etcd_whose_sync_fails_ends_and_comes_back() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    etcd.gateway("/v3/kv/put", PUT).await;
    let fault = etcd.failing_syncs().await;
    let put = tokio::time::timeout(Duration::from_secs(5), put_or_not(etcd.endpoint())).await;
    assert!(matches!(put, Ok(false) | Err(_)), "it is not acknowledged");
    until_it_has_ended(&etcd).await;
    assert!(fault.hits() > 0);
    assert!(etcd.log().contains("input/output error"), "{}", etcd.log());
    drop(fault);
    etcd.restart().await;
    assert!(etcd.gateway("/v3/kv/range", r#"{"key":"a2V5"}"#).await.contains("dmFsdWU="));
}

/// Whether the server acknowledges a put.
async fn put_or_not(endpoint: String) -> bool {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let Ok(mut stream) = tokio::net::TcpStream::connect(endpoint).await else { return false };
    let head = format!("POST /v3/kv/put HTTP/1.0\r\nContent-Length: {}\r\n\r\n{PUT}", PUT.len());
    let mut answer = String::new();
    stream.write_all(head.as_bytes()).await.is_ok()
        && stream.read_to_string(&mut answer).await.is_ok()
        && answer.starts_with("HTTP/1.0 200")
}

#[tokio::test]
async fn redis_whose_sync_fails_ends_and_comes_back() {
    let redis = RedisServer::start(ServerOptions::default()).await;
    redis.command(&["SET", "a", "1"]).await;
    let fault = redis.failing_syncs().await;
    let mut client = leasehold_testkit::servers::RedisClient::connect(&redis.endpoint()).await.unwrap();
    assert!(client.command(&["SET", "a", "2"]).await.is_err(), "it is not acknowledged");
    until_it_has_ended(&redis).await;
    assert!(fault.hits() > 0);
    drop(fault);
    redis.restart().await;
}

#[tokio::test]
async fn a_full_disk_and_one_with_room_again() {
    let options = ServerOptions::default().storage(Storage::Small(64));
    let redis = RedisServer::start(options).await;
    assert_eq!(redis.storage(), Storage::Small(64));
    let dir = redis.dir().to_owned();
    assert!(is_mounted(&dir.join("data")));
    redis.command(&["SET", "a", "1"]).await;
    redis.fill_disk();
    let mut client = leasehold_testkit::servers::RedisClient::connect(&redis.endpoint()).await.unwrap();
    // The last page of its file may have some room.
    let big = "x".repeat(5_000);
    assert!(client.command(&["SET", "a", &big]).await.is_err(), "it is not acknowledged");
    until_it_has_ended(&redis).await;
    redis.free_disk();
    redis.restart().await;
    assert_eq!(redis.command(&["GET", "a"]).await.text(), "1");
    drop(redis);
    assert!(!dir.exists() && !is_mounted(&dir.join("data")));
}

#[tokio::test]
async fn etcd_on_a_full_disk() {
    let etcd = EtcdServer::start(ServerOptions::default().storage(Storage::Small(200))).await;
    etcd.gateway("/v3/kv/put", PUT).await;
    etcd.fill_disk();
    // It has preallocated its log; what it has no room for is its database.
    let endpoint = etcd.endpoint();
    let big = format!(r#"{{"key":"Yg==","value":"{}"}}"#, "eHh4".repeat(200_000));
    let began = Instant::now();
    while etcd.is_running() {
        assert!(began.elapsed() < Duration::from_secs(30), "it finds room for everything");
        let _ = tokio::time::timeout(Duration::from_secs(5), post(&endpoint, &big)).await;
    }
    assert!(etcd.log().contains("no space left"), "{}", etcd.log());
    etcd.free_disk();
    etcd.restart().await;
    assert!(etcd.gateway("/v3/kv/range", r#"{"key":"a2V5"}"#).await.contains("dmFsdWU="));
}

async fn post(endpoint: &str, body: &str) -> std::io::Result<()> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(endpoint).await?;
    let head = format!("POST /v3/kv/put HTTP/1.0\r\nContent-Length: {}\r\n\r\n", body.len());
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(body.as_bytes()).await?;
    stream.read_to_end(&mut Vec::new()).await.map(drop)
}

fn is_mounted(dir: &std::path::Path) -> bool {
    let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
    mounts.lines().any(|mount| mount.split(' ').nth(1) == dir.to_str())
}

/// A process that was killed with its watchdog leaves its disk mounted; the next one that mounts a disk removes it.
#[tokio::test]
async fn a_disk_of_a_process_that_is_gone_is_removed() {
    let mut gone = Command::new("true").spawn().unwrap();
    let name = format!("leasehold-small-{}", gone.id());
    gone.wait().unwrap();
    let dir = std::env::temp_dir().join(format!("{name}-dir"));
    let data = dir.join("data");
    fs::create_dir_all(&data).unwrap();
    fs::write(dir.join("small"), "").unwrap();
    let mounted = Command::new("mount").args(["-t", "tmpfs", &name]).arg(&data).status().unwrap();
    assert!(mounted.success() && is_mounted(&data));
    let redis = RedisServer::start(ServerOptions::default().storage(Storage::Small(16))).await;
    assert!(!is_mounted(&data) && !dir.exists());
    drop(redis);
}

#[tokio::test]
async fn redis_goes_by_a_clock_that_is_set() {
    let clock = WallClock::start();
    let redis = RedisServer::start(ServerOptions::default().wall_clock(&clock)).await;
    let time = async || redis.command(&["TIME"]).await.texts()[0].parse::<u64>().unwrap();
    let right = time().await;
    clock.set(Set::Forward(Duration::from_secs(1_000)));
    assert!((right + 1_000..right + 1_100).contains(&time().await));
    clock.set(Set::Back(Duration::from_secs(1_000)));
    assert!((right - 1_000..right - 900).contains(&time().await));
    clock.set(Set::Right);
    assert!((right..right + 100).contains(&time().await));
}

#[tokio::test]
async fn zookeeper_starts_by_a_clock_and_etcd_is_refused() {
    let clock = WallClock::start();
    clock.set(Set::Back(Duration::from_secs(1_000)));
    let zookeeper = ZooKeeperServer::start(ServerOptions::default().wall_clock(&clock)).await;
    assert!(zookeeper.four_letter("srvr").await.contains("Mode: standalone"));
    let refused = EtcdServer::try_start(ServerOptions::default().wall_clock(&clock)).await;
    assert!(matches!(refused, Err(StartError::Unsupported { what: "etcd", .. })), "{refused:?}");
}
