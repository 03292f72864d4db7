//! `leasehold doctor` and `leasehold bench`, over real servers.

use leasehold_testkit::servers::{EtcdServer, RedisServer, ServerOptions, ZooKeeperServer};
use serde_json::Value;

use crate::support::output;

/// What the doctor says, and its exit status.
async fn examined(url: &str, more: &[&str]) -> (Vec<Value>, Option<i32>) {
    let mut arguments = vec!["doctor", "--json"];
    arguments.extend(more);
    let output = output(url, &arguments).await;
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).unwrap();
    let findings: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for finding in &findings {
        let (severity, remedy) = (finding["severity"].as_str().unwrap(), &finding["remedy"]);
        assert_eq!(remedy.is_null(), severity == "ok", "each finding has its remedy: {finding}");
        assert!(!finding["what"].as_str().unwrap().is_empty());
    }
    (findings, output.status.code())
}

/// The findings of one check, with this severity and these words.
fn count(findings: &[Value], check: &str, severity: &str, words: &str) -> usize {
    let such = |finding: &&Value| {
        finding["check"] == check
            && finding["severity"] == severity
            && finding["what"].as_str().is_some_and(|what| what.contains(words))
    };
    findings.iter().filter(such).count()
}

/// What a service that works has in any case.
fn is_sound(findings: &[Value], status: Option<i32>, server: &str) {
    assert_eq!(status, Some(0), "{findings:?}");
    assert_eq!(count(findings, "reach", "ok", "opens a session"), 1, "{findings:?}");
    assert_eq!(count(findings, "server", "ok", server), 1, "{findings:?}");
    assert_eq!(count(findings, "ttl", "ok", "15s"), 1, "{findings:?}");
    // How long it takes is the machine's, and may be worth a warning.
    let locks = count(findings, "lock", "ok", "of 20") + count(findings, "lock", "warning", "of 20");
    assert_eq!(locks, 1, "{findings:?}");
}

#[tokio::test]
async fn a_sound_etcd_and_a_member_that_is_gone() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let (findings, status) = examined(&format!("etcd://{}/doctor", server.endpoint()), &[]).await;
    is_sound(&findings, status, &format!("{} is etcd 3.", server.endpoint()));
    assert_eq!(count(&findings, "server", "ok", "leader"), 1);

    // Port 1 is nobody's.
    let url = format!("etcd://{},127.0.0.1:1/doctor", server.endpoint());
    let (findings, status) = examined(&url, &[]).await;
    assert_eq!(status, Some(70), "{findings:?}");
    assert_eq!(count(&findings, "server", "problem", "127.0.0.1:1: "), 1, "{findings:?}");
    assert_eq!(count(&findings, "server", "ok", &server.endpoint()), 1, "{findings:?}");
}

#[tokio::test]
async fn a_sound_zookeeper() {
    let server = ZooKeeperServer::start(ServerOptions::default()).await;
    let url = format!("zookeeper://{}/doctor", server.endpoint());
    let (findings, status) = examined(&url, &["--ttl", "24h"]).await;
    assert_eq!(status, Some(0), "{findings:?}");
    assert_eq!(count(&findings, "server", "ok", &format!("{} is zookeeper 3.", server.endpoint())), 1);
    assert_eq!(count(&findings, "server", "ok", "standalone"), 1, "{findings:?}");
    assert_eq!(count(&findings, "ttl", "note", "where 86400s was asked for"), 1, "{findings:?}");
}

#[tokio::test]
async fn a_redis_that_forgets() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = format!("redis://{}/doctor", server.endpoint());
    let (findings, status) = examined(&url, &[]).await;
    is_sound(&findings, status, "primary");
    assert_eq!(count(&findings, "promises", "note", ""), 2, "{findings:?}");
    assert_eq!(count(&findings, "clock", "ok", "agrees"), 1, "{findings:?}");
    for (kept, warnings) in [("yes", 0), ("no", 1)] {
        assert_eq!(server.command(&["CONFIG", "SET", "appendonly", kept]).await.text(), "OK");
        let (findings, status) = examined(&url, &[]).await;
        assert_eq!(status, Some(0), "{findings:?}");
        assert_eq!(count(&findings, "server", "warning", "append-only"), warnings, "{findings:?}");
    }
}

#[tokio::test]
async fn nobody_answers() {
    let (findings, status) = examined("etcd://127.0.0.1:1", &[]).await;
    assert_eq!(status, Some(69), "{findings:?}");
    assert_eq!((findings.len(), count(&findings, "reach", "problem", "")), (1, 1), "{findings:?}");
    let output = output("ectd://127.0.0.1:1", &["doctor"]).await;
    assert_eq!(output.status.code(), Some(64), "the command line is wrong, not the service");
}

#[tokio::test]
async fn a_quick_measurement() {
    let server = RedisServer::start(ServerOptions::default()).await;
    let url = format!("redis://{}/bench", server.endpoint());
    let output = output(&url, &["bench", "--time", "400ms", "--contenders", "3", "--json"]).await;
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    let measured: Value = serde_json::from_slice(&output.stdout).unwrap();
    let number = |part: &str, field: &str| measured[part][field].as_f64().unwrap();
    assert!(number("alone", "locks") >= 1.0 && number("alone", "median_us") <= number("alone", "p99_us"));
    assert!((number("together", "contenders") - 3.0).abs() < f64::EPSILON);
    assert!(number("together", "locks") >= 3.0 && number("together", "locks_per_second") > 0.0, "{measured}");
    assert!(number("together", "least") >= 1.0 && number("together", "least") <= number("together", "most"));
}
