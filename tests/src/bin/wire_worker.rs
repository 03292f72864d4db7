//! A worker process: takes what another client shares, prints `held`, and holds it until it is killed or its standard input is closed.
//!
//! `leasehold-test-wire-worker URL PROFILE PATH [RECIPE]`: RECIPE is `mutex`, which it is if nothing is said, `semaphore`, of one permit,
//! or `election`, where it proclaims `ours`.

use std::error::Error;
use std::io;
use std::time::Duration;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, profile, path, recipe @ ..] = arguments.as_slice() else {
        return Err("usage: leasehold-test-wire-worker URL PROFILE PATH [RECIPE]".into());
    };
    let coordinator = leasehold::connect(url).await?;
    let at = coordinator.at(profile.parse()?, path);
    match recipe.first().map_or("mutex", String::as_str) {
        "mutex" => {
            let guard = at.mutex()?.lock().await?;
            hold();
            guard.release().await?;
        }
        "semaphore" => {
            let permit = at.semaphore(1)?.acquire().await?;
            hold();
            permit.release().await?;
        }
        "election" => {
            let leadership = at.election()?.campaign("ours").await?;
            hold();
            leadership.resign().await?;
        }
        other => return Err(format!("no recipe is called {other}").into()),
    }
    coordinator.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// It blocks the runtime; what renews has a thread of its own.
fn hold() {
    println!("held");
    io::stdin().lines().for_each(drop);
}
