//! Hears everything that anybody in this process logs, and looks for secrets in it.

use std::fmt::{Debug, Write};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, Once};

use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Metadata, Subscriber};

use crate::life::SECRET;

static LEAKED: Mutex<Option<String>> = Mutex::new(None);
static HEARD: AtomicUsize = AtomicUsize::new(0);

/// What was logged with a secret in it, if anything was.
pub(crate) fn leaked() -> Option<String> {
    LEAKED.lock().unwrap().clone()
}

/// How much was logged.
pub(crate) fn heard() -> usize {
    HEARD.load(Ordering::Relaxed)
}

/// From now on.
pub(crate) fn listen() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| tracing::subscriber::set_global_default(Ear).unwrap());
}

struct Ear;

struct Text(String);

impl Visit for Text {
    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        let _ = write!(self.0, " {}={value:?}", field.name());
    }
}

fn look(target: &str, text: Text) {
    HEARD.fetch_add(1, Ordering::Relaxed);
    if text.0.contains(SECRET) {
        *LEAKED.lock().unwrap() = Some(format!("{target}:{}", text.0));
    }
}

impl Subscriber for Ear {
    fn enabled(&self, _: &Metadata<'_>) -> bool {
        true
    }

    fn new_span(&self, span: &Attributes<'_>) -> Id {
        let mut text = Text(String::new());
        span.record(&mut text);
        look(span.metadata().target(), text);
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, values: &Record<'_>) {
        let mut text = Text(String::new());
        values.record(&mut text);
        look("span", text);
    }

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut text = Text(String::new());
        event.record(&mut text);
        look(event.metadata().target(), text);
    }

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
