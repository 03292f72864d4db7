//! A directory whose counter of creations has reached its end, on a real server.

use futures::future::join_all;
use leasehold_core::{AttemptIds, Enqueued, Interest, Mode, Publish};
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use leasehold_tests::set_counter;
use zookeeper_client::{Acls, CreateMode};

use crate::fixture::*;

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
