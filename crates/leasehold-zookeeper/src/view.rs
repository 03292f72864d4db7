//! Listing one queue, and what its users share of it.
//!
//! # Implementation
//!
//! Many waiters that look at the queue at once share listings. Looks are collected while a listing is under way, and the
//! next one answers them all; nobody is answered by a listing that was sent before they asked, since it may be older
//! than what they have been told. A task that lives for as long as there are looks does the listing: were it done
//! by the first of them, one that is dropped or merely not polled any more would keep the others waiting.

use std::collections::HashMap;
use std::future::Future;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures::{StreamExt, TryStreamExt, stream};
use leasehold_core::AttemptId;
use tokio::sync::oneshot;
use zookeeper_client::{Client, Error};

use crate::layout::{Directory, Layout, NodeName};
use crate::link::Link;
use crate::listing::{Children, Listing};
use crate::mirror::Mirror;
use crate::session::PIPELINED;

type Answer = Result<Arc<Listing>, Error>;

/// What the users of one queue share.
pub(crate) struct View {
    link: Arc<Link>,
    directory: Directory,
    pub(crate) mirror: Mirror,
    looks: Mutex<Looks>,
    /// Whether the directory is ours to write to, as far as is known.
    counts: AtomicBool,
}

#[derive(Default)]
struct Looks {
    /// Who is answered by the next listing.
    waiting: Vec<oneshot::Sender<Answer>>,
    /// Whether the task is there that takes them.
    served: bool,
}

impl View {
    pub(crate) fn new(link: Arc<Link>, directory: Directory) -> Self {
        let counts = AtomicBool::new(directory.layout == Layout::Own);
        Self { link, directory, mirror: Mirror::default(), looks: Mutex::default(), counts }
    }

    /// Whether a creation can count the directory.
    pub(crate) fn can_be_counted(&self) -> bool {
        self.counts.load(Ordering::Relaxed)
    }

    /// Notes that it cannot: somebody has made the directory, and does not let this session write to it.
    pub(crate) fn cannot_be_counted(&self) {
        self.counts.store(false, Ordering::Relaxed);
    }

    pub(crate) fn directory(&self) -> &Directory {
        &self.directory
    }

    pub(crate) fn path_of(&self, name: &NodeName) -> String {
        self.directory.path_of(name)
    }

    /// Notes that the entry of an attempt is gone, for good.
    pub(crate) fn departed(&self, attempt: AttemptId) {
        if self.directory.layout.lets_in_ahead() {
            self.mirror.distrust();
        } else {
            self.mirror.departed(attempt);
        }
    }

    /// Lists the queue. The request is handed to the client when this is called.
    pub(crate) fn list<'a>(&'a self, client: &'a Client) -> impl Future<Output = Answer> + Send + 'a {
        let (sent, reply) = self.mirror.send(|| client.get_children(&self.directory.path));
        async move {
            let (children, stat) = match reply.await {
                Err(Error::NoNode) => return Ok(self.mirror.keep(sent, Listing::default())),
                reply => reply?,
            };
            let children = Children::new(self.directory.layout, &children, stat.pzxid);
            Ok(self.mirror.keep(sent, self.in_order(client, children).await?))
        }
    }

    /// Brings children into the queue's order.
    async fn in_order(&self, client: &Client, children: Children) -> Result<Listing, Error> {
        if !children.is_saturated() {
            return Ok(children.by_sequence());
        }
        let newest = self.mirror.newest();
        let mut created = HashMap::with_capacity(children.names.len());
        let mut unknown = Vec::new();
        for name in &children.names {
            match newest.created(name) {
                Some(zxid) => drop(created.insert(*name, zxid)),
                None => unknown.push(self.creation(client, *name)),
            }
        }
        let asked: Vec<_> = stream::iter(unknown).buffer_unordered(PIPELINED).try_collect().await?;
        created.extend(asked.into_iter().flatten());
        Ok(children.by_creation(created))
    }

    /// The creation zxid of a node, if it is there.
    async fn creation(&self, client: &Client, name: NodeName) -> Result<Option<(NodeName, i64)>, Error> {
        let stat = client.check_stat(&self.path_of(&name)).await?;
        Ok(stat.map(|stat| (name, stat.czxid)))
    }

    fn looks(&self) -> MutexGuard<'_, Looks> {
        self.looks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A listing that is sent after this is polled first; shared with everybody who asks until then.
    pub(crate) async fn look(self: &Arc<Self>) -> Answer {
        let (answer, answered) = oneshot::channel();
        {
            let mut looks = self.looks();
            looks.waiting.push(answer);
            if !looks.served {
                looks.served = true;
                tokio::spawn(self.clone().serve_looks());
            }
        }
        // The task goes without answering only when the session has ended.
        answered.await.unwrap_or(Err(Error::ClientClosed))
    }

    async fn serve_looks(self: Arc<Self>) {
        while let Some(waiting) = self.next_looks() {
            let Ok(client) = self.link.client() else { continue };
            let answer = tokio::select! {
                biased;
                () = self.link.retired() => continue,
                answer = self.list(&client) => answer,
            };
            for look in waiting {
                // Whoever has gone does not need it.
                let _ = look.send(answer.clone());
            }
        }
    }

    fn next_looks(&self) -> Option<Vec<oneshot::Sender<Answer>>> {
        let mut looks = self.looks();
        looks.waiting.retain(|look| !look.is_closed());
        looks.served = !looks.waiting.is_empty();
        looks.served.then(|| std::mem::take(&mut looks.waiting))
    }
}
