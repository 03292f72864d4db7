//! Opens connections to servers, and asks them single questions.
//!
//! # Implementation
//!
//! Sockets are opened here, for the sake of the server's own words when it refuses the password, which the client
//! drops. A socket without TLS is used directly ([`crate::wire`]). Nothing here has a limit of its own; whoever calls has one, and dropping a future closes the socket.

use std::io;
use std::sync::Arc;

use leasehold_core::BackendError;
#[cfg(feature = "tls")]
use leasehold_tls::Handshake;
#[cfg(feature = "tls")]
use redis::AsyncConnectionConfig;
#[cfg(feature = "tls")]
use redis::aio::MultiplexedConnection;
use redis::aio::{ConnectionLike, PubSub};
use redis::{Cmd, Pipeline, RedisConnectionInfo, RedisError, RedisFuture, Value};
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::config::{RedisConfig, User};
#[cfg(feature = "tls")]
use crate::endpoint;
use crate::error::{Effect, Meaning, backend_error};
use crate::wire::Wire;

/// The longest line that is read before the client takes over.
const LONGEST_LINE: u64 = 4096;

/// What a connection begins with: the password was given already.
fn introduction(database: u32) -> RedisConnectionInfo {
    RedisConnectionInfo::default().set_skip_set_lib_name().set_db(database.into())
}

/// A connection that takes any number of requests at once, until its task ends.
pub(crate) struct Opened {
    pub(crate) client: Client,
    task: AbortOnDrop,
}

impl Opened {
    pub(crate) fn is_over(&self) -> bool {
        match &self.client {
            Client::Direct(wire) if wire.is_closed() => true,
            _ => self.task.0.is_finished(),
        }
    }
}

/// What requests are made through.
#[derive(Clone)]
pub(crate) enum Client {
    /// From the caller's own thread.
    Direct(Arc<Wire>),
    /// What is encrypted goes through the client's own connection.
    #[cfg(feature = "tls")]
    Secured(MultiplexedConnection),
}

impl Client {
    pub(crate) async fn request(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Self::Direct(wire) => wire.request(command).await,
            #[cfg(feature = "tls")]
            Self::Secured(connection) => {
                connection.req_packed_command(command).await.and_then(Value::extract_error)
            }
        }
    }
}

/// For what the client does by itself, such as loading a script.
impl ConnectionLike for Client {
    fn req_packed_command<'a>(&'a mut self, command: &'a Cmd) -> RedisFuture<'a, Value> {
        Box::pin(self.request(command))
    }

    /// Nothing that we use makes pipelines.
    fn req_packed_commands<'a>(
        &'a mut self,
        _pipeline: &'a Pipeline,
        _offset: usize,
        _count: usize,
    ) -> RedisFuture<'a, Vec<Value>> {
        let refusal = (redis::ErrorKind::InvalidClientConfig, "no pipelines over this connection");
        Box::pin(std::future::ready(Err(refusal.into())))
    }

    fn get_db(&self) -> i64 {
        0
    }
}

/// The task that carries a connection's bytes; without it the connection is closed.
struct AbortOnDrop(JoinHandle<()>);

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

/// An opened socket.
enum Stream {
    Plain(TcpStream),
    #[cfg(feature = "tls")]
    Secured(Box<dyn Socket>),
}

impl Stream {
    fn socket(&mut self) -> &mut dyn Socket {
        match self {
            Self::Plain(socket) => socket,
            #[cfg(feature = "tls")]
            Self::Secured(socket) => &mut **socket,
        }
    }

    fn boxed(self) -> Box<dyn Socket> {
        match self {
            Self::Plain(socket) => Box::new(socket),
            #[cfg(feature = "tls")]
            Self::Secured(socket) => socket,
        }
    }
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
        let connected = PubSub::new(&introduction(self.database), stream.boxed()).await;
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
        let answer = opened.client.request(question).await;
        answer.map_err(|error| backend_error(what, endpoint, error, Effect::Read))
    }

    async fn open_as(
        &self,
        user: Option<&User>,
        database: u32,
        what: &str,
        endpoint: &str,
    ) -> Result<Opened, BackendError> {
        let failed = |error| backend_error(what, endpoint, error, Effect::Read);
        match self.dial(user, what, endpoint).await? {
            Stream::Plain(socket) => {
                let (wire, task) = Wire::over(socket);
                let task = AbortOnDrop(tokio::spawn(task));
                if database > 0 {
                    let mut select = redis::cmd("SELECT");
                    select.arg(database);
                    wire.request(&select).await.map_err(failed)?;
                }
                Ok(Opened { client: Client::Direct(wire), task })
            }
            #[cfg(feature = "tls")]
            Stream::Secured(stream) => {
                let settings =
                    AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
                let connected =
                    MultiplexedConnection::new_with_config(&introduction(database), stream, settings).await;
                let (client, task) = connected.map_err(failed)?;
                let task = AbortOnDrop(tokio::spawn(task));
                Ok(Opened { client: Client::Secured(client), task })
            }
        }
    }

    /// Opens a socket, and says who we are.
    async fn dial(&self, user: Option<&User>, what: &str, endpoint: &str) -> Result<Stream, BackendError> {
        let endpoint = self.config.reached_at(endpoint);
        let failed = |error: io::Error| {
            let kind = Meaning::of_dial(&error).kind(Effect::Read);
            BackendError::new(kind, format!("{what}: Redis at {endpoint}: {error}")).with_source(error)
        };
        let socket = TcpStream::connect(endpoint).await.map_err(failed)?;
        socket.set_nodelay(true).map_err(failed)?;
        #[cfg(feature = "tls")]
        let mut stream = match &self.tls {
            Some(handshake) => {
                let server = format!("{what}: Redis at {endpoint}");
                let mut stream =
                    Box::new(handshake.connect(&server, endpoint::host(endpoint), socket).await?);
                // Whether our certificate is accepted shows in the first answer only.
                let ping = say(&mut *stream, &redis::cmd("PING")).await;
                ping.map_err(|error| handshake.refused(&server, &error))?;
                Stream::Secured(stream)
            }
            None => Stream::Plain(socket),
        };
        #[cfg(not(feature = "tls"))]
        let mut stream = Stream::Plain(socket);
        if let Some(User { name, password }) = user {
            let mut auth = redis::cmd("AUTH");
            auth.arg(name.as_slice()).arg(password.expose());
            let answer = say(stream.socket(), &auth).await.map_err(failed)?;
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
