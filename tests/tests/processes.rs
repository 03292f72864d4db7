//! Worker processes that share one lock and one register, on real servers.

use leasehold_testkit::conformance::cites;
use leasehold_testkit::process::Worker;
use leasehold_testkit::servers::{EtcdServer, RedisServer, ServerOptions, ZooKeeperServer};
use leasehold_tests::FencedFile;
use tokio::sync::Semaphore;

const WORKERS: usize = 8;
const TIMES: u64 = 500;

/// Each case keeps the machine busy with its workers: of many at once, all would crawl.
static AT_ONCE: Semaphore = Semaphore::const_new(2);

/// A worker that is connected and waits for the start.
async fn worker(url: &str, file: &str, index: usize, times: u64, stall_at: Option<u64>) -> Worker {
    let mut arguments =
        vec![url.to_owned(), "the register".into(), file.into(), index.to_string(), times.to_string()];
    arguments.extend(stall_at.map(|at| at.to_string()));
    let mut worker = Worker::start(env!("CARGO_BIN_EXE_leasehold-test-worker"), arguments);
    worker.expect("ready").await;
    worker
}

async fn finish(mut worker: Worker) {
    while let Some(line) = worker.line().await {
        if line == "done" {
            break;
        }
    }
    let status = worker.wait().await;
    assert!(status.success(), "{status}");
}

async fn increments_end_exact(url: &str) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("register");
    let file = path.to_str().unwrap();
    let register = FencedFile::create(&path, WORKERS).unwrap();
    let mut workers = Vec::new();
    for index in 0..WORKERS {
        workers.push(worker(url, file, index, TIMES, None).await);
    }
    for worker in &mut workers {
        worker.send("go").await;
    }
    for worker in workers {
        finish(worker).await;
    }
    let record = register.inspect().unwrap();
    assert_eq!(record.value, WORKERS as u64 * TIMES);
    assert_eq!(record.writes, [TIMES; WORKERS]);
}

async fn increments_end_exact_with_one_killed_in_mid_hold(url: &str) {
    const VICTIM: usize = 3;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("register");
    let file = path.to_str().unwrap();
    let register = FencedFile::create(&path, WORKERS).unwrap();
    let mut workers = Vec::new();
    for index in 0..WORKERS {
        let stall_at = (index == VICTIM).then_some(TIMES / 2);
        workers.push(worker(url, file, index, TIMES, stall_at).await);
    }
    for worker in &mut workers {
        worker.send("go").await;
    }
    let mut victim = workers.remove(VICTIM);
    // It holds the lock, has read the register and has not written.
    victim.expect("stalled").await;
    let at_the_kill = register.inspect().unwrap();
    victim.kill().await;
    for worker in workers {
        finish(worker).await;
    }
    let record = register.inspect().unwrap();
    assert_eq!(record.writes[VICTIM], TIMES / 2, "nothing of it came after its end");
    assert_eq!(record.value, record.writes.iter().sum::<u64>(), "no update was lost");
    assert!(record.fence.exclusive() > at_the_kill.fence.exclusive(), "the others went on");
    assert!(record.value > at_the_kill.value, "the others went on");
    // A successor does what the victim has left.
    let mut successor = worker(url, file, VICTIM, TIMES - record.writes[VICTIM], None).await;
    successor.send("go").await;
    finish(successor).await;
    assert_eq!(register.inspect().unwrap().value, WORKERS as u64 * TIMES);
}

#[tokio::test]
async fn etcd_increments_end_exact() {
    let _turn = AT_ONCE.acquire().await;
    let server = EtcdServer::start(ServerOptions::default()).await;
    increments_end_exact(&format!("etcd://{}", server.endpoint())).await;
}

#[tokio::test]
async fn etcd_increments_end_exact_with_one_killed_in_mid_hold() {
    let _turn = AT_ONCE.acquire().await;
    let _cited = cites("etcd", &[22]);
    let server = EtcdServer::start(ServerOptions::default()).await;
    increments_end_exact_with_one_killed_in_mid_hold(&format!("etcd://{}?ttl=3s", server.endpoint())).await;
}

#[tokio::test]
async fn zookeeper_increments_end_exact() {
    let _turn = AT_ONCE.acquire().await;
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    increments_end_exact(&format!("zookeeper://{}", server.endpoint())).await;
}

#[tokio::test]
async fn zookeeper_increments_end_exact_with_one_killed_in_mid_hold() {
    let _turn = AT_ONCE.acquire().await;
    let _cited = cites("zookeeper", &[22]);
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    increments_end_exact_with_one_killed_in_mid_hold(&format!("zookeeper://{}?ttl=3s", server.endpoint()))
        .await;
}

#[tokio::test]
async fn redis_increments_end_exact() {
    let _turn = AT_ONCE.acquire().await;
    let server = RedisServer::start(ServerOptions::default()).await;
    increments_end_exact(&format!("redis://{}", server.endpoint())).await;
}

#[tokio::test]
async fn redis_increments_end_exact_with_one_killed_in_mid_hold() {
    let _turn = AT_ONCE.acquire().await;
    let _cited = cites("redis", &[22]);
    let server = RedisServer::start(ServerOptions::default()).await;
    increments_end_exact_with_one_killed_in_mid_hold(&format!("redis://{}?ttl=3s", server.endpoint())).await;
}
