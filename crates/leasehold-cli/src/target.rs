//! Which service, and where in it: the one place that knows how the command line names it.

use std::time::Duration;

use clap::Args;
use leasehold::{Coordinator, CoordinatorBuilder, HolderInfo};

use crate::exit::Failure;

/// How long a session that is given up may take to end.
const FAREWELL: Duration = Duration::from_secs(2);

/// The service.
#[derive(Debug, Clone, Args)]
pub(crate) struct Target {
    /// The service, as etcd://HOST:PORT/NAMESPACE, zookeeper://…, redis://…,
    /// redis+sentinel://… or redis+cluster://…; by TLS etcds://…, zookeepers://…,
    /// rediss://…
    ///
    /// A password in it is seen by whoever lists processes: set LEASEHOLD_URL, or
    /// say by ?password_file=PATH or ?password_env=NAME where the password is.
    #[arg(long, global = true, env = "LEASEHOLD_URL", hide_env_values = true, value_name = "URL")]
    url: Option<String>,
}

impl Target {
    /// The URL, if it names a service that processes can share.
    pub(crate) fn url(&self) -> Result<&str, Failure> {
        let Some(url) = self.url.as_deref().filter(|url| !url.is_empty()) else {
            return Err(Failure::usage(
                "no service is named; give --url or set LEASEHOLD_URL, as in etcd://127.0.0.1:2379",
            ));
        };
        let scheme = url.split_once(':').map_or("", |(scheme, _)| scheme);
        if scheme.eq_ignore_ascii_case("memory") {
            return Err(Failure::usage(
                "memory:// lives in one process, so nobody else could meet this one there; name a \
                 service, as in etcd://127.0.0.1:2379",
            ));
        }
        Ok(url)
    }

    /// What connects to it.
    pub(crate) fn builder(&self) -> Result<CoordinatorBuilder, Failure> {
        Ok(leasehold::builder(self.url()?)?)
    }

    /// Connects, with a TTL other than the URL's and in words that others can read, where they are given.
    pub(crate) async fn connect(
        &self,
        ttl: Option<Duration>,
        purpose: Option<&str>,
    ) -> Result<Coordinator, Failure> {
        let mut builder = self.builder()?;
        if let Some(ttl) = ttl {
            builder = builder.ttl(ttl);
        }
        if let Some(purpose) = purpose {
            builder = builder.holder(HolderInfo::this_process().with_purpose(purpose));
        }
        Ok(builder.connect().await?)
    }
}

/// Ends the session; what it has not given up by then is free after the TTL.
pub(crate) async fn leave(coordinator: &Coordinator) {
    // Whatever is left is the service's to remove, and nobody waits for it here.
    let _ = coordinator.shutdown(FAREWELL).await;
}
