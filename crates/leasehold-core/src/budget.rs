//! The patience of an acquisition that has several steps.

use tokio::time::Instant;

use crate::acquisition::Patience;

/// How long the rest of an acquisition may wait.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Budget {
    patience: Patience,
    deadline: Option<Instant>,
}

impl Budget {
    pub(crate) fn new(patience: Patience) -> Self {
        let deadline = match patience {
            Patience::For(time) => Instant::now().checked_add(time),
            Patience::Try | Patience::Forever => None,
        };
        Self { patience, deadline }
    }

    /// When the time is up, if ever.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.deadline
    }

    /// `None`: the time is up.
    pub(crate) fn rest(&self) -> Option<Patience> {
        let Some(deadline) = self.deadline else { return Some(self.patience) };
        let rest = deadline.saturating_duration_since(Instant::now());
        (!rest.is_zero()).then_some(Patience::For(rest))
    }
}
