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

/// How many are tried before it is looked whether any was cut. More than two conversations differ by, which is the lengths of numbers in them.
const TOGETHER: usize = 48;

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
            // The first one of all may bring what the server keeps, as Redis's scripts.
            this.hold(&direct, counted, usize::MAX).await;
            let whole = this.hold(&direct, counted, usize::MAX - 1).await;
            assert_eq!(whole.counts.cut_after_bytes, 0, "{whole:?}");
            let outcomes = this.until_none_is_cut(&direct, counted, stride).await;
            let how_many =
                |such: fn(&Outcome) -> bool| outcomes.iter().filter(|outcome| such(outcome)).count();
            let was_cut = |outcome: &Outcome| outcome.counts.cut_after_bytes > 0;
            let slowest = outcomes.iter().map(|outcome| outcome.handed_over_after).max().unwrap_or_default();
            let last = outcomes.iter().filter(|outcome| was_cut(outcome)).map(|outcome| outcome.bytes).max();
            let last = last.unwrap_or_default();
            println!(
                "{service}: {counted:?}: cut after 0, {stride}, {} … {last} bytes: {} cuts, {} kept from connecting at first, {} releases not confirmed, handed over within {slowest:?}",
                2 * stride,
                how_many(was_cut),
                how_many(|outcome| outcome.connected_again),
                how_many(|outcome| outcome.release_unknown),
            );
            assert!(slowest < TTL + Duration::from_secs(4), "{slowest:?}");
            // The check checked: the longest connection was swept. Its length differs from run to run, by less than a half.
            let bytes = match counted {
                Counted::Requests => whole.counts.request_bytes,
                Counted::Replies => whole.counts.reply_bytes,
            };
            assert!(last + stride >= bytes / whole.counts.accepted / 4 * 3, "{last} of {whole:?}");
            let too_long = |outcome: &&Outcome| !was_cut(outcome) && outcome.bytes * 2 < last;
            let uncut = outcomes.iter().find(too_long);
            assert!(uncut.is_none(), "{uncut:?}");
        }
        assert_eq!(direct.admin().names(Recipe::Mutex, "").await.unwrap(), Vec::<String>::new());
        direct.shutdown(TTL).await.unwrap();
        println!("{service}: swept in {:?}", began.elapsed());
    }

    /// Goes on until no connection is as long.
    async fn until_none_is_cut(
        self: &Arc<Self>,
        direct: &Coordinator,
        counted: Counted,
        stride: usize,
    ) -> Vec<Outcome> {
        let mut outcomes: Vec<Outcome> = Vec::new();
        loop {
            let done = outcomes.len();
            let conversations = stream::iter(done..done + TOGETHER).map(|number| {
                let (this, direct) = (Arc::clone(self), direct.clone());
                tokio::spawn(async move { this.hold(&direct, counted, number * stride).await })
            });
            let more: Vec<Outcome> =
                conversations.buffer_unordered(AT_A_TIME).map(|joined| joined.unwrap()).collect().await;
            let cut = more.iter().any(|outcome| outcome.counts.cut_after_bytes > 0);
            outcomes.extend(more);
            if !cut {
                return outcomes;
            }
        }
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
