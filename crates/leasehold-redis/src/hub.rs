//! The subscriptions of one session, over one connection.
//!
//! # Implementation
//!
//! One task owns the connection and the table of channels. Everybody else holds a [`Hub`], through which they
//! subscribe, and a [`Feed`], from which they read; a feed that is dropped says so through the same queue. There is a
//! connection only while there is a feed: the task connects, subscribes to all channels and tells every feed
//! `Opened`, since what was published before is lost; from then on it passes messages on in their order. When the
//! connection breaks, or does not answer a ping in time, it begins again. So a feed hears `Opened` after every gap,
//! and loses nothing between two of them.
//!
//! Whoever subscribes later is subscribed on the open connection; what comes meanwhile waits there. A subscription
//! that the server refuses ends the feeds that asked for it; one that fails otherwise breaks the connection. A
//! connection that breaks is also a sign that the session's own may be broken: `renew_now` has that looked at.
//!
//! The connection leads to the server that the session's requests go to, and is left for a new one when they go to
//! another: whoever was the primary before may not hear of what is published there.
//!
//! The task is dropped at an await only with its session or its runtime; then the feeds end.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::{Stream, StreamExt};
use leasehold_core::{BackendError, Backoff};
use redis::Value;
use redis::aio::{PubSubSink, PubSubStream};
use tokio::sync::{Notify, mpsc};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::{Effect, Meaning, backend_error};
use crate::link::Link;

const WHAT: &str = "subscription";

/// What a feed tells: messages, in their order.
type FeedEvent = leasehold_core::mirror::FeedEvent<Vec<u8>>;

/// One subscription.
pub(crate) struct Feed {
    number: u64,
    events: mpsc::UnboundedReceiver<FeedEvent>,
    orders: mpsc::UnboundedSender<Order>,
}

/// It ends when the session is over.
impl Stream for Feed {
    type Item = FeedEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedEvent>> {
        self.events.poll_recv(cx)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // Without the task there is nothing to take back.
        let _ = self.orders.send(Order::Leave(self.number));
    }
}

enum Order {
    Enter(String, mpsc::UnboundedSender<FeedEvent>, u64),
    Leave(u64),
}

/// Makes feeds.
#[derive(Clone)]
pub(crate) struct Hub {
    orders: mpsc::UnboundedSender<Order>,
    numbers: Arc<AtomicU64>,
}

impl Hub {
    /// The hub, and the task that it takes. `patience` is how long the server may take to confirm something.
    pub(crate) fn new(link: Arc<Link>, renew_now: Arc<Notify>, patience: Duration) -> (Self, HubTask) {
        let (orders, receiver) = mpsc::unbounded_channel();
        let hub = Self { orders, numbers: Arc::default() };
        (hub, HubTask { link, renew_now, patience, orders: receiver, readers: HashMap::new() })
    }

    pub(crate) fn subscribe(&self, channel: String) -> Feed {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::unbounded_channel();
        // Without the task the feed ends at once.
        let _ = self.orders.send(Order::Enter(channel, sender, number));
        Feed { number, events, orders: self.orders.clone() }
    }
}

struct Reader {
    number: u64,
    events: mpsc::UnboundedSender<FeedEvent>,
}

pub(crate) struct HubTask {
    link: Arc<Link>,
    renew_now: Arc<Notify>,
    patience: Duration,
    orders: mpsc::UnboundedReceiver<Order>,
    readers: HashMap<String, Vec<Reader>>,
}

/// Why a connection is not served any longer.
enum End {
    /// Nobody listens.
    Unused,
    Broken,
    /// The session's requests go to another server now.
    Moved,
    /// There is no hub any more.
    Over,
}

impl HubTask {
    pub(crate) async fn run(mut self) {
        let new_backoff = || Backoff::new(Duration::from_millis(10), Duration::from_millis(500));
        let mut backoff = new_backoff();
        loop {
            while self.readers.is_empty() {
                match self.orders.recv().await {
                    Some(order) => drop(self.take(order)),
                    None => return,
                }
            }
            let end = match self.open().await {
                Ok((line, stream)) => {
                    backoff = new_backoff();
                    self.serve(line, stream).await
                }
                Err(error) if error.is_transient() => End::Broken,
                Err(error) => {
                    self.refuse_all(&error);
                    End::Unused
                }
            };
            match end {
                End::Unused | End::Moved => {}
                End::Broken => {
                    self.renew_now.notify_one();
                    sleep(backoff.next_delay()).await;
                }
                End::Over => return,
            }
        }
    }

    /// Connects and subscribes to everything; every feed is told.
    async fn open(&mut self) -> Result<(Line, PubSubStream), BackendError> {
        let (subscriber, leads_to) = self.link.subscriber().await?;
        let (mut sink, stream) = subscriber.split();
        // Whoever came meanwhile.
        while let Ok(order) = self.orders.try_recv() {
            self.take(order);
        }
        let channels: Vec<String> = self.readers.keys().cloned().collect();
        if !channels.is_empty() {
            self.subscribe(&mut sink, &channels).await?;
        }
        for reader in self.readers.values().flatten() {
            let _ = reader.events.send(FeedEvent::Opened);
        }
        Ok((Line { sink, leads_to }, stream))
    }

    async fn subscribe(&self, sink: &mut PubSubSink, channels: &[String]) -> Result<(), BackendError> {
        let subscribed = timeout(self.patience, sink.subscribe(channels)).await;
        let endpoint = self.link.endpoint();
        match subscribed {
            Ok(subscribed) => subscribed.map_err(|error| backend_error(WHAT, endpoint, error, Effect::Read)),
            Err(_) => {
                let message =
                    format!("{WHAT}: Redis at {endpoint} did not answer within {:?}", self.patience);
                Err(BackendError::new(Meaning::Unanswered.kind(Effect::Read), message))
            }
        }
    }

    async fn serve(&mut self, line: Line, mut stream: PubSubStream) -> End {
        if self.readers.is_empty() {
            return End::Unused;
        }
        let Line { mut sink, leads_to: here } = line;
        let link = self.link.clone();
        let mut moved = pin!(link.leads_elsewhere(&here));
        let period = self.patience * 2;
        let mut ping_at = Instant::now() + period;
        loop {
            tokio::select! {
                () = &mut moved => return End::Moved,
                message = stream.next() => match message {
                    Some(message) => {
                        for reader in self.readers.get(message.get_channel_name()).into_iter().flatten() {
                            let _ = reader.events.send(FeedEvent::Changed(message.get_payload_bytes().to_vec()));
                        }
                    }
                    None => return End::Broken,
                },
                order = self.orders.recv() => match order {
                    Some(order) => match self.take(order) {
                        Taken::Nothing if self.readers.is_empty() => return End::Unused,
                        Taken::Nothing => {}
                        Taken::Subscribed(channel) => self.opened(&channel),
                        Taken::Subscribe(channel) => {
                            match self.subscribe(&mut sink, std::slice::from_ref(&channel)).await {
                                Ok(()) => self.opened(&channel),
                                Err(error) if error.is_transient() => return End::Broken,
                                Err(error) => {
                                    self.refuse(&channel, &error);
                                    if self.readers.is_empty() {
                                        return End::Unused;
                                    }
                                }
                            }
                        }
                        Taken::Unsubscribe(channel) => {
                            if self.readers.is_empty() {
                                return End::Unused;
                            }
                            match timeout(self.patience, sink.unsubscribe(&channel)).await {
                                Ok(Ok(())) => {}
                                _ => return End::Broken,
                            }
                        }
                    },
                    None => return End::Over,
                },
                () = sleep_until(ping_at) => {
                    match timeout(self.patience, sink.ping::<Value>()).await {
                        Ok(Ok(_)) => ping_at = Instant::now() + period,
                        _ => return End::Broken,
                    }
                }
            }
        }
    }

    fn take(&mut self, order: Order) -> Taken {
        match order {
            Order::Enter(channel, events, number) => {
                let readers = self.readers.entry(channel.clone()).or_default();
                readers.push(Reader { number, events });
                if readers.len() == 1 { Taken::Subscribe(channel) } else { Taken::Subscribed(channel) }
            }
            Order::Leave(number) => {
                let mut emptied = None;
                self.readers.retain(|channel, readers| {
                    let before = readers.len();
                    readers.retain(|reader| reader.number != number);
                    if readers.is_empty() && before > 0 {
                        emptied = Some(channel.clone());
                    }
                    !readers.is_empty()
                });
                emptied.map_or(Taken::Nothing, Taken::Unsubscribe)
            }
        }
    }

    /// The newest reader of a channel hears everything from now on.
    fn opened(&self, channel: &str) {
        if let Some(reader) = self.readers.get(channel).and_then(|readers| readers.last()) {
            let _ = reader.events.send(FeedEvent::Opened);
        }
    }

    fn refuse(&mut self, channel: &str, error: &BackendError) {
        for reader in self.readers.remove(channel).into_iter().flatten() {
            let _ = reader.events.send(FeedEvent::Refused(error.duplicate()));
        }
    }

    fn refuse_all(&mut self, error: &BackendError) {
        let channels: Vec<String> = self.readers.keys().cloned().collect();
        channels.iter().for_each(|channel| self.refuse(channel, error));
    }
}

/// A connection.
struct Line {
    sink: PubSubSink,
    leads_to: Arc<str>,
}

/// What an order takes on an open connection.
enum Taken {
    Nothing,
    /// The channel is subscribed to already.
    Subscribed(String),
    Subscribe(String),
    Unsubscribe(String),
}
