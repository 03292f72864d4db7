//! The network between a backend and its service, which a test can break.

use tokio::sync::watch;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wire {
    Open,
    RepliesLost,
    Cut,
}

#[derive(Debug, Clone, Copy)]
pub(crate) struct LinkState {
    wire: Wire,
    /// How often the connections were broken. Whoever waits for a reply over a broken connection waits in vain.
    breaks: u64,
}

impl LinkState {
    pub(crate) fn is_cut(self) -> bool {
        self.wire == Wire::Cut
    }

    pub(crate) fn carries_replies(self) -> bool {
        self.wire == Wire::Open
    }

    pub(crate) fn broken_since(self, earlier: LinkState) -> bool {
        self.breaks != earlier.breaks
    }
}

/// One connection; every clone of a backend and every session of it uses the same.
#[derive(Debug)]
pub(crate) struct Link(watch::Sender<LinkState>);

impl Link {
    pub(crate) fn new() -> Self {
        Self(watch::Sender::new(LinkState { wire: Wire::Open, breaks: 0 }))
    }

    pub(crate) fn state(&self) -> LinkState {
        *self.0.borrow()
    }

    fn subscribe(&self) -> watch::Receiver<LinkState> {
        self.0.subscribe()
    }

    pub(crate) fn cut(&self) {
        self.0.send_modify(|state| *state = LinkState { wire: Wire::Cut, breaks: state.breaks + 1 });
    }

    pub(crate) fn lose_replies(&self) {
        self.0.send_modify(|state| state.wire = Wire::RepliesLost);
    }

    pub(crate) fn heal(&self) {
        self.0.send_modify(|state| state.wire = Wire::Open);
    }

    /// Breaks the connections; new ones can be made at once.
    pub(crate) fn interrupt(&self) {
        self.0.send_modify(|state| state.breaks += 1);
    }

    /// Resolves when the connections are broken that there were at `since`.
    pub(crate) async fn broken(&self, since: LinkState) {
        // The sender is in `self`, so the channel cannot close meanwhile.
        let _ = self.subscribe().wait_for(|state| state.broken_since(since)).await;
    }

    pub(crate) async fn until(&self, condition: impl Fn(LinkState) -> bool) {
        let _ = self.subscribe().wait_for(|state| condition(*state)).await;
    }
}
