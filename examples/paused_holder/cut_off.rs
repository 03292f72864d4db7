//! The other way to lose a lock: a holder that runs, and that the service does not hear of. It is told in time.

use std::error::Error;
use std::time::{Duration, Instant};

use leasehold::Coordinator;
use leasehold::memory::MemoryService;

/// Cuts a holder off and answers the tale.
pub(crate) async fn tell(ttl: Duration) -> Result<String, Box<dyn Error>> {
    let service = MemoryService::new();
    let connection = service.backend();
    let a = Coordinator::builder(connection.clone()).ttl(ttl).connect().await?;
    let b = Coordinator::builder(service.backend()).ttl(ttl).connect().await?;
    let guard = a.mutex("cut off").lock().await?;
    connection.cut();
    let cut = Instant::now();
    let mutex = b.mutex("cut off");
    let next = mutex.lock();
    tokio::pin!(next);
    let reason = tokio::select! {
        // The loss comes first, if only by some milliseconds: asked first, it is seen first, however late this runs.
        biased;
        reason = guard.lost() => reason,
        _ = &mut next => return Err("the lock was given away before its holder was told".into()),
    };
    let lost = cut.elapsed().as_secs_f64();
    let next = next.await?;
    let granted = cut.elapsed().as_secs_f64();
    next.release().await?;
    Ok(format!(
        "  A holder that runs, but is cut off from the service at +0.000 s:\n  \
         {lost:+.3} s  its lost() fired: {reason}\n  \
         {granted:+.3} s  {:.0} ms later the service has given the lock away",
        (granted - lost) * 1e3
    ))
}
