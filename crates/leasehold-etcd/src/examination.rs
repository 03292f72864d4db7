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
    report.findings.extend(bug_of(status.version()));
}

/// The bug of old versions that takes away what is promised over etcd.
fn bug_of(version: &str) -> Option<Finding> {
    let mut numbers = version.split(['.', '-', '+']).map_while(|number| number.parse::<u32>().ok());
    let (major, minor, patch) = (numbers.next()?, numbers.next()?, numbers.next()?);
    let fixed = match (major, minor) {
        (..=2, _) | (3, ..=3) => return Some(revokes_live_leases("3.4.31 or 3.5.13")),
        (3, 4) => (31, "3.4.31"),
        (3, 5) => (13, "3.5.13"),
        _ => return None,
    };
    (patch < fixed.0).then(|| revokes_live_leases(fixed.1))
}

fn revokes_live_leases(fixed: &str) -> Finding {
    Finding::new(
        Severity::Warning,
        "after a change of leaders it may revoke a lease that is renewed (etcd issue 15247): a holder's lock can be given away before its deadline",
        format!("update to {fixed} or later; until then only fencing protects data"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn which_versions_have_the_bug() {
        for version in ["3.3.27", "3.4.23", "3.4.30", "3.5.0", "3.5.12", "3.5.0-rc.1", "2.3.8"] {
            assert!(bug_of(version).is_some(), "{version}");
        }
        for version in ["3.4.31", "3.5.13", "3.5.13+git", "3.6.0", "4.0.0", "", "unknown", "3.5"] {
            assert_eq!(bug_of(version), None, "{version}");
        }
    }
}
