//! The servers' fixtures against real servers.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use leasehold_testkit::servers::{
    EtcdCluster, EtcdServer, Place, Program, ProgramServer, RedisClient, RedisReply, RedisServer,
    ServerOptions, StartError, Storage, ZooKeeperCluster, ZooKeeperServer, find_program,
};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// base64 of `key` and `value`.
const KEY: &str = "a2V5";
const VALUE: &str = "dmFsdWU=";

async fn put(etcd: &EtcdServer) {
    etcd.gateway("/v3/kv/put", &format!(r#"{{"key":"{KEY}","value":"{VALUE}"}}"#)).await;
}

async fn get(etcd: &EtcdServer) -> String {
    etcd.gateway("/v3/kv/range", &format!(r#"{{"key":"{KEY}"}}"#)).await
}

/// Creates a node by the bytes of the protocol: opens a session, creates, leaves.
async fn create(zookeeper: &ZooKeeperServer, path: &str) {
    let mut stream = TcpStream::connect(zookeeper.endpoint()).await.unwrap();
    let connect: Vec<u8> = [
        &0i32.to_be_bytes()[..], // protocol
        &0i64.to_be_bytes(),     // last zxid seen
        &4_000i32.to_be_bytes(), // session time-out
        &0i64.to_be_bytes(),     // session id
        &16i32.to_be_bytes(),
        &[0; 16], // password
        &[0],     // not read-only
    ]
    .concat();
    exchange(&mut stream, &connect).await;
    let string =
        |text: &str| [&i32::try_from(text.len()).unwrap().to_be_bytes()[..], text.as_bytes()].concat();
    let create: Vec<u8> = [
        &1i32.to_be_bytes()[..], // request id
        &1i32.to_be_bytes(),     // create
        &string(path),
        &string("data"),
        &1i32.to_be_bytes(), // one access rule: all rights
        &31i32.to_be_bytes(),
        &string("world"),
        &string("anyone"),
        &0i32.to_be_bytes(), // persistent
    ]
    .concat();
    let reply = exchange(&mut stream, &create).await;
    assert_eq!(reply[12..16], [0; 4], "the create failed");
}

async fn exchange(stream: &mut TcpStream, request: &[u8]) -> Vec<u8> {
    stream.write_all(&i32::try_from(request.len()).unwrap().to_be_bytes()).await.unwrap();
    stream.write_all(request).await.unwrap();
    let length = stream.read_i32().await.unwrap();
    let mut reply = vec![0; usize::try_from(length).unwrap()];
    stream.read_exact(&mut reply).await.unwrap();
    reply
}

async fn node_count(zookeeper: &ZooKeeperServer) -> String {
    let answer = zookeeper.four_letter("srvr").await;
    answer.lines().find(|line| line.starts_with("Node count")).unwrap().to_owned()
}

async fn refused(endpoint: &str) -> bool {
    TcpStream::connect(endpoint)
        .await
        .is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionRefused)
}

async fn eventually(what: &str, mut condition: impl AsyncFnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !condition().await {
        assert!(Instant::now() < deadline, "not within 20 s: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

#[tokio::test]
async fn etcd_keeps_its_data_and_port_over_a_restart() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    let endpoint = etcd.endpoint();
    put(&etcd).await;
    etcd.kill().await;
    assert!(!etcd.is_running());
    assert!(refused(&endpoint).await);
    etcd.restart().await;
    assert_eq!(etcd.endpoint(), endpoint);
    assert!(get(&etcd).await.contains(VALUE));
}

#[tokio::test]
async fn zookeeper_keeps_its_data_and_port_over_a_restart() {
    let zookeeper = ZooKeeperServer::start(ServerOptions::default()).await;
    let endpoint = zookeeper.endpoint();
    let before = node_count(&zookeeper).await;
    create(&zookeeper, "/kept").await;
    let after = node_count(&zookeeper).await;
    assert_ne!(before, after);
    zookeeper.kill().await;
    assert!(refused(&endpoint).await);
    zookeeper.restart().await;
    assert_eq!(zookeeper.endpoint(), endpoint);
    assert_eq!(node_count(&zookeeper).await, after);
    assert!(zookeeper.four_letter("mntr").await.contains("zk_server_state\tstandalone"));
}

#[tokio::test]
async fn redis_keeps_its_data_and_port_over_a_restart() {
    let redis = RedisServer::start(ServerOptions::default()).await;
    let endpoint = redis.endpoint();
    let value = RedisReply::Value(b"\0\r\n".to_vec());
    redis.command(&[&b"SET"[..], b"kept", b"\0\r\n"]).await;
    redis.kill().await;
    assert!(refused(&endpoint).await);
    redis.restart().await;
    assert_eq!(redis.endpoint(), endpoint);
    assert_eq!(redis.command(&["GET", "kept"]).await, value);
    assert_eq!(redis.command(&["GET", "other"]).await, RedisReply::None);
    assert_eq!(redis.keys("*").await, ["kept"]);
    assert_eq!(redis.calls("get").await, 2);
}

#[tokio::test]
async fn redis_takes_arguments_and_may_want_a_password() {
    let redis = RedisServer::start(ServerOptions::default().arg("--requirepass").arg("secret")).await;
    let mut client = RedisClient::connect(&redis.endpoint()).await.unwrap();
    let refused = client.command(&["GET", "key"]).await.unwrap();
    assert!(matches!(&refused, RedisReply::Error(error) if error.starts_with("NOAUTH")), "{refused:?}");
    assert_eq!(client.command(&["AUTH", "secret"]).await.unwrap().text(), "OK");
    assert_eq!(client.command(&["INCR", "key"]).await.unwrap(), RedisReply::Number(1));
    let kept = client.command(&["CONFIG", "GET", "appendfsync"]).await.unwrap().texts();
    assert_eq!(kept, ["appendfsync", "always"]);
}

#[tokio::test]
async fn a_restart_replaces_a_running_server() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    let before = etcd.pid();
    etcd.restart().await;
    assert_ne!(etcd.pid(), before);
}

#[tokio::test]
async fn storage_is_where_it_says() {
    let disk = EtcdServer::start(ServerOptions::default().storage(Storage::Disk)).await;
    assert_eq!(disk.storage(), Storage::Disk);
    assert!(!disk.dir().starts_with("/dev/shm"));
    let memory = EtcdServer::start(ServerOptions::default()).await;
    assert_eq!(memory.dir().starts_with("/dev/shm"), memory.storage() == Storage::Tmpfs);
}

#[tokio::test]
async fn dropped_servers_leave_nothing() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    let (endpoint, dir) = (etcd.endpoint(), etcd.dir().to_owned());
    assert!(dir.exists());
    drop(etcd);
    assert!(refused(&endpoint).await);
    assert!(!dir.exists());
}

#[tokio::test]
async fn a_paused_server_is_silent_until_resumed() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    etcd.pause();
    assert!(etcd.is_running());
    let asked = tokio::time::timeout(Duration::from_millis(300), etcd.metrics()).await;
    assert!(asked.is_err(), "a stopped server answered");
    etcd.resume();
    assert!(etcd.metrics().await.contains("etcd_server_has_leader"));
    etcd.pause();
    // A stopped server can be killed and started again.
    etcd.restart().await;
}

#[tokio::test]
async fn etcd_takes_arguments_and_counts() {
    let options = ServerOptions::default().arg("--log-level").arg("info");
    let etcd = EtcdServer::start(options).await;
    assert!(etcd.log().contains(r#""level":"info""#));
    let before = etcd.metrics().await.sum("etcd_mvcc_put_total");
    put(&etcd).await;
    assert_eq!(etcd.metrics().await.sum("etcd_mvcc_put_total"), before + 1.0);
}

#[tokio::test]
async fn zookeeper_takes_configuration() {
    let options = ServerOptions::default()
        .tick_time(Duration::from_millis(250))
        .config_line("maxSessionTimeout=7000")
        .container_check_interval(Duration::from_secs(1))
        .arg("-Xmx80m");
    let zookeeper = ZooKeeperServer::start(options).await;
    let conf = zookeeper.four_letter("conf").await;
    for line in ["tickTime=250", "minSessionTimeout=250", "maxSessionTimeout=7000"] {
        assert!(conf.contains(line), "{line} is not in:\n{conf}");
    }
    let environment = zookeeper.four_letter("envi").await;
    assert!(environment.contains("os.memory.max=7"), "80 MB is not in:\n{environment}");
}

#[tokio::test]
async fn servers_start_from_spawned_tasks_side_by_side() {
    let starts: Vec<_> = (0..6).map(|_| tokio::spawn(EtcdServer::start(ServerOptions::default()))).collect();
    let mut endpoints = Vec::new();
    let mut servers = Vec::new();
    for start in starts {
        let server = start.await.unwrap();
        endpoints.push(server.endpoint());
        servers.push(server);
    }
    endpoints.sort();
    endpoints.dedup();
    assert_eq!(endpoints.len(), 6);
}

#[tokio::test]
async fn an_etcd_cluster_elects_a_leader_and_another() {
    let cluster = EtcdCluster::start(ServerOptions::default()).await;
    assert_eq!(cluster.endpoints().len(), 3);
    put(cluster.node(0)).await;
    let first = cluster.leader().await;
    cluster.node(first).kill().await;
    let second = cluster.leader().await;
    assert_ne!(first, second);
    cluster.node(first).restart().await;
    cluster.ready().await;
    assert!(get(cluster.node(first)).await.contains(VALUE));
    cluster.restart().await;
    assert!(get(cluster.node(first)).await.contains(VALUE));
}

#[tokio::test]
async fn a_zookeeper_cluster_elects_a_leader_and_another() {
    let cluster = ZooKeeperCluster::start(ServerOptions::default()).await;
    create(cluster.node(0), "/kept").await;
    let nodes = node_count(cluster.node(0)).await;
    let first = cluster.leader().await;
    cluster.node(first).kill().await;
    let second = cluster.leader().await;
    assert_ne!(first, second);
    cluster.node(first).restart().await;
    cluster.ready().await;
    assert_eq!(node_count(cluster.node(first)).await, nodes);
}

#[tokio::test]
#[should_panic(expected = "install the Debian package `etcd-server`")]
async fn a_missing_etcd_names_its_package() {
    EtcdServer::start(ServerOptions::default().program("/nowhere/etcd")).await;
}

#[tokio::test]
#[should_panic(expected = "install the Debian package `redis-server`")]
async fn a_missing_redis_names_its_package() {
    RedisServer::start(ServerOptions::default().program("/nowhere/redis-server")).await;
}

#[tokio::test]
#[should_panic(expected = "install the Debian package `default-jre-headless`")]
async fn a_missing_java_names_its_package() {
    ZooKeeperServer::start(ServerOptions::default().program("leasehold-no-such-java")).await;
}

#[tokio::test]
async fn a_server_that_does_not_start_shows_its_log() {
    let options = ServerOptions::default().arg("--election-timeout").arg("1");
    let error = EtcdServer::try_start(options).await.unwrap_err();
    assert!(matches!(&error, StartError::Exited { log, .. } if log.contains("election-timeout")), "{error}");
}

#[tokio::test]
async fn a_taken_port_is_told_apart() {
    let stranger = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", stranger.local_addr().unwrap());
    let options = ServerOptions::default().arg("--listen-client-urls").arg(url);
    let error = EtcdServer::try_start(options).await.unwrap_err();
    assert!(matches!(error, StartError::AddressInUse { attempts: 5, .. }), "{error}");
    let options =
        ServerOptions::default().arg("--port").arg(stranger.local_addr().unwrap().port().to_string());
    let error = RedisServer::try_start(options).await.unwrap_err();
    assert!(matches!(error, StartError::AddressInUse { attempts: 5, .. }), "{error}");
}

/// Says what it started, a line each, and then waits for its death.
#[tokio::test]
#[ignore = "the owner that servers_die_with_a_killed_owner kills"]
async fn owner() {
    let etcd = EtcdServer::start(ServerOptions::default()).await;
    // Whatever else the process starts in the meantime must not keep the servers alive.
    let mut bystander = Command::new("sleep").arg("60").spawn().unwrap();
    let zookeeper = ZooKeeperServer::start(ServerOptions::default()).await;
    let paused = EtcdServer::start(ServerOptions::default()).await;
    paused.pause();
    println!("bystander {}", bystander.id());
    println!("server {} {}", etcd.pid().unwrap(), etcd.dir().display());
    println!("server {} {}", zookeeper.pid().unwrap(), zookeeper.dir().display());
    println!("server {} {}", paused.pid().unwrap(), paused.dir().display());
    println!("complete");
    std::io::stdout().flush().unwrap();
    bystander.wait().unwrap();
}

#[tokio::test]
async fn servers_die_with_a_killed_owner() {
    let mut owner = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "owner", "--ignored", "--nocapture"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let lines = BufReader::new(owner.stdout.take().unwrap()).lines().map(Result::unwrap);
    let mut bystander = None;
    let mut servers = Vec::new();
    for line in lines.take_while(|line| line != "complete") {
        // The harness writes the test's name in front of its first line.
        let words: Vec<&str> = line.split(' ').collect();
        match words[..] {
            [.., "bystander", pid] => bystander = Some(pid.to_owned()),
            ["server", pid, dir] => servers.push((pid.to_owned(), dir.to_owned())),
            _ => {}
        }
    }
    let exists = |pid: &str| Path::new("/proc").join(pid).exists();
    assert_eq!(servers.len(), 3);
    assert!(servers.iter().all(|(pid, dir)| exists(pid) && Path::new(dir).exists()));
    owner.kill().unwrap();
    owner.wait().unwrap();
    for (pid, dir) in &servers {
        eventually("the server is gone", async || !exists(pid)).await;
        eventually("its directory is gone", async || !Path::new(dir).exists()).await;
    }
    let bystander = bystander.unwrap();
    assert!(exists(&bystander), "it was alive all the time");
    Command::new("kill").arg(bystander).status().unwrap();
}

/// A server as somebody else would describe it; which one it is does not matter.
#[derive(Debug)]
struct Foreign;

impl Program for Foreign {
    const NAME: &'static str = "foreign";
    const STOP: &'static str = "TERM";

    fn command(place: &Place) -> Result<Command, StartError> {
        place.prepare(Command::new("mkdir").arg(place.data_dir()))?;
        let mut command =
            Command::new(find_program("Redis", "redis-server", "LEASEHOLD_REDIS_BIN", "redis-server")?);
        command.arg("--port").arg(place.port().to_string()).arg("--dir").arg(place.data_dir());
        command.args(["--bind", "127.0.0.1", "--save", "", "--appendonly", "yes", "--appendfsync", "always"]);
        Ok(command)
    }

    async fn serves(endpoint: &str) -> bool {
        match RedisClient::connect(endpoint).await {
            Ok(mut client) => client.command(&["PING"]).await.is_ok(),
            Err(_) => false,
        }
    }
}

#[tokio::test]
async fn a_program_that_nobody_knows_is_started_killed_paused_and_restarted() {
    let server = ProgramServer::<Foreign>::start(ServerOptions::default()).await;
    let mut client = RedisClient::connect(&server.endpoint()).await.unwrap();
    client.command(&["SET", "key", "kept"]).await.unwrap();
    server.kill().await;
    assert!(!server.is_running());
    assert!(TcpStream::connect(server.endpoint()).await.is_err(), "the port is closed");
    server.restart().await;
    let mut client = RedisClient::connect(&server.endpoint()).await.unwrap();
    assert_eq!(client.command(&["GET", "key"]).await.unwrap(), RedisReply::Value(b"kept".to_vec()));
    // One that was stopped hears of no signal before it goes on; it is ended all the same.
    let (dir, pid) = (server.dir().to_owned(), server.pid().unwrap());
    server.pause();
    drop(server);
    assert!(!dir.exists() && !Path::new(&format!("/proc/{pid}")).exists());
}

#[derive(Debug)]
struct Unready;

impl Program for Unready {
    const NAME: &'static str = "unready";

    fn command(place: &Place) -> Result<Command, StartError> {
        place.prepare(Command::new("ls").arg(place.data_dir()))?;
        Ok(Command::new("sleep"))
    }

    async fn serves(_endpoint: &str) -> bool {
        true
    }
}

#[tokio::test]
async fn a_preparation_that_fails_says_what_was_said_and_leaves_nothing() {
    let error = ProgramServer::<Unready>::try_start(ServerOptions::default()).await.unwrap_err();
    let source = std::error::Error::source(&error).expect("what the program said").to_string();
    assert!(error.to_string().contains("ls") && source.contains("data"), "{error}: {source}");
    let ours = format!("leasehold-unready-{}-", std::process::id());
    for dir in [std::env::temp_dir(), "/dev/shm".into(), "/var/tmp".into()] {
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
        let left: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with(&ours)).collect();
        assert!(left.is_empty(), "{left:?}");
    }
    let missing = find_program("Nothing", "no-package", "LEASEHOLD_NO_VARIABLE", "leasehold-no-such-program");
    let missing = missing.unwrap_err().to_string();
    assert!(missing.contains("no-package") && missing.contains("LEASEHOLD_NO_VARIABLE"), "{missing}");
}
