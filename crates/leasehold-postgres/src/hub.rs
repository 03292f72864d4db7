//! The channels of one session, over the connection of its notifications.
//!
//! # Implementation
//!
//! One task owns the table of channels. Everybody else holds a [`Hub`], through which they subscribe to a path, and a [`Feed`], from which they
//! read; a feed that is dropped says so through the same queue. The task listens to all channels over the link's present connection and tells every
//! feed `Opened`, since what was told before is lost; from then on it passes notifications on in their order. They come through one queue with the number
//! of their connection; those of an earlier one are thrown away. When the connection is given up, by whomever, it begins again. So a feed hears
//! `Opened` after every gap, and loses nothing between two of them: a notification that overtakes the answer of its `listen` stays in the queue
//! until `Opened` was told.
//!
//! A `listen` that the server refuses ends the feeds that asked for it; one that fails otherwise gives the connection up. A connection that
//! breaks is also a sign that the session's other one may be broken: `renew_now` has that looked at.
//!
//! The task is dropped at an await only with its session or its runtime; then the feeds end.

use std::collections::HashMap;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::Stream;
use leasehold_core::{BackendError, Backoff};
use tokio::sync::{Notify, mpsc};
use tokio::time::sleep;

use crate::error::{Effect, corrupt};
use crate::link::{Call, Connection, Link, Told, text};
use crate::records::column;

const WHAT: &str = "subscription";

/// What a feed tells: payloads, in their order.
type FeedEvent = leasehold_core::mirror::FeedEvent<String>;

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
    Enter(String, Reader),
    Leave(u64),
}

/// Makes feeds.
#[derive(Clone)]
pub(crate) struct Hub {
    orders: mpsc::UnboundedSender<Order>,
    numbers: Arc<AtomicU64>,
}

impl Hub {
    /// The hub, and the task that it takes. `told` is what the link hears.
    pub(crate) fn new(
        link: Arc<Link>,
        told: mpsc::UnboundedReceiver<Told>,
        renew_now: Arc<Notify>,
    ) -> (Self, HubTask) {
        let (orders, receiver) = mpsc::unbounded_channel();
        let hub = Self { orders, numbers: Arc::default() };
        (
            hub,
            HubTask {
                link,
                told,
                renew_now,
                orders: receiver,
                readers: HashMap::new(),
                channels: HashMap::new(),
            },
        )
    }

    pub(crate) fn subscribe(&self, path: &str) -> Feed {
        let number = self.numbers.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::unbounded_channel();
        // Without the task the feed ends at once.
        let _ = self.orders.send(Order::Enter(path.to_owned(), Reader { number, events: sender }));
        Feed { number, events, orders: self.orders.clone() }
    }
}

struct Reader {
    number: u64,
    events: mpsc::UnboundedSender<FeedEvent>,
}

pub(crate) struct HubTask {
    link: Arc<Link>,
    told: mpsc::UnboundedReceiver<Told>,
    renew_now: Arc<Notify>,
    orders: mpsc::UnboundedReceiver<Order>,
    /// By path.
    readers: HashMap<String, Vec<Reader>>,
    /// The path of each channel that is listened to.
    channels: HashMap<String, String>,
}

/// Why a connection is not served any longer.
enum End {
    /// Nobody listens.
    Unused,
    Broken,
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
            let end = match self.link.connection(WHAT).await {
                Ok(connection) => match self.open(&connection).await {
                    Ok(()) => {
                        backoff = new_backoff();
                        self.serve(&connection).await
                    }
                    Err(error) => self.failed(&error),
                },
                Err(error) => self.failed(&error),
            };
            match end {
                End::Unused => {}
                End::Broken => {
                    self.renew_now.notify_one();
                    sleep(backoff.next_delay()).await;
                }
                End::Over => return,
            }
        }
    }

    /// What cannot be opened is tried again if that may help.
    fn failed(&mut self, error: &BackendError) -> End {
        if !error.is_transient() {
            let paths: Vec<String> = self.readers.keys().cloned().collect();
            paths.iter().for_each(|path| self.refuse(path, error));
            return End::Unused;
        }
        End::Broken
    }

    /// Listens to everything; every feed is told.
    async fn open(&mut self, connection: &Connection) -> Result<(), BackendError> {
        // Whoever came meanwhile.
        while let Ok(order) = self.orders.try_recv() {
            self.take(order);
        }
        self.channels.clear();
        let paths: Vec<String> = self.readers.keys().cloned().collect();
        for path in paths {
            self.listen(connection, path).await?;
        }
        for reader in self.readers.values().flatten() {
            let _ = reader.events.send(FeedEvent::Opened);
        }
        Ok(())
    }

    async fn listen(&mut self, connection: &Connection, path: String) -> Result<(), BackendError> {
        let statement = "SELECT leasehold.listen($1)";
        let call = Call { what: WHAT, effect: Effect::Read, statement, args: &[text(&path)] };
        let rows = self.link.run_on(connection, &call).await?;
        let channel = column(rows.first().ok_or_else(|| corrupt(WHAT))?, 0, WHAT)?;
        self.channels.insert(channel, path);
        Ok(())
    }

    async fn unlisten(&mut self, connection: &Connection, path: String) -> Result<(), BackendError> {
        self.channels.retain(|_, of| *of != path);
        let statement = "SELECT leasehold.unlisten($1)";
        let call = Call { what: WHAT, effect: Effect::Read, statement, args: &[text(&path)] };
        self.link.run_on(connection, &call).await.map(drop)
    }

    async fn serve(&mut self, connection: &Connection) -> End {
        let link = self.link.clone();
        let mut broken = pin!(link.broken(connection.number()));
        // A connection that nobody listens over any more is kept, for the renewals, and for whoever listens next.
        loop {
            tokio::select! {
                () = &mut broken => return End::Broken,
                told = self.told.recv() => match told {
                    Some(told) if told.connection == connection.number() => self.tell(&told),
                    Some(_) => {}
                    None => return End::Over,
                },
                order = self.orders.recv() => {
                    let taken = match order {
                        Some(order) => self.take(order),
                        None => return End::Over,
                    };
                    let done = match taken {
                        Taken::Nothing => Ok(()),
                        Taken::Listened(path) => {
                            self.opened(&path);
                            Ok(())
                        }
                        Taken::Listen(path) => match self.listen(connection, path.clone()).await {
                            Ok(()) => {
                                self.opened(&path);
                                Ok(())
                            }
                            Err(error) if error.is_transient() => Err(error),
                            Err(error) => {
                                self.refuse(&path, &error);
                                Ok(())
                            }
                        },
                        Taken::Unlisten(path) => self.unlisten(connection, path).await,
                    };
                    if done.is_err() {
                        return End::Broken;
                    }
                }
            }
        }
    }

    fn tell(&self, told: &Told) {
        let readers = self.channels.get(&told.channel).and_then(|path| self.readers.get(path));
        for reader in readers.into_iter().flatten() {
            let _ = reader.events.send(FeedEvent::Changed(told.payload.clone()));
        }
    }

    fn take(&mut self, order: Order) -> Taken {
        match order {
            Order::Enter(path, reader) => {
                let readers = self.readers.entry(path.clone()).or_default();
                readers.push(reader);
                if readers.len() == 1 { Taken::Listen(path) } else { Taken::Listened(path) }
            }
            Order::Leave(number) => {
                let mut emptied = None;
                self.readers.retain(|path, readers| {
                    readers.retain(|reader| reader.number != number);
                    if readers.is_empty() {
                        emptied = Some(path.clone());
                    }
                    !readers.is_empty()
                });
                emptied.map_or(Taken::Nothing, Taken::Unlisten)
            }
        }
    }

    /// The newest reader of a path hears everything from now on.
    fn opened(&self, path: &str) {
        if let Some(reader) = self.readers.get(path).and_then(|readers| readers.last()) {
            let _ = reader.events.send(FeedEvent::Opened);
        }
    }

    fn refuse(&mut self, path: &str, error: &BackendError) {
        for reader in self.readers.remove(path).into_iter().flatten() {
            let _ = reader.events.send(FeedEvent::Refused(error.duplicate()));
        }
    }
}

/// What an order takes on an open connection.
enum Taken {
    Nothing,
    /// The channel is listened to already.
    Listened(String),
    Listen(String),
    Unlisten(String),
}
