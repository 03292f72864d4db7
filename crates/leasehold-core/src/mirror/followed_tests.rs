use std::collections::VecDeque;

use futures_util::{Stream, stream};
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::super::register::{RegisterReplica, RegisterState};
use super::*;

type Event = FeedEvent<Vec<RegisterState>>;

/// A register of a service that tells what the test says.
#[derive(Default)]
struct Scripted {
    /// The open watches; a closed one has no receiver.
    watches: Mutex<Vec<mpsc::UnboundedSender<Event>>>,
    loads: Mutex<VecDeque<Result<RegisterState, BackendError>>>,
}

impl Scripted {
    /// Tells the watch that was opened last.
    fn tell(&self, event: Event) {
        self.watches.lock().unwrap().last().expect("a watch").send(event).expect("it is open");
    }

    /// How many watches were opened, and how many of them are.
    fn watches(&self) -> (usize, usize) {
        let watches = self.watches.lock().unwrap();
        (watches.len(), watches.iter().filter(|watch| !watch.is_closed()).count())
    }
}

impl Source for Scripted {
    type Replica = RegisterReplica;

    fn watch(&self) -> impl Stream<Item = Event> + Send {
        let (sender, receiver) = mpsc::unbounded_channel();
        self.watches.lock().unwrap().push(sender);
        stream::unfold(receiver, async |mut events| Some((events.recv().await?, events)))
    }

    async fn load(&self) -> Result<RegisterState, BackendError> {
        self.loads.lock().unwrap().pop_front().expect("a load that the test expects")
    }
}

fn scripted(loads: impl IntoIterator<Item = Result<u64, BackendErrorKind>>) -> Arc<Mirror<Scripted>> {
    let load = |load: Result<u64, BackendErrorKind>| match load {
        Ok(version) => Ok(RegisterState { version, revision: version }),
        Err(kind) => Err(BackendError::new(kind, "as the test says")),
    };
    let source = Scripted { loads: Mutex::new(loads.into_iter().map(load).collect()), ..Scripted::default() };
    Arc::new(Mirror::new(source, CancellationToken::new()))
}

/// Lets the task run until it waits.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

async fn changed(mirror: &Arc<Mirror<Scripted>>, seen: u64) -> Result<u64, BackendErrorKind> {
    let changed = mirror.using().changed(seen).await;
    changed.map_err(|error| error.kind())
}

#[tokio::test(start_paused = true)]
async fn each_opening_loads_and_changes_follow() {
    let mirror = scripted([Ok(1), Ok(5)]);
    let copy = mirror.using();
    settle().await;
    mirror.source().tell(FeedEvent::Changed(vec![RegisterState { version: 9, revision: 9 }]));
    mirror.source().tell(FeedEvent::Opened);
    assert_eq!(copy.changed(0).await.unwrap(), 1, "what came before the opening is not counted");
    mirror.source().tell(FeedEvent::Changed(vec![RegisterState { version: 2, revision: 2 }]));
    assert_eq!(copy.changed(1).await.unwrap(), 2);
    mirror.source().tell(FeedEvent::Opened);
    assert_eq!(copy.changed(2).await.unwrap(), 5);
    assert_eq!(mirror.source().watches(), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_load_is_repeated_while_that_may_help() {
    let mirror = scripted([
        Err(BackendErrorKind::Unavailable),
        Err(BackendErrorKind::Indeterminate),
        Ok(1),
        Err(BackendErrorKind::PermissionDenied),
        Ok(2),
    ]);
    let _using = mirror.using();
    settle().await;
    mirror.source().tell(FeedEvent::Opened);
    assert_eq!(changed(&mirror, 0).await, Ok(1));
    mirror.source().tell(FeedEvent::Opened);
    assert_eq!(changed(&mirror, 1).await, Err(BackendErrorKind::PermissionDenied));
    assert!(!mirror.is_followed());
    // The next one tries anew.
    let again = mirror.using();
    settle().await;
    mirror.source().tell(FeedEvent::Opened);
    assert_eq!(again.changed(1).await.unwrap(), 2);
    assert_eq!(mirror.source().watches(), (2, 1));
}

#[tokio::test(start_paused = true)]
async fn a_refusal_and_the_end_of_the_session_are_told() {
    let mirror = scripted([]);
    let waiting = tokio::spawn({
        let mirror = mirror.clone();
        async move { changed(&mirror, 0).await }
    });
    settle().await;
    let refusal = BackendError::new(BackendErrorKind::PermissionDenied, "no");
    mirror.source().tell(FeedEvent::Refused(refusal));
    assert_eq!(waiting.await.unwrap(), Err(BackendErrorKind::PermissionDenied));
    // The stream's end and the session's are one.
    let ended = tokio::spawn({
        let mirror = mirror.clone();
        async move { changed(&mirror, 0).await }
    });
    settle().await;
    mirror.source().watches.lock().unwrap().clear();
    assert_eq!(ended.await.unwrap(), Err(BackendErrorKind::SessionLost));
    mirror.closing.cancel();
    assert_eq!(changed(&mirror, 0).await, Err(BackendErrorKind::SessionLost));
}

#[tokio::test(start_paused = true)]
async fn it_is_followed_for_some_time_after_its_last_user() {
    let mirror = scripted([Ok(1), Ok(2)]);
    let (one, other) = (mirror.using(), mirror.using());
    settle().await;
    mirror.source().tell(FeedEvent::Opened);
    assert_eq!(one.changed(0).await.unwrap(), 1);
    drop(one);
    sleep(LINGER * 3).await;
    assert!(mirror.is_followed(), "one is left");
    drop(other);
    sleep(LINGER - Duration::from_millis(10)).await;
    assert_eq!(changed(&mirror, 0).await, Ok(1), "it is still there");
    sleep(LINGER - Duration::from_millis(10)).await;
    assert_eq!(mirror.source().watches(), (1, 1));
    sleep(LINGER).await;
    assert_eq!((mirror.is_followed(), mirror.source().watches()), (false, (1, 0)));
    // What was known is not shown to those who come later.
    let late = mirror.using();
    assert!(timeout(Duration::from_secs(1), late.changed(0)).await.is_err());
    mirror.source().tell(FeedEvent::Opened);
    assert_eq!(late.changed(1).await.unwrap(), 2);
}

/// Users come and go at the very times at which the task gives up: whoever uses it finds it followed.
#[tokio::test(start_paused = true)]
async fn whoever_comes_as_it_ends_is_served() {
    let mirror = scripted((0..1_000).map(|_| Ok(1)));
    for round in 0..400_u32 {
        let copy = mirror.using();
        // The task, an old or a new one, has a watch: each opening loads.
        settle().await;
        mirror.source().tell(FeedEvent::Opened);
        let served = timeout(Duration::from_secs(1), copy.changed(0)).await;
        assert_eq!(served.expect("it is followed").unwrap(), 1);
        drop(copy);
        sleep(LINGER + Duration::from_millis(u64::from(round % 5)) - Duration::from_millis(2)).await;
    }
    let (opened, open) = mirror.source().watches();
    assert!(opened > 1 && open <= 1, "{opened} watches were opened and {open} are left");
}
