//! The conformance suite of the read/write lock.
//!
//! | case | behaviours |
//! |---|---|
//! | `readers_share_and_writers_are_alone` | 35: many nodes |

use std::sync::Arc;

use super::table;
use crate::contract::World;
use crate::scene::{Record, Scene};

/// Calls the macro `$callback` with the arguments given and the list of all cases: the one place where they are listed.
#[doc(hidden)]
#[macro_export]
macro_rules! __rw_lock_cases {
    ($callback:path $(, $argument:tt)*) => {
        $callback! {
            $($argument)*
            readers_share_and_writers_are_alone
        }
    };
}

crate::__rw_lock_cases!(table);

async fn readers_share_and_writers_are_alone(world: Arc<dyn World>) {
    let scene = Scene::new(&world);
    let node = scene.node().await;
    let (first, second) = (node.rw_lock("one"), node.rw_lock("one"));
    let readers = (first.read().await.expect("locked"), second.read().await.expect("locked"));
    assert!(second.try_write().await.expect("answered").is_none(), "readers are there");
    drop(readers);
    let record = Record::default();
    let writer = second.write().await.expect("locked");
    record.tenure(&writer).await;
    assert!(first.try_read().await.expect("answered").is_none(), "a writer is there");
    writer.release().await.expect("released");
    scene.nothing_is_left().await;
}
