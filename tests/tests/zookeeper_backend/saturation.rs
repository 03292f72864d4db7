//! A directory whose counter of creations has reached its end, on a real server.

use std::fs;
use std::path::Path;

use futures::future::join_all;
use leasehold_core::{AttemptIds, Enqueued, Interest, Mode, Publish};
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use zookeeper_client::{Acls, CreateMode};

use crate::fixture::*;

/// Sets the counter of a directory in the newest snapshot below `data`: two thousand million creations in no time.
///
/// A snapshot holds, for each node, the path, the data, the access rights' number and the stat, all in big-endian, and at
/// its end an Adler-32 checksum of everything before (`FileSnap.serialize`).
fn set_counter(data: &Path, directory: &str, counter: i32) {
    let snapshots = fs::read_dir(data.join("version-2")).unwrap();
    let snapshots = snapshots
        .map(|file| file.unwrap().path())
        .filter(|path| path.to_string_lossy().contains("snapshot."));
    let newest = snapshots.max_by_key(|path| fs::metadata(path).unwrap().modified().unwrap()).unwrap();
    let mut bytes = fs::read(&newest).unwrap();
    let mut node = u32::try_from(directory.len()).unwrap().to_be_bytes().to_vec();
    node.extend(directory.as_bytes());
    let at = bytes
        .windows(node.len())
        .position(|window| window == node)
        .expect("the directory is in the snapshot");
    let data_at = at + node.len();
    let length = i32::from_be_bytes(bytes[data_at..data_at + 4].try_into().unwrap());
    let stat_at = data_at + 4 + usize::try_from(length.max(0)).unwrap() + 8;
    // After czxid, mzxid, ctime, mtime and version.
    let counter_at = stat_at + 4 * 8 + 4;
    bytes[counter_at..counter_at + 4].copy_from_slice(&counter.to_be_bytes());
    // The checksum as a long, and then the path "/" as the end mark.
    let sealed = bytes.len() - (8 + 4 + 1);
    let (mut low, mut high) = (1_u32, 0_u32);
    for byte in &bytes[..sealed] {
        low = (low + u32::from(*byte)) % 65_521;
        high = (high + low) % 65_521;
    }
    bytes[sealed..sealed + 8].copy_from_slice(&u64::from(high << 16 | low).to_be_bytes());
    fs::write(newest, bytes).unwrap();
}

#[tokio::test]
async fn the_queue_goes_on_in_order_when_the_counter_is_stuck() {
    // With digests, a snapshot holds more after its checksum.
    let plain = ServerOptions::default().arg("-Dzookeeper.digest.enabled=false");
    let server = ZooKeeperServer::start(plain).await;
    let (ns, ids) = (namespace(), AttemptIds::new().unwrap());
    let path = lock(&ns, "a");
    let outside = observer(&server.endpoint()).await;
    outside.mkdir(&format!("/{path}"), &CreateMode::Persistent.with_acls(Acls::anyone_all())).await.unwrap();
    drop(outside);
    server.restart().await; // it writes a snapshot as it starts
    server.kill().await;
    set_counter(&server.dir().join("data"), &format!("/{path}"), i32::MAX - 2);
    server.restart().await;

    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let (qa, qb) = (a.queue(&path), b.queue(&path));
    let mut expected = Vec::new();
    let mut orders = Vec::new();
    for _ in 0..6 {
        let x = ids.next();
        orders.push(enter(&*qa, x).await);
        expected.push(x);
    }
    let children = observer(&server.endpoint()).await.list_children(&format!("/{path}")).await.unwrap();
    let stuck = children.iter().filter(|child| child.ends_with(&i32::MAX.to_string())).count();
    assert!(stuck > 1, "the counter is not stuck: {children:?}");
    // Several at once get negative sequences; their own order is that of the orders.
    let crowd: Vec<_> = (0..20).map(|_| ids.next()).collect();
    let crowd_orders = join_all(crowd.iter().map(|x| enter(&*qa, *x))).await;
    let mut crowd: Vec<_> = crowd_orders.iter().copied().zip(crowd).collect();
    crowd.sort();
    expected.extend(crowd.iter().map(|(_, x)| *x));
    orders.extend(crowd.iter().map(|(order, _)| *order));
    assert_eq!(attempts(&*qa).await, expected);
    assert_eq!(attempts(&*qb).await, expected);
    assert!(orders.is_sorted());
    let entries = qb.entries().await.unwrap();
    assert_eq!(
        entries.iter().map(|e| (e.attempt, e.order)).collect::<Vec<_>>(),
        expected.iter().copied().zip(orders.clone()).collect::<Vec<_>>()
    );

    // A creation moves no pzxid now; who waits for the queue hears of it nevertheless.
    let revision = look(&*qb).await.1;
    let mut changed = Box::pin(qb.changed(Interest::Queue { revision }));
    assert!(is_pending(&mut changed).await);
    let late = ids.next();
    let Enqueued::Placed { contenders: Some(seen), .. } =
        qa.enqueue(entry(late, Mode::Exclusive)).await.unwrap()
    else {
        panic!("the contenders come with the answer");
    };
    expected.push(late);
    assert_eq!(seen.iter().map(|c| c.attempt).collect::<Vec<_>>(), expected);
    soon(changed).await.unwrap();
    assert!(look(&*qb).await.1 > revision);
    soon(qb.changed(Interest::Queue { revision })).await.unwrap();

    // A change of mode keeps the place here too.
    let change = Publish { attempt: expected[1], mode: Mode::Shared, value: "s".into(), if_version: None };
    qa.publish(change).await.unwrap();
    assert_eq!(attempts(&*qb).await, expected);
    assert_eq!(qb.entries().await.unwrap()[1].order, orders[1]);
    for x in &expected {
        leave(&*qa, *x).await;
    }
    assert_eq!(attempts(&*qb).await, []);
    assert!(enter(&*qb, ids.next()).await > orders[orders.len() - 1]);
}
