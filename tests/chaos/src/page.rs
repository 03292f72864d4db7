//! What a run looks like to a reader: a text, and a page with its timeline.

use std::fmt::Write as _;
use std::fs;
use std::io;

use leasehold_testkit::history::{History, timeline};

use crate::judge::Verdict;

/// Writes `report.txt` and `page.html` beside the histories.
///
/// # Errors
/// Those of the file system.
pub fn write(verdict: &Verdict, history: &History) -> io::Result<()> {
    fs::write(verdict.dir.join("report.txt"), format!("{verdict}\n\n{}\n", verdict.report))?;
    fs::write(verdict.dir.join("page.html"), page(verdict, history))
}

fn page(verdict: &Verdict, history: &History) -> String {
    let report = &verdict.report;
    let mut rows = String::new();
    let mut row = |what: &str, value: String| {
        let _ = writeln!(rows, "<tr><th>{}</th><td>{}</td></tr>", escaped(what), escaped(&value));
    };
    row("operations", format!("{} ({} unanswered)", report.operations, report.unanswered));
    row("grants", report.grants.to_string());
    row("losses that holders were told of", report.losses.to_string());
    row("sessions that expired", verdict.expiries.to_string());
    row("stale operations rejected", report.stale_rejections.to_string());
    for (kind, count) in &report.faults {
        row(kind, count.to_string());
    }
    row("violations", (report.violations.len() + verdict.problems.len()).to_string());
    row("took", format!("{:.0} s", verdict.took.as_secs_f64()));
    row("again", verdict.command.clone());
    let wrong = verdict.problems.iter().cloned().chain(report.violations.iter().map(ToString::to_string));
    let wrong: String = wrong.map(|wrong| format!("<pre>{}</pre>\n", escaped(&wrong))).collect();
    format!(
        "<!doctype html>\n<meta charset=\"utf-8\">\n<title>{title}</title>\n\
         <style>body{{font-family:sans-serif;margin:1em}}th{{text-align:left;padding-right:2em}}pre{{background:#fee}}</style>\n\
         <h1>{title}</h1>\n<table>\n{rows}</table>\n{wrong}\
         <p>A lane a process, with what it believed to hold. Grey: it was stopped. Black: it was killed. A red cross: \
         the resource rejected a stale operation. A red line: the holder was told of a loss. Below: the faults.</p>\n{svg}",
        title = escaped(&verdict.title),
        svg = timeline(history),
    )
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}
