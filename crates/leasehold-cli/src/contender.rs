//! Contenders as they are printed.

use clap::ValueEnum;
use leasehold::{ContenderInfo, Mode, Recipe};
use serde_json::{Value, json};

use crate::output::{moment, span};

/// A recipe, as it is called on the command line and in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    Mutex,
    RwLock,
    Semaphore,
    Election,
    Group,
    Partition,
    DoubleBarrier,
    Once,
}

impl Kind {
    pub(crate) fn recipe(self) -> Recipe {
        match self {
            Kind::Mutex => Recipe::Mutex,
            Kind::RwLock => Recipe::RwLock,
            Kind::Semaphore => Recipe::Semaphore,
            Kind::Election => Recipe::Election,
            Kind::Group => Recipe::Group,
            Kind::Partition => Recipe::Partition,
            Kind::DoubleBarrier => Recipe::DoubleBarrier,
            Kind::Once => Recipe::Once,
        }
    }

    /// This one, or all.
    pub(crate) fn or_all(chosen: Option<Kind>) -> Vec<Kind> {
        chosen.map_or_else(|| Kind::value_variants().to_vec(), |kind| vec![kind])
    }

    pub(crate) fn word(self) -> String {
        self.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
    }
}

/// The heads of the columns of [`row`].
pub(crate) fn heads() -> Vec<String> {
    ["#", "STANDING", "HOST", "PID", "AGE", "MODE", "TOKEN", "PURPOSE"].map(str::to_owned).into()
}

/// A contender at its place, which counts from 1.
pub(crate) fn row(place: usize, contender: &ContenderInfo) -> Vec<String> {
    let mut row = vec![place.to_string(), contender.standing.to_string()];
    match &contender.details {
        // Others wrote it: it must not break the line.
        Some(details) => row.extend([
            details.holder.host.escape_debug().to_string(),
            details.holder.pid.to_string(),
            span(details.age),
        ]),
        None => row.extend(["?".to_owned(), "?".to_owned(), "?".to_owned()]),
    }
    row.extend([mode(contender.mode), contender.token.to_string()]);
    row.push(match &contender.details {
        Some(details) => {
            let mut text = details.holder.purpose.escape_debug().to_string();
            for (what, who) in
                [("asked to release", &details.asked_to_release), ("broken", &details.released_by_force)]
            {
                if let Some(who) = who {
                    text += &format!(" ({what} by {})", who.escape_debug());
                }
            }
            text
        }
        None => "(written by another program)".to_owned(),
    });
    row
}

fn mode(mode: Mode) -> String {
    match mode {
        Mode::Exclusive => "exclusive".to_owned(),
        Mode::Shared => "shared".to_owned(),
        Mode::Permits { count, limit, .. } => format!("{count}/{limit}"),
    }
}

/// A contender in JSON.
pub(crate) fn document(place: usize, contender: &ContenderInfo) -> Value {
    let mut document = json!({
        "place": place,
        "entry": contender.entry.to_string(),
        "holds": contender.holds(),
        "mode": mode(contender.mode),
        "token": contender.token.to_string(),
    });
    if let (Some(fields), Some(details)) = (document.as_object_mut(), &contender.details) {
        fields.extend([
            ("host".to_owned(), json!(details.holder.host)),
            ("pid".to_owned(), json!(details.holder.pid)),
            ("purpose".to_owned(), json!(details.holder.purpose)),
            ("since".to_owned(), json!(moment(details.since))),
            ("age_seconds".to_owned(), json!(details.age.as_secs_f64())),
            ("payload".to_owned(), json!(String::from_utf8_lossy(&details.payload))),
            ("asked_to_release_by".to_owned(), json!(details.asked_to_release)),
            ("released_by_force_by".to_owned(), json!(details.released_by_force)),
        ]);
    }
    document
}

/// A queue in JSON.
pub(crate) fn queue(kind: Kind, name: &str, contenders: &[ContenderInfo]) -> Value {
    let queue = contenders.iter().enumerate();
    let queue: Vec<_> = queue.map(|(index, contender)| document(index + 1, contender)).collect();
    json!({ "recipe": kind.word(), "name": name, "queue": queue })
}

/// A queue as a table.
pub(crate) fn table(contenders: &[ContenderInfo]) -> String {
    let rows = contenders.iter().enumerate().map(|(index, contender)| row(index + 1, contender));
    crate::output::table(&[heads()].into_iter().chain(rows).collect::<Vec<_>>())
}
