//! etcd: TLS, certificates of clients, users and roles, and tokens that expire.

use std::time::Duration;

use etcd_client::{Client, ConnectOptions, GetOptions, Permission, PutOptions};
use leasehold::ErrorKind;
use leasehold::tls::TlsFault;
use leasehold_testkit::servers::{EtcdServer, ServerOptions, ServerTls};
use leasehold_tests::certificates::{Flaw, HERE};

use crate::life::*;

async fn secured(tls: ServerTls) -> EtcdServer {
    EtcdServer::start(ServerOptions::default().tls(tls)).await
}

/// An administrator, by the port without TLS.
async fn admin(server: &EtcdServer) -> Client {
    Client::connect([server.endpoint()], None).await.unwrap()
}

/// Has the server demand a user: `root`, and those that have `namespace/` each.
async fn with_users(server: &EtcdServer, users: &[(&str, &str)]) -> Client {
    let mut open = admin(server).await;
    open.user_add("root", "root-hunter2", None).await.unwrap();
    open.user_grant_role("root", "root").await.unwrap();
    for (user, namespace) in users {
        let role = format!("role-of-{user}");
        open.role_add(&*role).await.unwrap();
        let all = Permission::read_write(format!("{namespace}/")).with_prefix();
        open.role_grant_permission(&*role, all).await.unwrap();
        open.user_add(*user, "app-hunter2", None).await.unwrap();
        open.user_grant_role(*user, &*role).await.unwrap();
    }
    open.auth_enable().await.unwrap();
    let options = ConnectOptions::new().with_user("root", "root-hunter2").with_auto_token_refresh(true);
    Client::connect([server.endpoint()], Some(options)).await.unwrap()
}

async fn user(server: &EtcdServer, name: &str) -> Client {
    let options = ConnectOptions::new().with_user(name, "app-hunter2").with_auto_token_refresh(true);
    Client::connect([server.endpoint()], Some(options)).await.unwrap()
}

/// No key and no lease is there.
async fn is_untouched(admin: &mut Client) {
    let all = GetOptions::new().with_all_keys().with_count_only();
    assert_eq!(admin.get("", Some(all)).await.unwrap().count(), 0);
    assert_eq!(admin.leases().await.unwrap().leases().len(), 0);
}

async fn end_session(mut admin: Client, session: &str) {
    admin.lease_revoke(i64::from_str_radix(session, 16).unwrap()).await.unwrap();
}

#[tokio::test]
async fn a_lock_lives_over_tls() {
    let files = Files::new();
    let server = secured(files.server()).await;
    let url = format!("etcds://{}/prod?ttl=3s&{}", server.tls_endpoint(), files.trusted());
    a_lock_lives([&url, &url], async |session| end_session(admin(&server).await, session).await).await;
}

#[tokio::test]
async fn a_server_that_cannot_be_believed_is_told_nothing() {
    let files = Files::new();
    for (identity, options, words, fault) in [
        (
            files.authority.sign_for(&HERE),
            files.trusted_stranger(),
            "not trusted",
            TlsFault::UnknownAuthority,
        ),
        (files.authority.sign_for(&HERE), String::new(), "not trusted", TlsFault::UnknownAuthority),
        (
            files.authority.sign_flawed(Flaw::OtherHost),
            files.trusted(),
            "for another host",
            TlsFault::OtherHost,
        ),
        (files.authority.sign_flawed(Flaw::Expired), files.trusted(), "has expired", TlsFault::Expired),
        (files.authority.sign_flawed(Flaw::Early), files.trusted(), "not valid yet", TlsFault::NotYetValid),
    ] {
        let server = secured(files.of(&identity)).await;
        for user in ["", "app:hunter2@"] {
            let error = refused(&format!("etcds://{user}{}?{options}", server.tls_endpoint())).await;
            is(&error, ErrorKind::Untrusted, words);
            is(&error, ErrorKind::Untrusted, &server.tls_endpoint());
            assert_eq!(fault_of(&error), Some(fault));
        }
        is_untouched(&mut admin(&server).await).await;
    }
}

fn fault_of(error: &leasehold::Error) -> Option<TlsFault> {
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if let Some(fault) = cause.downcast_ref() {
            return Some(*fault);
        }
        source = cause.source();
    }
    None
}

#[tokio::test]
async fn a_certificate_for_another_name_can_be_asked_for() {
    let files = Files::new();
    let server = secured(files.of(&files.authority.sign_flawed(Flaw::OtherHost))).await;
    let named =
        |name: &str| format!("etcds://{}?{}&tls_server_name={name}", server.tls_endpoint(), files.trusted());
    connect(&named("server.example")).await.mutex("a").lock().await.unwrap().release().await.unwrap();
    is(&refused(&named("other.example")).await, ErrorKind::Untrusted, "for another host");
    is(&refused(&named("no%20name")).await, ErrorKind::InvalidConfig, "no name");
}

#[tokio::test]
async fn a_server_that_asks_who_we_are() {
    let files = Files::new();
    let server = secured(files.server().clients_must_show_one()).await;
    let url = |options: &str| format!("etcds://{}/prod?ttl=3s&{options}", server.tls_endpoint());
    let error = refused(&url(&files.trusted())).await;
    is(&error, ErrorKind::Unauthenticated, "it asks for a certificate of ours");
    assert_eq!(fault_of(&error), Some(TlsFault::OurCertificateMissing));
    let stranger = files.shown("stranger", &files.stranger.sign_client("app"));
    let error = refused(&url(&stranger)).await;
    is(&error, ErrorKind::Unauthenticated, "it does not accept our certificate");
    assert_eq!(fault_of(&error), Some(TlsFault::OurCertificateRefused));
    is_untouched(&mut admin(&server).await).await;
    let right = url(&files.shown("app", &files.authority.sign_client("app")));
    a_lock_lives([&right, &right], async |session| end_session(admin(&server).await, session).await).await;
}

#[tokio::test]
async fn one_side_only_speaks_tls() {
    let files = Files::new();
    let server = secured(files.server()).await;
    let secure =
        refused(&format!("etcds://{}?connect_timeout=2s&{}", server.endpoint(), files.trusted())).await;
    assert!(matches!(secure.kind(), ErrorKind::Unavailable | ErrorKind::InvalidConfig), "{secure:?}");
    let plain = refused(&format!("etcd://{}?connect_timeout=2s", server.tls_endpoint())).await;
    assert_eq!(plain.kind(), ErrorKind::Unavailable, "{plain:?}");
    is_untouched(&mut admin(&server).await).await;
}

#[tokio::test]
async fn the_common_name_of_a_certificate_is_a_user() {
    let files = Files::new();
    let server = secured(files.server().clients_must_show_one()).await;
    let mut root = with_users(&server, &[("app", "prod")]).await;
    let url = |name: &str, path: &str| {
        let shown = files.shown(name, &files.authority.sign_client(name));
        format!("etcds://{}/{path}?ttl=3s&{shown}", server.tls_endpoint())
    };
    is(&refused(&url("nobody", "prod")).await, ErrorKind::PermissionDenied, "etcd at");
    is(&refused(&url("app", "other")).await, ErrorKind::PermissionDenied, "permission denied");
    is_untouched(&mut root).await;
    let right = url("app", "prod");
    a_lock_lives([&right, &right], async |session| end_session(root, session).await).await;
}

#[tokio::test]
async fn wrong_users_are_told_apart_and_leave_nothing() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let at = server.endpoint();
    let error = refused(&format!("etcd://app:app-hunter2@{at}/prod")).await;
    is(&error, ErrorKind::InvalidConfig, "authentication is not enabled");
    let mut root = with_users(&server, &[("app", "prod")]).await;
    for wrong in ["app:wrong-hunter2@", "nobody:app-hunter2@", ""] {
        let error = refused(&format!("etcd://{wrong}{at}/prod")).await;
        is(&error, ErrorKind::Unauthenticated, "etcd at");
    }
    let elsewhere = refused(&format!("etcd://app:app-hunter2@{at}/other")).await;
    is(&elsewhere, ErrorKind::PermissionDenied, "permission denied");
    let longer = refused(&format!("etcd://app:app-hunter2@{at}/prod2")).await;
    is(&longer, ErrorKind::PermissionDenied, "permission denied");
    is_untouched(&mut root).await;
    let right = connect(&format!("etcd://app:app-hunter2@{at}/prod")).await;
    right.mutex("a").lock().await.unwrap().release().await.unwrap();
}

#[tokio::test]
async fn tokens_that_expire_all_the_time_are_replaced() {
    let server = EtcdServer::start(ServerOptions::default().arg("--auth-token-ttl=1")).await;
    let root = with_users(&server, &[("app", "prod")]).await;
    // Renewals come every two seconds, which is longer than a token lives.
    let url = format!("etcd://app:app-hunter2@{}/prod?ttl=6s", server.endpoint());
    a_lock_lives([&url, &url], async |session| end_session(root.clone(), session).await).await;

    let (ours, theirs) = (connect(&url).await, connect(&url).await);
    let mutexes = ["b", "c"].map(|name| ours.mutex(name));
    let held = futures::future::try_join_all(mutexes.iter().map(leasehold::Mutex::lock)).await.unwrap();
    // A wait that begins with a token that is over, on a stream that was opened with it.
    let first = tokio::spawn({
        let mutex = theirs.mutex("b");
        async move { mutex.lock().await }
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    let second = tokio::spawn({
        let mutex = theirs.mutex("c");
        async move { mutex.lock().await }
    });
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(!first.is_finished() && !second.is_finished());
    for guard in held {
        assert!(guard.is_held());
        guard.release().await.unwrap();
    }
    for waited in [first, second] {
        soon(waited).await.unwrap().unwrap().release().await.unwrap();
    }
}

/// Roles are changed under a live session, which etcd answers with refusals of tokens that are older.
#[tokio::test]
async fn users_and_roles_are_changed_under_a_live_session() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let mut root = with_users(&server, &[("app", "prod")]).await;
    let coordinator = connect(&format!("etcd://app:app-hunter2@{}/prod?ttl=3s", server.endpoint())).await;
    let guard = coordinator.mutex("a").lock().await.unwrap();
    root.role_add("another").await.unwrap();
    root.user_add("another", "x", None).await.unwrap();
    tokio::time::sleep(Duration::from_secs(4)).await;
    assert!(guard.is_held());
    soon(coordinator.mutex("b").lock()).await.unwrap().release().await.unwrap();
    // Taken away from it, the namespace is lost, and the reason is said.
    root.role_revoke_permission(
        "role-of-app",
        "prod/",
        Some(etcd_client::RoleRevokePermissionOptions::new().with_prefix()),
    )
    .await
    .unwrap();
    soon(guard.lost()).await;
    let mut status = coordinator.status();
    let refused =
        status.wait_for(|status| status.last_error.as_ref().is_some_and(|e| e.contains("permission denied")));
    soon(refused).await.unwrap();
}

#[tokio::test]
async fn another_user_neither_reads_nor_releases_nor_forges() {
    let server = EtcdServer::start(ServerOptions::default()).await;
    let mut root = with_users(&server, &[("app", "prod"), ("eve", "eve")]).await;
    let ours = connect(&format!("etcd://app:app-hunter2@{}/prod", server.endpoint())).await;
    let guard = ours.mutex("a").lock().await.unwrap();
    let mut eve = user(&server, "eve").await;
    let all = || GetOptions::new().with_prefix();
    let keys: Vec<_> =
        root.get("prod/", Some(all())).await.unwrap().kvs().iter().map(|kv| kv.key().to_vec()).collect();
    assert_eq!(keys.len(), 2, "the entry and the session's");
    let denied = |what: &str, outcome: Result<(), etcd_client::Error>| {
        let error = outcome.map_err(|error| error.to_string()).expect_err(what);
        assert!(error.contains("permission denied"), "{what}: {error}");
    };
    denied("list", eve.get("prod/", Some(all())).await.map(drop));
    for key in keys {
        denied("read", eve.get(key.clone(), None).await.map(drop));
        denied("delete", eve.delete(key.clone(), None).await.map(drop));
        denied("overwrite", eve.put(key, "x", None).await.map(drop));
    }
    let session = i64::from_str_radix(&ours.status().borrow().session.clone().unwrap(), 16).unwrap();
    denied(
        "forge",
        eve.put("prod/locks/a/forged", "", Some(PutOptions::new().with_lease(session))).await.map(drop),
    );
    denied("revoke", eve.lease_revoke(session).await.map(drop));
    let credentials = ours.credentials().unwrap();
    let theirs = leasehold::builder(&format!("etcd://eve:app-hunter2@{}/prod", server.endpoint())).unwrap();
    let error = theirs.resume(credentials).connect().await.map(drop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::PermissionDenied, "even with its credentials: {error:?}");
    assert!(guard.is_held());
    guard.release().await.unwrap();
}
