//! A subscriber and a recorder that keep everything.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use metrics::{
    Counter, CounterFn, Gauge, GaugeFn, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder,
    SharedString, Unit,
};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Subscriber};

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Fields by name, each as text.
pub(crate) type Fields = BTreeMap<&'static str, String>;

#[derive(Debug, Clone)]
pub(crate) struct SeenEvent {
    pub(crate) level: Level,
    pub(crate) fields: Fields,
}

#[derive(Debug, Clone)]
pub(crate) struct SeenSpan {
    pub(crate) name: &'static str,
    pub(crate) fields: Fields,
    /// The name of the span that it is a child of.
    pub(crate) parent: Option<&'static str>,
    pub(crate) closed: bool,
    references: u32,
}

/// What the library told of itself.
#[derive(Default)]
pub(crate) struct Trace {
    events: Mutex<Vec<SeenEvent>>,
    spans: Mutex<BTreeMap<u64, SeenSpan>>,
    entered: Mutex<Vec<u64>>,
    last: AtomicU64,
}

impl Trace {
    pub(crate) fn all_events(&self) -> Vec<SeenEvent> {
        locked(&self.events).clone()
    }

    pub(crate) fn all_spans(&self) -> Vec<SeenSpan> {
        locked(&self.spans).values().cloned().collect()
    }

    /// The events of that name, as far as there are any.
    pub(crate) fn events(&self, name: &str) -> Vec<SeenEvent> {
        self.all_events().into_iter().filter(|event| event.fields["message"] == name).collect()
    }

    /// The only event of that name.
    pub(crate) fn event(&self, name: &str) -> SeenEvent {
        let mut events = self.events(name);
        assert_eq!(events.len(), 1, "of the events {name:?} in {:?}", locked(&self.events));
        events.remove(0)
    }

    pub(crate) fn spans(&self, name: &str) -> Vec<SeenSpan> {
        self.all_spans().into_iter().filter(|span| span.name == name).collect()
    }

    /// Every text that any field has.
    pub(crate) fn everything(&self) -> String {
        format!("{:?} {:?}", locked(&self.events), locked(&self.spans))
    }
}

struct Reader<'a>(&'a mut Fields);

impl Visit for Reader<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.0.insert(field.name(), value.to_owned());
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.0.insert(field.name(), format!("{value:?}"));
    }
}

impl Subscriber for Trace {
    fn enabled(&self, metadata: &tracing::Metadata<'_>) -> bool {
        metadata.target() == "leasehold" || metadata.target() == "application"
    }

    fn new_span(&self, attributes: &Attributes<'_>) -> Id {
        let mut fields = Fields::new();
        attributes.record(&mut Reader(&mut fields));
        let parent = match attributes.parent() {
            Some(parent) => Some(parent.into_u64()),
            None if attributes.is_contextual() => locked(&self.entered).last().copied(),
            None => None,
        };
        let parent = parent.and_then(|parent| locked(&self.spans).get(&parent).map(|span| span.name));
        let name = attributes.metadata().name();
        let id = self.last.fetch_add(1, Ordering::Relaxed) + 1;
        locked(&self.spans).insert(id, SeenSpan { name, fields, parent, closed: false, references: 1 });
        Id::from_u64(id)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, event: &Event<'_>) {
        let mut fields = Fields::new();
        event.record(&mut Reader(&mut fields));
        locked(&self.events).push(SeenEvent { level: *event.metadata().level(), fields });
    }

    fn enter(&self, id: &Id) {
        locked(&self.entered).push(id.into_u64());
    }

    fn exit(&self, id: &Id) {
        let mut entered = locked(&self.entered);
        assert_eq!(entered.pop(), Some(id.into_u64()), "spans are left in order");
    }

    fn clone_span(&self, id: &Id) -> Id {
        locked(&self.spans).entry(id.into_u64()).and_modify(|span| span.references += 1);
        id.clone()
    }

    fn try_close(&self, id: Id) -> bool {
        let mut spans = locked(&self.spans);
        let Some(span) = spans.get_mut(&id.into_u64()) else { return false };
        span.references -= 1;
        span.closed = span.references == 0;
        span.closed
    }
}

/// What was measured: the sum of what was counted or recorded, and how often, by `name{label="value",…}`.
#[derive(Default)]
pub(crate) struct Measures {
    values: Arc<Mutex<BTreeMap<String, (f64, u64)>>>,
    described: Mutex<Vec<String>>,
}

impl Measures {
    /// The sum and the number of what was recorded under that name and these labels.
    pub(crate) fn get(&self, series: &str) -> (f64, u64) {
        locked(&self.values).get(series).copied().unwrap_or_default()
    }

    /// The sum alone.
    pub(crate) fn value(&self, series: &str) -> f64 {
        self.get(series).0
    }

    /// The names of all series.
    pub(crate) fn series(&self) -> Vec<String> {
        locked(&self.values).keys().cloned().collect()
    }

    pub(crate) fn described(&self) -> Vec<String> {
        locked(&self.described).clone()
    }

    fn measure(&self, key: &Key) -> Arc<Measure> {
        let labels = key.labels().map(|label| format!("{}={:?}", label.key(), label.value()));
        let series = format!("{}{{{}}}", key.name(), labels.collect::<Vec<_>>().join(","));
        Arc::new(Measure { series, values: self.values.clone() })
    }
}

struct Measure {
    series: String,
    values: Arc<Mutex<BTreeMap<String, (f64, u64)>>>,
}

impl Measure {
    fn add(&self, value: f64) {
        let mut values = locked(&self.values);
        let (sum, count) = values.entry(self.series.clone()).or_default();
        (*sum, *count) = (*sum + value, *count + 1);
    }
}

impl CounterFn for Measure {
    fn increment(&self, value: u64) {
        self.add(value as f64);
    }

    fn absolute(&self, _: u64) {
        panic!("{} is counted", self.series);
    }
}

impl GaugeFn for Measure {
    fn increment(&self, value: f64) {
        self.add(value);
    }

    fn decrement(&self, value: f64) {
        self.add(-value);
    }

    fn set(&self, _: f64) {
        panic!("{} is counted up and down: several coordinators share it", self.series);
    }
}

impl HistogramFn for Measure {
    fn record(&self, value: f64) {
        self.add(value);
    }
}

impl Recorder for Measures {
    fn describe_counter(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        locked(&self.described).push(key.as_str().to_owned());
    }

    fn describe_gauge(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        locked(&self.described).push(key.as_str().to_owned());
    }

    fn describe_histogram(&self, key: KeyName, _: Option<Unit>, _: SharedString) {
        locked(&self.described).push(key.as_str().to_owned());
    }

    fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
        Counter::from_arc(self.measure(key))
    }

    fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
        Gauge::from_arc(self.measure(key))
    }

    fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
        Histogram::from_arc(self.measure(key))
    }
}
