//! Networks of namespaces, with packets and with real servers.

#![cfg(target_os = "linux")]

use std::fs;
use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsFd;
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use leasehold_testkit::network::{Network, NetworkError};
use leasehold_testkit::servers::{
    EtcdCluster, RedisServer, ServerOptions, StartError, ZooKeeperCluster, ZooKeeperServer,
};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// How long nothing must arrive for a packet to count as dropped: it arrives in well under a millisecond.
const SILENCE: Duration = Duration::from_millis(200);

/// A socket inside a member's namespace: it stays there when the thread that made it is gone.
fn socket(network: &Network, member: usize) -> UdpSocket {
    let [_, namespace] = <[_; 2]>::try_from(network.prefix(member)).unwrap();
    let path = namespace.into_string().unwrap().replace("--net=", "");
    let address = network.address(member);
    let bound = thread::spawn(move || -> io::Result<UdpSocket> {
        let namespace = fs::File::open(path)?;
        move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?;
        UdpSocket::bind((address, 0))
    });
    patient(bound.join().unwrap().unwrap())
}

fn patient(socket: UdpSocket) -> UdpSocket {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    socket
}

/// Whether a packet from one arrives at the other.
fn arrives(from: &UdpSocket, at: &UdpSocket) -> bool {
    let (mut buffer, sender) = ([0; 8], from.local_addr().unwrap());
    // Never refused: loss is what a network shows.
    from.send_to(b"packet", at.local_addr().unwrap()).unwrap();
    match at.recv_from(&mut buffer) {
        Ok((6, from)) => {
            assert_eq!(from, sender, "nothing was late");
            true
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => {
            assert!(matches!(error.kind(), io::ErrorKind::WouldBlock), "{error}");
            false
        }
    }
}

#[test]
fn what_is_cut_is_dropped_and_nothing_else() {
    let network = Network::start(3);
    let [a, b, c] = [0, 1, 2].map(|member| socket(&network, member));
    let host = patient(UdpSocket::bind(SocketAddr::from((network.host(), 0))).unwrap());
    let heard = |expected: &[(&UdpSocket, &UdpSocket)]| {
        let all = [(&a, &b), (&b, &a), (&a, &c), (&c, &a), (&b, &c), (&c, &b), (&host, &a), (&a, &host)];
        for (from, to) in all {
            let wanted = expected.iter().any(|pair| std::ptr::eq(pair.0, from) && std::ptr::eq(pair.1, to));
            assert_eq!(arrives(from, to), wanted, "{from:?} to {to:?}");
        }
    };
    let everybody = [(&a, &b), (&b, &a), (&a, &c), (&c, &a), (&b, &c), (&c, &b), (&host, &a), (&a, &host)];
    heard(&everybody);
    network.isolate(0);
    heard(&[(&b, &c), (&c, &b), (&host, &a), (&a, &host)]);
    network.heal();
    heard(&everybody);
    network.cut_one_way(1, 2);
    heard(&[(&a, &b), (&b, &a), (&a, &c), (&c, &a), (&c, &b), (&host, &a), (&a, &host)]);
    network.heal();
    network.cut(1, 2);
    // Again is no error.
    network.cut(2, 1);
    heard(&[(&a, &b), (&b, &a), (&a, &c), (&c, &a), (&host, &a), (&a, &host)]);
    network.heal();
    network.cut_clients(0);
    heard(&[(&a, &b), (&b, &a), (&a, &c), (&c, &a), (&b, &c), (&c, &b), (&a, &host)]);
    network.heal();
    heard(&everybody);
}

/// Two at a time do not hear each other.
#[test]
fn networks_are_apart() {
    let (one, other) = (Network::start(1), Network::start(1));
    assert_ne!(one.address(0), other.address(0));
    let (inside, outside) = (socket(&one, 0), socket(&other, 0));
    let refused = inside.send_to(b"packet", outside.local_addr().unwrap()).unwrap_err();
    assert_eq!(refused.kind(), io::ErrorKind::NetworkUnreachable, "{refused}");
}

fn exists(interface: &str, namespace: &str) -> [bool; 2] {
    [format!("/sys/class/net/{interface}"), format!("/run/netns/{namespace}")]
        .map(|path| fs::symlink_metadata(path).is_ok())
}

#[test]
fn nothing_is_left_of_one_that_is_dropped_nor_of_one_whose_process_is_gone() {
    let mut gone = Command::new("true").spawn().unwrap();
    let pid = gone.id();
    gone.wait().unwrap();
    let (bridge, namespace) = (format!("lh{pid:x}x1"), format!("leasehold-{pid}-1-0"));
    for args in [&["link", "add", &bridge, "type", "bridge"][..], &["netns", "add", &namespace]] {
        assert!(Command::new("ip").args(args).status().unwrap().success());
    }
    assert_eq!(exists(&bridge, &namespace), [true; 2]);
    let network = Network::start(2);
    assert_eq!(exists(&bridge, &namespace), [false; 2], "of a process that is gone");
    let ours = network.prefix(1)[1].clone().into_string().unwrap();
    let ours = ours.rsplit('/').next().unwrap().to_owned();
    let number = ours.split('-').nth(2).unwrap().parse::<u32>().unwrap();
    let bridge = format!("lh{:x}x{number:x}", std::process::id());
    assert_eq!(exists(&bridge, &ours), [true; 2]);
    let other_handle = network.clone();
    drop(network);
    assert_eq!(exists(&bridge, &ours), [true; 2]);
    drop(other_handle);
    assert_eq!(exists(&bridge, &ours), [false; 2], "of ours");
    // The cables go with their namespaces, which the kernel takes down later.
    let deadline = Instant::now() + Duration::from_secs(10);
    while fs::symlink_metadata(format!("/sys/class/net/{bridge}m0")).is_ok() {
        assert!(Instant::now() < deadline, "a cable is left");
        thread::sleep(Duration::from_millis(10));
    }
}

/// As any other user, it is said what is missing.
#[test]
fn without_root_it_is_an_error_that_says_so() {
    let ran = thread::spawn(|| {
        // The kernel keeps the effective user of each thread by itself.
        rustix::thread::set_thread_res_uid(rustix::thread::Uid::ROOT, uid(65_534), rustix::thread::Uid::ROOT)
            .unwrap();
        Network::try_start(1).map(drop)
    });
    let error = ran.join().unwrap().unwrap_err();
    assert!(matches!(error, NetworkError::NotRoot { uid: 65_534 }), "{error:?}");
    assert!(error.to_string().contains("need root"), "{error}");
}

fn uid(raw: u32) -> rustix::thread::Uid {
    rustix::thread::Uid::from_raw(raw)
}

/// The two that hear each other go on with a leader of theirs, and clients still reach the third.
#[tokio::test]
async fn a_leader_of_etcd_is_isolated() {
    let network = Network::start(3);
    let cluster = EtcdCluster::start(ServerOptions::default().network(&network)).await;
    let old = cluster.leader().await;
    let endpoint = cluster.node(old).endpoint();
    assert!(endpoint.starts_with(&network.address(old).to_string()), "{endpoint}");
    network.isolate(old);
    let began = Instant::now();
    let new = loop {
        // It takes itself for the leader until it has heard of nobody for a while.
        let leader = cluster.leader().await;
        if leader != old {
            break leader;
        }
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    };
    // It answers its clients, that it has no leader.
    assert_eq!(cluster.node(old).metrics().await.sum("etcd_server_has_leader"), 0.0);
    cluster.node(new).gateway("/v3/kv/put", r#"{"key":"a2V5","value":"dmFsdWU="}"#).await;
    network.heal();
    cluster.ready().await;
    let found = cluster.node(old).gateway("/v3/kv/range", r#"{"key":"a2V5"}"#).await;
    assert!(found.contains("dmFsdWU="), "{found}");
}

#[tokio::test]
async fn a_follower_of_zookeeper_is_isolated() {
    let network = Network::start(3);
    let cluster = ZooKeeperCluster::start(ServerOptions::default().network(&network)).await;
    let leader = cluster.leader().await;
    let follower = cluster.node((leader + 1) % 3);
    assert!(follower.four_letter("srvr").await.contains("Mode: follower"));
    network.isolate((leader + 1) % 3);
    let began = Instant::now();
    // It serves on for a while, and then says that it does not.
    while !follower.four_letter("srvr").await.contains("not currently serving") {
        assert!(began.elapsed() < Duration::from_secs(20));
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    assert!(began.elapsed() > Duration::from_secs(2), "{:?}", began.elapsed());
    assert_eq!(cluster.leader().await, leader);
    network.heal();
    cluster.ready().await;
    assert!(follower.four_letter("srvr").await.contains("Mode: follower"));
}

#[tokio::test]
async fn one_server_alone_and_one_that_cannot() {
    let network = Network::start(1);
    let zookeeper = ZooKeeperServer::start(ServerOptions::default().network(&network)).await;
    assert!(zookeeper.four_letter("srvr").await.contains("Mode: standalone"));
    // The namespace lasts as long as the server.
    drop(network);
    zookeeper.restart().await;
    let refused = RedisServer::try_start(ServerOptions::default().network(&Network::start(1))).await;
    assert!(matches!(refused, Err(StartError::Unsupported { what: "redis", .. })), "{refused:?}");
}
