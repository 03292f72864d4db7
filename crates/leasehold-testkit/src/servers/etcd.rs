use std::ffi::OsString;

use super::cluster::Cluster;
use super::error::StartError;
use super::http;
use super::metrics::Metrics;
use super::options::ServerOptions;
use super::ports::Port;
use super::server::kind::Kind;
use super::server::{Package, Server};
use super::site;
use super::storage;
use super::watchdog::CommandLine;

const PACKAGE: Package = Package { what: "etcd", package: "etcd-server", variable: "LEASEHOLD_ETCD_BIN" };

/// etcd, as a [`Service`](super::Service).
#[derive(Debug, Clone, Copy)]
pub enum Etcd {}

/// One etcd server.
pub type EtcdServer = Server<Etcd>;

/// Three etcd servers.
pub type EtcdCluster = Cluster<Etcd>;

impl Kind for Etcd {
    const NAME: &'static str = "etcd";
    const IN_NETWORKS: bool = true;

    async fn launch(options: &ServerOptions, members: usize) -> Result<Vec<Server<Self>>, StartError> {
        let program = PACKAGE.program(options.program.as_deref(), "etcd")?;
        let mut ports = Vec::with_capacity(members);
        for index in 0..members {
            let host = site::host(options, index);
            ports.push((Port::reserve_at(host)?, Port::reserve_at(host)?));
        }
        let cluster: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(i, (_, peer))| format!("m{i}=http://{}", peer.endpoint()))
            .collect();
        let cluster = cluster.join(",");
        let token =
            format!("leasehold-{}", ports.iter().map(|(c, _)| c.number().to_string()).collect::<String>());
        let mut nodes = Vec::with_capacity(members);
        for (index, (client, peer)) in ports.into_iter().enumerate() {
            let placed = storage::fresh_dir(options.storage, Etcd::NAME)?;
            let client_url = format!("http://{}", client.endpoint());
            let peer_url = format!("http://{}", peer.endpoint());
            let data = placed.0.join("data").into_os_string();
            let (tls_port, secured) = match &options.tls {
                Some(tls) => {
                    let port = Port::reserve()?;
                    (
                        Some(port),
                        tls.write(&placed.0).map_err(StartError::io("cannot write the certificates"))?,
                    )
                }
                None => (None, Default::default()),
            };
            let secure_url = tls_port.as_ref().map(|port| format!(",https://{}", port.endpoint()));
            let listen_urls = format!("{client_url}{}", secure_url.unwrap_or_default());
            let settings: [(&str, OsString); 12] = [
                ("--name", format!("m{index}").into()),
                ("--data-dir", data),
                ("--listen-client-urls", listen_urls.into()),
                ("--advertise-client-urls", client_url.into()),
                ("--listen-peer-urls", peer_url.clone().into()),
                ("--initial-advertise-peer-urls", peer_url.into()),
                ("--initial-cluster", cluster.clone().into()),
                ("--initial-cluster-token", token.clone().into()),
                ("--initial-cluster-state", "new".into()),
                ("--logger", "zap".into()),
                ("--log-outputs", "stderr".into()),
                ("--log-level", "warn".into()),
            ];
            let mut args: Vec<OsString> =
                settings.into_iter().flat_map(|(name, value)| [OsString::from(name), value]).collect();
            if let Some(tls) = &options.tls {
                let [certificate, key, authorities, _] = secured;
                args.extend(["--cert-file".into(), certificate.into(), "--key-file".into(), key.into()]);
                // An etcd that knows authorities asks everybody for a certificate.
                if tls.clients_must_show_one {
                    args.extend([
                        "--client-cert-auth".into(),
                        "--trusted-ca-file".into(),
                        authorities.into(),
                    ]);
                }
            }
            args.extend(options.args.iter().cloned());
            let mut env = options.env.clone();
            if cfg!(target_arch = "aarch64") {
                // etcd 3.4 refuses to run there otherwise.
                env.insert(0, ("ETCD_UNSUPPORTED_ARCH".into(), "arm64".into()));
            }
            let line = site::inside(
                options,
                index,
                CommandLine {
                    program: program.clone(),
                    args,
                    env,
                    foreign_env_prefix: Some("ETCD_"),
                    stop_signal: "KILL",
                    network: None,
                },
            );
            nodes.push(Server::launch(line, placed, client, vec![peer]).await?.with_tls_port(tls_port));
        }
        Ok(nodes)
    }

    /// `/health` answers with an error status unless there is a leader and no alarm.
    async fn serves(endpoint: &str) -> bool {
        http::request(endpoint, "/health", None).await.is_ok()
    }

    async fn leads(endpoint: &str) -> bool {
        let metrics = http::request(endpoint, "/metrics", None).await.unwrap_or_default();
        Metrics::parse(&metrics).sum("etcd_server_is_leader") > 0.0
    }
}

impl Server<Etcd> {
    /// A reading of its counters.
    pub async fn metrics(&self) -> Metrics {
        match http::request(&self.endpoint(), "/metrics", None).await {
            Ok(text) => Metrics::parse(&text),
            Err(error) => panic!("no metrics of {}: {error}", self.what()),
        }
    }

    /// Asks the server's JSON gateway: what an administrator does behind a client's back. `path` is as in
    /// `/v3/kv/range`; keys and values in `json` are in base64.
    ///
    /// # Panics
    /// If the server refuses.
    pub async fn gateway(&self, path: &str, json: &str) -> String {
        match http::request(&self.endpoint(), path, Some(json)).await {
            Ok(answer) => answer,
            Err(error) => panic!("{} refused {path}: {error}", self.what()),
        }
    }
}
