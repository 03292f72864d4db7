//! What the service itself takes: the scripts that leasehold runs, called bare over the same client.

use std::time::{Duration, Instant};

use redis::Script;
use redis::aio::MultiplexedConnection;

use crate::Failure;

macro_rules! script {
    ($file:literal) => {
        Script::new(concat!(
            include_str!("../../leasehold-redis/src/scripts/prelude.lua"),
            include_str!(concat!("../../leasehold-redis/src/scripts/", $file, ".lua"))
        ))
    };
}

const SESSION: &str = "f1008";
const TEXT: &str = "bare.floor";
const ATTEMPT: &str = "f10080000000000000000000000000001";

/// What is said about a holder beside its entry is about that long.
const VALUE: [u8; 64] = [b'v'; 64];

pub(crate) struct RedisFloor {
    connection: MultiplexedConnection,
    keys: [String; 6],
    enqueue: Script,
    withdraw: Script,
}

impl RedisFloor {
    /// Opens a session in one shard of a namespace of its own.
    pub(crate) async fn open(endpoint: &str) -> Result<Self, Failure> {
        let client = redis::Client::open(format!("redis://{endpoint}"))?;
        let mut connection = client.get_multiplexed_async_connection().await?;
        let keys = ["seq", "index", "entries", "values", "sessions", &format!("session:{SESSION}")]
            .map(|name| format!("{{floor/0}}:{name}"));
        let (enqueue, withdraw) = (script!("enqueue"), script!("withdraw"));
        for script in [&enqueue, &withdraw] {
            script.prepare_invoke().load_async(&mut connection).await?;
        }
        let open = script!("open");
        let mut opening = open.prepare_invoke();
        opening.key(&keys).arg(SESSION).arg(TEXT).arg(3_600_000);
        expect(opening.invoke_async(&mut connection).await?, "ok")?;
        Ok(Self { connection, keys, enqueue, withdraw })
    }

    /// How long so many locks and unlocks take.
    pub(crate) async fn uncontended(&mut self, rounds: usize) -> Result<Duration, Failure> {
        let began = Instant::now();
        for _ in 0..rounds {
            let value: &[u8] = &VALUE;
            let mut enqueue = evalsha(&self.enqueue, &self.keys);
            enqueue.arg("locks/floor").arg(ATTEMPT).arg("x").arg(value).arg("0");
            expect(enqueue.query_async(&mut self.connection).await?, "placed")?;
            let mut withdraw = evalsha(&self.withdraw, &self.keys);
            withdraw.arg("locks/floor").arg(ATTEMPT).arg("0");
            expect(withdraw.query_async(&mut self.connection).await?, "removed")?;
        }
        Ok(began.elapsed())
    }
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
