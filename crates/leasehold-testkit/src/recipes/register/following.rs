//! Changes that are followed.

use std::sync::Arc;

use futures::StreamExt;
use leasehold_core::{ErrorKind, Versioned};

use crate::contract::World;
use crate::scene::{PATIENCE, Scene, not_yet, soon};

pub(super) async fn changes_are_followed(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let (node, other) = (scene.node().await, scene.direct_node().await);
    let (register, theirs) = (node.register("one"), other.register("one"));
    let mut watch = std::pin::pin!(register.watch());
    assert_eq!(soon("the value as it is", watch.next()).await.expect("goes on").expect("read"), None);
    not_yet("nothing has changed", watch.next()).await;
    not_yet("nothing has changed", register.changed(0)).await;
    for disturb in ["nothing", "a cut", "a restart", "a lost session"] {
        let before = theirs.read().await.expect("read").map_or(0, |seen| seen.version);
        let changed = tokio::spawn({
            let register = register.clone();
            async move { register.changed(before).await }
        });
        match disturb {
            "a cut" => world.cut().await,
            "a restart" => world.restart().await,
            "a lost session" => scene.expire(&node).await,
            _ => {}
        }
        let version = soon("written", async {
            loop {
                match theirs.write(disturb).await {
                    Ok(version) => return version,
                    Err(error) => assert!(
                        matches!(error.kind(), ErrorKind::Unavailable | ErrorKind::Indeterminate),
                        "{error}"
                    ),
                }
            }
        })
        .await;
        world.heal().await;
        let expected = Versioned { value: disturb.into(), version };
        let changed = soon("it is told", changed).await.expect("no panic").expect("the wait goes on");
        assert_eq!(changed.expect("written").value, disturb);
        soon("the stream comes to it", async {
            while watch.next().await.expect("goes on").expect("read").as_ref() != Some(&expected) {}
        })
        .await;
    }
    soon("the coordinator is shut down", node.shutdown(PATIENCE)).await.expect("nothing is held");
    let error = soon("told", watch.next()).await.expect("an error first").expect_err("closed");
    assert_eq!(error.kind(), ErrorKind::Closed, "{error}");
    assert!(soon("the end", watch.next()).await.is_none());
}
