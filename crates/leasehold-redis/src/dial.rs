//! Opens connections to servers, and asks them single questions.
//!
//! # Implementation
//!
//! Sockets are opened here, for the sake of the server's own words when it refuses the password, which the client
//! drops. Nothing here has a limit of its own; whoever calls has one, and dropping a future closes the socket.

use std::io;

use leasehold_core::BackendError;
#[cfg(feature = "tls")]
use leasehold_tls::Handshake;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::config::{RedisConfig, User};
#[cfg(feature = "tls")]
use crate::endpoint;
use crate::error::{Effect, Meaning, backend_error};

/// The longest line that is read before the client takes over.
const LONGEST_LINE: u64 = 4096;

/// What a connection begins with: the password was given already.
fn introduction(database: u32) -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_skip_set_lib_name().set_db(database.into())
}

/// A connection that takes any number of requests at once, until its task ends.
pub(crate) struct Opened {
    pub(crate) client: MultiplexedConnection,
    pub(crate) task: AbortOnDrop,
}

/// The task that carries a connection's bytes; without it the connection is closed.
pub(crate) struct AbortOnDrop(JoinHandle<()>);

impl AbortOnDrop {
    pub(crate) fn is_finished(&self) -> bool {
        self.0.is_finished()
    }
}

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Opens connections the way that a configuration says.
#[derive(Clone)]
pub(crate) struct Dialer {
    config: RedisConfig,
    /// The number of the database that the keys are in.
    database: u32,
    #[cfg(feature = "tls")]
    tls: Option<Handshake>,
}

/// A socket, with TLS or without.
trait Socket: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> Socket for S {}

impl Dialer {
    /// # Errors
    /// `InvalidConfig` if the configuration cannot work.
    pub(crate) fn new(config: RedisConfig) -> Result<Self, BackendError> {
        config.validate()?;
        Ok(Self {
            #[cfg(feature = "tls")]
            tls: config.secured().map(|tls| Handshake::new(tls, &[])).transpose()?,
            database: 0,
            config,
        })
    }

    pub(crate) fn config(&self) -> &RedisConfig {
        &self.config
    }

    /// As this one, for another of the servers' databases than the first.
    pub(crate) fn in_database(self, number: u32) -> Self {
        Self { database: number, ..self }
    }

    /// As this one, for one of its servers.
    pub(crate) fn only(&self, endpoint: String) -> Self {
        Self { config: self.config.only(endpoint), ..self.clone() }
    }

    /// Opens a connection to the server that is said to be there.
    pub(crate) async fn open(&self, what: &str, endpoint: &str) -> Result<Opened, BackendError> {
        self.open_as(self.config.credentials(), self.database, what, endpoint).await
    }

    /// Opens a connection for subscriptions.
    pub(crate) async fn open_subscriber(&self, what: &str, endpoint: &str) -> Result<PubSub, BackendError> {
        let stream = self.dial(self.config.credentials(), what, endpoint).await?;
        let connected = PubSub::new(&introduction(self.database), stream).await;
        connected.map_err(|error| backend_error(what, endpoint, error, Effect::Read))
    }

    /// Asks a server one question, over a connection for that purpose.
    pub(crate) async fn ask(
        &self,
        user: Option<&User>,
        what: &str,
        endpoint: &str,
        question: &Cmd,
    ) -> Result<Value, BackendError> {
        let mut opened = self.open_as(user, 0, what, endpoint).await?;
        let answer = request(&mut opened.client, question).await;
        answer.map_err(|error| backend_error(what, endpoint, error, Effect::Read))
    }

    async fn open_as(
        &self,
        user: Option<&User>,
        database: u32,
        what: &str,
        endpoint: &str,
    ) -> Result<Opened, BackendError> {
        let stream = self.dial(user, what, endpoint).await?;
        let settings = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
        let connected =
            MultiplexedConnection::new_with_config(&introduction(database), stream, settings).await;
        let (client, task) = connected.map_err(|error| backend_error(what, endpoint, error, Effect::Read))?;
        Ok(Opened { client, task: AbortOnDrop(tokio::spawn(task)) })
    }

    /// Opens a socket, and says who we are.
    async fn dial(
        &self,
        user: Option<&User>,
        what: &str,
        endpoint: &str,
    ) -> Result<Box<dyn Socket>, BackendError> {
        let endpoint = self.config.reached_at(endpoint);
        let failed = |error: io::Error| {
            let kind = Meaning::of_dial(&error).kind(Effect::Read);
            BackendError::new(kind, format!("{what}: Redis at {endpoint}: {error}")).with_source(error)
        };
        let socket = TcpStream::connect(endpoint).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        #[cfg(feature = "tls")]
        let mut stream: Box<dyn Socket> = match &self.tls {
            Some(handshake) => {
                let server = format!("{what}: Redis at {endpoint}");
                let mut stream =
                    Box::new(handshake.connect(&server, endpoint::host(endpoint), socket).await?);
                // Whether our certificate is accepted shows in the first answer only.
                let ping = say(&mut *stream, &redis::cmd("PING")).await;
                ping.map_err(|error| handshake.refused(&server, &error))?;
                stream
            }
            None => Box::new(socket),
        };
        #[cfg(not(feature = "tls"))]
        let mut stream: Box<dyn Socket> = Box::new(socket);
        if let Some(User { name, password }) = user {
            let mut auth = redis::cmd("AUTH");
            auth.arg(name.as_slice()).arg(password.expose());
            let answer = say(&mut *stream, &auth).await.map_err(failed)?;
            if let Some(refusal) = answer.strip_prefix('-') {
                let refusal = refusal.trim_end();
                let (code, detail) = refusal.split_once(' ').unwrap_or((refusal, ""));
                let kind = Meaning::of_reply(code, detail).kind(Effect::Read);
                return Err(BackendError::new(kind, format!("{what}: Redis at {endpoint}: {refusal}")));
            }
        }
        Ok(stream)
    }
}

/// Sends a command that is answered by one line, and reads the line.
async fn say(stream: &mut dyn Socket, command: &Cmd) -> io::Result<String> {
    stream.write_all(&command.get_packed_command()).await?;
    stream.flush().await?;
    let mut line = String::new();
    // Nothing follows the answer until the next request.
    BufReader::new(stream.take(LONGEST_LINE)).read_line(&mut line).await?;
    if line.starts_with(['+', '-']) { Ok(line) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
}

pub(crate) async fn request(client: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, RedisError> {
    client.req_packed_command(command).await.and_then(Value::extract_error)
}
