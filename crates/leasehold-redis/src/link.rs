//! The way to Redis of one session.
//!
//! # Implementation
//!
//! A connection ([`crate::wire`], or the client's own by TLS) takes any number of requests at once and answers each, but it never reconnects. So a
//! [`Link`] owns the connection and replaces it: whoever finds none, or one whose task has ended, makes a new one,
//! under the lock of `made`, so that many who find none make one. It leads to the server that is the primary then, by
//! the word of the [topology](crate::topology). A connection that failed a request, did not answer one in time, or
//! answered as a replica or a node without our keys does, is given up by its number: a late failure of an old one
//! leaves its successor alone. Requests in flight keep the old one until they end. The lock of `current` is never held
//! across an await.
//!
//! A request ends within its limit. What had not been sent by then was certainly not applied. A request that is
//! dropped may have been sent; its answer is read all the same. One that a node of a cluster refuses because
//! its keys are elsewhere, or about to be, is sent again within the limit, and nothing else is. While a slot is being
//! moved, nothing is sent to the node that it is moved to (`ASK` is not followed): our scripts also look at keys that
//! they are not given, by which sessions are known to live, and one that has not arrived there yet would count as gone.

use std::sync::{Arc, Mutex as StdMutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold_core::{BackendError, BackendErrorKind, Backoff, Namespace};
use redis::aio::PubSub;
use redis::{Cmd, FromRedisValue, RedisError, Script, Value};
use tokio::sync::{Mutex, watch};
use tokio::time::{sleep, timeout};

use crate::dial::{Dialer, Opened};
use crate::error::{Effect, Meaning, backend_error, corrupt};
use crate::report::RedisReport;
use crate::topology::Topology;

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
    endpoint: Arc<str>,
    opened: Arc<Opened>,
}

pub(crate) struct Link {
    dialer: Dialer,
    topology: Topology,
    name: String,
    connect_timeout: Duration,
    request_timeout: Duration,
    current: StdMutex<Option<Connection>>,
    /// How many connections were made.
    made: Mutex<u64>,
    /// The number of the newest one, and where it leads.
    newest: watch::Sender<(u64, Option<Arc<str>>)>,
}

/// How far a request has come.
#[derive(Default)]
struct Progress {
    /// The connection over which it was sent and not answered yet.
    sent: Option<u64>,
    /// Why it was not applied so far.
    refusal: Option<BackendError>,
}

impl Link {
    /// To the primary that has the keys of this namespace. Connects to nothing yet.
    pub(crate) fn new(
        dialer: Dialer,
        namespace: &Namespace,
        connect_timeout: Duration,
        request_timeout: Duration,
    ) -> Self {
        let (topology, name) = (Topology::of(dialer.config(), namespace), dialer.config().endpoint());
        let (current, made, newest) = (StdMutex::default(), Mutex::default(), watch::Sender::default());
        Self { dialer, topology, name, connect_timeout, request_timeout, current, made, newest }
    }

    /// What is called Redis in errors.
    pub(crate) fn endpoint(&self) -> &str {
        &self.name
    }

    /// How many connections the session's requests have gone over.
    pub(crate) fn connections(&self) -> u64 {
        self.newest.borrow().0
    }

    /// Resolves once there have been more connections than `before`, with their number.
    pub(crate) async fn reconnected(&self, before: u64) -> u64 {
        let mut newest = self.newest.subscribe();
        // The sender is there as long as the link is.
        newest.wait_for(|(number, _)| *number > before).await.map_or(before, |newest| newest.0)
    }

    /// Resolves once the session's requests go to another server than this one.
    pub(crate) async fn leads_elsewhere(&self, here: &str) {
        let mut newest = self.newest.subscribe();
        let elsewhere = |there: &Option<Arc<str>>| there.as_deref().is_some_and(|there| there != here);
        let _ = newest.wait_for(|(_, there)| elsewhere(there)).await.map(drop);
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
        let words = keys.iter().map(|key| key.len()).chain(args.iter().map(|arg| arg.len()));
        let mut command = Cmd::with_capacity(keys.len() + args.len() + 3, words.sum::<usize>() + 64);
        command.arg("EVALSHA").arg(script.get_hash()).arg(keys.len()).arg(*keys).arg(*args);
        let replied = self.exchange(limit, what, *effect, &command, Some(script)).await;
        match replied {
            Err(error) if error.kind() == BackendErrorKind::Corrupt => Err(self.explain(error, keys).await),
            replied => replied,
        }
    }

    /// What the server says of itself.
    pub(crate) async fn report(&self) -> Result<RedisReport, BackendError> {
        const WHAT: &str = "look at the server";
        let limit = self.request_timeout;
        let endpoint = self.connection(WHAT).await?.endpoint;
        let info: String = self.exchange(limit, WHAT, Effect::Read, &redis::cmd("INFO"), None).await?;
        let mut get = redis::cmd("CONFIG");
        get.arg("GET").arg("appendfsync");
        // Many services do not allow it, and nothing depends on it but what is reported.
        let told: Result<Vec<String>, _> = self.exchange(limit, WHAT, Effect::Read, &get, None).await;
        let append_fsync = told.ok().and_then(|told| told.into_iter().nth(1));
        RedisReport::read(&endpoint, &info, append_fsync).ok_or_else(|| corrupt(WHAT))
    }

    /// Refuses a server over which the session would break what is promised.
    pub(crate) async fn check(&self) -> Result<(), BackendError> {
        let report = self.report().await?;
        report.check(self.topology.is_cluster(), self.dialer.config().accepts_eviction())
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

    /// A connection of its own for subscriptions, to the server that the session's requests go to, and where that is.
    pub(crate) async fn subscriber(&self) -> Result<(PubSub, Arc<str>), BackendError> {
        const WHAT: &str = "subscription";
        let endpoint = self.connection(WHAT).await?.endpoint;
        let opening = self.dialer.open_subscriber(WHAT, &endpoint);
        let opened = timeout(self.connect_timeout, opening).await;
        let subscriber = opened.unwrap_or_else(|_| Err(self.not_connected(WHAT)))?;
        Ok((subscriber, endpoint))
    }

    async fn exchange<T: FromRedisValue>(
        &self,
        limit: Duration,
        what: &str,
        effect: Effect,
        command: &Cmd,
        script: Option<&Script>,
    ) -> Result<T, BackendError> {
        let progress = StdMutex::new(Progress::default());
        let at = || progress.lock().unwrap_or_else(PoisonError::into_inner);
        let exchange = async {
            let mut backoff = Backoff::new(Duration::from_millis(10), Duration::from_millis(200));
            loop {
                let connection = self.connection(what).await?;
                at().sent = Some(connection.number);
                let error = match request(&connection, command, script).await {
                    Ok(value) => return redis::from_redis_value(value).map_err(|_| corrupt(what)),
                    Err(error) => error,
                };
                let meaning = Meaning::of(&error);
                if meaning.breaks_connection() {
                    self.give_up(connection.number);
                }
                if meaning == Meaning::Elsewhere {
                    self.topology.moved(&connection.endpoint, error.detail().unwrap_or_default());
                }
                let error = backend_error(what, &connection.endpoint, error, effect);
                if !matches!(meaning, Meaning::Elsewhere | Meaning::InTransit) {
                    return Err(error);
                }
                *at() = Progress { sent: None, refusal: Some(error) };
                sleep(backoff.next_delay()).await;
            }
        };
        if let Ok(replied) = timeout(limit, exchange).await {
            return replied;
        }
        let progress = progress.into_inner().unwrap_or_else(PoisonError::into_inner);
        Err(match progress {
            Progress { sent: Some(number), .. } => {
                self.give_up(number);
                let message = format!("{what}: Redis at {} did not answer within {limit:?}", self.name);
                BackendError::new(effect.unanswered(), message)
            }
            Progress { refusal: Some(refusal), .. } => refusal,
            Progress { .. } => self.not_connected(what),
        })
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
        let connected = timeout(self.connect_timeout, self.connect(what)).await;
        let (opened, endpoint) = connected.unwrap_or_else(|_| Err(self.not_connected(what)))?;
        *made += 1;
        let connection = Connection { number: *made, endpoint: endpoint.into(), opened: Arc::new(opened) };
        *self.current() = Some(connection.clone());
        self.newest.send_replace((connection.number, Some(connection.endpoint.clone())));
        Ok(connection)
    }

    /// Connects to whichever server is the primary now.
    async fn connect(&self, what: &str) -> Result<(Opened, String), BackendError> {
        // Who says nothing must leave time for the others, and for the primary.
        let endpoint = self.topology.primary(&self.dialer, what, self.connect_timeout / 3).await?;
        let mut opened = self.dialer.open(what, &endpoint).await?;
        self.topology.check(what, &endpoint, &mut opened.client).await?;
        Ok((opened, endpoint))
    }

    fn usable(&self) -> Option<Connection> {
        self.current().as_ref().filter(|current| !current.opened.is_over()).cloned()
    }

    /// Nobody begins to use that connection any more.
    fn give_up(&self, number: u64) {
        self.current().take_if(|current| current.number == number);
    }

    fn current(&self) -> MutexGuard<'_, Option<Connection>> {
        self.current.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn not_connected(&self, what: &str) -> BackendError {
        let message = format!("{what}: no connection to Redis at {} in time", self.name);
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
    let shard = key.split_once("}:").map_or(key, |(_, shard)| shard);
    match shard.split(':').nth(1).unwrap_or_default() {
        "index" | "sessions" => "zset",
        "entries" | "values" | "register" => "hash",
        _ => "string",
    }
}

/// Sends a command; if it runs a script that the server does not know, it is told the script first.
async fn request(
    connection: &Connection,
    command: &Cmd,
    script: Option<&Script>,
) -> Result<Value, RedisError> {
    let mut client = connection.opened.client.clone();
    match (client.request(command).await, script) {
        (Err(error), Some(script)) if Meaning::of(&error) == Meaning::UnknownScript => {
            // If that fails, the script has not run.
            script.load_async(&mut client).await?;
            client.request(command).await
        }
        (replied, _) => replied,
    }
}
