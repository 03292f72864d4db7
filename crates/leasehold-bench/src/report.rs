//! The page and its charts.

use std::collections::BTreeSet;
use std::fmt::Write;

use crate::chart::{self, Line};
use crate::measure::Spread;
use crate::options::Service;
use crate::results::{Missing, Results, Sample};

/// The page in Markdown, which is also fit for a terminal.
pub(crate) fn page(service: Service, results: &Results) -> String {
    let mut page = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut page, service, results);
    page
}

/// The charts, and the names of their files.
pub(crate) fn charts(service: Service, results: &Results) -> Vec<(String, String)> {
    let storages = storages(results).into_iter();
    let charts =
        storages.filter_map(|storage| Some((chart_name(service, storage), chart_of(results, storage)?)));
    charts.collect()
}

fn chart_name(service: Service, storage: &str) -> String {
    format!("{}-{storage}.svg", service.name())
}

fn chart_of(results: &Results, storage: &str) -> Option<String> {
    let of_storage = || results.samples.iter().filter(move |s| s.storage == storage && s.clients > 0);
    let lines = distinct(of_storage().map(|sample| sample.who.as_str()));
    let lines = lines.into_iter().map(|who| {
        let points = numbers(of_storage().filter(|sample| sample.who == who)).into_iter().map(|clients| {
            let samples = of_storage().filter(|sample| sample.who == who && sample.clients == clients);
            (clients, Spread::of(samples.filter_map(|sample| sample.value("owner changes/s"))))
        });
        Line { name: who.to_owned(), points: points.collect() }
    });
    let lines: Vec<Line> = lines.collect();
    let is_any = lines.iter().any(|line| line.points.len() > 1);
    is_any.then(|| chart::svg(&format!("Owner changes a second, {}", medium(storage)), "contenders", &lines))
}

fn medium(storage: &str) -> &str {
    if storage == "disk" { "data on a disk" } else { "data in memory (tmpfs)" }
}

fn storages(results: &Results) -> Vec<&str> {
    distinct(results.samples.iter().map(|sample| sample.storage.as_str()))
}

/// Each once, in the order of the first.
fn distinct<'a>(all: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for one in all {
        if !found.contains(&one) {
            found.push(one);
        }
    }
    found
}

fn numbers<'a>(samples: impl Iterator<Item = &'a Sample>) -> BTreeSet<usize> {
    samples.map(|sample| sample.clients).collect()
}

fn write(page: &mut String, service: Service, results: &Results) -> std::fmt::Result {
    let name = service.name();
    writeln!(page, "# What a lock costs: {name}\n")?;
    writeln!(
        page,
        "Made by `cargo run --release --package leasehold-bench -- run {name}`. All rows of a run were measured on one server, in turns. \
         Figures are medians of the repetitions (least–most), counts are means.\n"
    )?;
    for storage in storages(results) {
        let samples: Vec<&Sample> = results.samples.iter().filter(|s| s.storage == storage).collect();
        let title = medium(storage);
        writeln!(page, "## {}{}\n", title[..1].to_uppercase(), &title[1..])?;
        let alone: Vec<&Sample> = samples.iter().copied().filter(|sample| sample.clients == 0).collect();
        if !alone.is_empty() {
            writeln!(page, "### One client, uncontended: a lock and its unlock\n")?;
            rows(page, &alone, &[("µs", 1), ("of the floor's speed", 2)], false)?;
        }
        let contended: Vec<&Sample> = samples.iter().copied().filter(|sample| sample.clients > 0).collect();
        if !contended.is_empty() {
            writeln!(page, "\n### Several clients, one lock: for each acquisition\n")?;
            let shown = [
                ("acquisitions/s", 0),
                ("owner changes/s", 0),
                ("most/least", 2),
                ("ms waited", 2),
                ("p99", 2),
            ];
            rows(page, &contended, &shown, true)?;
        }
        if chart_of(results, storage).is_some() {
            writeln!(page, "\n![owner changes a second]({})", chart_name(service, storage))?;
        }
        writeln!(page)?;
    }
    for Missing { name, why } in &results.missing {
        writeln!(page, "{name} is missing: {why}\n")?;
    }
    writeln!(page, "## The runs\n")?;
    for run in &results.runs {
        let of_run: Vec<&Sample> = results.samples.iter().filter(|sample| sample.run == run.id).collect();
        let who = distinct(of_run.iter().map(|sample| sample.who.as_str())).join("; ");
        let mut facts: Vec<Vec<String>> =
            run.facts.iter().map(|(name, fact)| vec![name.clone(), fact.clone()]).collect();
        facts.push(vec!["data".into(), medium(&run.storage).into()]);
        facts.push(vec!["measured".into(), who]);
        table(page, &["", ""], facts)?;
        writeln!(page)?;
    }
    Ok(())
}

/// A row for everybody, with the spread of the figures that are named, and the means of whatever else was counted.
fn rows(
    page: &mut String,
    samples: &[&Sample],
    shown: &[(&str, usize)],
    contended: bool,
) -> std::fmt::Result {
    let counted =
        distinct(samples.iter().flat_map(|sample| sample.values.iter()).map(|(name, _)| name.as_str()));
    let counted: Vec<&str> =
        counted.into_iter().filter(|name| !shown.iter().any(|(shown, _)| shown == name)).collect();
    let mut heads = if contended { vec!["clients", "who"] } else { vec!["who"] };
    heads.extend(shown.iter().map(|(name, _)| *name));
    heads.extend(&counted);
    let mut rows = Vec::new();
    for clients in numbers(samples.iter().copied()) {
        for who in distinct(samples.iter().map(|sample| sample.who.as_str())) {
            let of: Vec<&&Sample> = samples.iter().filter(|s| s.clients == clients && s.who == who).collect();
            if of.is_empty() {
                continue;
            }
            let mut row =
                if contended { vec![clients.to_string(), who.to_owned()] } else { vec![who.to_owned()] };
            row.extend(shown.iter().map(|(name, digits)| {
                spread(Spread::of(of.iter().filter_map(|sample| sample.value(name))), *digits)
            }));
            row.extend(counted.iter().map(|name| mean(of.iter().filter_map(|sample| sample.value(name)))));
            rows.push(row);
        }
    }
    table(page, &heads, rows)
}

fn mean(values: impl Iterator<Item = f64>) -> String {
    let values: Vec<f64> = values.collect();
    let mean = values.iter().sum::<f64>() / values.len().max(1) as f64;
    if mean >= 100.0 { format!("{mean:.0}") } else { format!("{mean:.2}") }
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
    use crate::results::Run;

    fn sample(clients: usize, who: &str, values: &[(&str, f64)]) -> Sample {
        let values = values.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect();
        Sample { run: 1, storage: "tmpfs".into(), clients, who: who.into(), values }
    }

    #[test]
    fn a_page_tells_everything() {
        let contended = |clients, who, changes| {
            let values = [
                ("acquisitions/s", 25.0),
                ("owner changes/s", changes),
                ("most/least", 1.5),
                ("ms waited", 2.0),
                ("p99", 3.0),
                ("requests", 200.0),
            ];
            sample(clients, who, &values)
        };
        let facts = vec![("processor".into(), "abacus".into())];
        let results = Results {
            runs: vec![Run { id: 1, storage: "tmpfs".into(), facts }],
            samples: vec![
                sample(0, "ours", &[("µs", 10.0), ("of the floor's speed", 0.5), ("requests", 2.0)]),
                sample(0, "ours", &[("µs", 20.0), ("of the floor's speed", 1.0), ("requests", 3.0)]),
                contended(8, "theirs", 5.0),
                contended(2, "theirs", 7.0),
            ],
            missing: vec![Missing { name: "another".into(), why: "no toolchain".into() }],
        };
        let page = page(Service::Redis, &results);
        let row = |cells: &[&str]| {
            page.lines()
                .any(|line| line.trim_matches('|').split('|').map(str::trim).eq(cells.iter().copied()))
        };
        assert!(row(&["processor", "abacus"]), "{page}");
        assert!(row(&["ours", "15.0 (10.0–20.0)", "0.75 (0.50–1.00)", "2.50"]), "{page}");
        let theirs =
            ["25 (25–25)", "5 (5–5)", "1.50 (1.50–1.50)", "2.00 (2.00–2.00)", "3.00 (3.00–3.00)", "200"];
        assert!(row(&[&["8", "theirs"], &theirs[..]].concat()), "{page}");
        assert!(page.contains("another is missing: no toolchain"), "{page}");
        let charts = charts(Service::Redis, &results);
        assert_eq!(charts.len(), 1);
        assert!(page.contains(&format!("({})", charts[0].0)), "{page}");
        assert!(charts[0].1.contains("theirs"), "{}", charts[0].1);
    }
}
