//! Services that have to be convinced, by the command: passwords that stand elsewhere, certificates, and what is told where they are wrong.

use std::process::{Output, Stdio};
use std::time::Duration;

use leasehold_testkit::servers::{EtcdServer, RedisServer, ServerOptions, ServerTls};
use tokio::process::Command;
use tokio::time::timeout;

/// Longer than anything that is waited for here takes.
const PATIENCE: Duration = Duration::from_secs(30);

async fn output(url: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_leasehold"));
    command
        .args(arguments)
        .env("LEASEHOLD_URL", url)
        .env("APP_PASSWORD", "hunter2-of-the-command")
        .stdin(Stdio::null())
        .kill_on_drop(true);
    timeout(PATIENCE, command.output()).await.expect("it ends").unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[tokio::test]
async fn a_password_is_in_no_process_list() {
    let server = RedisServer::start(ServerOptions::default()).await;
    server
        .command(&["ACL", "SETUSER", "app", "reset", "on", ">hunter2-of-the-command", "~*", "&*", "+@all"])
        .await;
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("password");
    std::fs::write(&file, "hunter2-of-the-command\n").unwrap();
    // What all processes were started with, as everybody on the machine sees it.
    let list = "cat /proc/[0-9]*/cmdline | tr '\\0' ' '";
    for option in ["password_env=APP_PASSWORD".to_owned(), format!("password_file={}", file.display())] {
        let url = format!("redis://app@{}?{option}", server.endpoint());
        let ran = output(&url, &["run", "nightly", "--", "sh", "-c", list]).await;
        assert_eq!(ran.status.code(), Some(0), "{}", text(&ran.stderr));
        let seen = text(&ran.stdout);
        assert!(seen.contains("__leash") && !seen.contains("hunter2-of-the-command"), "{seen}");
    }
    let wrong = output(&format!("redis://app:wrong@{}", server.endpoint()), &["ls"]).await;
    assert_eq!(wrong.status.code(), Some(77), "{}", text(&wrong.stderr));
    let missing = output(&format!("redis://app@{}?password_env=NO_SUCH", server.endpoint()), &["ls"]).await;
    assert_eq!(missing.status.code(), Some(64));
    assert!(text(&missing.stderr).contains("NO_SUCH"), "{}", text(&missing.stderr));
}

#[tokio::test]
async fn the_doctor_tells_what_is_wrong_with_a_certificate() {
    let own = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let dir = tempfile::tempdir().unwrap();
    let (trusted, stranger) = (dir.path().join("ca.pem"), dir.path().join("other.pem"));
    std::fs::write(&trusted, own.cert.pem()).unwrap();
    std::fs::write(&stranger, other.cert.pem()).unwrap();
    let tls = ServerTls::new(own.cert.pem(), own.signing_key.serialize_pem(), own.cert.pem());
    let server = EtcdServer::start(ServerOptions::default().tls(tls)).await;
    let at = server.tls_endpoint();
    let sound = output(&format!("etcds://{at}?tls_ca={}", trusted.display()), &["doctor"]).await;
    assert_eq!(sound.status.code(), Some(0), "{}{}", text(&sound.stdout), text(&sound.stderr));
    let wrong = output(&format!("etcds://{at}?tls_ca={}", stranger.display()), &["doctor"]).await;
    assert_eq!(wrong.status.code(), Some(76), "{}{}", text(&wrong.stdout), text(&wrong.stderr));
    let told = text(&wrong.stdout);
    assert!(told.contains("not trusted") && told.contains("tls_ca"), "{told}");
}
