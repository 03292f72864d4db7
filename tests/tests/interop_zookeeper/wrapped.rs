//! Directories whose sequence has run out. The server's counter sticks at the end of its 32 bits, and gives negative numbers to those that
//! are in its pipeline at once; other clients compare them as text.

use std::time::Duration;

use leasehold::{ErrorKind, WireProfile};
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use leasehold_tests::set_counter;
use tokio::time::sleep;

use crate::fixture::*;

with_both!(whoever_has_such_a_number_is_waited_for, nothing_of_ours_is_kept_at_the_end_of_the_sequence);

async fn whoever_has_such_a_number_is_waited_for(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (ours, outside, path) = (ours(&endpoint).await, outside(&endpoint).await, path());
    directory(&outside, &path).await;
    let mutex = ours.at(profile, &path).mutex().unwrap();
    // Kazoo itself does not see the last two.
    for number in ["2147483647", "-2147483648", "-1000000000", "-999999999", "-000000001"] {
        let name = match profile {
            WireProfile::Curator => format!("_c_0f8fad5b-d9cb-469f-a165-70867728950e-lock-{number}"),
            _ => format!("0f8fad5bd9cb469fa16570867728950e__lock__{number}"),
        };
        plant(&outside, &path, &name).await;
        assert!(mutex.try_lock().await.unwrap().is_none(), "{name}");
        let waiting = tokio::spawn({
            let mutex = mutex.clone();
            async move { mutex.lock().await.unwrap() }
        });
        sleep(Duration::from_millis(200)).await;
        assert!(!waiting.is_finished(), "{name}");
        outside.delete(&format!("{path}/{name}"), None).await.unwrap();
        soon(waiting).await.unwrap().release().await.unwrap();
    }
}

async fn nothing_of_ours_is_kept_at_the_end_of_the_sequence(profile: WireProfile) {
    // With digests, a snapshot holds more after its checksum.
    let plain = ServerOptions::default().arg("-Dzookeeper.digest.enabled=false");
    let server = ZooKeeperServer::start(plain).await;
    let path = path();
    directory(&outside(&server.endpoint()).await, &path).await;
    server.restart().await; // it writes a snapshot as it starts
    server.kill().await;
    set_counter(&server.dir().join("data"), &path, i32::MAX - 1);
    server.restart().await;
    let endpoint = server.endpoint();
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let mutex = ours.at(profile, &path).mutex().unwrap();
    mutex.lock().await.unwrap().release().await.unwrap();
    for error in [mutex.lock().await.map(drop).unwrap_err(), mutex.try_lock().await.map(drop).unwrap_err()] {
        assert_eq!(error.kind(), ErrorKind::Unsupported, "{error:?}");
        assert!(error.to_string().contains("sequence"), "{error}");
    }
    assert_eq!(children(&outside, &path).await, [""; 0]);
}
