//! A worker process: takes a key as a lock, prints `held`, and holds it until it is killed or its standard input is closed.
//!
//! `leasehold-test-shared-key-worker ENDPOINT KEY TTL-IN-MS`

use std::error::Error;
use std::io;
use std::time::Duration;

use leasehold::redis::{RedisConfig, SharedKeys};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [endpoint, key, ttl] = arguments.as_slice() else {
        return Err("usage: leasehold-test-shared-key-worker ENDPOINT KEY TTL-IN-MS".into());
    };
    let keys = SharedKeys::builder(RedisConfig::new(endpoint)).connect().await?;
    let guard = keys.lock(key).ttl(Duration::from_millis(ttl.parse()?)).lock().await?;
    println!("held");
    // It blocks the runtime; what renews has a thread of its own.
    io::stdin().lines().for_each(drop);
    guard.release().await?;
    Ok(())
}
