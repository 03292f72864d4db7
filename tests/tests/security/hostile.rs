//! What a stranger who may write into a lock's directory puts there: a million bytes of names, large values, bytes that are no text, and
//! what looks like ours and is not.

use std::time::{Duration, Instant};

use leasehold::{Coordinator, Recipe};
use leasehold_testkit::servers::{EtcdServer, RedisClient, RedisServer, ServerOptions, ZooKeeperServer};
use zookeeper_client::{Acls, CreateMode};

use crate::life::*;

/// Names of one part; two parts are more than a million bytes.
const NAMES: usize = 5_000;

/// Longer than anything here may take; a lock that costs a look at everything for each name would take hours.
const SANE: Duration = Duration::from_secs(5);

/// Names of 110 bytes, in the form of ours but for something.
fn names(part: usize) -> impl Iterator<Item = String> {
    let attempt = "0123456789abcdef0123456789abcdef";
    (0..NAMES).map(move |n| {
        let name = match n % 5 {
            0 => format!("{attempt}-x-{part}{n:08}"),
            1 => format!("{}-x-{part}{n:09}", attempt.to_uppercase()),
            2 => format!("_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-{part}{n:09}"),
            3 => format!("{attempt}{n}-s-{part}{n:09}-"),
            _ => format!("ключ-\u{202e}{part}{n:09}"),
        };
        format!("{name}{}", "~".repeat(110 - name.len()))
    })
}

/// A lock with all that in its directory, put there by `plant` before it is used, and while somebody waits.
async fn a_lock_works(service: &str, url: &str, plant: impl AsyncFn(usize)) {
    plant(0).await;
    let (ours, theirs) = (connect(url).await, connect(url).await);
    let (mutex, their_mutex) = (ours.mutex("a"), theirs.mutex("a"));
    let guard = soon(mutex.lock()).await.unwrap();
    let waiting = tokio::spawn({
        let mutex = their_mutex.clone();
        async move { mutex.lock().await }
    });
    is_waiting(&ours).await;
    plant(1).await;
    assert!(guard.is_held() && !waiting.is_finished(), "nobody is taken in");
    assert!(soon(mutex.try_lock()).await.unwrap().is_none());
    let mut token = guard.fencing_token();
    let began = Instant::now();
    guard.release().await.unwrap();
    let guard = soon(waiting).await.unwrap().unwrap();
    let mut handoffs = vec![began.elapsed()];
    assert!(guard.fencing_token() > token);
    token = guard.fencing_token();
    guard.release().await.unwrap();
    let mut alone = Vec::new();
    for _ in 0..10 {
        let began = Instant::now();
        let guard = soon(mutex.lock()).await.unwrap();
        assert!(guard.fencing_token() > token);
        guard.release().await.unwrap();
        alone.push(began.elapsed());
        let guard = soon(their_mutex.try_lock()).await.unwrap().expect("it is free");
        let waiting = tokio::spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await }
        });
        is_waiting(&ours).await;
        let began = Instant::now();
        guard.release().await.unwrap();
        let guard = soon(waiting).await.unwrap().unwrap();
        handoffs.push(began.elapsed());
        token = guard.fencing_token();
        guard.release().await.unwrap();
    }
    for times in [&mut alone, &mut handoffs] {
        times.sort_unstable();
        assert!(times.iter().all(|time| *time < SANE), "{service}: {times:?}");
    }
    println!(
        "{service}: lock and unlock {:?} (worst {:?}), handed over in {:?} (worst {:?})",
        alone[alone.len() / 2],
        alone[alone.len() - 1],
        handoffs[handoffs.len() / 2],
        handoffs[handoffs.len() - 1]
    );
    assert_eq!(
        ours.admin().names(Recipe::Mutex, "").await.unwrap(),
        [""; 0],
        "no lock is seen where there is none"
    );
    for coordinator in [ours, theirs] {
        coordinator.shutdown(Duration::from_secs(10)).await.unwrap();
    }
}

/// Two are in the queue.
async fn is_waiting(coordinator: &Coordinator) {
    soon(async {
        while coordinator.admin().contenders(Recipe::Mutex, "a").await.unwrap().len() != 2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    })
    .await;
}

#[tokio::test]
async fn etcd() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let client = etcd_client::Client::connect([server.endpoint()], None).await.unwrap();
    let plant = async |part: usize| {
        let mut client = client.clone();
        let keys: Vec<_> = names(part).map(|name| format!("prod/locks/a/{name}").into_bytes()).collect();
        for some in keys.chunks(100) {
            let puts: Vec<_> = some
                .iter()
                .map(|key| etcd_client::TxnOp::put(key.clone(), b"\xff\0".to_vec(), None))
                .collect();
            client.txn(etcd_client::Txn::new().and_then(puts)).await.unwrap();
        }
        for n in 0..8 {
            let key = [format!("prod/locks/a/{part}{n}").as_bytes(), b"\xff\n\0"].concat();
            client.put(key, vec![b'x'; 1_000_000], None).await.unwrap();
        }
    };
    a_lock_works("etcd", &format!("etcd://{}/prod", server.endpoint()), plant).await;
}

#[tokio::test]
async fn zookeeper() {
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let client = zookeeper_client::Client::connect(&server.endpoint()).await.unwrap();
    let open = CreateMode::Persistent.with_acls(Acls::anyone_all());
    client.mkdir("/prod/locks/a", &open).await.unwrap();
    let plant = async |part: usize| {
        let paths: Vec<_> = names(part).map(|name| format!("/prod/locks/a/{name}")).collect();
        for some in paths.chunks(500) {
            futures::future::try_join_all(some.iter().map(|path| client.create(path, b"\xff\0", &open)))
                .await
                .unwrap();
        }
        for n in 0..4 {
            client.create(&format!("/prod/locks/a/{part}{n}"), &[b'x'; 1_000_000], &open).await.unwrap();
        }
    };
    a_lock_works("zookeeper", &format!("zookeeper://{}/prod?tick=500ms", server.endpoint()), plant).await;
}

#[tokio::test]
async fn redis() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let plant = async |part: usize| {
        let mut client = RedisClient::connect(&server.endpoint()).await.unwrap();
        for shard in "0123456789abcdef".chars() {
            let key = |name: &str| format!("{{prod}}:{shard}:{name}").into_bytes();
            // Every shard has them, since which is the lock's is not a stranger's to know.
            let names: Vec<_> = names(part).map(|name| format!("locks/a/{name}").into_bytes()).collect();
            for some in names.chunks(1_000) {
                let mut words = vec![b"ZADD".to_vec(), key("index")];
                words.extend(some.iter().flat_map(|name| [b"0".to_vec(), name.clone()]));
                client.command(&words).await.unwrap();
            }
            for n in 0..2 {
                let field = [format!("{part}{n}").as_bytes(), b"\xff\n\0"].concat();
                client
                    .command(&[b"HSET".to_vec(), key("entries"), field.clone(), vec![b'x'; 100_000]])
                    .await
                    .unwrap();
                client.command(&[b"HSET".to_vec(), key("values"), field, vec![b'x'; 100_000]]).await.unwrap();
            }
            for message in [&b"\xff"[..], &[b'+'; 100_000], b"+ 1 2 3"] {
                let channel = key("queue:locks/a");
                client.command(&[b"PUBLISH".to_vec(), channel, message.to_vec()]).await.unwrap();
            }
        }
    };
    a_lock_works("redis", &format!("redis://{}/prod", server.endpoint()), plant).await;
}
