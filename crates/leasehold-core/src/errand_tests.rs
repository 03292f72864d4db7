//! Who carries an errand out, and that somebody always does.

use std::sync::atomic::AtomicUsize;
use std::thread::{self, ThreadId};

use tokio::runtime::{Builder, Handle, Runtime};
use tokio::sync::{Notify, mpsc};
use tokio::task::yield_now;
use tokio::time::{Instant, timeout};

use super::*;

fn runtime() -> Runtime {
    Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap()
}

/// A driver on a thread of its own.
fn elsewhere() -> (Runtime, Driver) {
    let runtime = runtime();
    let driver = Driver::on(runtime.handle().clone());
    (runtime, driver)
}

/// Tells on which threads it is polled, until it ends.
async fn traced<F: Future>(seen: Arc<Mutex<Vec<ThreadId>>>, future: F) -> F::Output {
    let mut future = Box::pin(future);
    poll_fn(|context| {
        lock(&seen).push(thread::current().id());
        future.as_mut().poll(context)
    })
    .await
}

#[test]
fn who_attends_carries_it_out_on_his_own_thread() {
    // One that does not run, so that it takes nothing over.
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let driver = Driver::on(runtime.handle().clone());
    let seen = Arc::default();
    let (reply, answer) = oneshot::channel();
    let (wakers, mut to_wake) = mpsc::unbounded_channel::<Waker>();
    let waking = thread::spawn(move || {
        while let Some(waker) = to_wake.blocking_recv() {
            waker.wake();
        }
    });
    let work = async move {
        // A timer needs the driver's runtime; the caller has none.
        let mut timer = Box::pin(sleep(LONGEST));
        assert!(poll_fn(|context| Poll::Ready(timer.as_mut().poll(context).is_pending())).await);
        Woken { left: 3, wakers }.await;
        let _ = reply.send(is_attended());
    };
    let errand = Errand::begin(&driver, traced(Arc::clone(&seen), work));
    assert_eq!(block_on(attend(&errand, answer)), Some(true));
    assert!(!is_attended());
    let here = thread::current().id();
    assert!(lock(&seen).len() >= 4 && lock(&seen).iter().all(|thread| *thread == here));
    waking.join().unwrap();
}

/// An executor without a runtime.
fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(thread::Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(thread::current())));
    let mut future = std::pin::pin!(future);
    loop {
        match future.as_mut().poll(&mut Context::from_waker(&waker)) {
            Poll::Ready(output) => return output,
            Poll::Pending => thread::park(),
        }
    }
}

#[tokio::test(start_paused = true)]
async fn it_goes_on_when_who_attended_is_gone() {
    let driver = Driver::on(Handle::current());
    let (started, go_on, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (reply, answer) = oneshot::channel::<()>();
    let errand = Errand::begin(&driver, {
        let (started, go_on, ended) = (started.clone(), go_on.clone(), ended.clone());
        async move {
            started.notify_one();
            go_on.notified().await;
            assert!(!is_attended() && reply.is_closed());
            ended.notify_one();
        }
    });
    assert!(timeout(Duration::ZERO, attend(&errand, answer)).await.is_err());
    started.notified().await;
    let began = Instant::now();
    go_on.notify_one();
    ended.notified().await;
    assert_eq!(began.elapsed(), Duration::ZERO, "nothing is waited for");
}

#[tokio::test(start_paused = true)]
async fn what_nobody_attends_to_is_the_drivers_once_something_wakes_it() {
    let driver = Driver::on(Handle::current());
    let (sender, mut receiver) = mpsc::unbounded_channel();
    let (reply, answer) = oneshot::channel();
    let ended = Arc::new(Notify::new());
    let errand = Errand::begin(&driver, {
        let ended = ended.clone();
        async move {
            let _ = reply.send(());
            while let Some(()) = receiver.recv().await {
                assert!(!is_attended());
                ended.notify_one();
            }
        }
    });
    attend(&errand, answer).await.unwrap();
    assert!(errand.is_here(), "nothing has woken it");
    let began = Instant::now();
    sender.send(()).unwrap();
    ended.notified().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
    assert!(!errand.is_here());
}

#[tokio::test(start_paused = true)]
async fn a_wake_up_that_comes_as_who_attended_leaves_is_not_lost() {
    let driver = Driver::on(Handle::current());
    let (reply, answer) = oneshot::channel();
    let ended = Arc::new(Notify::new());
    let errand = Errand::begin(&driver, {
        let ended = ended.clone();
        async move {
            let mut reply = Some(reply);
            // It answers, and wakes itself in the same poll.
            poll_fn(|context| match reply.take() {
                Some(reply) => {
                    let _ = reply.send(());
                    context.waker().wake_by_ref();
                    Poll::Pending
                }
                None => Poll::Ready(()),
            })
            .await;
            ended.notify_one();
        }
    });
    let began = Instant::now();
    attend(&errand, answer).await.unwrap();
    ended.notified().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_does_not_poll_has_it_done_by_the_driver() {
    let driver = Driver::on(Handle::current());
    let (reply, answer) = oneshot::channel();
    let (go_on, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let errand = Errand::begin(&driver, {
        let (go_on, ended) = (go_on.clone(), ended.clone());
        async move {
            go_on.notified().await;
            ended.notify_one();
            let _ = reply.send("done");
        }
    });
    let mut attending = Box::pin(attend(&errand, answer));
    let polled = poll_fn(|context| Poll::Ready(attending.as_mut().poll(context).is_pending()));
    assert!(polled.await);
    go_on.notify_one();
    let began = Instant::now();
    ended.notified().await;
    assert!(began.elapsed() <= LONGEST, "{:?}", began.elapsed());
    assert_eq!(attending.await, Some("done"));
}

#[test]
fn without_the_runtime_nothing_is_answered_and_nothing_hangs() {
    let (runtime, driver) = elsewhere();
    let (reply, answer) = oneshot::channel::<()>();
    let errand = Errand::begin(&driver, async move {
        std::future::pending::<()>().await;
        drop(reply);
    });
    let waiting = thread::spawn(move || block_on(attend(&errand, answer)));
    while lock(&driver.fresh().0).errands.iter().all(|errand| lock(&errand.attention).waker.is_none()) {
        thread::yield_now();
    }
    drop(runtime);
    assert!(waiting.join().unwrap().is_none());
    for _ in 0..2 {
        let (reply, answer) = oneshot::channel::<()>();
        let errand = Errand::begin(&driver, async move {
            sleep(Duration::ZERO).await;
            let _ = reply.send(());
        });
        assert!(block_on(attend(&errand, answer)).is_none());
    }
}

#[test]
fn a_runtime_that_ended_between_two_errands_is_noticed() {
    let (runtime, driver) = elsewhere();
    let (reply, answer) = oneshot::channel();
    let errand = Errand::begin(&driver, async move {
        let _ = reply.send(());
    });
    block_on(attend(&errand, answer)).unwrap();
    while lock(&driver.fresh().0).sweep != Sweeping::No {
        thread::yield_now();
    }
    drop(runtime);
    let (reply, answer) = oneshot::channel::<()>();
    let errand = Errand::begin(&driver, async move {
        sleep(Duration::ZERO).await;
        let _ = reply.send(());
    });
    assert!(block_on(attend(&errand, answer)).is_none());
}

#[tokio::test(start_paused = true)]
async fn two_who_wait_at_once_are_both_answered() {
    let driver = Driver::on(Handle::current());
    let ((reply, answer), (other_reply, other_answer)) = (oneshot::channel(), oneshot::channel());
    let go_on = Arc::new(Notify::new());
    let errand = Errand::begin(&driver, {
        let go_on = go_on.clone();
        async move {
            go_on.notified().await;
            let _ = reply.send("one");
            let _ = other_reply.send("other");
            std::future::pending::<()>().await;
        }
    });
    let one = tokio::spawn({
        let errand = errand.clone();
        async move { attend(&errand, answer).await }
    });
    yield_now().await;
    let began = Instant::now();
    let other = tokio::spawn({
        let errand = errand.clone();
        async move { attend(&errand, other_answer).await }
    });
    yield_now().await;
    go_on.notify_one();
    assert_eq!((one.await.unwrap(), other.await.unwrap()), (Some("one"), Some("other")));
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn who_will_not_be_answered_is_told_at_once_and_the_rest_goes_on() {
    let driver = Driver::on(Handle::current());
    let (reply, answer) = oneshot::channel::<()>();
    let (go_on, ended) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let errand = Errand::begin(&driver, {
        let (go_on, ended) = (go_on.clone(), ended.clone());
        async move {
            drop(reply);
            go_on.notified().await;
            ended.notify_one();
        }
    });
    let began = Instant::now();
    assert_eq!(attend(&errand, answer).await, None);
    go_on.notify_one();
    ended.notified().await;
    assert_eq!(began.elapsed(), Duration::ZERO);
}

#[tokio::test]
async fn a_panic_ends_it_as_it_ends_a_task() {
    let driver = Driver::on(Handle::current());
    let (reply, answer) = oneshot::channel();
    let errand = Errand::begin(&driver, async move {
        let _reply: oneshot::Sender<()> = reply;
        yield_now().await;
        panic!("meant to happen");
    });
    assert_eq!(attend(&errand, answer).await, None);
    assert!(!errand.is_here() && !is_attended());
}

/// Ends after so many wake-ups, each of which comes from another thread.
struct Woken {
    left: usize,
    wakers: mpsc::UnboundedSender<Waker>,
}

impl Future for Woken {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if self.left == 0 {
            return Poll::Ready(());
        }
        self.left -= 1;
        let _ = self.wakers.send(context.waker().clone());
        Poll::Pending
    }
}

/// Everybody at once: wakers, those who attend and leave, those who hand over, and the sweep.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn every_errand_ends_once_whoever_does_what() {
    const ERRANDS: usize = 4000;
    let (runtime, driver) = elsewhere();
    let (wakers, mut to_wake) = mpsc::unbounded_channel::<Waker>();
    let waking = thread::spawn(move || {
        while let Some(waker) = to_wake.blocking_recv() {
            waker.wake();
        }
    });
    let ended = Arc::new(AtomicUsize::new(0));
    let mut callers = tokio::task::JoinSet::new();
    for number in 0..ERRANDS {
        let (driver, ended, wakers) = (driver.clone(), ended.clone(), wakers.clone());
        callers.spawn(async move {
            let (reply, answer) = oneshot::channel();
            let (reply_again, again) = oneshot::channel();
            let errand = Errand::begin(&driver, async move {
                Woken { left: number % 4, wakers: wakers.clone() }.await;
                let _ = reply.send(number);
                pause().await;
                Woken { left: number % 3, wakers }.await;
                ended.fetch_add(1, Ordering::SeqCst);
                let _ = reply_again.send(number);
            });
            match number % 5 {
                0 => drop(answer),
                1 => {
                    let mut attending = Box::pin(attend(&errand, answer));
                    poll_fn(|context| Poll::Ready(attending.as_mut().poll(context).is_ready())).await;
                }
                2 => {
                    let handing = errand.clone();
                    let handed = tokio::spawn(async move { handing.hand_over() });
                    assert_eq!(attend(&errand, answer).await, Some(number));
                    handed.await.unwrap();
                }
                _ => {
                    assert_eq!(attend(&errand, answer).await, Some(number));
                    yield_now().await;
                }
            }
            if number % 2 == 0 {
                assert_eq!(attend(&errand, again).await, Some(number));
            } else {
                // The sweep sees to it.
                assert_eq!(again.await, Ok(number));
            }
        });
    }
    drop(wakers);
    let all = async {
        while let Some(caller) = callers.join_next().await {
            caller.unwrap();
        }
    };
    timeout(Duration::from_secs(60), all).await.expect("one was forgotten");
    assert_eq!(ended.load(Ordering::SeqCst), ERRANDS);
    waking.join().unwrap();
    runtime.shutdown_background();
}
