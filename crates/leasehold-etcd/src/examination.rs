//! What the members of a cluster say of themselves.

use std::time::Duration;

use etcd_client::StatusResponse;
use futures_util::future::join_all;
use leasehold_core::{BackendError, BackendErrorKind, Finding, ServerReport, Severity};

use crate::error::Effect;
use crate::link::{Link, Origin};

const WHAT: &str = "look at the members";

/// Asks each member by itself, and the application's client once.
pub(crate) async fn examine(origin: &Origin, limit: Duration) -> Vec<ServerReport> {
    join_all(origin.one_by_one().into_iter().map(|member| ask(member, limit))).await
}

async fn ask(member: Origin, limit: Duration) -> ServerReport {
    let endpoint = member.endpoint();
    let status = async {
        let link = Link::open(member.clone(), limit, limit).await?;
        link.call(WHAT, Effect::Read, |clients| {
            let mut maintenance = clients.maintenance();
            async move { maintenance.status().await }
        })
        .await
    };
    let mut report = ServerReport::new(endpoint);
    match status.await {
        Ok(status) => read(&status, &mut report),
        Err(error) => {
            let error = member.explain(WHAT, error, limit).await;
            report.findings.push(Finding::new(Severity::Problem, error.to_string(), remedy_of(&error)));
        }
    }
    report
}

fn remedy_of(error: &BackendError) -> &'static str {
    match error.kind() {
        BackendErrorKind::Untrusted => {
            "see the authorities that are trusted (tls_ca), and this member's certificate: its hosts, its dates, who signed it"
        }
        BackendErrorKind::Unauthenticated | BackendErrorKind::PermissionDenied => {
            "see the user and the certificate that we show, and what they may do there"
        }
        _ => {
            "see whether this member runs and its port is reached from here; the others serve as long as they are a majority"
        }
    }
}

fn read(status: &StatusResponse, report: &mut ServerReport) {
    report.version = Some(status.version().to_owned());
    let member = status.header().map_or(0, etcd_client::ResponseHeader::member_id);
    let role = match status.leader() {
        _ if status.is_learner() => "learner",
        0 => "follower of nobody",
        leader if leader == member => "leader",
        _ => "follower",
    };
    report.role = Some(role.to_owned());
    if status.leader() == 0 {
        report.findings.push(Finding::new(
            Severity::Problem,
            "it knows no leader, so it grants and renews nothing",
            "bring back a majority of the members, and the network between them",
        ));
    }
    if status.is_learner() {
        report.findings.push(Finding::new(
            Severity::Warning,
            "it is a learner, which serves no locks",
            "promote it, or take it out of the URL",
        ));
    }
    report.findings.extend(status.errors().iter().map(|error| {
        Finding::new(Severity::Problem, format!("it says: {error}"), "see etcdctl alarm list and etcd's log")
    }));
    report.findings.extend(bugs_of(status.version()));
}

/// A bug of some versions that takes away what is promised over etcd.
struct Bug {
    has: fn((u32, u32, u32)) -> bool,
    severity: Severity,
    what: &'static str,
    remedy: &'static str,
}

const BUGS: [Bug; 3] = [
    Bug {
        has: |version| version < (3, 4, 31) || ((3, 5, 0)..(3, 5, 13)).contains(&version),
        severity: Severity::Warning,
        what: "after a change of leaders it may revoke a lease that is renewed (etcd issue 15247): a holder's lock can be given away before its deadline",
        remedy: "update to 3.4.31 or 3.5.13 or later; until then only fencing protects data",
    },
    Bug {
        has: |version| {
            version < (3, 4, 38)
                || ((3, 5, 0)..(3, 5, 23)).contains(&version)
                || ((3, 6, 0)..(3, 6, 5)).contains(&version)
        },
        severity: Severity::Warning,
        what: "it may answer that a lease is renewed which was revoked (etcd issue 20590): a holder whose lease was revoked is told by the watch on its entry alone",
        remedy: "update to 3.4.38, 3.5.23 or 3.6.5 or later",
    },
    Bug {
        has: |version| ((3, 5, 0)..(3, 5, 3)).contains(&version),
        severity: Severity::Problem,
        what: "a member that was killed may have other data afterwards than the others (etcd 3.5.0 to 3.5.2)",
        remedy: "update to 3.5.3 or later, and compare the members by etcdctl endpoint hashkv",
    },
];

fn bugs_of(version: &str) -> impl Iterator<Item = Finding> {
    let mut numbers = version.split(['.', '-', '+']).map_while(|number| number.parse::<u32>().ok());
    let version = (|| Some((numbers.next()?, numbers.next()?, numbers.next()?)))();
    // Of a version that cannot be read nothing is known.
    let bugs = version.into_iter().flat_map(|version| BUGS.iter().filter(move |bug| (bug.has)(version)));
    bugs.map(|bug| Finding::new(bug.severity, bug.what, bug.remedy))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_versions_have_which_bugs() {
        let (revoked, renewed, data) = ("15247", "20590", "3.5.0 to 3.5.2");
        for (versions, bugs) in [
            (&["3.3.27", "3.4.23", "3.4.30", "3.5.3", "3.5.12", "2.3.8"][..], &[revoked, renewed][..]),
            (&["3.5.0", "3.5.2", "3.5.0-rc.1"], &[revoked, renewed, data]),
            (&["3.4.31", "3.4.37", "3.5.13", "3.5.22", "3.5.13+git", "3.6.0", "3.6.4"], &[renewed]),
            (&["3.4.38", "3.5.23", "3.6.5", "3.7.0", "4.0.0", "", "unknown", "3.5"], &[]),
        ] {
            for version in versions {
                let found: Vec<_> = bugs_of(version).map(|finding| finding.what).collect();
                assert_eq!(found.len(), bugs.len(), "{version}: {found:?}");
                assert!(found.iter().zip(bugs).all(|(what, bug)| what.contains(bug)), "{version}: {found:?}");
            }
        }
    }
}
