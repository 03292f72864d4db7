//! The table of names says all there is, and nothing else; no field says what it must not.

use std::collections::BTreeSet;
use std::time::Duration;

use crate::recording::Trace;
use crate::world::{World, settle};

const TABLE: &str = include_str!("../../../leasehold-core/src/observe/names.md");

/// The first cells of the tables.
fn documented() -> BTreeSet<&'static str> {
    let cells = TABLE.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    cells.collect()
}

/// The fields or labels of a row.
fn row_of(name: &str) -> &'static str {
    let row = TABLE.lines().find(|line| line.starts_with(&format!("| `{name}` ")));
    row.unwrap_or_else(|| panic!("{name:?} is in no table"))
}

/// Whatever a test has seen is in the table.
pub(crate) fn check(trace: &Trace, series: &[String]) {
    for series in series {
        let (name, labels) = series.split_once('{').unwrap();
        let row = row_of(name);
        for label in labels.trim_end_matches('}').split(',') {
            let (label, value) = label.split_once('=').unwrap();
            assert!(row.contains(&format!("`{label}`")), "{label} of {name} is not in its row");
            let value = value.trim_matches('"');
            let listed =
                matches!(label, "backend" | "kind" | "reason") || row.contains(&format!("`{value}`"));
            assert!(listed, "{label}={value} of {name} is not in its row");
        }
    }
    for event in trace.all_events() {
        let message = &event.fields["message"];
        let row = row_of(message);
        for field in event.fields.keys().filter(|field| **field != "message") {
            assert!(
                row.contains(&format!("`{field}`")),
                "the field {field} of {message:?} is not in its row"
            );
        }
        assert!(row.contains(&event.level.to_string().to_lowercase()), "the level of {message:?}");
    }
    for span in trace.all_spans().iter().filter(|span| span.name != "work") {
        let row = row_of(span.name);
        for field in span.fields.keys() {
            assert!(
                row.contains(&format!("`{field}`")),
                "the field {field} of {:?} is not in its row",
                span.name
            );
        }
    }
}

#[test]
fn every_metric_is_described_and_documented() {
    let measures = crate::recording::Measures::default();
    metrics::with_local_recorder(&measures, leasehold::observe::describe_metrics);
    let described: BTreeSet<_> = measures.described().into_iter().collect();
    let documented = documented().into_iter().filter(|name| name.starts_with("leasehold_"));
    assert_eq!(described, documented.map(str::to_owned).collect());
}

/// A candidate's value is in its entry, and nowhere else.
#[tokio::test(start_paused = true)]
async fn no_field_and_no_label_has_the_value_of_an_entry() {
    let world = World::new();
    let node = world.node().await;
    let election = node.election("boss");
    let leadership = election.campaign("the value of an entry").await.unwrap();
    leadership.proclaim("another value").await.unwrap();
    settle().await;
    leadership.resign().await.unwrap();
    node.shutdown(Duration::from_secs(1)).await.unwrap();
    let seen = format!("{} {:?}", world.trace.everything(), world.measures.series());
    assert!(seen.contains("boss") && seen.contains("elections"), "{seen}");
    assert!(!seen.contains("value of an entry") && !seen.contains("another value"), "{seen}");
}
