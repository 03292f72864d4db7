//! One leads, the others stand by, everybody sees who: `cargo run --example election`, or with `-- --url etcd://127.0.0.1:2379`.
//!
//! Three schedulers campaign. The first proclaims its address, moves to another one and is restarted: its next incarnation resumes the
//! leadership, and nobody else leads in between. Then it resigns, and the second takes over. An observer prints what it sees.

use std::sync::Arc;
use std::time::Duration;

use leasehold::{CoordinatorBuilder, Leader, LeadershipTicket};
use tokio::sync::{Notify, oneshot};

type Error = Box<dyn std::error::Error + Send + Sync>;

const GRACE: Duration = Duration::from_secs(2);

#[tokio::main]
async fn main() -> Result<(), Error> {
    let builder = builder()?;
    let observer = builder.clone().connect().await?;
    // A name of this run's own, should others run it on the same service.
    let name = format!("scheduler of process {}", std::process::id());
    let mut seen = observer.election(&name).observe()?;
    let leader = seen.next().await.ok_or("the stream has ended")?;
    assert!(leader.is_none());
    println!("observer: nobody leads");
    let watching = tokio::spawn(async move {
        let mut leaders: Vec<Leader> = Vec::new();
        while let Some(leader) = seen.next().await {
            match &leader {
                Some(leader) => {
                    let value = String::from_utf8_lossy(leader.value());
                    println!("observer: {value:?} leads under {:?}", leader.fencing_token());
                }
                None => println!("observer: nobody leads"),
            }
            leaders.extend(leader);
        }
        leaders
    });

    let first = builder.clone().connect().await?;
    let leadership = first.election(&name).campaign("10.0.0.1:4000").await?;
    let token = leadership.fencing_token();
    println!("first:    leads");

    let second = builder.clone().connect().await?;
    assert!(second.election(&name).try_campaign("10.0.0.2:4000").await?.is_none());
    println!("second:   somebody else leads, so it stands by");
    let (stop, stopped) = oneshot::channel::<()>();
    let working = Arc::new(Notify::new());
    let standing = tokio::spawn({
        let (election, working) = (second.election(&name).proclaiming("10.0.0.2:4000"), working.clone());
        async move {
            let work = async |held: leasehold::Held| {
                working.notify_one();
                println!("second:   leads, and works until it is told to stop");
                held.cancellation_token().cancelled().await;
                assert!(held.is_held(), "the leadership is kept until the work has ended");
                held.fencing_token()
            };
            election.lead(stopped, work).await
        }
    });

    leadership.proclaim("10.0.0.1:5000").await?;
    assert_eq!(leadership.fencing_token(), token, "another value, the same leadership");
    println!("first:    proclaims another address");

    let leadership = if first.capabilities().resumable_sessions {
        let kept = leadership.ticket()?.to_bytes();
        println!("first:    is restarted with a ticket that it had kept");
        let ticket = LeadershipTicket::from_bytes(&kept)?;
        let restarted = builder.clone().resume(ticket.credentials().clone()).connect().await?;
        let resumed = restarted.election(&name).resume(&ticket).await?;
        assert!(resumed.fencing_token() > token);
        println!("first:    leads again, under {:?}", resumed.fencing_token());
        println!("          and its former incarnation was told: {}", leadership.lost().await);
        resumed
    } else {
        println!("first:    goes on (this service does not let a restarted process resume)");
        leadership
    };
    assert!(!standing.is_finished());

    leadership.resign().await?;
    println!("first:    has resigned");
    working.notified().await;
    stop.send(()).map_err(|()| "the second has ended by itself")?;
    let last = standing.await??.ok_or("the second has led")?;
    assert!(last > token, "tokens rise from leader to leader");

    for coordinator in [first, second, observer] {
        coordinator.shutdown(GRACE).await?;
    }
    // The stream ends with its coordinator.
    let leaders = watching.await?;
    assert!(leaders.is_sorted_by_key(|leader| leader.fencing_token()));
    println!("All shut down; the observer saw {} states of leadership.", leaders.len());
    Ok(())
}

/// Over the service of `--url`, or the one in this process.
fn builder() -> Result<CoordinatorBuilder, Error> {
    Ok(leasehold::builder(&leasehold_examples::url_argument()?)?)
}
