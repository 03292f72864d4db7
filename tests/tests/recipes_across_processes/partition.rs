//! The division of items among the members of a group.

use std::collections::BTreeSet;

use futures::future::{FutureExt, select_all};

use crate::process::{MORTAL, Process, Service, on_every_service};

on_every_service!(every_item_has_one_owner);

/// A process that has a share of the items.
struct Sharing {
    process: Process,
    owns: BTreeSet<String>,
}

impl Sharing {
    async fn hears(&mut self) {
        let outcome = self.process.hear("p").await;
        self.note(&outcome);
    }

    fn note(&mut self, outcome: &str) {
        let fits = match outcome.split_once(' ') {
            Some(("owns", item)) => self.owns.insert(item.to_owned()),
            Some(("gave", item)) => self.owns.remove(item),
            _ => false,
        };
        assert!(fits, "{outcome}: {:?}", self.owns);
    }

    /// Takes no part any more: it has given up everything when it says that it is over.
    async fn stops(&mut self) {
        self.process.tell("p stop").await;
        loop {
            match self.process.hear("p").await.as_str() {
                "over" => break,
                outcome => self.note(outcome),
            }
        }
        assert!(self.owns.is_empty(), "{:?}", self.owns);
    }
}

/// Listens until every item has an owner and every process an item.
async fn settled(sharing: &mut [Sharing], items: usize) {
    let all = |sharing: &[Sharing]| {
        let owned: BTreeSet<_> = sharing.iter().flat_map(|sharing| &sharing.owns).collect();
        owned.len() == items && sharing.iter().all(|sharing| !sharing.owns.is_empty())
    };
    while !all(sharing) {
        select_all(sharing.iter_mut().map(|sharing| sharing.hears().boxed())).await;
    }
}

/// That no item has two owners is witnessed in the workers.
async fn every_item_has_one_owner(service: Service) {
    // So many that a share without any is as good as impossible.
    const ITEMS: usize = 40;
    let dir = tempfile::tempdir().expect("a directory");
    let items: Vec<_> = (0..ITEMS).map(|item| format!("item-{item}")).collect();
    let run = format!("p partition run shards {} {}", dir.path().display(), items.join(" "));
    let mut sharing = Vec::new();
    for _ in 0..3 {
        let mut process = service.process(MORTAL).await;
        process.tell(&run).await;
        sharing.push(Sharing { process, owns: BTreeSet::new() });
        settled(&mut sharing, ITEMS).await;
    }
    // The items of one that is killed go to the others.
    let killed = sharing.remove(0);
    assert!(!killed.owns.is_empty());
    killed.process.kill().await;
    settled(&mut sharing, ITEMS).await;
    // And those of one that stops.
    sharing.remove(0).stops().await;
    settled(&mut sharing, ITEMS).await;
    sharing[0].stops().await;
}
