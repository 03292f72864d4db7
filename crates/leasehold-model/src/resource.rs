//! The resource that the lock protects: it keeps the highest token that it has seen and refuses lower ones.

use crate::Flaw;
use crate::state::{Phase, State};

impl State {
    pub(crate) fn read(&mut self, client: usize, flaw: Option<Flaw>) {
        let fenced = !matches!(flaw, Some(Flaw::NoFence | Flaw::FenceOnWritesOnly));
        let accepted = self.touch(client, fenced);
        self.clients[client].phase =
            if accepted { Phase::Writing { base: self.value } } else { Phase::Releasing };
    }

    pub(crate) fn write(&mut self, client: usize, base: u8, flaw: Option<Flaw>) {
        if self.touch(client, flaw != Some(Flaw::NoFence)) {
            self.wrong.update_lost |= base != self.value;
            self.value += 1;
        }
        self.clients[client].phase = Phase::Releasing;
    }

    /// Whether an operation of the client is accepted.
    fn touch(&mut self, client: usize, fenced: bool) -> bool {
        let token = self.clients[client].token;
        if fenced && token < self.fence {
            self.seen.refused = true;
            return false;
        }
        self.wrong.stale_accepted |= token < self.touched;
        self.touched = self.touched.max(token);
        if fenced {
            self.fence = token;
        }
        true
    }
}
