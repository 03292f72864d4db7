use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::cluster::Cluster;
use super::error::StartError;
use super::options::{ServerOptions, ServerTls};
use super::ports::Port;
use super::server::kind::Kind;
use super::server::{Package, Server};
use super::site;
use super::storage;
use super::watchdog::CommandLine;

const JAVA: Package =
    Package { what: "Java", package: "default-jre-headless", variable: "LEASEHOLD_JAVA_BIN" };

const PACKAGE: Package =
    Package { what: "ZooKeeper", package: "zookeeper", variable: "LEASEHOLD_ZOOKEEPER_CLASSPATH" };

/// Debian's jar; its manifest names the jars that it needs.
const JAR: &str = "/usr/share/java/zookeeper.jar";

/// Jars of `libnetty-java` that the manifest forgets, without which the server does not speak TLS.
const NETTY_JARS: &str = "/usr/share/java/netty-codec.jar:/usr/share/java/netty-resolver.jar";

/// Makes the server log to its standard error; comes with a package that ZooKeeper's depends on.
const LOGGING_JAR: &str = "/usr/share/java/slf4j-simple.jar";

const MAIN: &str = "org.apache.zookeeper.server.quorum.QuorumPeerMain";

const TICK: Duration = Duration::from_millis(500);

/// ZooKeeper, as a [`Service`](super::Service).
#[derive(Debug, Clone, Copy)]
pub enum ZooKeeper {}

/// One ZooKeeper server.
pub type ZooKeeperServer = Server<ZooKeeper>;

/// Three ZooKeeper servers.
pub type ZooKeeperCluster = Cluster<ZooKeeper>;

impl Kind for ZooKeeper {
    const NAME: &'static str = "zookeeper";
    const IN_NETWORKS: bool = true;
    const ASKS_LIBC_FOR_THE_TIME: bool = true;

    async fn launch(options: &ServerOptions, members: usize) -> Result<Vec<Server<Self>>, StartError> {
        let java = JAVA.program(options.program.as_deref(), "java")?;
        let classpath = classpath()?;
        let mut ports = Vec::with_capacity(members);
        for index in 0..members {
            let host = site::host(options, index);
            ports.push(Ports {
                client: Port::reserve_at(host)?,
                quorum: Port::reserve_at(host)?,
                election: Port::reserve_at(host)?,
            });
        }
        // A server without members serves alone.
        let cluster = if members == 1 { String::new() } else { cluster_lines(&ports) };
        let mut nodes = Vec::with_capacity(members);
        for (index, ports) in ports.into_iter().enumerate() {
            let placed = storage::fresh_dir(options.storage, ZooKeeper::NAME)?;
            let tls_port = options.tls.as_ref().map(|_| Port::reserve()).transpose()?;
            let more = match (&options.tls, &tls_port) {
                (Some(tls), Some(port)) => tls_lines(tls, port, &placed.0)
                    .map_err(StartError::io("cannot write the certificates"))?,
                _ => String::new(),
            };
            let config = configure(&placed.0, index + 1, &ports.client, &format!("{cluster}{more}"), options)
                .map_err(StartError::io("cannot write ZooKeeper's configuration"))?;
            let line = site::inside(
                options,
                index,
                CommandLine {
                    program: java.clone(),
                    args: arguments(&classpath, config, options),
                    env: site::env(options),
                    foreign_env_prefix: Some("JAVA_TOOL_OPTIONS"),
                    stop_signal: "KILL",
                    network: None,
                },
            );
            let peers = vec![ports.quorum, ports.election];
            nodes.push(Server::launch(line, placed, ports.client, peers).await?.with_tls_port(tls_port));
        }
        Ok(nodes)
    }

    /// The mode is answered by a server that serves: alone, or with a quorum.
    async fn serves(endpoint: &str) -> bool {
        four_letter(endpoint, "srvr").await.is_ok_and(|answer| mode(&answer).is_some())
    }

    async fn leads(endpoint: &str) -> bool {
        four_letter(endpoint, "srvr").await.is_ok_and(|answer| mode(&answer) == Some("leader"))
    }
}

fn mode(srvr: &str) -> Option<&str> {
    srvr.lines().find_map(|line| line.strip_prefix("Mode: "))
}

async fn four_letter(endpoint: &str, word: &str) -> io::Result<String> {
    let mut stream = TcpStream::connect(endpoint).await?;
    stream.write_all(word.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

impl Server<ZooKeeper> {
    /// Asks an administrator's question: `mntr`, `srvr`, `wchs`, `dump`, …
    ///
    /// # Panics
    /// If the server does not answer.
    pub async fn four_letter(&self, word: &str) -> String {
        match four_letter(&self.endpoint(), word).await {
            Ok(answer) => answer,
            Err(error) => panic!("no answer of {} to {word}: {error}", self.what()),
        }
    }
}

/// The ports of one server.
struct Ports {
    client: Port,
    quorum: Port,
    election: Port,
}

fn classpath() -> Result<OsString, StartError> {
    if let Some(chosen) = std::env::var_os(PACKAGE.variable) {
        return Ok(chosen);
    }
    if !Path::new(JAR).is_file() {
        return Err(PACKAGE.missing(JAR.to_owned()));
    }
    Ok(format!("{JAR}:{LOGGING_JAR}:{NETTY_JARS}").into())
}

fn cluster_lines(ports: &[Ports]) -> String {
    let lines = ports.iter().zip(1..);
    lines.fold(String::new(), |mut text, (ports, id)| {
        let (quorum, election) = (ports.quorum.endpoint(), ports.election.number());
        let _ = writeln!(text, "server.{id}={quorum}:{election}");
        text
    })
}

/// What has a server speak TLS at one more port.
fn tls_lines(tls: &ServerTls, port: &Port, dir: &Path) -> io::Result<String> {
    let [_, _, authorities, both] = tls.write(dir)?;
    let clients = if tls.clients_must_show_one { "need" } else { "none" };
    Ok(format!(
        "serverCnxnFactory=org.apache.zookeeper.server.NettyServerCnxnFactory\n\
         secureClientPort={}\n\
         secureClientPortAddress=127.0.0.1\n\
         ssl.keyStore.location={}\n\
         ssl.keyStore.type=PEM\n\
         ssl.trustStore.location={}\n\
         ssl.trustStore.type=PEM\n\
         ssl.clientAuth={clients}\n\
         authProvider.x509=org.apache.zookeeper.server.auth.X509AuthenticationProvider\n",
        port.number(),
        both.display(),
        authorities.display(),
    ))
}

/// Writes the configuration of one server. Of a line that occurs twice, ZooKeeper takes the last.
fn configure(
    dir: &Path,
    id: usize,
    client: &Port,
    cluster: &str,
    options: &ServerOptions,
) -> io::Result<PathBuf> {
    let data = dir.join("data");
    let data_dir = data.display();
    let (host, port) = (client.host(), client.number());
    let tick = options.tick_time.unwrap_or(TICK).as_millis();
    let own = options.config_lines.join("\n");
    fs::create_dir_all(&data)?;
    fs::write(data.join("myid"), id.to_string())?;
    let config = dir.join("zoo.cfg");
    fs::write(
        &config,
        format!(
            "tickTime={tick}\n\
             minSessionTimeout={tick}\n\
             maxSessionTimeout=60000\n\
             initLimit=20\n\
             syncLimit=10\n\
             dataDir={data_dir}\n\
             clientPort={port}\n\
             clientPortAddress={host}\n\
             maxClientCnxns=0\n\
             admin.enableServer=false\n\
             4lw.commands.whitelist=*\n\
             {cluster}{own}\n"
        ),
    )?;
    Ok(config)
}

fn arguments(classpath: &OsString, config: PathBuf, options: &ServerOptions) -> Vec<OsString> {
    let mut args: Vec<OsString> = [
        "-Xmx96m",
        "-XX:+UseSerialGC",
        "-XX:-UsePerfData",
        // A server of a test lives for seconds: compiling it well costs more processor than it saves.
        "-XX:TieredStopAtLevel=1",
        "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
        "-Dorg.slf4j.simpleLogger.showDateTime=true",
    ]
    .map(OsString::from)
    .into();
    if let Some(interval) = options.container_check_interval {
        args.push(format!("-Dznode.container.checkIntervalMs={}", interval.as_millis()).into());
    }
    args.extend(options.args.iter().cloned());
    args.extend(["-cp".into(), classpath.clone(), MAIN.into(), config.into()]);
    args
}
