//! The way to Redis of one session.
//!
//! # Implementation
//!
//! The client's connection takes any number of requests at once and answers each, but it never reconnects. So a
//! [`Link`] owns the connection and replaces it: whoever finds none, or one whose task has ended, makes a new one,
//! under the lock of `made`, so that many who find none make one. A connection that failed a request, did not answer
//! one in time, or answered as a replica does, is given up by its number: a late failure of an old one leaves its
//! successor alone. Requests in flight keep the old one until they end. Sockets are opened here, for the sake of the
//! server's own words when it refuses the password, which the client drops. The lock of `current` is never held
//! across an await.
//!
//! A request ends within its limit. What had not been sent by then was certainly not applied. A request that is
//! dropped may have been sent; the client goes on reading its answer.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind};
use redis::aio::{ConnectionLike, MultiplexedConnection, PubSub};
use redis::{AsyncConnectionConfig, Cmd, FromRedisValue, RedisConnectionInfo, RedisError, Script, Value};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::config::RedisConfig;
use crate::error::{Effect, Meaning, backend_error, corrupt};
use crate::report::RedisReport;

/// The longest line that is read before the client takes over.
const LONGEST_LINE: u64 = 4096;

/// What a script answers: words and values.
pub(crate) type Reply = Vec<Vec<u8>>;

/// A script and what it is called with.
pub(crate) struct Call<'a> {
    /// What it does, for errors.
    pub(crate) what: &'static str,
    pub(crate) effect: Effect,
    pub(crate) script: &'a Script,
    pub(crate) keys: &'a [&'a str],
    pub(crate) args: &'a [&'a [u8]],
}

#[derive(Clone)]
struct Connection {
    number: u64,
    client: MultiplexedConnection,
    task: Arc<AbortOnDrop>,
}

/// The task that carries a connection's bytes; without it the connection is closed.
struct AbortOnDrop(JoinHandle<()>);

impl Drop for AbortOnDrop {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) struct Link {
    config: RedisConfig,
    connect_timeout: Duration,
    request_timeout: Duration,
    /// The password is given before, by us.
    introduction: RedisConnectionInfo,
    current: StdMutex<Option<Connection>>,
    /// How many connections were made.
    made: Mutex<u64>,
}

impl Link {
    /// Connects to nothing yet.
    pub(crate) fn new(config: RedisConfig, connect_timeout: Duration, request_timeout: Duration) -> Self {
        let introduction = RedisConnectionInfo::default().set_skip_set_lib_name();
        let (current, made) = (StdMutex::default(), Mutex::default());
        Self { config, connect_timeout, request_timeout, introduction, current, made }
    }

    /// The same in another of the server's databases than the first.
    pub(crate) fn in_database(mut self, number: u32) -> Self {
        self.introduction = self.introduction.set_db(number.into());
        self
    }

    pub(crate) fn endpoint(&self) -> &str {
        self.config.endpoint()
    }

    pub(crate) fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Runs a script, within the request time-out.
    pub(crate) async fn run(&self, call: &Call<'_>) -> Result<Reply, BackendError> {
        self.run_within(self.request_timeout, call).await
    }

    /// As [`Link::run`], with a limit of its own.
    pub(crate) async fn run_within(&self, limit: Duration, call: &Call<'_>) -> Result<Reply, BackendError> {
        let Call { what, effect, script, keys, args } = call;
        let mut command = redis::cmd("EVALSHA");
        command.arg(script.get_hash()).arg(keys.len()).arg(*keys).arg(*args);
        let replied = self.exchange(limit, what, *effect, &command, Some(script)).await;
        match replied {
            Err(error) if error.kind() == BackendErrorKind::Corrupt => Err(self.explain(error, keys).await),
            replied => replied,
        }
    }

    /// What the server says of itself.
    pub(crate) async fn report(&self) -> Result<RedisReport, BackendError> {
        const WHAT: &str = "look at the server";
        let info: String =
            self.exchange(self.request_timeout, WHAT, Effect::Read, &redis::cmd("INFO"), None).await?;
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg("appendfsync");
        // Many services do not allow it, and nothing depends on it but what is reported.
        let told: Result<Vec<String>, _> =
            self.exchange(self.request_timeout, WHAT, Effect::Read, &get, None).await;
        let append_fsync = told.ok().and_then(|told| told.into_iter().nth(1));
        RedisReport::read(&info, append_fsync).ok_or_else(|| corrupt(WHAT))
    }

    /// Reads some fields of a hash.
    pub(crate) async fn fields(
        &self,
        what: &'static str,
        key: &str,
        fields: &[&str],
    ) -> Result<Vec<Option<Vec<u8>>>, BackendError> {
        let mut command = redis::cmd("HMGET");
        command.arg(key).arg(fields);
        match self.exchange(self.request_timeout, what, Effect::Read, &command, None).await {
            Err(error) if error.kind() == BackendErrorKind::Corrupt => Err(self.explain(error, &[key]).await),
            read => read,
        }
    }

    /// A connection of its own for subscriptions.
    pub(crate) async fn subscriber(&self) -> Result<PubSub, BackendError> {
        const WHAT: &str = "subscription";
        let connected = timeout(self.connect_timeout, async {
            let stream = self.dial(WHAT).await?;
            PubSub::new(&self.introduction, stream)
                .await
                .map_err(|error| backend_error(WHAT, self.endpoint(), error, Effect::Read))
        });
        connected.await.unwrap_or_else(|_| Err(self.not_connected(WHAT)))
    }

    async fn exchange<T: FromRedisValue>(
        &self,
        limit: Duration,
        what: &str,
        effect: Effect,
        command: &Cmd,
        script: Option<&Script>,
    ) -> Result<T, BackendError> {
        // The number of the connection that something was sent over.
        let sent = AtomicU64::new(0);
        let exchange = async {
            let mut connection = self.connection(what).await?;
            sent.store(connection.number, Ordering::Relaxed);
            let mut replied = request(&mut connection.client, command).await;
            if let (Err(error), Some(script)) = (&replied, script)
                && Meaning::of(error) == Meaning::UnknownScript
            {
                replied = match script.load_async(&mut connection.client).await {
                    Ok(_) => request(&mut connection.client, command).await,
                    // The script has not run.
                    Err(error) => Err(error),
                };
            }
            match replied {
                Ok(value) => redis::from_redis_value(value).map_err(|_| corrupt(what)),
                Err(error) => {
                    if Meaning::of(&error).breaks_connection() {
                        self.give_up(connection.number);
                    }
                    Err(backend_error(what, self.endpoint(), error, effect))
                }
            }
        };
        match timeout(limit, exchange).await {
            Ok(replied) => replied,
            Err(_) => Err(match sent.into_inner() {
                0 => self.not_connected(what),
                number => {
                    self.give_up(number);
                    let endpoint = self.endpoint();
                    let message = format!("{what}: Redis at {endpoint} did not answer within {limit:?}");
                    BackendError::new(effect.unanswered(), message)
                }
            }),
        }
    }

    /// The connection, or a new one.
    async fn connection(&self, what: &str) -> Result<Connection, BackendError> {
        if let Some(current) = self.usable() {
            return Ok(current);
        }
        let mut made = self.made.lock().await;
        if let Some(current) = self.usable() {
            return Ok(current);
        }
        let connected = timeout(self.connect_timeout, async {
            let stream = self.dial(what).await?;
            let config = AsyncConnectionConfig::new().set_response_timeout(None).set_connection_timeout(None);
            MultiplexedConnection::new_with_config(&self.introduction, stream, config)
                .await
                .map_err(|error| backend_error(what, self.endpoint(), error, Effect::Read))
        });
        let (client, task) = connected.await.unwrap_or_else(|_| Err(self.not_connected(what)))?;
        *made += 1;
        let task = Arc::new(AbortOnDrop(tokio::spawn(task)));
        let connection = Connection { number: *made, client, task };
        *self.current() = Some(connection.clone());
        Ok(connection)
    }

    fn usable(&self) -> Option<Connection> {
        self.current().as_ref().filter(|current| !current.task.0.is_finished()).cloned()
    }

    /// Nobody begins to use that connection any more.
    fn give_up(&self, number: u64) {
        self.current().take_if(|current| current.number == number);
    }

    fn current(&self) -> MutexGuard<'_, Option<Connection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Opens a socket, and says who we are.
    async fn dial(&self, what: &str) -> Result<TcpStream, BackendError> {
        let failed = |error: io::Error| {
            let kind = Meaning::of_dial(&error).kind(Effect::Read);
            BackendError::new(kind, format!("{what}: Redis at {}: {error}", self.endpoint()))
                .with_source(error)
        };
        let mut stream = TcpStream::connect(self.endpoint()).await.map_err(failed)?;
        stream.set_nodelay(true).map_err(failed)?;
        if let Some((name, password)) = self.config.credentials() {
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
                return Err(BackendError::new(
                    kind,
                    format!("{what}: Redis at {}: {refusal}", self.endpoint()),
                ));
            }
            if !line.starts_with('+') {
                return Err(failed(io::ErrorKind::UnexpectedEof.into()));
            }
        }
        Ok(stream)
    }

    fn not_connected(&self, what: &str) -> BackendError {
        let message = format!("{what}: no connection to Redis at {} in time", self.endpoint());
        BackendError::new(BackendErrorKind::Unavailable, message)
    }

    /// An error about the form of what is there, with the names of the keys that are of another type.
    async fn explain(&self, error: BackendError, keys: &[&str]) -> BackendError {
        let mut odd = Vec::new();
        for key in keys {
            let mut command = redis::cmd("TYPE");
            command.arg(key);
            let told: Result<String, _> =
                self.exchange(self.request_timeout, "look at a key", Effect::Read, &command, None).await;
            match told {
                Ok(kind) if kind != "none" && kind != type_of(key) => odd.push(format!("{key} is a {kind}")),
                Ok(_) => {}
                Err(_) => return error,
            }
        }
        if odd.is_empty() {
            return error;
        }
        BackendError::new(BackendErrorKind::Corrupt, format!("{error}; {}", odd.join(", ")))
            .with_source(error)
    }
}

/// What type a key of ours has, by its name.
fn type_of(key: &str) -> &'static str {
    let name = key.split_once("}:").map_or(key, |(_, name)| name);
    match name.split(':').next().unwrap_or_default() {
        "index" | "sessions" => "zset",
        "entries" | "values" | "register" => "hash",
        _ => "string",
    }
}

async fn request(client: &mut MultiplexedConnection, command: &Cmd) -> Result<Value, RedisError> {
    client.req_packed_command(command).await.and_then(Value::extract_error)
}
