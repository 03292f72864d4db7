//! A worker process: takes a mutex in another client's layout, prints `held`, and holds it until it is killed or its standard input is
//! closed.
//!
//! `leasehold-test-wire-worker URL PROFILE PATH`

use std::error::Error;
use std::io;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, profile, path] = arguments.as_slice() else {
        return Err("usage: leasehold-test-wire-worker URL PROFILE PATH".into());
    };
    let coordinator = leasehold::connect(url).await?;
    let guard = coordinator.at(profile.parse()?, path).mutex()?.lock().await?;
    println!("held");
    // It blocks the runtime; what renews has a thread of its own.
    io::stdin().lines().for_each(drop);
    guard.release().await?;
    coordinator.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
