//! A server, and short ways to use it.

use std::time::Duration;

use leasehold::zookeeper::ZooKeeperConfig;
use leasehold::{Coordinator, WireProfile};
use leasehold_core::AttemptIds;
use leasehold_testkit::servers::{ServerOptions, ZooKeeperServer};
use leasehold_zookeeper::ZooKeeperBackend;
use tokio::sync::OnceCell;
use tokio::time::sleep;
use zookeeper_client::{Acls, Client, CreateMode, Error};

pub(crate) const TTL: Duration = Duration::from_secs(4);
pub(crate) const TICK: Duration = Duration::from_millis(500);

/// A server for tests that do it no harm.
pub(crate) async fn server() -> &'static ZooKeeperServer {
    static SERVER: OnceCell<ZooKeeperServer> = OnceCell::const_new();
    SERVER.get_or_init(|| ZooKeeperServer::start(ServerOptions::default())).await
}

/// Ours, with a session of its own.
pub(crate) async fn ours(endpoint: &str) -> Coordinator {
    let backend = ZooKeeperBackend::new(ZooKeeperConfig::new([endpoint]).tick(TICK)).unwrap();
    Coordinator::builder(backend).ttl(TTL).request_timeout(Duration::from_secs(5)).connect().await.unwrap()
}

/// A path that no other test uses.
pub(crate) fn path() -> String {
    format!("/app-{}/lock", AttemptIds::new().unwrap().next())
}

/// A client that looks at the server from outside.
pub(crate) async fn outside(endpoint: &str) -> Client {
    Client::connect(endpoint).await.unwrap()
}

/// Creates a directory, as an administrator may.
pub(crate) async fn directory(outside: &Client, path: &str) {
    outside.mkdir(path, &CreateMode::Persistent.with_acls(Acls::anyone_all())).await.unwrap();
}

/// Creates a node as somebody may who is not of the layout.
pub(crate) async fn plant(outside: &Client, path: &str, name: &str) {
    let options = CreateMode::Ephemeral.with_acls(Acls::anyone_all());
    outside.create(&format!("{path}/{name}"), &[], &options).await.unwrap();
}

/// The names in a directory; none if the server has reaped it.
pub(crate) async fn children(outside: &Client, path: &str) -> Vec<String> {
    match outside.list_children(path).await {
        Err(Error::NoNode) => Vec::new(),
        children => children.unwrap(),
    }
}

/// Waits until a semaphore of Curator's has so many nodes at its entrance, and among its permits.
pub(crate) async fn settled(outside: &Client, path: &str, locks: usize, leases: usize) {
    let is_so = async {
        loop {
            let at = async |directory| children(outside, &format!("{path}/{directory}")).await.len();
            if (at("locks").await, at("leases").await) == (locks, leases) {
                return;
            }
            sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), is_so)
        .await
        .unwrap_or_else(|_| panic!("never {locks} at the entrance and {leases} permits"));
}

/// Waits until a directory has so many nodes.
pub(crate) async fn there_are(outside: &Client, path: &str, count: usize) {
    let is_so = async {
        while children(outside, path).await.len() != count {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon(is_so).await;
}

/// Fails a test that waits for what never comes.
pub(crate) async fn soon<T>(future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(20), future).await.expect("it never came")
}

/// Whether a node's name is of the layout.
pub(crate) fn is_named(profile: WireProfile, name: &str, word: &str) -> bool {
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let parts = match profile {
        WireProfile::Curator => name.strip_prefix("_c_").and_then(|rest| rest.split_at_checked(36)),
        _ => name.split_at_checked(32),
    };
    let Some((uuid, rest)) = parts else { return false };
    let sequence = rest.strip_prefix(word).unwrap_or_default();
    hex(&uuid.replace('-', "")) && sequence.len() == 10 && sequence.bytes().all(|byte| byte.is_ascii_digit())
}

/// The same cases with each library's program: a module each.
macro_rules! with_both {
    ($($case:ident),+ $(,)?) => {
        mod curator {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(leasehold::WireProfile::Curator).await;
                }
            )+
        }

        mod kazoo {
            $(
                #[tokio::test]
                async fn $case() {
                    super::$case(leasehold::WireProfile::Kazoo).await;
                }
            )+
        }
    };
}
pub(crate) use with_both;
