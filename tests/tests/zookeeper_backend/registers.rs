//! Registers.

use std::time::Duration;

use bytes::Bytes;
use leasehold_core::{
    AttemptIds, BackendErrorKind, Certainty, KeyPath, Kind, Mode, Publish, RegisterWrite, RegisterWritten,
    Versioned,
};
use leasehold_testkit::servers::{ServerOptions, ZooKeeperCluster};

use crate::fixture::*;

fn write(value: &'static str, if_version: Option<u64>) -> RegisterWrite {
    RegisterWrite { value: Bytes::from_static(value.as_bytes()), if_version, if_held: None }
}

#[tokio::test]
async fn compare_and_set() {
    let (server, ns) = (server().await, namespace());
    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let register = KeyPath::new(&ns, Kind::Register, "r").unwrap();
    assert_eq!(a.read(&register).await.unwrap(), None);
    assert_eq!(a.write(&register, write("x", Some(7))).await.unwrap(), RegisterWritten::VersionDiffers);
    assert_eq!(
        a.write(&register, write("x", Some(u64::MAX))).await.unwrap(),
        RegisterWritten::VersionDiffers
    );
    let RegisterWritten::Written { version } = a.write(&register, write("x", Some(0))).await.unwrap() else {
        panic!("it was absent");
    };
    assert!(version > 0);
    assert_eq!(b.write(&register, write("y", Some(0))).await.unwrap(), RegisterWritten::VersionDiffers);
    let RegisterWritten::Written { version: second } =
        b.write(&register, write("y", Some(version))).await.unwrap()
    else {
        panic!("the version was right");
    };
    let RegisterWritten::Written { version: third } = a.write(&register, write("z", None)).await.unwrap()
    else {
        panic!("no condition");
    };
    assert!(version < second && second < third);
    assert_eq!(a.read(&register).await.unwrap(), Some(Versioned { value: "z".into(), version: third }));
    let another = KeyPath::new(&ns, Kind::Barrier, "unconditional").unwrap();
    assert!(matches!(a.write(&another, write("z", None)).await.unwrap(), RegisterWritten::Written { .. }));
    let most = vec![0; 1 << 20];
    let large = RegisterWrite { value: most.into(), if_version: None, if_held: None };
    assert_eq!(kind(a.write(&register, large).await), BackendErrorKind::TooLarge);
}

#[tokio::test]
async fn only_while_held() {
    let (server, ns, ids) = (server().await, namespace(), AttemptIds::new().unwrap());
    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let register = KeyPath::new(&ns, Kind::Register, "r").unwrap();
    let path = lock(&ns, "l");
    let (qa, qb) = (a.queue(&path), b.queue(&path));
    let x = ids.next();
    let held =
        |value, if_version| RegisterWrite { if_held: Some((path.clone(), x)), ..write(value, if_version) };
    assert_eq!(a.write(&register, held("1", None)).await.unwrap(), RegisterWritten::NotHeld);
    enter(&*qa, x).await;
    assert_eq!(a.write(&register, held("1", None)).await.unwrap(), RegisterWritten::Written { version: 1 });
    assert_eq!(a.write(&register, held("2", Some(0))).await.unwrap(), RegisterWritten::VersionDiffers);
    assert_eq!(
        b.write(&register, held("2", Some(1))).await.unwrap(),
        RegisterWritten::Written { version: 2 }
    );
    // A change of mode replaces the node under the holder.
    let change = Publish { attempt: x, mode: Mode::Shared, value: Bytes::new(), if_version: None };
    qa.publish(change).await.unwrap();
    assert_eq!(a.write(&register, held("3", None)).await.unwrap(), RegisterWritten::Written { version: 3 });
    assert_eq!(b.write(&register, held("4", None)).await.unwrap(), RegisterWritten::Written { version: 4 });
    // Withdrawn by another session, so this one has to be told by the server.
    qb.withdraw(x, Certainty::Placed).await.unwrap();
    assert_eq!(a.write(&register, held("5", Some(4))).await.unwrap(), RegisterWritten::NotHeld);
    assert_eq!(a.write(&register, held("5", Some(u64::MAX))).await.unwrap(), RegisterWritten::NotHeld);
    assert_eq!(a.read(&register).await.unwrap().unwrap().value, "4");
}

#[tokio::test]
async fn changes_are_told() {
    let (server, ns) = (server().await, namespace());
    let (a, b) = (open(&server.endpoint(), &ns).await, open(&server.endpoint(), &ns).await);
    let register = KeyPath::new(&ns, Kind::Barrier, "r").unwrap();
    let mut created = Box::pin(b.register_changed(&register, 0));
    assert!(is_pending(&mut created).await);
    a.write(&register, write("x", None)).await.unwrap();
    soon(created).await.unwrap();
    soon(b.register_changed(&register, 0)).await.unwrap();
    let mut changed = Box::pin(b.register_changed(&register, 1));
    assert!(is_pending(&mut changed).await);
    a.write(&register, write("x", None)).await.unwrap();
    soon(changed).await.unwrap();
    let deleted = b.register_changed(&register, 2);
    observer(&server.endpoint()).await.delete(&format!("/{register}"), None).await.unwrap();
    soon(deleted).await.unwrap();
    soon(b.register_changed(&register, 2)).await.unwrap();
}

/// A server that lags behind does not answer from what it has: it was paused while others wrote, and is asked before it has caught up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_read_is_as_new_as_what_others_were_told() {
    let cluster = ZooKeeperCluster::start(ServerOptions::default()).await;
    let (leader, ns) = (cluster.leader().await, namespace());
    let lagging = cluster.node((leader + 1) % 3);
    let writer = open(&cluster.node(leader).endpoint(), &ns).await;
    let reader = open(&lagging.endpoint(), &ns).await;
    let register = KeyPath::new(&ns, Kind::Register, "r").unwrap();
    for round in 0..30_u8 {
        lagging.pause();
        let write =
            RegisterWrite { value: Bytes::copy_from_slice(&[round]), if_version: None, if_held: None };
        let written = writer.write(&register, write).await.unwrap();
        let reading = tokio::spawn({
            let (reader, register) = (reader.clone(), register.clone());
            async move { reader.read(&register).await }
        });
        // It is on its way to the server.
        tokio::time::sleep(Duration::from_millis(20)).await;
        lagging.resume();
        let seen = reading.await.unwrap().unwrap().expect("it was written");
        assert_eq!(seen.value, [round][..]);
        assert_eq!(written, RegisterWritten::Written { version: seen.version });
    }
}
