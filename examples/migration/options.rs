//! What the command line says.

use leasehold::{Coordinator, Error};
use leasehold_examples::url_from_environment;

/// Where from and where to.
pub(crate) struct Options {
    pub(crate) from: String,
    pub(crate) to: String,
}

impl Options {
    /// `None`: there is nothing to do but what was printed.
    pub(crate) fn read() -> Result<Option<Self>, lexopt::Error> {
        use lexopt::prelude::*;
        let services = (url_from_environment("zookeeper"), url_from_environment("etcd"));
        let (mut from, mut to) = match services {
            (Some(zookeeper), Some(etcd)) => (zookeeper, etcd),
            _ => ("memory://old".into(), "memory://new".into()),
        };
        let mut parser = lexopt::Parser::from_env();
        while let Some(argument) = parser.next()? {
            match argument {
                Long("from") => from = parser.value()?.string()?,
                Long("to") => to = parser.value()?.string()?,
                Long("help") | Short('h') => {
                    println!(
                        "migration [--from URL] [--to URL]\n\nWithout URLs: from LEASEHOLD_ZOOKEEPER_URL to \
                         LEASEHOLD_ETCD_URL if both are set, else two memory services."
                    );
                    return Ok(None);
                }
                other => return Err(other.unexpected()),
            }
        }
        Ok(Some(Self { from, to }))
    }

    /// A connection to the service that is left.
    pub(crate) async fn connect_old(&self) -> Result<Coordinator, Error> {
        leasehold::builder(&self.from)?.epoch(0).connect().await
    }

    /// A connection to the service that is moved to: its tokens beat all of the other's, by their epoch, from the beginning.
    pub(crate) async fn connect_new(&self) -> Result<Coordinator, Error> {
        leasehold::builder(&self.to)?.epoch(1).connect().await
    }
}
