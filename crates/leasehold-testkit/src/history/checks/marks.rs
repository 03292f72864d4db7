//! The two marks of a fence, with the events that raised them.

use leasehold_core::FencingToken;

/// The highest tokens so far, and which event brought each.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Marks {
    exclusive: Option<(FencingToken, usize)>,
    shared: Option<(FencingToken, usize)>,
}

impl Marks {
    pub(super) fn raise(&mut self, token: FencingToken, shared: bool, event: usize) {
        let mark = if shared { &mut self.shared } else { &mut self.exclusive };
        if mark.is_none_or(|(highest, _)| highest < token) {
            *mark = Some((token, event));
        }
    }

    /// The event whose token shuts this one out: an exclusive token passes if none was higher, a shared one if no exclusive one was.
    pub(super) fn shut_out(&self, token: FencingToken, shared: bool) -> Option<usize> {
        let highest = if shared { self.exclusive } else { self.exclusive.max(self.shared) };
        highest.filter(|(highest, _)| *highest > token).map(|(_, event)| event)
    }
}
