//! What the servers of an ensemble say of themselves: the answer to the four-letter word `srvr`, which servers allow by default.

use std::io;
use std::time::Duration;

use futures::future::join_all;
use leasehold_core::{Finding, ServerReport, Severity};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::config::host_and_port;
#[cfg(feature = "tls")]
use crate::secured::Secured;

/// An answer is some lines; whatever sends more is no server of ours.
const MAX_ANSWER: u64 = 64 * 1024;

#[cfg(feature = "tls")]
pub(crate) async fn examine(
    hosts: &[String],
    secured: Option<&Secured>,
    limit: Duration,
) -> Vec<ServerReport> {
    let asked = hosts.iter().map(async |host| match secured {
        None => ask(host, limit, srvr(host)).await,
        Some(secured) => {
            let answer = async {
                let stream = secured.connect("look at a server", host, dial(host).await?);
                question(stream.await.map_err(io::Error::other)?).await
            };
            ask(host, limit, answer).await
        }
    });
    join_all(asked).await
}

#[cfg(not(feature = "tls"))]
pub(crate) async fn examine(hosts: &[String], limit: Duration) -> Vec<ServerReport> {
    join_all(hosts.iter().map(|host| ask(host, limit, srvr(host)))).await
}

async fn ask(host: &str, limit: Duration, answer: impl Future<Output = io::Result<String>>) -> ServerReport {
    let mut report = ServerReport::new(host);
    let answer = timeout(limit, answer).await;
    let answer = answer
        .unwrap_or_else(|_| Err(io::Error::new(io::ErrorKind::TimedOut, format!("not within {limit:?}"))));
    match answer {
        Ok(answer) => read(&answer, &mut report),
        Err(error) => report.findings.push(Finding::new(
            Severity::Problem,
            format!("it does not answer: {error}"),
            "see whether this server runs and its port is reached from here; the others serve as long as they are a majority",
        )),
    }
    report
}

async fn srvr(host: &str) -> io::Result<String> {
    question(dial(host).await?).await
}

async fn dial(host: &str) -> io::Result<TcpStream> {
    TcpStream::connect(host_and_port(host)).await
}

async fn question(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> io::Result<String> {
    stream.write_all(b"srvr").await?;
    stream.flush().await?;
    let mut answer = Vec::new();
    stream.take(MAX_ANSWER).read_to_end(&mut answer).await?;
    Ok(String::from_utf8_lossy(&answer).into_owned())
}

fn read(answer: &str, report: &mut ServerReport) {
    let field = |name: &str| {
        answer.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": ")).map(str::trim)
    };
    let version = field("Zookeeper version").and_then(|text| text.split(['-', ',', ' ']).next());
    report.version = version.map(str::to_owned);
    report.role = field("Mode").map(str::to_owned);
    if answer.contains("not currently serving requests") {
        report.findings.push(Finding::new(
            Severity::Problem,
            "it serves no requests: it belongs to no majority",
            "bring back a majority of the servers, and the network between them",
        ));
    } else if report.version.is_none() {
        report.findings.push(Finding::new(
            Severity::Note,
            "it does not say what it is: the four-letter word srvr is not allowed",
            "allow it by 4lw.commands.whitelist=srvr, if its version shall be seen",
        ));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(answer: &str) -> ServerReport {
        let mut report = ServerReport::new("a:2181");
        read(answer, &mut report);
        report
    }

    #[test]
    fn what_servers_answer() {
        let told = "Zookeeper version: 3.8.0-${mvngit.commit.id}, built on 2022-02-25 08:49 UTC\nLatency min/avg/max: 0/0.0/0\nMode: follower\n";
        let read = report(told);
        assert_eq!((read.version.as_deref(), read.role.as_deref()), (Some("3.8.0"), Some("follower")));
        assert!(read.findings.is_empty());
        let alone = report("This ZooKeeper instance is not currently serving requests\n");
        assert_eq!(alone.findings[0].severity, Severity::Problem);
        let closed = report("srvr is not executed because it is not in the whitelist.\n");
        assert_eq!((closed.version, closed.findings[0].severity), (None, Severity::Note));
    }
}
