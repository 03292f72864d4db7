//! A way to PostgreSQL: one connection at a time, made anew when it breaks.
//!
//! # Implementation
//!
//! The client takes any number of requests at once and sends them one behind the other; it never reconnects. So a [`Link`] owns the
//! connection and replaces it: whoever finds none that is usable makes one, under the lock of `made`, so that many who find none make one. Connections are
//! numbered. `given_up` is the greatest number that is not used any more, raised by whoever finds a connection broken or silent and by the task that
//! drives it when it ends; a late failure of an old one leaves its successor alone. Requests on their way keep the old one until they end; with the last of
//! them its task is aborted and the socket closed. The lock of `current` is never held across an await.
//!
//! A request ends within its limit. What had not been sent by then was certainly not applied; what was sent is one message, so it arrives whole or not at all. A
//! request that is dropped may have been sent; the client goes on reading its answer.

use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind};
use tokio::sync::{Mutex, mpsc, watch};
use tokio::time::timeout;
use tokio_postgres::types::{ToSql, Type};
use tokio_postgres::{AsyncMessage, Client, Config, Error, NoTls, Row};
use tokio_util::task::AbortOnDropHandle;

use crate::error::{Effect, Meaning, backend_error, dial_error};

/// A value and its type, which the server is told with the statement: it is parsed and executed in one round trip.
pub(crate) type Arg<'a> = (&'a (dyn ToSql + Sync), Type);

pub(crate) fn text<T: ToSql + Sync>(value: &T) -> Arg<'_> {
    (value, Type::TEXT)
}

pub(crate) fn bytes<T: ToSql + Sync>(value: &T) -> Arg<'_> {
    (value, Type::BYTEA)
}

pub(crate) fn int<T: ToSql + Sync>(value: &T) -> Arg<'_> {
    (value, Type::INT8)
}

pub(crate) fn flag(value: &bool) -> Arg<'_> {
    (value, Type::BOOL)
}

pub(crate) fn texts<T: ToSql + Sync>(value: &T) -> Arg<'_> {
    (value, Type::TEXT_ARRAY)
}

/// A statement and what it is called with.
pub(crate) struct Call<'a> {
    /// What it does, for errors.
    pub(crate) what: &'static str,
    pub(crate) effect: Effect,
    pub(crate) statement: &'static str,
    pub(crate) args: &'a [Arg<'a>],
}

/// A notification, and the number of the connection that it came over.
pub(crate) struct Told {
    pub(crate) connection: u64,
    pub(crate) channel: String,
    pub(crate) payload: String,
}

pub(crate) struct Connection {
    number: u64,
    client: Client,
    _driver: AbortOnDropHandle<()>,
}

impl Connection {
    pub(crate) fn number(&self) -> u64 {
        self.number
    }
}

/// Where a link leads, and how long it may take.
#[derive(Clone)]
pub(crate) struct Destination {
    pub(crate) config: Arc<Config>,
    pub(crate) name: Arc<str>,
    pub(crate) connect_timeout: Duration,
    pub(crate) request_timeout: Duration,
}

pub(crate) struct Link {
    to: Destination,
    /// Who hears the notifications; of a link that listens to nothing, nobody.
    told: Option<mpsc::UnboundedSender<Told>>,
    current: StdMutex<Option<Arc<Connection>>>,
    /// How many connections were made.
    made: Mutex<u64>,
    given_up: watch::Sender<u64>,
}

/// How far a request has come.
#[derive(Default)]
struct Progress {
    /// The connection that it uses; 0 while there is none.
    connection: AtomicU64,
    /// Whether the server may have got it.
    sent: AtomicBool,
}

impl Link {
    /// Connects to nothing yet.
    pub(crate) fn new(to: Destination, told: Option<mpsc::UnboundedSender<Told>>) -> Self {
        Self {
            to,
            told,
            current: StdMutex::default(),
            made: Mutex::default(),
            given_up: watch::Sender::default(),
        }
    }

    pub(crate) fn destination(&self) -> &Destination {
        &self.to
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.to.request_timeout
    }

    /// Runs a statement, within the request time-out.
    pub(crate) async fn run(&self, call: &Call<'_>) -> Result<Vec<Row>, BackendError> {
        self.run_within(self.to.request_timeout, call).await
    }

    /// As [`Link::run`], with a limit of its own.
    pub(crate) async fn run_within(
        &self,
        limit: Duration,
        call: &Call<'_>,
    ) -> Result<Vec<Row>, BackendError> {
        let progress = Progress::default();
        let running = async {
            let connection = self.connection(call.what).await?;
            self.exchange(&connection, call, &progress).await
        };
        timeout(limit, running).await.unwrap_or_else(|_| Err(self.silent(call, limit, &progress)))
    }

    /// Runs a statement over this connection and no other.
    pub(crate) async fn run_on(
        &self,
        connection: &Connection,
        call: &Call<'_>,
    ) -> Result<Vec<Row>, BackendError> {
        let (progress, limit) = (Progress::default(), self.to.request_timeout);
        let running = self.exchange(connection, call, &progress);
        timeout(limit, running).await.unwrap_or_else(|_| Err(self.silent(call, limit, &progress)))
    }

    /// Runs statements without arguments that make something ready.
    pub(crate) async fn make(&self, what: &'static str, statements: &str) -> Result<(), BackendError> {
        let connection = self.connection(what).await?;
        let made = connection.client.batch_execute(statements).await;
        made.map_err(|error| self.failed(&connection, what, Effect::Read, error))
    }

    /// The connection, or a new one.
    pub(crate) async fn connection(&self, what: &str) -> Result<Arc<Connection>, BackendError> {
        if let Some(current) = self.usable() {
            return Ok(current);
        }
        let mut made = self.made.lock().await;
        if let Some(current) = self.usable() {
            return Ok(current);
        }
        *made += 1;
        let connected = timeout(self.to.connect_timeout, self.connect(*made)).await;
        let connected = connected.map_err(|_| self.not_connected(what))?;
        let connection = Arc::new(connected.map_err(|error| dial_error(what, &self.to.name, error))?);
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Some(connection.clone());
        Ok(connection)
    }

    /// Resolves once that connection is not used any more.
    pub(crate) async fn broken(&self, number: u64) {
        // The sender is there as long as the link is.
        let _ = self.given_up.subscribe().wait_for(|given_up| *given_up >= number).await.map(drop);
    }

    async fn connect(&self, number: u64) -> Result<Connection, Error> {
        let (client, mut connection) = self.to.config.connect(NoTls).await?;
        let (told, given_up) = (self.told.clone(), self.given_up.clone());
        let driver = AbortOnDropHandle::new(tokio::spawn(async move {
            while let Some(Ok(message)) = poll_fn(|cx| connection.poll_message(cx)).await {
                if let (AsyncMessage::Notification(message), Some(told)) = (message, &told) {
                    let (channel, payload) = (message.channel().to_owned(), message.payload().to_owned());
                    // Without a hub nobody wants to hear it.
                    let _ = told.send(Told { connection: number, channel, payload });
                }
            }
            raise(&given_up, number);
        }));
        // The functions of the layout are void at another isolation, and promises at another commit; and nothing runs on for a
        // client that has given up.
        let settings = format!(
            "SET default_transaction_isolation = 'read committed'; SET synchronous_commit = on; SET lock_timeout = {}",
            self.to.request_timeout.as_millis().clamp(1, i32::MAX as u128)
        );
        client.batch_execute(&settings).await?;
        Ok(Connection { number, client, _driver: driver })
    }

    async fn exchange(
        &self,
        connection: &Connection,
        call: &Call<'_>,
        progress: &Progress,
    ) -> Result<Vec<Row>, BackendError> {
        progress.connection.store(connection.number, Ordering::Relaxed);
        progress.sent.store(true, Ordering::Relaxed);
        let rows = connection.client.query_typed(call.statement, call.args).await;
        rows.map_err(|error| self.failed(connection, call.what, call.effect, error))
    }

    fn failed(&self, connection: &Connection, what: &str, effect: Effect, error: Error) -> BackendError {
        if Meaning::of(&error).breaks_connection() {
            self.give_up(connection.number);
        }
        backend_error(what, &self.to.name, error, effect)
    }

    /// Nobody answered in time.
    fn silent(&self, call: &Call<'_>, limit: Duration, progress: &Progress) -> BackendError {
        let Call { what, effect, .. } = call;
        self.give_up(progress.connection.load(Ordering::Relaxed));
        let sent = progress.sent.load(Ordering::Relaxed);
        let kind = if sent { effect.unanswered() } else { BackendErrorKind::Unavailable };
        let message = format!("{what}: PostgreSQL at {} did not answer within {limit:?}", self.to.name);
        BackendError::new(kind, message)
    }

    fn usable(&self) -> Option<Arc<Connection>> {
        let current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        let given_up = *self.given_up.borrow();
        current.as_ref().filter(|current| current.number > given_up && !current.client.is_closed()).cloned()
    }

    /// Nobody begins to use that connection any more, nor an older one.
    fn give_up(&self, number: u64) {
        raise(&self.given_up, number);
        let gone = {
            let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
            current.take_if(|current| current.number <= number)
        };
        drop(gone);
    }

    fn not_connected(&self, what: &str) -> BackendError {
        let message = format!("{what}: no connection to PostgreSQL at {} in time", self.to.name);
        BackendError::new(BackendErrorKind::Unavailable, message)
    }
}

fn raise(given_up: &watch::Sender<u64>, number: u64) {
    given_up.send_if_modified(|greatest| {
        let raised = *greatest < number;
        *greatest = (*greatest).max(number);
        raised
    });
}
