//! What the service itself takes: the scripts that leasehold runs, called bare over the same client.

use std::time::Duration;

use async_trait::async_trait;
use redis::Script;
use redis::aio::MultiplexedConnection;
use tokio::runtime::Builder;
use tokio::sync::oneshot;

use crate::Failure;
use crate::measure::{Contended, Started, Took};
use crate::peers::Peer;

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(
            include_str!("../../../leasehold-redis/src/scripts/prelude.lua"),
            include_str!(concat!("../../../leasehold-redis/src/scripts/", $file, ".lua"))
        ))
    };
}

// All of it is as long as leasehold's own: the server keeps what is short in another way.
const SESSION: &str = "f100000000000000000000000000000f";
const TEXT: &str = "f100000000000000000000000000000f.f100000000000000000000000000000f";
const VALUE: &[u8] = b"host=a%2Dserver%2Din%2Da%2Drack&pid=12345&since=1764181234567&purpose=";
const QUEUE: &str = "locks/alone";

pub(crate) struct RedisFloor {
    name: &'static str,
    connection: MultiplexedConnection,
    keys: [String; 6],
    enqueue: Script,
    withdraw: Script,
    attempts: u64,
}

impl RedisFloor {
    /// Opens a session in one shard of a namespace of its own.
    pub(crate) async fn open(endpoint: &str) -> Result<Self, Failure> {
        Self::over("the same two scripts, bare", connect(endpoint.to_owned()).await?).await
    }

    /// The same, with the connection on a thread of its own, so that nobody who blocks can stop it: what the way there and back takes.
    /// Leasehold's is read there too, and written where the request is made.
    pub(crate) async fn open_aside(endpoint: &str) -> Result<Self, Failure> {
        let (connect, (give, given)) = (connect(endpoint.to_owned()), oneshot::channel());
        let runtime = Builder::new_current_thread().enable_all().build()?;
        std::thread::spawn(move || {
            runtime.block_on(async {
                // The run may be over.
                let _ = give.send(connect.await);
                std::future::pending::<()>().await
            })
        });
        Self::over("bare, with a thread for the connection", given.await??).await
    }

    async fn over(name: &'static str, mut connection: MultiplexedConnection) -> Result<Self, Failure> {
        let keys = ["seq", "index", "entries", "values", "sessions", &format!("session:{SESSION}")]
            .map(|name| format!("{{bare/floor/0}}:{name}"));
        let (enqueue, withdraw) = (script!("enqueue"), script!("withdraw"));
        for script in [&enqueue, &withdraw] {
            script.prepare_invoke().load_async(&mut connection).await?;
        }
        let open = script!("open");
        let mut opening = open.prepare_invoke();
        opening.key(&keys).arg(SESSION).arg(TEXT).arg(3_600_000);
        expect(opening.invoke_async(&mut connection).await?, "ok")?;
        Ok(Self { name, connection, keys, enqueue, withdraw, attempts: 0 })
    }
}

#[async_trait]
impl Peer for RedisFloor {
    fn name(&self) -> String {
        self.name.to_owned()
    }

    fn commands(&self) -> &'static [&'static str] {
        &["evalsha"]
    }

    fn contends(&self, _contenders: usize) -> bool {
        false
    }

    async fn uncontended(&mut self, rounds: usize) -> Result<Took, Failure> {
        let started = Started::now()?;
        for _ in 0..rounds {
            self.attempts += 1;
            let attempt = format!("f10000000000000f{:016x}", self.attempts);
            let mut enqueue = evalsha(&self.enqueue, &self.keys);
            enqueue.arg(QUEUE).arg(&attempt).arg("x").arg(VALUE).arg("0");
            expect(enqueue.query_async(&mut self.connection).await?, "placed")?;
            let mut withdraw = evalsha(&self.withdraw, &self.keys);
            withdraw.arg(QUEUE).arg(&attempt).arg("0");
            expect(withdraw.query_async(&mut self.connection).await?, "removed")?;
        }
        started.took()
    }

    async fn prepare(&mut self, _contenders: usize) -> Result<(), Failure> {
        Ok(())
    }

    async fn contend(&mut self, _contenders: usize, _time: Duration) -> Result<Contended, Failure> {
        Err("the bare scripts do not contend".into())
    }
}

async fn connect(endpoint: String) -> Result<MultiplexedConnection, Failure> {
    let client = redis::Client::open(format!("redis://{endpoint}"))?;
    Ok(client.get_multiplexed_async_connection().await?)
}

fn evalsha(script: &Script, keys: &[String]) -> redis::Cmd {
    let mut command = redis::cmd("EVALSHA");
    command.arg(script.get_hash()).arg(keys.len()).arg(keys).arg(SESSION).arg(TEXT);
    command
}

/// What is not done is not measured.
fn expect(reply: Vec<Vec<u8>>, word: &str) -> Result<(), Failure> {
    match reply.first() {
        Some(first) if first == word.as_bytes() => Ok(()),
        _ => Err(format!("a script of the floor did not answer {word}").into()),
    }
}
