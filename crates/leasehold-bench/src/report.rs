//! The page.

use std::fmt::Write;
use std::time::Duration;

use crate::machine::Facts;
use crate::measure::{Contended, Spread};
use crate::options::Service;

/// Everything that was measured on one service.
pub(crate) struct Results {
    pub(crate) service: Service,
    pub(crate) facts: Facts,
    pub(crate) alone: Vec<Alone>,
    pub(crate) contentions: Vec<Contention>,
    pub(crate) missing: Vec<Missing>,
    /// For how long they contended.
    pub(crate) time: Duration,
}

/// One client that nobody disturbs.
pub(crate) struct Alone {
    pub(crate) name: &'static str,
    /// Of a lock and its unlock.
    pub(crate) micros: Spread,
    /// Its speed as a part of the floor's, repetition by repetition.
    pub(crate) of_floor: Spread,
    /// Of a lock and its unlock.
    pub(crate) requests: f64,
    /// Of the threads of the client's process, for a lock and its unlock.
    pub(crate) wake_ups: f64,
    /// For how long the server was busy with a lock and its unlock, as it says.
    pub(crate) busy_micros: f64,
}

/// Several clients that want one lock.
pub(crate) struct Contention {
    pub(crate) name: &'static str,
    pub(crate) contenders: usize,
    pub(crate) contended: Contended,
    pub(crate) requests: u64,
}

/// A peer that this machine cannot run.
pub(crate) struct Missing {
    pub(crate) name: &'static str,
    pub(crate) why: String,
}

/// The page in Markdown, which is also fit for a terminal.
pub(crate) fn page(results: &Results) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut page, results);
    page
}

fn write(page: &mut String, results: &Results) -> std::fmt::Result {
    let service = results.service.name();
    writeln!(page, "# What a lock costs: {service}\n")?;
    writeln!(
        page,
        "Made by `cargo run --release --package leasehold-bench -- run {service}`; all of it in one run on one server.\n"
    )?;
    let facts = results.facts.iter().map(|(name, fact)| vec![(*name).to_owned(), fact.clone()]);
    table(page, &["", ""], facts.collect())?;

    writeln!(page, "\n## One client, uncontended\n")?;
    writeln!(
        page,
        "In turns; median (least–most) of the repetitions. The speed is relative to the bare scripts of the same turn. Wake-ups are \
         threads of the client's process that slept and were woken; the time at the server is what it says it was busy.\n"
    )?;
    let rows = results.alone.iter().map(|alone| {
        vec![
            alone.name.to_owned(),
            spread(alone.micros, 1),
            spread(alone.of_floor, 2),
            format!("{:.2}", alone.requests),
            format!("{:.2}", alone.wake_ups),
            format!("{:.1}", alone.busy_micros),
        ]
    });
    let heads = [
        "who",
        "µs for lock + unlock",
        "of the bare scripts' speed",
        "requests",
        "wake-ups",
        "µs at the server",
    ];
    table(page, &heads, rows.collect())?;

    writeln!(page, "\n## Several clients, one lock\n")?;
    writeln!(
        page,
        "Each with a connection of its own, in one process, locking and unlocking for {:?}. An owner change is an acquisition by another \
         client than the one before. Requests and wake-ups (threads of the clients' process that slept and were woken) are those \
         of everybody, divided by the acquisitions.\n",
        results.time
    )?;
    let rows = results.contentions.iter().map(|contention| {
        let Contention { name, contenders, contended, requests } = contention;
        let each = |count: u64| format!("{:.2}", count as f64 / contended.acquisitions.max(1) as f64);
        vec![
            contenders.to_string(),
            (*name).to_owned(),
            format!("{:.0}", contended.per_second(contended.granted())),
            format!("{:.0}", contended.per_second(contended.changes)),
            format!("{:.2}", contended.unfairness()),
            each(*requests),
            each(contended.wake_ups),
        ]
    });
    let heads = [
        "clients",
        "who",
        "acquisitions/s",
        "owner changes/s",
        "most/least of a client",
        "requests",
        "wake-ups",
    ];
    table(page, &heads, rows.collect())?;
    for Missing { name, why } in &results.missing {
        writeln!(page, "\n{name} is missing: {why}")?;
    }
    Ok(())
}

fn spread(spread: Spread, digits: usize) -> String {
    let Spread { median, min, max } = spread;
    format!("{median:.digits$} ({min:.digits$}–{max:.digits$})")
}

/// A table of Markdown whose columns stand below each other.
fn table(page: &mut String, heads: &[&str], rows: Vec<Vec<String>>) -> std::fmt::Result {
    let heads: Vec<String> = heads.iter().map(|head| (*head).to_owned()).collect();
    let width = |column: usize| {
        let cells = std::iter::once(&heads).chain(&rows);
        cells.map(|row| row[column].chars().count()).max().unwrap_or(0).max(1)
    };
    let widths: Vec<usize> = (0..heads.len()).map(width).collect();
    let mut line = |row: &[String]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:<width$}")).collect();
        writeln!(page, "| {} |", cells.join(" | "))
    };
    line(&heads)?;
    line(&widths.iter().map(|width| "-".repeat(*width)).collect::<Vec<_>>())?;
    rows.iter().try_for_each(|row| line(row))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_tells_everything() {
        let same = |value| Spread { median: value, min: value, max: value * 2.0 };
        let contended = Contended {
            grants: vec![30, 20],
            changes: 10,
            took: Duration::from_secs(2),
            acquisitions: 100,
            wake_ups: 250,
        };
        let results = Results {
            service: Service::Redis,
            facts: vec![("processor", "abacus".into())],
            alone: vec![Alone {
                name: "ours",
                micros: same(10.0),
                of_floor: same(0.5),
                requests: 2.0,
                wake_ups: 3.0,
                busy_micros: 5.0,
            }],
            contentions: vec![Contention { name: "theirs", contenders: 2, contended, requests: 200 }],
            missing: vec![Missing { name: "another", why: "no toolchain".into() }],
            time: Duration::from_secs(2),
        };
        let page = page(&results);
        let row = |cells: &[&str]| {
            page.lines()
                .any(|line| line.trim_matches('|').split('|').map(str::trim).eq(cells.iter().copied()))
        };
        assert!(row(&["processor", "abacus"]), "{page}");
        assert!(row(&["ours", "10.0 (10.0–20.0)", "0.50 (0.50–1.00)", "2.00", "3.00", "5.0"]), "{page}");
        assert!(row(&["2", "theirs", "25", "5", "1.50", "2.00", "2.50"]), "{page}");
        assert!(page.contains("another is missing: no toolchain"), "{page}");
    }
}
