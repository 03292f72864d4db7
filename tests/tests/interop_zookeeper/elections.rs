//! Both languages, one election.

use crate::fixture::*;
use crate::peer::Peer;
use leasehold::{ErrorKind, WireProfile};

with_both!(each_sees_the_other_lead, a_thousand_terms_in_turn);

async fn each_sees_the_other_lead(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("election");
    let (ours, outside) = (ours(&endpoint).await, outside(&endpoint).await);
    let election = ours.at(profile, &path).election().unwrap();
    let mut leaders = election.observe().unwrap();
    assert!(soon(leaders.next()).await.unwrap().is_none());

    assert_eq!(peer.told(&format!("stand {path} theirs")).await, "standing");
    assert_eq!(peer.told("lead 10000").await, "leading");
    let theirs = soon(leaders.next()).await.unwrap().expect("it leads");
    assert_eq!((theirs.value(), theirs.holder().pid), (&b"theirs"[..], 0));
    assert!(election.try_campaign("ours").await.unwrap().is_none());

    let standing = tokio::spawn({
        let election = election.clone();
        async move { election.campaign("ours").await.unwrap() }
    });
    there_are(&outside, &path, 2).await;
    assert!(!standing.is_finished());
    let nodes = children(&outside, &path).await;
    let word = if profile == WireProfile::Curator { "-latch-" } else { "__lock__" };
    assert!(nodes.len() == 2 && nodes.iter().all(|node| is_named(profile, node, word)), "{nodes:?}");
    assert_eq!(peer.told("participants").await, "theirs ours");
    let candidates = election.candidates().await.unwrap();
    assert_eq!(
        candidates.iter().map(|candidate| candidate.value()).collect::<Vec<_>>(),
        [&b"theirs"[..], b"ours"]
    );

    assert_eq!(peer.told("resign").await, "resigned");
    let leadership = soon(standing).await.unwrap();
    assert!(leadership.fencing_token() > theirs.fencing_token());
    assert_eq!(soon(leaders.next()).await.unwrap().unwrap().value(), b"ours");
    assert_eq!(peer.told(&format!("stand {path} again")).await, "standing");
    assert_eq!(peer.told("lead 300").await, "waiting");
    let proclaimed = leadership.proclaim("ours-too").await;
    if profile == WireProfile::Curator {
        // Its latch would wait for ever.
        assert_eq!(proclaimed.unwrap_err().kind(), ErrorKind::Unsupported);
        assert_eq!(peer.told("leader").await, "ours");
        assert_eq!(peer.told("participants").await, "ours again");
    } else {
        proclaimed.unwrap();
        assert_eq!(soon(leaders.next()).await.unwrap().unwrap().value(), b"ours-too");
        assert_eq!(peer.told("participants").await, "ours-too again");
    }
    assert!(leadership.is_held());
    leadership.resign().await.unwrap();
    assert_eq!(peer.told("lead 10000").await, "leading");
    let again = async {
        loop {
            if leaders.next().await.unwrap().is_some_and(|leader| leader.value() == b"again") {
                return;
            }
        }
    };
    soon(again).await;
    meets.acquired(3);
}

async fn a_thousand_terms_in_turn(profile: WireProfile) {
    let endpoint = server().await.endpoint();
    let (mut peer, path) = (Peer::start(profile, &endpoint).await, path());
    let mut meets = peer.meets("election");
    let election = ours(&endpoint).await.at(profile, &path).election().unwrap();
    let stand = format!("stand {path} theirs");
    let mut leadership = election.campaign("ours").await.unwrap();
    for _ in 0..500 {
        let last = leadership.fencing_token();
        assert_eq!(peer.told(&stand).await, "standing");
        assert_eq!(peer.told("lead 0").await, "waiting");
        assert!(leadership.is_held());
        leadership.resign().await.unwrap();
        assert_eq!(peer.told("lead 10000").await, "leading");
        assert!(election.try_campaign("ours").await.unwrap().is_none());
        let standing = tokio::spawn({
            let election = election.clone();
            async move { election.campaign("ours").await.unwrap() }
        });
        assert_eq!(peer.told("resign").await, "resigned");
        leadership = soon(standing).await.unwrap();
        assert!(last < leadership.fencing_token());
        meets.acquired(2);
    }
}
