//! What becomes of the sessions of a coordinator.
//!
//! # Implementation
//!
//! Owned by the session's keeper, which is told of each change of the session's liveness. Changes that follow each other before the keeper
//! comes to run are one.

use std::sync::Arc;

use super::{Alert, events, meters};
use crate::backend_error::BackendError;
use crate::clock::Timestamp;
use crate::engine::Engine;
use crate::liveness::{Liveness, LossReason};
use crate::session_keeper::LiveSession;

/// The share of the TTL, as a divisor, that a renewal leaves unless it is late. The backends renew each third or more often.
const LATE: u32 = 4;

/// Follows one session.
pub(crate) struct SessionObserver {
    engine: Arc<Engine>,
    live: Arc<LiveSession>,
    suspect: bool,
    until: Option<Timestamp>,
}

impl SessionObserver {
    /// Of a session that was opened.
    pub(crate) fn new(engine: &Arc<Engine>, live: &Arc<LiveSession>) -> Self {
        let (engine, live) = (engine.clone(), live.clone());
        meters::session_changed(engine.backend_name, "opened");
        events::session_opened(engine.backend_name, &live);
        let until = deadline(live.liveness().current());
        Self { engine, live, suspect: false, until }
    }

    /// Takes in a change.
    pub(crate) fn saw(&mut self, liveness: Liveness) {
        let backend = self.engine.backend_name;
        let now = self.live.liveness().clock().now();
        match liveness {
            Liveness::Live { until } => {
                let left = self.until.map(|before| before.saturating_since(now));
                if let Some(left) = left.filter(|left| *left < self.live.session.ttl() / LATE) {
                    meters::renewal_late(backend);
                    events::renewal_late(backend, &self.live, left);
                }
                if std::mem::replace(&mut self.suspect, false) {
                    meters::session_changed(backend, "recovered");
                    events::session_recovered(backend, &self.live, until.saturating_since(now));
                }
            }
            Liveness::Suspect { until } if !self.suspect => {
                self.suspect = true;
                let rest = until.saturating_since(now);
                meters::session_changed(backend, "suspect");
                events::session_suspect(backend, &self.live, rest);
                self.alert("suspect", Alert::Suspect { backend, rest });
            }
            Liveness::Suspect { .. } | Liveness::Lost(_) => {}
        }
        self.until = deadline(liveness);
    }

    /// The session is over.
    pub(crate) fn lost(&self, reason: LossReason) {
        let backend = self.engine.backend_name;
        meters::session_changed(backend, "lost");
        events::session_lost(backend, &self.live, reason);
        self.alert("session_lost", Alert::SessionLost { backend, reason });
    }

    fn alert(&self, name: &'static str, alert: Alert) {
        meters::alert(self.engine.backend_name, name);
        if let Some(alerts) = &self.engine.alerts {
            alerts.raise(&self.engine.driver, alert);
        }
    }
}

fn deadline(liveness: Liveness) -> Option<Timestamp> {
    match liveness {
        Liveness::Live { until } | Liveness::Suspect { until } => Some(until),
        Liveness::Lost(_) => None,
    }
}

/// A session could not be opened.
pub(crate) fn session_refused(engine: &Engine, error: &BackendError) {
    meters::session_changed(engine.backend_name, "refused");
    events::session_refused(engine.backend_name, error);
}

/// A session is being closed in order.
pub(crate) fn session_closed(engine: &Engine, live: &LiveSession) {
    meters::session_changed(engine.backend_name, "closed");
    events::session_closed(engine.backend_name, live);
}
