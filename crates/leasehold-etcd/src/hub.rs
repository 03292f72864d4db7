//! All watches of a session over one stream.
//!
//! # Implementation
//!
//! One task a session runs [`HubTask::run`]; it owns the stream, and a table of the watches that somebody wants. Others talk to it
//! over an unbounded channel of commands, and each has a [`Feed`], an unbounded channel of its own for what its
//! watch tells. The task never waits for a reader.
//!
//! A watch is *wanted*, then *asked for*, then *open*:
//!
//! - Creations are made one after another: etcd answers a creation that failed without the watch's number.
//! - Every creation has a number that was never used before, so that an answer about an earlier one is not mistaken.
//! - A watch begins at the time of its creation, never in the past: etcd serves watches that lag only every 100 ms. So
//!   what was before is to be listed by the owner of the feed whenever it reads [`FeedEvent::Opened`].
//! - The stream breaks (error, end, an answer overdue, new connections wanted): all watches become wanted again, and a new
//!   stream is opened, with a backoff if the last one was short-lived. Compaction does that to one watch.
//! - A creation that etcd refuses is tried once more over a new stream with a new token, since a token is fixed in the stream's
//!   headers and may have expired. Refused again, it is the owner's to know: [`FeedEvent::Refused`].
//!
//! Dropping a feed cancels its watch. Dropping the task, or the last handle of the hub, ends all feeds. Without any
//! wanted watch no stream is opened; once opened it stays.

use std::collections::{HashMap, VecDeque};
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::Duration;

use etcd_client::{WatchOptions, WatchRequestSender, WatchResponse, WatchResponseStream};
use futures_util::Stream;
use leasehold_core::{BackendError, BackendErrorKind, Backoff};
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use crate::error::{Effect, Meaning, refusal};
use crate::link::Link;

/// A stream that lived that long ends the backoff.
const SETTLED: Duration = Duration::from_secs(2);

/// The keys of a watch.
#[derive(Debug, Clone)]
pub(crate) struct KeyRange {
    pub(crate) from: String,
    /// Exclusive; one key if there is none.
    pub(crate) to: Option<String>,
    /// Whether the events show what was before them, as far as etcd has that.
    pub(crate) what_was: bool,
}

/// What a watch tells: changes, in the order of their revisions.
type FeedEvent = leasehold_core::mirror::FeedEvent<WatchResponse>;

/// What comes of one watch.
#[derive(Debug)]
pub(crate) struct Feed {
    id: u64,
    events: mpsc::UnboundedReceiver<FeedEvent>,
    commands: mpsc::UnboundedSender<Command>,
}

/// It ends once the hub is gone.
impl Stream for Feed {
    type Item = FeedEvent;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<FeedEvent>> {
        self.events.poll_recv(cx)
    }
}

impl Drop for Feed {
    fn drop(&mut self) {
        // Without a hub there is no watch.
        let _ = self.commands.send(Command::Forget(self.id));
    }
}

#[derive(Debug)]
enum Command {
    Want { range: KeyRange, events: mpsc::UnboundedSender<FeedEvent>, id: u64 },
    Forget(u64),
}

/// The handle of the hub.
#[derive(Debug, Clone)]
pub(crate) struct Hub {
    commands: mpsc::UnboundedSender<Command>,
    next_id: Arc<AtomicU64>,
}

impl Hub {
    /// The handle, and the task to be run.
    pub(crate) fn new(link: Arc<Link>) -> (Self, HubTask) {
        let (commands, received) = mpsc::unbounded_channel();
        let task = HubTask {
            link,
            commands: received,
            watches: HashMap::new(),
            numbers: HashMap::new(),
            wanted: VecDeque::new(),
            asked: None,
            last_number: 0,
        };
        (Self { commands, next_id: Arc::default() }, task)
    }

    /// Watches `range`.
    pub(crate) fn watch(&self, range: KeyRange) -> Feed {
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (sender, events) = mpsc::unbounded_channel();
        // Without a hub the feed's sender is dropped here, and the feed ends.
        let _ = self.commands.send(Command::Want { range, events: sender, id });
        Feed { id, events, commands: self.commands.clone() }
    }
}

struct Watch {
    range: KeyRange,
    events: mpsc::UnboundedSender<FeedEvent>,
    /// etcd's number of it, once it was asked for on the present stream.
    number: Option<i64>,
    /// It was refused, and a new token made for it since: the next refusal is meant.
    token_is_new: bool,
}

/// The creation that is under way.
struct Asked {
    number: i64,
    /// Never, where no clock reaches it.
    until: Option<Instant>,
}

/// Why a stream is given up.
enum Broken {
    /// Open another one.
    Again,
    /// The token may be why it was refused, or why this watch was.
    NeedsToken(Option<u64>),
    /// Nobody is left who could want anything.
    HubGone,
}

pub(crate) struct HubTask {
    link: Arc<Link>,
    commands: mpsc::UnboundedReceiver<Command>,
    watches: HashMap<u64, Watch>,
    numbers: HashMap<i64, u64>,
    wanted: VecDeque<u64>,
    asked: Option<Asked>,
    last_number: i64,
}

impl HubTask {
    pub(crate) async fn run(mut self) {
        let mut generation = self.link.generation();
        let new_backoff = || Backoff::new(Duration::from_millis(20), Duration::from_secs(1));
        let mut backoff = new_backoff();
        loop {
            while !self.watches_are_wanted() {
                match self.commands.recv().await {
                    Some(command) => self.take(command),
                    None => return,
                }
            }
            generation.mark_unchanged();
            let opened_at = Instant::now();
            let broken = match self.open().await {
                Ok((mut requests, mut answers)) => {
                    let served = self.serve(&mut requests, &mut answers);
                    tokio::select! {
                        broken = served => broken,
                        // The link, which is ours, is the sender.
                        _ = generation.changed() => Broken::Again,
                    }
                }
                Err(broken) => broken,
            };
            self.want_all_again();
            if opened_at.elapsed() >= SETTLED {
                backoff = new_backoff();
            }
            match broken {
                Broken::HubGone => return,
                Broken::NeedsToken(id) => self.refresh_token(id).await,
                Broken::Again => {}
            }
            sleep(backoff.next_delay()).await;
        }
    }

    async fn refresh_token(&mut self, refused: Option<u64>) {
        let refreshed = timeout(self.link.request_timeout(), self.link.refresh_token()).await;
        if let (Ok(Ok(())), Some(watch)) = (refreshed, refused.and_then(|id| self.watches.get_mut(&id))) {
            watch.token_is_new = true;
        }
    }

    fn watches_are_wanted(&mut self) -> bool {
        while let Some(id) = self.wanted.front() {
            if self.watches.contains_key(id) {
                return true;
            }
            self.wanted.pop_front();
        }
        false
    }

    fn take(&mut self, command: Command) {
        match command {
            Command::Want { range, events, id } => {
                self.watches.insert(id, Watch { range, events, number: None, token_is_new: false });
                self.wanted.push_back(id);
            }
            Command::Forget(id) => {
                self.watches.remove(&id);
            }
        }
    }

    fn want_all_again(&mut self) {
        self.asked = None;
        self.numbers.clear();
        self.wanted.clear();
        for (id, watch) in &mut self.watches {
            watch.number = None;
            self.wanted.push_back(*id);
        }
    }

    /// The next wanted watch, and what to ask for.
    fn ask(&mut self) -> Option<(String, WatchOptions)> {
        loop {
            let id = self.wanted.pop_front()?;
            let Some(watch) = self.watches.get_mut(&id) else { continue };
            self.last_number += 1;
            watch.number = Some(self.last_number);
            self.numbers.insert(self.last_number, id);
            let until = Instant::now().checked_add(self.link.request_timeout());
            self.asked = Some(Asked { number: self.last_number, until });
            let mut options = WatchOptions::new().with_watch_id(self.last_number);
            if let Some(to) = &watch.range.to {
                options = options.with_range(to.as_str());
            }
            if watch.range.what_was {
                options = options.with_prev_key();
            }
            return Some((watch.range.from.clone(), options));
        }
    }

    /// Opens a stream with the first wanted watch.
    async fn open(&mut self) -> Result<(WatchRequestSender, WatchResponseStream), Broken> {
        let Some((key, options)) = self.ask() else { return Err(Broken::Again) };
        let mut client = self.link.clients().watch;
        match timeout(self.link.request_timeout(), client.watch(key, Some(options))).await {
            Ok(Ok(stream)) => Ok(stream.split()),
            Ok(Err(error)) => {
                let kind = Meaning::of(&error).kind(Effect::Read);
                Err(if kind == BackendErrorKind::Unauthenticated {
                    Broken::NeedsToken(None)
                } else {
                    Broken::Again
                })
            }
            Err(_) => Err(Broken::Again),
        }
    }

    /// Serves one stream until it breaks.
    async fn serve(
        &mut self,
        requests: &mut WatchRequestSender,
        answers: &mut WatchResponseStream,
    ) -> Broken {
        loop {
            if self.asked.is_none()
                && let Some((key, options)) = self.ask()
            {
                match timeout(self.link.request_timeout(), requests.watch(key, Some(options))).await {
                    Ok(Ok(())) => {}
                    _ => return Broken::Again,
                }
            }
            let overdue = self.asked.as_ref().and_then(|asked| asked.until);
            tokio::select! {
                answer = answers.message() => match answer {
                    Ok(Some(answer)) => {
                        if let Err(broken) = self.answered(answer, requests).await {
                            return broken;
                        }
                    }
                    _ => return Broken::Again,
                },
                command = self.commands.recv() => match command {
                    Some(Command::Forget(id)) => {
                        let number = self.watches.remove(&id).and_then(|watch| watch.number);
                        // One that is still being created is cancelled when that is done.
                        let open = number.filter(|n| self.asked.as_ref().is_none_or(|asked| asked.number != *n));
                        if let Some(number) = open && self.cancel(number, requests).await.is_err() {
                            return Broken::Again;
                        }
                    }
                    Some(command) => self.take(command),
                    None => return Broken::HubGone,
                },
                () = async { sleep_until(overdue.unwrap_or_else(Instant::now)).await }, if overdue.is_some() => {
                    return Broken::Again;
                }
            }
        }
    }

    async fn answered(
        &mut self,
        answer: WatchResponse,
        requests: &mut WatchRequestSender,
    ) -> Result<(), Broken> {
        if answer.created() {
            return self.created(answer, requests).await;
        }
        let number = answer.watch_id();
        if answer.canceled() {
            // Without an owner it is the answer to our own cancellation.
            let Some(id) = self.numbers.remove(&number) else { return Ok(()) };
            let Some(watch) = self.watches.get_mut(&id) else { return Ok(()) };
            watch.number = None;
            if answer.compact_revision() == 0 {
                return Err(Broken::Again);
            }
            self.wanted.push_back(id);
            return Ok(());
        }
        let watch = self.numbers.get(&number).and_then(|id| self.watches.get(id));
        if let Some(watch) = watch
            && !answer.events().is_empty()
        {
            // A feed that was just dropped has a command under way.
            let _ = watch.events.send(FeedEvent::Changed(answer));
        }
        Ok(())
    }

    /// The answer to the creation that is under way.
    async fn created(
        &mut self,
        answer: WatchResponse,
        requests: &mut WatchRequestSender,
    ) -> Result<(), Broken> {
        let Some(asked) = self.asked.take() else { return Err(Broken::Again) };
        let id = self.numbers.get(&asked.number).copied();
        let watch = id.and_then(|id| self.watches.get_mut(&id));
        if answer.canceled() {
            self.numbers.remove(&asked.number);
            let Some((watch, id)) = watch.zip(id) else { return Ok(()) };
            if !watch.token_is_new {
                return Err(Broken::NeedsToken(Some(id)));
            }
            let why = answer.cancel_reason();
            let kind = refusal(why);
            if kind == BackendErrorKind::Unavailable {
                return Err(Broken::Again);
            }
            let message = format!("watch: etcd at {}: {why}", self.link.endpoint());
            let _ = watch.events.send(FeedEvent::Refused(BackendError::new(kind, message)));
            self.watches.remove(&id);
            return Ok(());
        }
        if answer.watch_id() != asked.number {
            return Err(Broken::Again);
        }
        match watch {
            Some(watch) => {
                watch.token_is_new = false;
                let _ = watch.events.send(FeedEvent::Opened);
                Ok(())
            }
            None => self.cancel(asked.number, requests).await,
        }
    }

    async fn cancel(&mut self, number: i64, requests: &mut WatchRequestSender) -> Result<(), Broken> {
        self.numbers.remove(&number);
        match timeout(self.link.request_timeout(), requests.cancel(number)).await {
            Ok(Ok(())) => Ok(()),
            _ => Err(Broken::Again),
        }
    }
}
