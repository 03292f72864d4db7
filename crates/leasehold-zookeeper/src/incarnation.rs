//! Whose a session is, now that it can be resumed.
//!
//! # Implementation
//!
//! Every session of a client of ours has two ephemeral nodes, which go with it and whose names no queue or register can have. The
//! data of the one, `<namespace>/!sessions/<id>`, is the session's password, by which credentials are checked; the
//! version of that data is the *incarnation*. To take a session over is to set the same data again on condition of the
//! version that was read with it, over a connection with a session of its own. The new version is the successor's.
//! Only then does the successor connect to the session itself, which moves it away from the connection of the earlier one.
//!
//! Nothing that an earlier incarnation sends has an effect after that, also if it was on its way:
//!
//! - Every write is a transaction that checks the version first ([`Fenced`](crate::fenced)).
//! - A successor does not close the session, nor does an earlier one: clients are *detached*, their end leaves the session alone. To
//!   close it, the incarnation first *gives it up*: it deletes the node on condition of the version. Once that is done
//!   nobody can resume, and nobody has; then the session is ours to close (see [`ending`](crate::ending)). The node is also gone if
//!   an earlier try did it, or if the session is: in both cases closing takes nothing from anybody.
//! - A renewal counts only if a look at the node, sent behind it on the same connection, still shows the version.
//!
//! An earlier incarnation is told by a one-shot watch over the node, which its client restores when it reconnects, at the
//! latest by its next renewal or write. It leaves a note that it does so, and drops its client. The successor waits for the note
//! for a moment before it connects to the session, so that a client that is well does not lose its connection: the client crate
//! reconnects by itself, also after its last handle has been dropped, and takes the session along.
//!
//! What remains is a client that was cut off or stopped when it was superseded, and connects again later. It takes the session away from
//! the successor's connection; the successor's client reconnects and has it back, and the session is renewed by that rather
//! than lost. It happens once a client, since the watches are restored before anything else over the new connection, which tells the
//! earlier incarnation; or its client has been dropped, and ends without a word. Whatever else it has to send meanwhile is
//! refused, as above. The unpatched client crate has no way to keep a client from reconnecting.
//!
//! The other node, `<id>!zxid`, has the note as its data. It is set in a transaction that creates an entry in a directory of another client's layout,
//! because that tells the transaction's zxid: the answer to the creation does not, before ZooKeeper 3.9, and the order in the fencing token is that. In a
//! directory of ours the directory itself is set, which tells the same and how many there are.

use std::sync::Arc;
use std::time::Duration;

use leasehold_core::{
    BackendError, BackendErrorKind, Backoff, Credentials, LivenessCell, LossReason, Namespace,
};
use zookeeper_client::{Acls, Client, CreateMode, Error, MultiWriter, Stat};

use crate::failure::{self, Effect};
use crate::handshake::{PASSWORD_BYTES, Password};
use crate::link::connected;
use crate::version;

/// What the credentials of a ZooKeeper session begin with; its number, its time-out and its password follow.
const CREDENTIALS: &[u8] = b"zookeeper:";

/// What it takes to connect to a session.
#[derive(Clone, Copy)]
pub(crate) struct Key {
    pub(crate) session: i64,
    pub(crate) timeout_ms: u32,
    pub(crate) password: Password,
}

impl Key {
    pub(crate) fn credentials(&self) -> Credentials {
        let Self { session, timeout_ms, password } = self;
        let (session, timeout_ms) = (session.to_be_bytes(), timeout_ms.to_be_bytes());
        Credentials::from_bytes([CREDENTIALS, &session, &timeout_ms, password].concat())
    }

    /// # Errors
    /// `InvalidConfig` if they are of another form.
    pub(crate) fn read(credentials: &Credentials) -> Result<Self, BackendError> {
        let parse = || {
            let rest = credentials.as_bytes().strip_prefix(CREDENTIALS)?;
            let (session, rest) = rest.split_first_chunk()?;
            let (timeout_ms, password) = rest.split_first_chunk()?;
            let timeout_ms = u32::from_be_bytes(*timeout_ms);
            let sound = timeout_ms > 0 && i32::try_from(timeout_ms).is_ok();
            let password = <[u8; PASSWORD_BYTES]>::try_from(password).ok().filter(|_| sound)?;
            Some(Self { session: i64::from_be_bytes(*session), timeout_ms, password })
        };
        parse().ok_or_else(|| {
            refused(BackendErrorKind::InvalidConfig, "these are no credentials of a ZooKeeper session")
        })
    }
}

const RESUMING: &str = "resuming a session";

fn refused(kind: BackendErrorKind, why: &str) -> BackendError {
    BackendError::new(kind, format!("{RESUMING}: {why}"))
}

fn is_gone() -> BackendError {
    refused(BackendErrorKind::SessionLost, "it is gone, or it is of another namespace")
}

/// A client may look connected and not be: its connection was lost a moment ago, or the runtime that it was made on has been shut
/// down. So no request is made again at once.
fn backoff() -> Backoff {
    Backoff::new(Duration::from_millis(5), Duration::from_millis(500))
}

/// Where the nodes of sessions are.
fn directory(namespace: &Namespace) -> String {
    format!("/{}/!sessions", namespace.as_str())
}

/// One incarnation of a session.
#[derive(Clone)]
pub(crate) struct Incarnation {
    path: Arc<str>,
    zxid_path: Arc<str>,
    version: i32,
}

impl Incarnation {
    fn new(namespace: &Namespace, session: i64, version: i32) -> Self {
        let path = format!("{}/{session:x}", directory(namespace));
        Self { zxid_path: format!("{path}!zxid").into(), path: path.into(), version }
    }

    /// The first one, of the session that the client has just opened. Without a password nobody can resume it.
    pub(crate) async fn begin(
        client: &Client,
        namespace: &Namespace,
        acls: Acls<'_>,
        password: Option<&Password>,
    ) -> Result<Self, Error> {
        let begun = Self::new(namespace, client.session_id().0, 0);
        let (directory, mode) = (directory(namespace), CreateMode::Ephemeral.with_acls(acls));
        loop {
            let mut writer = client.new_multi_writer();
            writer.add_create(&begun.path, password.map_or(&[], |password| &password[..]), &mode)?;
            writer.add_create(&begun.zxid_path, &[], &mode)?;
            match writer.commit().await.map_err(|error| failure::split(error).1) {
                Ok(_) => return Ok(begun),
                // The directory is not there yet, or was reaped after it had been empty for a while.
                Err(Error::NoNode) => {
                    match client.create(&directory, &[], &CreateMode::Container.with_acls(acls)).await {
                        Ok(_) | Err(Error::NodeExists) => {}
                        Err(error) => return Err(error),
                    }
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Takes the session of that key over, by a client with another session.
    pub(crate) async fn take_over(
        client: &Client,
        namespace: &Namespace,
        key: &Key,
    ) -> Result<Self, BackendError> {
        let mut taken = Self::new(namespace, key.session, 0);
        let failed = |error| match error {
            Error::NoNode => is_gone(),
            error => failure::failed(RESUMING, Effect::Reads, error),
        };
        loop {
            // Another server may have answered what has happened so far.
            client.sync(&taken.path).await.map_err(failed)?;
            let (password, stat) = client.get_data(&taken.path).await.map_err(failed)?;
            if stat.ephemeral_owner != key.session || password != key.password {
                let message = "these are not the credentials of the session";
                return Err(refused(BackendErrorKind::Unauthenticated, message));
            }
            match client.set_data(&taken.path, &password, Some(stat.version)).await {
                Ok(stat) => {
                    taken.version = stat.version;
                    return Ok(taken);
                }
                // Somebody else resumed it since the look; the last one wins.
                Err(Error::BadVersion) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Notes that this incarnation leaves the session to a newer one. The request is handed over, and nobody waits for the answer.
    pub(crate) fn leave(&self, client: &Client) {
        drop(client.set_data(&self.zxid_path, &self.note(), None));
    }

    fn note(&self) -> Vec<u8> {
        self.version.to_string().into_bytes()
    }

    /// Waits until the incarnation before this one has left, by a client with another session; no longer than `patience`, since there
    /// may be nobody.
    pub(crate) async fn departure(&self, client: &Client, patience: Duration) {
        let note = Self { version: self.version.wrapping_sub(1), ..self.clone() }.note();
        let noted = async {
            // What it fails with shows again when the session is connected to.
            while let Ok((data, _, watcher)) = client.get_and_watch_data(&self.zxid_path).await {
                if data == note {
                    return;
                }
                watcher.changed().await;
            }
        };
        let _ = tokio::time::timeout(patience, noted).await;
    }

    /// Sees that the session is still this incarnation's, over its own connection, which an earlier one may take away meanwhile; and
    /// answers the paths of its nodes below a directory.
    pub(crate) async fn confirm(&self, client: &Client, below: &str) -> Result<Vec<String>, BackendError> {
        let failed = |error| failure::failed(RESUMING, Effect::Reads, error);
        let mut backoff = backoff();
        loop {
            connected(client).await.map_err(failed)?;
            // Behind the takeover, which another server may have answered.
            let (synced, looked) = (client.sync(&self.path), client.check_stat(&self.path));
            match futures::try_join!(synced, looked, client.list_ephemerals(below)) {
                Ok(((), stat, nodes)) => match self.loss_by(stat) {
                    None => return Ok(nodes),
                    Some(LossReason::Superseded) => {
                        return Err(refused(
                            BackendErrorKind::SessionLost,
                            "another process resumed it meanwhile",
                        ));
                    }
                    Some(_) => return Err(is_gone()),
                },
                Err(error) if failure::is_decided(&error) => return Err(failed(error)),
                Err(_) => tokio::time::sleep(backoff.next_delay()).await,
            }
        }
    }

    pub(crate) fn path(&self) -> &str {
        &self.path
    }

    /// The node whose change tells a transaction's zxid.
    pub(crate) fn zxid_path(&self) -> &str {
        &self.zxid_path
    }

    /// As versions of registers are counted.
    pub(crate) fn version(&self) -> u64 {
        version::of_data(self.version)
    }

    /// Makes a transaction one of this incarnation.
    pub(crate) fn check(&self, writer: &mut MultiWriter<'_>) -> Result<(), Error> {
        writer.add_check_version(&self.path, self.version)
    }

    /// Why the session is over for this incarnation, if it is, by what the node is like.
    pub(crate) fn loss_by(&self, stat: Option<Stat>) -> Option<LossReason> {
        match stat {
            None => Some(LossReason::SessionEnded),
            Some(stat) if stat.version != self.version => Some(LossReason::Superseded),
            Some(_) => None,
        }
    }

    /// Sees to it that nobody resumes the session any more; answers whether that is so, and nobody has. It tries until the service has
    /// answered, or the client's session is over.
    pub(crate) async fn give_up(&self, client: &Client) -> bool {
        let mut backoff = backoff();
        loop {
            if connected(client).await.is_err() {
                return false;
            }
            match client.delete(&self.path, Some(self.version)).await {
                Ok(()) | Err(Error::NoNode) => return true,
                Err(error) if failure::is_decided(&error) => return false,
                Err(_) => tokio::time::sleep(backoff.next_delay()).await,
            }
        }
    }
}

/// Notes why a transaction's check of the incarnation failed, and answers what that is for the caller.
pub(crate) fn check_failed(liveness: &LivenessCell, error: Error) -> Error {
    let reason = match error {
        Error::BadVersion => LossReason::Superseded,
        Error::NoNode => LossReason::SessionEnded,
        error => return error,
    };
    liveness.end(reason);
    Error::SessionExpired
}
