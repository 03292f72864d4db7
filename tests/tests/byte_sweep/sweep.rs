//! All conversations of a service.

use std::sync::Arc;
use std::time::{Duration, Instant};

use futures::StreamExt;
use futures::stream;
use leasehold_core::Recipe;
use leasehold_core::{Coordinator, CoordinatorBuilder};
use leasehold_testkit::conformance::NIGHTLY;

use crate::conversation::{Counted, Outcome, TTL, hold};

/// How many conversations run at a time: they mostly wait.
const AT_A_TIME: usize = 12;

/// Beyond the length of a conversation: two differ by the lengths of numbers in them.
const BEYOND: usize = 24;

pub(crate) struct Sweep {
    pub(crate) service: &'static str,
    pub(crate) endpoint: String,
    pub(crate) builder: fn(&str) -> CoordinatorBuilder,
    /// Every so manieth number is tried, unless the environment says otherwise.
    pub(crate) stride: usize,
}

impl Sweep {
    /// Tries all numbers in both directions; nothing is left of the conversations then but what the server forgets within a TTL.
    pub(crate) async fn run(self) {
        let direct = (self.builder)(&self.endpoint).ttl(TTL).connect().await.unwrap();
        let stride = stride(self.stride);
        let (service, began) = (self.service, Instant::now());
        let this = Arc::new(self);
        for counted in [Counted::Requests, Counted::Replies] {
            let whole = this.hold(&direct, counted, usize::MAX).await;
            let length = match counted {
                Counted::Requests => whole.counts.request_bytes,
                Counted::Replies => whole.counts.reply_bytes,
            };
            assert_eq!((whole.counts.accepted, whole.counts.cut_after_bytes), (1, 0), "{whole:?}");
            let tried: Vec<usize> = (0..length + BEYOND).step_by(stride).collect();
            let conversations = stream::iter(&tried).map(|bytes| {
                let (this, direct, bytes) = (Arc::clone(&this), direct.clone(), *bytes);
                tokio::spawn(async move { this.hold(&direct, counted, bytes).await })
            });
            let outcomes: Vec<Outcome> =
                conversations.buffer_unordered(AT_A_TIME).map(|joined| joined.unwrap()).collect().await;
            let how_many =
                |such: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| such(outcome)).count();
            let cut = how_many(|outcome| outcome.counts.cut_after_bytes > 0);
            let slowest = outcomes.iter().map(|outcome| outcome.handed_over_after).max().unwrap_or_default();
            println!(
                "{service}: {counted:?}: {} of the numbers 0 to {}, each {stride}.: {cut} cuts, {} kept from connecting at first, {} releases not confirmed, handed over within {slowest:?}",
                tried.len(),
                length + BEYOND - 1,
                how_many(|outcome| outcome.connected_again),
                how_many(|outcome| outcome.release_unknown),
            );
            assert!(slowest < TTL + Duration::from_secs(4), "{slowest:?}");
            // The check checked: all but the last ones are too short for a whole conversation.
            assert!(cut + 2 * BEYOND / stride + 1 >= tried.len(), "{cut} cuts of {}", tried.len());
            assert!(outcomes.iter().all(|outcome| outcome.counts.connections == 0), "a connection is left");
        }
        assert_eq!(direct.admin().names(Recipe::Mutex, "").await.unwrap(), Vec::<String>::new());
        direct.shutdown(TTL).await.unwrap();
        println!("{service}: swept in {:?}", began.elapsed());
    }

    async fn hold(&self, direct: &Coordinator, counted: Counted, bytes: usize) -> Outcome {
        hold(&self.endpoint, self.builder, direct, counted, bytes).await
    }
}

fn stride(of_the_service: usize) -> usize {
    if std::env::var_os(NIGHTLY).is_some_and(|value| value == "1") {
        return 1;
    }
    match std::env::var("LEASEHOLD_SWEEP_STRIDE") {
        Ok(chosen) => chosen.parse().expect("LEASEHOLD_SWEEP_STRIDE is a number"),
        Err(_) => of_the_service,
    }
}

/// Until nothing is left at a service, by its own word; what was lost ends by expiry.
pub(crate) async fn nothing_is_left(mut left: impl AsyncFnMut() -> Vec<String>) {
    let began = Instant::now();
    loop {
        let left = left().await;
        if left.is_empty() {
            return;
        }
        assert!(began.elapsed() < 3 * TTL, "{left:?}");
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
