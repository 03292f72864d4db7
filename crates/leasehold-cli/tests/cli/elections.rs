//! `leasehold elect` and `leasehold observe`, over etcd and ZooKeeper.

use leasehold_testkit::servers::{EtcdServer, ServerOptions, ZooKeeperServer};
use serde_json::Value;

use crate::support::{document, end_of, status, talk};

/// Leaders without a command: each says what becomes of it, one in lines and the next in JSON.
async fn over(url: &str) {
    let mut observer = talk(url, &["observe", "boss"]);
    observer.expect("-").await;
    let mut first = talk(url, &["elect", "boss", "--value", "a:1"]);
    let token = first.expect("leading \"boss\" with token ").await;
    observer.expect("a:1").await;
    let mut second = talk(url, &["elect", "boss", "--value", "b:2", "--json"]);
    let leader = document(url, &["observe", "boss", "--once", "--json"]).await;
    assert_eq!((&leader["leader"]["value"], &leader["leader"]["token"]), (&"a:1".into(), &token.into()));

    // A signal ends a leadership in order.
    first.terminate();
    first.expect("resigned \"boss\"").await;
    assert_eq!(end_of(&mut first).await, Some(0));
    let leading: Value = serde_json::from_str(&second.line().await.unwrap()).unwrap();
    assert_eq!((&leading["event"], &leading["name"]), (&"leading".into(), &"boss".into()));
    observer.expect("b:2").await;

    // One that is taken away is told.
    assert_eq!(status(url, &["force-release", "boss", "--recipe", "election", "--yes"]).await, Some(0));
    let lost: Value = serde_json::from_str(&second.line().await.unwrap()).unwrap();
    assert_eq!((&lost["event"], &lost["token"]), (&"lost".into(), &leading["token"]), "{lost}");
    assert!(lost["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{lost}");
    second.expect("leasehold: the leadership of \"boss\" was lost").await;
    assert_eq!(end_of(&mut second).await, Some(74));
    observer.expect("-").await;

    // With a command, its status is ours, and the leadership is over with it.
    let command = ["--", "sh", "-c", "echo in $LEASEHOLD_NAME; read line; exit 4"];
    let mut led = talk(url, &[&["elect", "boss", "--value", "c"][..], &command].concat());
    assert_eq!(led.expect("in ").await, "boss");
    observer.expect("c").await;
    led.send("end").await;
    assert_eq!(end_of(&mut led).await, Some(4));
    observer.expect("-").await;
    observer.kill().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_over_etcd() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    over(&format!("etcd://{}/elections", server.endpoint())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn leaders_over_zookeeper() {
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    over(&format!("zookeeper://{}/elections", server.endpoint())).await;
}
