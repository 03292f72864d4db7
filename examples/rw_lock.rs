//! Many readers or one writer: `cargo run --example rw_lock`, over a service with `-- --url etcd://HOST:PORT`.
//!
//! A table is read by many and renewed by one at a time. Readers come without end and do not starve the writer; the
//! writer looks at what it has written as a reader, with nobody in between; and a writer that comes late with an old
//! token is rejected by the table, which keeps two marks.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use leasehold::{ErrorKind, FencingToken, RwLock};
use leasehold_examples::url_argument;

/// What the lock protects: a row of a database, say, with a column for each mark.
#[derive(Default)]
struct Table {
    contents: Mutex<Contents>,
    readers: AtomicUsize,
    most_readers: AtomicUsize,
    closing: AtomicBool,
}

#[derive(Default)]
struct Contents {
    version: u64,
    written_under: Option<FencingToken>,
    read_under: Option<FencingToken>,
}

impl Table {
    fn contents(&self) -> MutexGuard<'_, Contents> {
        self.contents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The version, unless a writer with a higher token has come since.
    fn read(&self, token: FencingToken) -> Option<u64> {
        let mut contents = self.contents();
        if Some(token) < contents.written_under {
            return None;
        }
        contents.read_under = contents.read_under.max(Some(token));
        Some(contents.version)
    }

    /// Renews it, unless a writer or a reader with a higher token has come since.
    fn renew(&self, token: FencingToken) -> Option<u64> {
        let mut contents = self.contents();
        if Some(token) < contents.written_under || Some(token) < contents.read_under {
            return None;
        }
        contents.written_under = Some(token);
        contents.version += 1;
        Some(contents.version)
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let url = url_argument()?;
    let (office, desk) = (leasehold::connect(&url).await?, leasehold::connect(&url).await?);
    let table = Arc::new(Table::default());

    println!("Six readers over {}, and a writer that comes while they read.", desk.backend_name());
    let readers: Vec<_> =
        (0..6).map(|_| tokio::spawn(read_on(desk.rw_lock("table"), table.clone()))).collect();
    while table.most_readers.load(Ordering::SeqCst) < 2 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let lock = office.rw_lock("table");
    let writer = lock.write().await?;
    assert_eq!(table.readers.load(Ordering::SeqCst), 0, "the writer is alone");
    let version = table.renew(writer.fencing_token()).ok_or("the table rejected the writer")?;
    println!("  the writer came in between them and wrote version {version}");

    let written_under = writer.fencing_token();
    let reader = writer.downgrade().await?;
    assert_eq!(table.read(reader.fencing_token()), Some(version), "nobody wrote in between");
    println!("  and reads it, now as one of the readers");
    let refused = reader.upgrade().expect_err("two readers that became writers would wait for each other");
    assert_eq!(refused.kind(), ErrorKind::Unsupported);
    println!("  it cannot go back: {refused}");
    reader.release().await?;

    table.closing.store(true, Ordering::SeqCst);
    let mut reads = 0;
    for reader in readers {
        reads += reader.await??;
    }
    let most = table.most_readers.load(Ordering::SeqCst);
    println!("  {reads} reads, up to {most} side by side");
    assert!(most >= 2);

    println!("A writer with the old token comes late, as after a pause.");
    let newest = lock.with_write(|held| async move { held.fencing_token() }).await?;
    assert!(newest > written_under);
    assert_eq!(table.renew(newest), Some(version + 1));
    assert_eq!(table.renew(written_under), None);
    println!("  the table rejects {written_under:?}, having seen {newest:?}");

    office.shutdown(Duration::from_secs(5)).await?;
    desk.shutdown(Duration::from_secs(5)).await?;
    Ok(())
}

/// Reads again and again; answers how often.
async fn read_on(lock: RwLock, table: Arc<Table>) -> Result<u32, leasehold::Error> {
    let mut reads = 0;
    while !table.closing.load(Ordering::SeqCst) {
        let guard = lock.read().await?;
        let now = table.readers.fetch_add(1, Ordering::SeqCst) + 1;
        table.most_readers.fetch_max(now, Ordering::SeqCst);
        assert!(table.read(guard.fencing_token()).is_some(), "a reader in its rights passes");
        tokio::time::sleep(Duration::from_millis(10)).await;
        table.readers.fetch_sub(1, Ordering::SeqCst);
        guard.release().await?;
        reads += 1;
    }
    Ok(reads)
}
