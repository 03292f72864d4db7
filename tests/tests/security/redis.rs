//! Redis: TLS with users of its access control lists, who cannot get at each other's locks.

use leasehold::ErrorKind;
use leasehold_testkit::servers::{RedisClient, RedisReply, RedisServer, ServerOptions};

use crate::life::*;

/// A server that demands a certificate and a user: `app` and `eve`, each with a namespace of that name.
async fn with_users(files: &Files) -> RedisServer {
    let server =
        RedisServer::start(ServerOptions::default().tls(files.server().clients_must_show_one())).await;
    for user in ["app", "eve"] {
        let (password, keys, channels) =
            (format!(">{user}-hunter2"), format!("~{{{user}}}:*"), format!("&{{{user}}}:*"));
        let rights =
            ["+@read", "+@write", "+@scripting", "+@pubsub", "+@connection", "-@dangerous", "+time", "+info"];
        let words =
            [&["ACL", "SETUSER", user, "reset", "on", &password, &keys, &channels], &rights[..]].concat();
        server.command(&words).await;
    }
    server
}

#[tokio::test]
async fn users_with_certificates_have_their_namespaces_to_themselves() {
    let files = Files::new();
    let server = with_users(&files).await;
    let shown = files.shown("client", &files.authority.sign_client("client"));
    let url =
        |user: &str, path: &str| format!("rediss://{user}@{}/{path}?ttl=2s&{shown}", server.tls_endpoint());
    for (user, path, kind) in [
        ("app:wrong-hunter2", "app", ErrorKind::Unauthenticated),
        ("nobody:app-hunter2", "app", ErrorKind::Unauthenticated),
        ("app:app-hunter2", "eve", ErrorKind::PermissionDenied),
        ("app:app-hunter2", "app2", ErrorKind::PermissionDenied),
    ] {
        is(&refused(&url(user, path)).await, kind, &server.tls_endpoint());
    }
    let bare = format!("rediss://app:app-hunter2@{}/app?{}", server.tls_endpoint(), files.trusted());
    is(&refused(&bare).await, ErrorKind::Unauthenticated, "asks for a certificate of ours");
    assert_eq!(server.keys("*").await, [""; 0]);
    let right = url("app:app-hunter2", "app");
    a_lock_lives([&right, &right], async |session| {
        for key in server.keys(&format!("*:session:{session}")).await {
            server.command(&["DEL", &key]).await;
        }
    })
    .await;

    let ours = connect(&right).await;
    let guard = ours.mutex("a").lock().await.unwrap();
    let mut eve = RedisClient::connect(&server.endpoint()).await.unwrap();
    eve.command(&["AUTH", "eve", "eve-hunter2"]).await.unwrap();
    let keys = server.keys("*").await;
    for key in &keys {
        for words in [
            &["DEL", key][..],
            &["TYPE", key],
            &["EXPIRE", key, "1"],
            &["RENAME", key, "{eve}:x"],
            &["DUMP", key],
        ] {
            denied(words, eve.command(words).await.unwrap());
        }
        let script = ["EVAL", "return redis.call('DEL', KEYS[1])", "1", key];
        denied(&script, eve.command(&script).await.unwrap());
        // A key that is not named beforehand is no way around.
        let inside = format!("return redis.call('DEL', '{key}')");
        denied(&["EVAL"], eve.command(&["EVAL", &inside, "0"]).await.unwrap());
    }
    for words in [
        &["PUBLISH", "{app}:0:queue:locks/a", "forged"][..],
        &["SUBSCRIBE", "{app}:0:queue:locks/a"],
        &["CONFIG", "GET", "*"],
        &["FLUSHALL"],
        &["KEYS", "*"],
        &["CLIENT", "KILL", "TYPE", "normal"],
    ] {
        denied(words, eve.command(words).await.unwrap());
    }
    assert_eq!(server.keys("*").await.len(), keys.len(), "they are all there");
    assert!(guard.is_held());
    guard.release().await.unwrap();
}

fn denied(words: &[&str], answer: RedisReply) {
    let RedisReply::Error(error) = &answer else { panic!("{words:?}: {answer:?}") };
    // The second is what Redis 7 says of a call within a script.
    let says = ["NOPERM", "The user executing the script can't access"];
    assert!(says.iter().any(|text| error.contains(text)), "{words:?}: {error}");
}
