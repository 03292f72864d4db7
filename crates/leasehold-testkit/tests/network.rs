//! Networks of namespaces, with packets and with real servers.

#![cfg(target_os = "linux")]

use std::ffi::OsString;
use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::Ipv4Addr;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use leasehold_testkit::network::{Network, NetworkError};
use leasehold_testkit::servers::{
    EtcdCluster, RedisServer, ServerOptions, StartError, ZooKeeperCluster, ZooKeeperServer,
};

/// A socket in a namespace: a packet arrives in well under a millisecond, so what has not come in 200 is dropped.
const AGENT: &str = r#"
import socket, sys
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
s.bind((sys.argv[1], 0))
s.settimeout(0.2)
print(s.getsockname()[1], flush=True)
for line in sys.stdin:
    words = line.split()
    try:
        if words[0] == "send":
            s.sendto(b"packet", (words[1], int(words[2])))
            print("sent", flush=True)
        else:
            print(s.recvfrom(100)[1][0], flush=True)
    except socket.timeout:
        print("silence", flush=True)
    except OSError as error:
        print(error, flush=True)
"#;

struct Agent {
    address: Ipv4Addr,
    port: String,
    /// Ends when its input does.
    process: Child,
    answers: BufReader<ChildStdout>,
}

impl Agent {
    fn start(address: Ipv4Addr, prefix: &[OsString]) -> Self {
        let words = prefix.iter().cloned().chain(["python3", "-c", AGENT].map(OsString::from));
        let words: Vec<_> = words.collect();
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]).arg(address.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().unwrap();
        let answers = BufReader::new(process.stdout.take().unwrap());
        let mut agent = Self { address, port: String::new(), process, answers };
        agent.port = agent.answer();
        agent
    }

    fn of(network: &Network, member: usize) -> Self {
        Self::start(network.address(member), &network.prefix(member))
    }

    fn answer(&mut self) -> String {
        let mut line = String::new();
        self.answers.read_line(&mut line).unwrap();
        line.trim().to_owned()
    }

    fn ask(&mut self, words: &str) -> String {
        writeln!(self.process.stdin.as_mut().unwrap(), "{words}").unwrap();
        self.answer()
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        drop(self.process.stdin.take());
        self.process.wait().unwrap();
    }
}

/// Whether a packet from one arrives at the other.
fn arrives(agents: &mut [Agent], from: usize, at: usize) -> bool {
    let send = format!("send {} {}", agents[at].address, agents[at].port);
    assert_eq!(agents[from].ask(&send), "sent", "loss is what a network shows, not a refusal");
    let heard = agents[at].ask("receive");
    assert!(heard == "silence" || heard == agents[from].address.to_string(), "{heard}: nothing was late");
    heard != "silence"
}

#[test]
fn what_is_cut_is_dropped_and_nothing_else() {
    const HOST: usize = 3;
    let network = Network::start(3);
    let mut agents: Vec<_> = (0..3).map(|member| Agent::of(&network, member)).collect();
    agents.push(Agent::start(network.host(), &["env".into()]));
    let mut only_dropped = |dropped: &[(usize, usize)]| {
        for from in 0..=HOST {
            for at in (0..=HOST).filter(|at| *at != from) {
                let wanted = !dropped.contains(&(from, at));
                assert_eq!(arrives(&mut agents, from, at), wanted, "{from} to {at} with {dropped:?}");
            }
        }
    };
    only_dropped(&[]);
    network.isolate(0);
    only_dropped(&[(0, 1), (1, 0), (0, 2), (2, 0)]);
    network.heal();
    only_dropped(&[]);
    network.cut_one_way(1, 2);
    only_dropped(&[(1, 2)]);
    network.heal();
    network.cut(1, 2);
    // Again is no error.
    network.cut(2, 1);
    only_dropped(&[(1, 2), (2, 1)]);
    network.heal();
    network.cut_clients(0);
    only_dropped(&[(HOST, 0)]);
    network.heal();
    only_dropped(&[]);
}

/// Two at a time do not hear each other.
#[test]
fn networks_are_apart() {
    let (one, other) = (Network::start(1), Network::start(1));
    assert_ne!(one.address(0), other.address(0));
    let (mut inside, outside) = (Agent::of(&one, 0), Agent::of(&other, 0));
    let answer = inside.ask(&format!("send {} {}", outside.address, outside.port));
    assert!(answer.contains("unreachable"), "{answer}");
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
    assert!(!fs::exists(format!("/sys/class/net/{bridge}m0")).unwrap(), "its cables too");
}

/// As any other user, it is said what is missing. The test runs itself again as `nobody`.
#[test]
fn without_root_it_is_an_error_that_says_so() {
    const AS_NOBODY: &str = "LEASEHOLD_TEST_AS_NOBODY";
    const NOBODY: u32 = 65_534;
    if std::env::var_os(AS_NOBODY).is_some() {
        let error = Network::try_start(1).unwrap_err();
        assert!(matches!(error, NetworkError::NotRoot { uid: NOBODY }), "{error:?}");
        assert!(error.to_string().contains("need root"), "{error}");
        return;
    }
    let itself = ["--exact", "without_root_it_is_an_error_that_says_so"];
    // By this name nobody has to be let into the directories above it.
    let mut command = Command::new("/proc/self/exe");
    let output = command.args(itself).env(AS_NOBODY, "1").uid(NOBODY).current_dir("/").output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
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
