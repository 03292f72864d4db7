//! What a lock costs the service, by the server's own count, and what is known without asking.

use leasehold_core::{AttemptId, AttemptIds, Enqueued, Interest, Mode, Queue};
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use zookeeper_client::{Acl, Acls, AuthId, CreateMode, Permission};

use crate::fixture::*;

/// What clients have sent, this question included.
async fn received(server: &ZooKeeperServer) -> u64 {
    let monitor = server.four_letter("mntr").await;
    let count = monitor.lines().find_map(|line| line.strip_prefix("zk_packets_received\t"));
    count.and_then(|count| count.trim().parse().ok()).expect("a count")
}

async fn alone(queue: &dyn Queue, attempt: AttemptId) -> bool {
    match queue.enqueue(entry(attempt, Mode::Exclusive)).await.unwrap() {
        Enqueued::Placed { contenders: Some(contenders), .. } => {
            assert!(contenders.get(attempt).is_some(), "the place comes with the answer");
            contenders.len() == 1
        }
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn an_entry_that_is_alone_is_one_request_and_its_removal_another() {
    const ROUNDS: u64 = 100;
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let (ns, ids) = (namespace(), AttemptIds::new().unwrap());
    let session = open(&server.endpoint(), &ns).await;
    let queue = session.queue(&lock(&ns, "a"));
    // The directory is there after the first.
    let first = ids.next();
    assert!(alone(&*queue, first).await);
    leave(&*queue, first).await;
    let before = received(&server).await;
    for _ in 0..ROUNDS {
        let x = ids.next();
        assert!(alone(&*queue, x).await);
        leave(&*queue, x).await;
    }
    let requests = received(&server).await - before;
    // Renewals come by the clock.
    assert!((2 * ROUNDS..ROUNDS * 5 / 2).contains(&requests), "{requests} requests");
}

/// Where somebody else made the directory, and lets nobody write to it, it is listed instead.
#[tokio::test]
async fn a_directory_that_cannot_be_written_to_is_listed() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let session = open(&server.endpoint(), &ns).await;
    let path = lock(&ns, "a");
    let outside = observer(&server.endpoint()).await;
    let directory = format!("/{path}");
    let (above, _) = directory.rsplit_once('/').unwrap();
    outside.mkdir(above, &CreateMode::Persistent.with_acls(Acls::anyone_all())).await.unwrap();
    let entries_alone =
        [Acl::new(Permission::READ | Permission::CREATE | Permission::DELETE, AuthId::anyone())];
    let options = CreateMode::Persistent.with_acls(Acls::new(&entries_alone));
    outside.create(&directory, b"somebody's", &options).await.unwrap();
    let queue = session.queue(&path);
    let [x, y] = [ids.next(), ids.next()];
    assert!(alone(&*queue, x).await);
    assert!(!alone(&*queue, y).await);
    assert_eq!(attempts(&*queue).await, [x, y]);
    leave(&*queue, x).await;
    leave(&*queue, y).await;
    assert_eq!(attempts(&*queue).await, []);
    assert_eq!(outside.get_data(&directory).await.unwrap().0, b"somebody's");
}

/// Who waits is told of the one ahead alone. Those further ahead went unnoticed, so the queue is listed, and nobody is waited for who is not
/// there.
#[tokio::test]
async fn after_the_one_ahead_nobody_is_shown_who_had_gone_before() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let (ahead, behind) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let path = lock(&ns, "a");
    let (qa, qb) = (ahead.queue(&path), behind.queue(&path));
    let [a, b, c, own] = [ids.next(), ids.next(), ids.next(), ids.next()];
    for attempt in [a, b, c] {
        enter(&*qa, attempt).await;
    }
    assert!(!alone(&*qb, own).await);
    let interest = Interest::Entry { attempt: c, mode: Mode::Exclusive, version: None };
    let mut changed = Box::pin(qb.changed(interest));
    assert!(is_pending(&mut changed).await);
    for attempt in [a, b, c] {
        leave(&*qa, attempt).await;
    }
    soon(changed).await.unwrap();
    let mut shown = Vec::new();
    qb.contenders(&mut |contenders| shown = contenders.iter().map(|c| c.attempt).collect()).await.unwrap();
    assert_eq!(shown, [own]);
}
