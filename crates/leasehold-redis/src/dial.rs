//! Opens connections to servers, and asks them single questions.
//!
//! # Implementation
//!
//! Sockets are opened here, for the sake of the server's own words when it refuses the password, which the client
//! drops. Nothing here has a limit of its own; whoever calls has one, and dropping a future closes the socket.

use std::io;
use std::sync::LazyLock;

use leasehold_core::BackendError;
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Cmd, RedisConnectionInfo, RedisError, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use crate::config::{RedisConfig, User};
use crate::error::{Effect, Meaning, backend_error};

/// The longest line that is read before the client takes over.
const LONGEST_LINE: u64 = 4096;

/// The password was given already, and there is one database.
static CONNECTION_INFO: LazyLock<RedisConnectionInfo> =
    LazyLock::new(|| RedisConnectionInfo::default().set_skip_set_lib_name());

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

/// Opens a connection to the server that is said to be there.
pub(crate) async fn open(
    config: &RedisConfig,
    user: Option<&User>,
    what: &str,
    endpoint: &str,
) -> Result<Opened, BackendError> {
    let stream = dial(config, user, what, endpoint).await?;
    let settings = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
    let connected = MultiplexedConnection::new_with_config(&CONNECTION_INFO, stream, settings).await;
    let (client, task) = connected.map_err(|error| backend_error(what, endpoint, error, Effect::Read))?;
    Ok(Opened { client, task: AbortOnDrop(tokio::spawn(task)) })
}

/// Opens a connection for subscriptions.
pub(crate) async fn open_subscriber(
    config: &RedisConfig,
    what: &str,
    endpoint: &str,
) -> Result<PubSub, BackendError> {
    let stream = dial(config, config.credentials(), what, endpoint).await?;
    let connected = PubSub::new(&CONNECTION_INFO, stream).await;
    connected.map_err(|error| backend_error(what, endpoint, error, Effect::Read))
}

/// Asks a server one question, over a connection for that purpose.
pub(crate) async fn ask(
    config: &RedisConfig,
    user: Option<&User>,
    what: &str,
    endpoint: &str,
    question: &Cmd,
) -> Result<Value, BackendError> {
    let mut opened = open(config, user, what, endpoint).await?;
    let answer = request(&mut opened.client, question).await;
    answer.map_err(|error| backend_error(what, endpoint, error, Effect::Read))
}

pub(crate) async fn request(client: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, RedisError> {
    client.req_packed_command(command).await.and_then(Value::extract_error)
}

/// Opens a socket, and says who we are.
async fn dial(
    config: &RedisConfig,
    user: Option<&User>,
    what: &str,
    endpoint: &str,
) -> Result<TcpStream, BackendError> {
    let endpoint = config.reached_at(endpoint);
    let failed = |error: io::Error| {
        let kind = Meaning::of_dial(&error).kind(Effect::Read);
        BackendError::new(kind, format!("{what}: Redis at {endpoint}: {error}")).with_source(error)
    };
    let mut stream = TcpStream::connect(endpoint).await.map_err(failed)?;
    stream.set_nodelay(true).map_err(failed)?;
    if let Some(User { name, password }) = user {
        let mut auth = redis::cmd("AUTH");
        auth.arg(name.as_slice()).arg(password);
        stream.write_all(&auth.get_packed_command()).await.map_err(failed)?;
        let mut line = String::new();
        // Nothing follows the answer until the next request.
        BufReader::new((&mut stream).take(LONGEST_LINE)).read_line(&mut line).await.map_err(failed)?;
        if let Some(refusal) = line.strip_prefix('-') {
            let refusal = refusal.trim_end();
            let (code, detail) = refusal.split_once(' ').unwrap_or((refusal, ""));
            let kind = Meaning::of_reply(code, detail).kind(Effect::Read);
            return Err(BackendError::new(kind, format!("{what}: Redis at {endpoint}: {refusal}")));
        }
        if !line.starts_with('+') {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()));
        }
    }
    Ok(stream)
}
