//! The table of operations.

use std::time::Duration;

use leasehold_core::{Coordinator, Error, Held, MultiLock, Updated};

use super::{Case, Doing, Obstacle, Scene};

/// How long a bounded wait waits: longer than any obstacle is there.
const PATIENCE: Duration = Duration::from_millis(300);

/// The permits of the semaphore.
const LIMIT: u32 = 3;

/// An operation: a future of the node, whose outcome is dropped.
macro_rules! operate {
    (|$node:ident| $operation:expr) => {
        |scene: Scene| -> Doing<()> {
            Box::pin(async move {
                let $node = &scene.node;
                let _outcome = $operation;
            })
        }
    };
}

/// What the other one holds.
macro_rules! obstacle {
    (|$other:ident| $operation:expr) => {
        Some(|scene: Scene| -> Doing<Obstacle> {
            Box::pin(async move {
                let $other = &scene.other;
                Box::new($operation.expect("nothing is in the way")) as Obstacle
            })
        })
    };
}

/// Whether the other one gets it.
macro_rules! next {
    (|$other:ident| $operation:expr) => {
        |scene: Scene| -> Doing<bool> {
            Box::pin(async move {
                let $other = &scene.other;
                $operation
            })
        }
    };
}

fn multi(node: &Coordinator) -> MultiLock {
    MultiLock::new().member("it", node.mutex("m0")).member("it", node.mutex("m1"))
}

async fn work(_held: Held) {
    tokio::time::sleep(Duration::from_millis(15)).await;
}

async fn result(_held: Held) -> Result<&'static str, Error> {
    Ok("result")
}

/// Every operation that creates state.
pub(super) fn all() -> Vec<Case> {
    [
        mutexes(),
        rw_locks(),
        semaphores(),
        elections(),
        multi_locks(),
        groups(),
        double_barriers(),
        registers(),
    ]
    .into_iter()
    .flatten()
    .collect()
}

fn mutexes() -> Vec<Case> {
    let case = |operation, operate| Case {
        recipe: "mutex",
        operation,
        operate,
        obstacle: obstacle!(|other| other.mutex("m0").lock().await),
        next: next!(|other| other.mutex("m0").try_lock().await.is_ok_and(|guard| guard.is_some())),
    };
    vec![
        case("lock", operate!(|node| node.mutex("m0").lock().await)),
        case("try_lock", operate!(|node| node.mutex("m0").try_lock().await)),
        case("try_lock_for", operate!(|node| node.mutex("m0").try_lock_for(PATIENCE).await)),
        case("with", operate!(|node| node.mutex("m0").with(work).await)),
        case(
            "release",
            operate!(|node| match node.mutex("m0").lock().await {
                Ok(guard) => guard.release().await.is_ok(),
                Err(_) => false,
            }),
        ),
        case(
            "release of a minimum hold",
            operate!(|node| match node.mutex("m0").min_hold(PATIENCE).lock().await {
                Ok(guard) => guard.release().await.is_ok(),
                Err(_) => false,
            }),
        ),
        case("ask_to_release", operate!(|node| node.mutex("m0").ask_to_release("the enumeration").await)),
        case("force_release", operate!(|node| node.mutex("m0").force_release("the enumeration").await)),
    ]
}

fn rw_locks() -> Vec<Case> {
    let case = |operation, operate| Case {
        recipe: "rw_lock",
        operation,
        operate,
        obstacle: obstacle!(|other| other.rw_lock("rw").write().await),
        next: next!(|other| other.rw_lock("rw").try_write().await.is_ok_and(|guard| guard.is_some())),
    };
    vec![
        case("read", operate!(|node| node.rw_lock("rw").read().await)),
        case("try_read", operate!(|node| node.rw_lock("rw").try_read().await)),
        case("try_read_for", operate!(|node| node.rw_lock("rw").try_read_for(PATIENCE).await)),
        case("with_read", operate!(|node| node.rw_lock("rw").with_read(work).await)),
        case("write", operate!(|node| node.rw_lock("rw").write().await)),
        case("try_write", operate!(|node| node.rw_lock("rw").try_write().await)),
        case("try_write_for", operate!(|node| node.rw_lock("rw").try_write_for(PATIENCE).await)),
        case("with_write", operate!(|node| node.rw_lock("rw").with_write(work).await)),
        case(
            "downgrade",
            operate!(|node| match node.rw_lock("rw").write().await {
                Ok(guard) => match guard.downgrade().await {
                    Ok(guard) => guard.release().await.is_ok(),
                    Err(_) => false,
                },
                Err(_) => false,
            }),
        ),
    ]
}

fn semaphores() -> Vec<Case> {
    let case = |operation, operate| Case {
        recipe: "semaphore",
        operation,
        operate,
        obstacle: obstacle!(|other| other.semaphore("s", LIMIT).acquire_many(LIMIT - 1).await),
        // All of them: none was lost.
        next: next!(|other| {
            let permits = other.semaphore("s", LIMIT).try_acquire_many(LIMIT).await;
            permits.is_ok_and(|permits| permits.is_some())
        }),
    };
    vec![
        case("acquire", operate!(|node| node.semaphore("s", LIMIT).acquire().await)),
        case("acquire_many", operate!(|node| node.semaphore("s", LIMIT).acquire_many(2).await)),
        case("try_acquire", operate!(|node| node.semaphore("s", LIMIT).try_acquire().await)),
        case("try_acquire_many", operate!(|node| node.semaphore("s", LIMIT).try_acquire_many(2).await)),
        case("try_acquire_for", operate!(|node| node.semaphore("s", LIMIT).try_acquire_for(PATIENCE).await)),
        case(
            "try_acquire_many_for",
            operate!(|node| node.semaphore("s", LIMIT).try_acquire_many_for(2, PATIENCE).await),
        ),
        case("with", operate!(|node| node.semaphore("s", LIMIT).with(work).await)),
        case(
            "release",
            operate!(|node| match node.semaphore("s", LIMIT).acquire_many(2).await {
                Ok(permit) => permit.release().await.is_ok(),
                Err(_) => false,
            }),
        ),
    ]
}

fn elections() -> Vec<Case> {
    let case = |operation, operate| Case {
        recipe: "election",
        operation,
        operate,
        obstacle: obstacle!(|other| other.election("e").campaign("other").await),
        next: next!(|other| other.election("e").try_campaign("other").await.is_ok_and(|won| won.is_some())),
    };
    vec![
        case("campaign", operate!(|node| node.election("e").campaign("node").await)),
        case("try_campaign", operate!(|node| node.election("e").try_campaign("node").await)),
        case(
            "try_campaign_for",
            operate!(|node| node.election("e").try_campaign_for("node", PATIENCE).await),
        ),
        case(
            "proclaim",
            operate!(|node| match node.election("e").campaign("node").await {
                Ok(leadership) => leadership.proclaim("leader").await.is_ok(),
                Err(_) => false,
            }),
        ),
        case(
            "resign",
            operate!(|node| match node.election("e").campaign("node").await {
                Ok(leadership) => leadership.resign().await.is_ok(),
                Err(_) => false,
            }),
        ),
        case("lead", operate!(|node| node.election("e").lead(std::future::pending::<()>(), work).await)),
    ]
}

fn multi_locks() -> Vec<Case> {
    let case = |operation, operate| Case {
        recipe: "multi_lock",
        operation,
        operate,
        // The second one: the first is taken when the wait begins.
        obstacle: obstacle!(|other| other.mutex("m1").lock().await),
        next: next!(|other| multi(other).try_lock().await.is_ok_and(|guard| guard.is_some())),
    };
    vec![
        case("lock", operate!(|node| multi(node).lock().await)),
        case("try_lock", operate!(|node| multi(node).try_lock().await)),
        case("try_lock_for", operate!(|node| multi(node).try_lock_for(PATIENCE).await)),
        case(
            "with",
            operate!(|node| multi(node)
                .with(|_held| async { tokio::time::sleep(Duration::from_millis(15)).await })
                .await),
        ),
        case(
            "release",
            operate!(|node| match multi(node).lock().await {
                Ok(guard) => guard.release().await.is_ok(),
                Err(_) => false,
            }),
        ),
    ]
}

fn groups() -> Vec<Case> {
    let case = |operation, operate| Case {
        recipe: "group",
        operation,
        operate,
        obstacle: None,
        next: next!(|other| other.group("g").members().await.is_ok_and(|members| members.is_empty())),
    };
    vec![
        case("join", operate!(|node| node.group("g").join("node").await)),
        case(
            "set_value and leave",
            operate!(|node| match node.group("g").join("node").await {
                Ok(membership) => {
                    membership.set_value("other").await.is_ok() && membership.release().await.is_ok()
                }
                Err(_) => false,
            }),
        ),
        case("stay", operate!(|node| node.group("g").stay("node").await)),
        case(
            "leave after a stay",
            operate!(|node| match node.group("g").stay("node").await {
                Ok(staying) => staying.leave().await.is_ok(),
                Err(_) => false,
            }),
        ),
    ]
}

fn double_barriers() -> Vec<Case> {
    let case = |operation, operate| Case {
        recipe: "double_barrier",
        operation,
        operate,
        obstacle: None,
        // Two that come now meet each other, and nobody who was there before.
        next: next!(|other| {
            let (one, two) = (other.double_barrier("d", 2), other.double_barrier("d", 2));
            match tokio::join!(one.enter(), two.enter()) {
                (Ok(one), Ok(two)) => {
                    let (one, two) = tokio::join!(one.leave(), two.leave());
                    one.is_ok() && two.is_ok()
                }
                _ => false,
            }
        }),
    };
    vec![
        case(
            "enter, alone for a while",
            operate!(|node| tokio::time::timeout(PATIENCE, node.double_barrier("d", 2).enter())
                .await
                .is_ok()),
        ),
        case("enter, of one", |scene: Scene| -> Doing<()> {
            Box::pin(async move {
                // Another barrier: the number of parties is the same for all of one.
                let barrier = scene.node.double_barrier("alone", 1);
                let _inside = barrier.enter().await;
            })
        }),
        case("enter and leave", |scene: Scene| -> Doing<()> {
            Box::pin(async move {
                let barrier = scene.node.double_barrier("alone", 1);
                if let Ok(inside) = barrier.enter().await {
                    let _left = inside.leave().await;
                }
            })
        }),
    ]
}

/// Registers outlive their writers; what must not be left is a write in doubt that is applied later.
fn registers() -> Vec<Case> {
    let case = |recipe, operation, operate, next| Case { recipe, operation, operate, obstacle: None, next };
    let register = next!(|other| {
        let register = other.register("r");
        let Ok(before) = register.read().await else { return false };
        // Nobody writes any more.
        tokio::time::sleep(Duration::from_secs(1)).await;
        let Ok(after) = register.read().await else { return false };
        let version = after.as_ref().map_or(0, |value| value.version);
        before == after && register.compare_and_set(version, "next").await.is_ok_and(|won| won.is_some())
    });
    let counter = next!(|other| {
        // Added once, or not at all.
        let counter = other.counter("c");
        matches!(counter.get().await, Ok(0 | 5)) && counter.add(1).await.is_ok()
    });
    let latch = next!(|other| matches!(other.latch("l", 2).count_down().await, Ok(0 | 1)));
    let barrier = next!(|other| {
        let barrier = other.barrier("b");
        barrier.set().await.is_ok()
            && barrier.lift().await.is_ok()
            && barrier.wait_for(Duration::ZERO).await.is_ok_and(|open| open)
    });
    let once = next!(|other| {
        let completion = other.once("o").run(result).await;
        completion.is_ok_and(|done| done.is_ok_and(|completion| completion.result() == "result"))
    });
    vec![
        case("register", "write", operate!(|node| node.register("r").write("node").await), register),
        case(
            "register",
            "compare_and_set",
            operate!(|node| node.register("r").compare_and_set(0, "node").await),
            register,
        ),
        case(
            "register",
            "update",
            operate!(|node| node
                .register("r")
                .update(|_| Some("node".into()))
                .await
                .map(Updated::written)
                .is_ok()),
            register,
        ),
        case(
            "register",
            "write_held",
            operate!(|node| match node.mutex("m0").lock().await {
                Ok(guard) => node.register("r").write_held(&guard, "node").await.is_ok(),
                Err(_) => false,
            }),
            register,
        ),
        case("counter", "add", operate!(|node| node.counter("c").add(5).await), counter),
        case(
            "counter",
            "compare_and_set",
            operate!(|node| node.counter("c").compare_and_set(0, 5).await),
            counter,
        ),
        case("latch", "count_down", operate!(|node| node.latch("l", 2).count_down().await), latch),
        case("latch", "wait_for", operate!(|node| node.latch("l", 2).wait_for(PATIENCE).await), latch),
        case("latch", "reset", operate!(|node| node.latch("l", 2).reset().await), latch),
        case("barrier", "set", operate!(|node| node.barrier("b").set().await), barrier),
        case("barrier", "lift", operate!(|node| node.barrier("b").lift().await), barrier),
        case("barrier", "wait_for", operate!(|node| node.barrier("b").wait_for(PATIENCE).await), barrier),
        case("once", "run", operate!(|node| node.once("o").run(result).await), once),
        case("once", "try_run", operate!(|node| node.once("o").try_run(result).await), once),
    ]
}
