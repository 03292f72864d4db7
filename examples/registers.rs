//! Optimistic locking, counters, and a write that only the holder of a lock can make: `cargo run --example registers`.
//!
//! Several nodes book seats in one register, each on the version that it has read: whoever was overtaken looks again, and no booking is
//! lost. A counter counts them. Then a holder that has lost its lock tries to write, and the service refuses it.
//!
//! `--url URL` runs it over a real service, with the feature of its name.

use std::time::Instant;

use leasehold::{Coordinator, ErrorKind};

type AnyError = Box<dyn std::error::Error + Send + Sync>;

const NODES: usize = 4;
const BOOKINGS: usize = 5;

#[tokio::main]
async fn main() -> Result<(), AnyError> {
    let url = leasehold_examples::url_argument()?;
    let mut nodes = Vec::new();
    for _ in 0..NODES {
        nodes.push(leasehold::connect(&url).await?);
    }
    // A name of its own, so that the example can be run again over a service that remembers.
    let flight = leasehold_examples::fresh_name("flight");

    println!("{NODES} nodes book {BOOKINGS} seats each, in one register.");
    let start = Instant::now();
    let booking: Vec<_> = (nodes.iter().enumerate())
        .map(|(number, node)| tokio::spawn(book(node.clone(), flight.clone(), number)))
        .collect();
    let mut computed = 0;
    for booking in booking {
        computed += booking.await??;
    }
    let seats = nodes[0].register(&flight).read().await?.ok_or("nobody has booked")?;
    let booked = std::str::from_utf8(&seats.value)?.lines().count();
    let counted = nodes[0].counter(format!("{flight} booked")).get().await?;
    assert_eq!((booked, counted), (NODES * BOOKINGS, i64::try_from(NODES * BOOKINGS)?));
    println!(
        "  {booked} are booked, and {counted} counted; computed {computed} times, in {:?}",
        start.elapsed()
    );

    println!("A holder of a lock writes, and once more when it holds it no longer.");
    let position = nodes[0].register(format!("{flight} position"));
    let guard = nodes[0].mutex(&flight).lock().await?;
    let held = guard.held();
    let version = position.write_held(&held, "52.37,4.89").await?;
    println!("  while it holds the lock: written as version {version}");
    guard.release().await?;
    match position.write_held(&held, "0,0").await {
        Err(error) if error.kind() == ErrorKind::Lost => println!("  afterwards: {error}"),
        other => return Err(format!("a stale write was not refused: {other:?}").into()),
    }
    let seen = position.read().await?.ok_or("nothing was written")?;
    assert_eq!((seen.value.as_ref(), seen.version), (&b"52.37,4.89"[..], version));
    println!("  the register still says {}", String::from_utf8_lossy(&seen.value));

    for node in nodes {
        node.shutdown(std::time::Duration::from_secs(5)).await?;
    }
    Ok(())
}

/// Books some seats, and answers how often that had to be computed.
async fn book(node: Coordinator, flight: String, number: usize) -> Result<usize, AnyError> {
    let (seats, counter) = (node.register(&flight), node.counter(format!("{flight} booked")));
    let mut computed = 0;
    for booking in 0..BOOKINGS {
        // The closure runs again whenever somebody else was faster.
        let updated = seats.update(|seen| {
            computed += 1;
            let mut seats = seen.map(|seen| seen.value.to_vec()).unwrap_or_default();
            seats.extend_from_slice(format!("seat {number}-{booking}\n").as_bytes());
            Some(seats.into())
        });
        updated.await?.written().ok_or("the booking was not written")?;
        counter.add(1).await?;
    }
    Ok(computed)
}
