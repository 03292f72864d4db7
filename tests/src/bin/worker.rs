//! A worker process: adds 1 to a register in a file, again and again, each time under a lock.
//!
//! `leasehold-test-worker URL LOCK FILE WORKER TIMES [STALL-AT]` prints `ready` once connected and begins when it is
//! sent a line. With STALL-AT it stops for ever in the midst of that round (it has read, and not written), after
//! printing `stalled`. It says how far it is every 50 rounds, prints `done` at the end, and ends at once when its standard input is closed.

use std::error::Error;
use std::io;
use std::path::Path;
use std::time::Duration;

use leasehold_tests::FencedFile;
use tokio::sync::oneshot;

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [url, lock, file, worker, times, stall @ ..] = arguments.as_slice() else {
        return Err("usage: leasehold-test-worker URL LOCK FILE WORKER TIMES [STALL-AT]".into());
    };
    let (worker, times): (usize, u64) = (worker.parse()?, times.parse()?);
    let stall_at: Option<u64> = stall.first().map(|at| at.parse()).transpose()?;
    let register = FencedFile::open(Path::new(file));
    let coordinator = leasehold::connect(url).await?;
    println!("ready");
    started().await?;
    let mutex = coordinator.mutex(lock);
    for round in 0..times {
        if round % 50 == 0 {
            println!("round {round}");
        }
        let stalls = stall_at == Some(round);
        let register = &register;
        mutex
            .with(|held| async move {
                let value = register.read(held.fencing_token())?.map_err(io::Error::other)?;
                if stalls {
                    println!("stalled");
                    std::future::pending::<()>().await;
                }
                let written = register.write(held.fencing_token(), worker, value + 1)?;
                written.map_err(io::Error::other)
            })
            .await??;
    }
    coordinator.shutdown(Duration::from_secs(10)).await?;
    println!("done");
    Ok(())
}

/// Waits for the first line, and ends the process with the last: the test is gone then.
async fn started() -> Result<(), oneshot::error::RecvError> {
    let (first, started) = oneshot::channel();
    std::thread::spawn(move || {
        let mut lines = io::stdin().lines();
        if let Some(Ok(_)) = lines.next() {
            let _ = first.send(());
        }
        while let Some(Ok(_)) = lines.next() {}
        std::process::exit(1);
    });
    started.await
}
