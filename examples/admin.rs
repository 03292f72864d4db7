//! Who holds, who waits, asking and breaking: `cargo run --example admin [-- --url etcd://host:2379]`.
//!
//! One process holds a lock and listens to being asked; another one waits. An administrator looks, asks the first, which brings its
//! work to an end; then asks the second, which does not listen, and takes the lock from it.

use std::time::Duration;

use leasehold::{HolderInfo, LossReason, Recipe, Released, Standing};

type Failure = Box<dyn std::error::Error + Send + Sync>;

#[tokio::main]
async fn main() -> Result<(), Failure> {
    let url = leasehold_examples::url_argument()?;
    let connect = async |purpose: &str| {
        let holder = HolderInfo::this_process().with_purpose(purpose);
        leasehold::builder(&url)?.holder(holder).connect().await
    };
    let (polite, stubborn) = (connect("a polite job").await?, connect("a stubborn job").await?);
    let admin = connect("administration").await?.admin().grace(Duration::from_secs(5));
    // A name of its own, in case that somebody else runs this over the same service.
    let name = format!("examples/admin/{}", std::process::id());

    let first = polite.mutex(&name).lock().await?;
    let second = tokio::spawn({
        let mutex = stubborn.mutex(&name);
        async move { mutex.lock().await }
    });
    let contenders = loop {
        let contenders = admin.contenders(Recipe::Mutex, &name).await?;
        if contenders.len() == 2 {
            break contenders;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    println!(
        "The names below examples/admin/ that are in use: {:?}",
        admin.names(Recipe::Mutex, "examples/admin/").await?
    );
    println!("One holds and one waits:");
    for contender in &contenders {
        println!("  {contender}");
    }
    assert_eq!((contenders[0].standing, contenders[1].standing), (Standing::Holds, Standing::Waits));
    assert_eq!(contenders[0].token, first.fencing_token());

    println!("The holder is asked to give up.");
    admin.ask_to_release(Recipe::Mutex, &name, "ops: maintenance").await?;
    let who = first.asked_to_release().await;
    println!("  the polite job hears {who:?}, and releases");
    assert!(first.is_held(), "asking takes nothing away");
    first.release().await?;

    let second = second.await??;
    println!("The stubborn job is next, and hears nothing. The lock is taken from it.");
    let released = admin.force_release(Recipe::Mutex, &name, "ops: maintenance").await?;
    let reason = second.lost().await;
    println!("  {released:?}; the stubborn job is told: {reason}");
    assert_eq!((released, reason), (Released::ByHolder, LossReason::ForceReleased));
    assert!(second.release().await.is_err_and(|error| error.is_lost()));

    let again = polite.mutex(&name);
    again.lock().await?.release().await?;
    let stats = again.stats();
    println!(
        "The lock is free: taken once more in {:?}, held for {:?}.",
        stats.waits.max(),
        stats.holds.max()
    );
    assert_eq!((stats.acquisitions(), stats.losses), (1, 0));
    assert!(admin.contenders(Recipe::Mutex, &name).await?.is_empty());

    polite.shutdown(Duration::from_secs(5)).await?;
    stubborn.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}
