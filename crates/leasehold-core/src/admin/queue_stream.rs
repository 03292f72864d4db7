//! Following one queue as an administrator sees it.
//!
//! # Implementation
//!
//! A [`QueueStream`] is the receiving end of an observation (see [`crate::observation`]), which reads and waits on the driver. Standings follow
//! from the entries by the recipe's rule at the moment that a state is taken. Dropping the stream ends the observation; the stream
//! keeps the coordinator, so that the session lives as long as somebody watches.

use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use futures_util::Stream;

use super::contender_info::ContenderInfo;
use super::recipe::Recipe;
use super::standing::standings;
use crate::coordinator::Coordinator;
use crate::entry_value::ValueForm;
use crate::error::Error;
use crate::named::Named;
use crate::observation::{Focus, States, observe};

/// Who is in a queue, from now on; see [`Admin::observe`](crate::Admin::observe).
#[must_use = "a stream does nothing unless it is polled"]
pub struct QueueStream {
    name: Arc<str>,
    coordinator: Coordinator,
    recipe: Recipe,
    form: ValueForm,
    states: States,
}

impl QueueStream {
    pub(super) fn open(named: &Named, recipe: Recipe) -> Result<Self, Error> {
        let path = named.path("observe")?;
        let form = ValueForm::of(&path);
        let coordinator = named.coordinator().clone();
        let states = observe(coordinator.engine(), path, Focus::All);
        Ok(Self { name: named.name().clone(), coordinator, recipe, form, states })
    }

    /// The name of the queue, as it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The next state, as [`Admin::observe`](crate::Admin::observe) describes it; `None` when the coordinator has been shut down.
    ///
    /// # Cancel safety
    /// Dropping it loses nothing: what it would have answered is the next one's.
    pub async fn next(&mut self) -> Option<Vec<ContenderInfo>> {
        poll_fn(|context| Pin::new(&mut *self).poll_next(context)).await
    }
}

impl Stream for QueueStream {
    type Item = Vec<ContenderInfo>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Vec<ContenderInfo>>> {
        let this = self.get_mut();
        let Some(entries) = ready!(this.states.poll_next(context)) else { return Poll::Ready(None) };
        let engine = this.coordinator.engine();
        let (epoch, now) = (engine.epoch, engine.options.clock.wall_time());
        let placed = entries.iter().zip(standings(this.recipe, &entries));
        let contenders = placed
            .map(|(entry, standing)| ContenderInfo::new(this.form, entry.clone(), standing, epoch, now));
        Poll::Ready(Some(contenders.collect()))
    }
}

impl fmt::Debug for QueueStream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("QueueStream")
            .field("name", &self.name)
            .field("recipe", &self.recipe)
            .finish_non_exhaustive()
    }
}
