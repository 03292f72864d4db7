//! A history as a picture.

use std::collections::BTreeMap;
use std::fmt::Write;

use leasehold_core::Mode;

use super::call::STALE;
use super::event::What;
use super::holds;
use super::operations::{Fate, History, Moment};

const WIDTH: f64 = 1400.0;
const LEFT: f64 = 130.0;
const LANE: f64 = 26.0;
const TOP: f64 = 46.0;

/// Colours that differ for most people; locks beyond them share.
const COLOURS: [&str; 6] = ["#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#d55e00"];

/// A timeline of a history as SVG: a lane for each process with who believed to hold what and when, and a lane for each kind of fault.
///
/// Shared holds are pale. Grey covers pauses; a black bar ends a killed process, a red cross is an access that a fenced resource rejected,
/// a red line a loss that the holder was told of. Hovering shows locks, tokens and targets.
pub fn timeline(history: &History) -> String {
    let picture = Picture::of(history);
    let mut svg = String::new();
    picture.draw(&mut svg).expect("a string takes it");
    svg
}

struct Picture<'a> {
    history: &'a History,
    processes: Vec<&'a str>,
    faults: Vec<&'a str>,
    from: u64,
    to: u64,
}

impl<'a> Picture<'a> {
    fn of(history: &'a History) -> Self {
        let events = history.events();
        let mut processes: Vec<&str> = history.operations().iter().map(|o| o.process.as_str()).collect();
        let mut faults = Vec::new();
        for event in events {
            match &event.what {
                What::Fault { kind, .. } => faults.push(kind.as_str()),
                What::Paused { whom } | What::Killed { whom } => processes.push(whom),
                _ => {}
            }
        }
        processes.sort_unstable();
        processes.dedup();
        faults.sort_unstable();
        faults.dedup();
        let from = events.first().map_or(0, |event| event.at);
        Self { history, processes, faults, from, to: history.last_at().max(from + 1) }
    }

    fn x(&self, at: u64) -> f64 {
        let at = at.clamp(self.from, self.to);
        LEFT + (WIDTH - LEFT - 10.0) * (at - self.from) as f64 / (self.to - self.from) as f64
    }

    fn y(&self, lane: usize) -> f64 {
        TOP + LANE * lane as f64
    }

    fn lane(&self, process: &str) -> Option<usize> {
        self.processes.binary_search(&process).ok()
    }

    fn draw(&self, svg: &mut String) -> std::fmt::Result {
        let lanes = self.processes.len() + self.faults.len();
        let height = TOP + LANE * (lanes as f64 + 1.0);
        writeln!(
            svg,
            r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12">"#
        )?;
        writeln!(svg, r##"<rect width="{WIDTH}" height="{height}" fill="#fff"/>"##)?;
        self.axis(svg, lanes)?;
        for (lane, name) in self.processes.iter().chain(&self.faults).enumerate() {
            let y = self.y(lane);
            writeln!(svg, r#"<text x="6" y="{}">{}</text>"#, y + 16.0, escaped(name))?;
            writeln!(
                svg,
                r##"<line x1="{LEFT}" y1="{0}" x2="{WIDTH}" y2="{0}" stroke="#ddd"/>"##,
                y + LANE - 2.0
            )?;
        }
        self.holds(svg)?;
        self.disturbances(svg)?;
        self.marks(svg)?;
        writeln!(svg, "</svg>")
    }

    /// Ten marks of time, in milliseconds from the first event.
    fn axis(&self, svg: &mut String, lanes: usize) -> std::fmt::Result {
        for tenth in 0..=10 {
            let at = self.from + (self.to - self.from) / 10 * tenth;
            let (x, ms) = (self.x(at), (at - self.from) / 1_000_000);
            let bottom = self.y(lanes);
            writeln!(svg, r##"<line x1="{x:.1}" y1="30" x2="{x:.1}" y2="{bottom}" stroke="#eee"/>"##)?;
            let anchor = if tenth == 10 { "end" } else { "middle" };
            writeln!(svg, r##"<text x="{x:.1}" y="24" fill="#555" text-anchor="{anchor}">{ms} ms</text>"##)?;
        }
        Ok(())
    }

    fn bar(
        &self,
        svg: &mut String,
        lane: usize,
        from: u64,
        to: u64,
        style: &str,
        title: &str,
    ) -> std::fmt::Result {
        let (x, y) = (self.x(from), self.y(lane) + 3.0);
        let width = (self.x(to) - x).max(1.5);
        let (height, title) = (LANE - 8.0, escaped(title));
        writeln!(
            svg,
            r#"<rect x="{x:.1}" y="{y}" width="{width:.1}" height="{height}" {style}><title>{title}</title></rect>"#
        )
    }

    fn holds(&self, svg: &mut String) -> std::fmt::Result {
        let mut colours = BTreeMap::new();
        for hold in holds::collect(self.history, 0) {
            let next = COLOURS[colours.len() % COLOURS.len()];
            let colour = *colours.entry(hold.lock.clone()).or_insert(next);
            let Some(lane) = self.lane(&hold.process) else { continue };
            let from = self.history.moment(hold.granted).at;
            let to = hold.end(self.history).map_or(self.to, |end| end.at);
            let opacity = if hold.mode_at(Moment::at(to)) == Mode::Exclusive { "0.9" } else { "0.45" };
            let style = format!(r#"fill="{colour}" fill-opacity="{opacity}""#);
            self.bar(svg, lane, from, to, &style, &format!("{} with {:?}", hold.lock, hold.token))?;
        }
        Ok(())
    }

    fn disturbances(&self, svg: &mut String) -> std::fmt::Result {
        for (lane, process) in self.processes.iter().enumerate() {
            for pause in self.history.pauses(process) {
                let style = r##"fill="#888" fill-opacity="0.6""##;
                self.bar(svg, lane, pause.from.at, pause.to.at, style, "paused")?;
            }
            if let Some(killed) = self.history.killed(process) {
                let at = self.history.moment(killed).at;
                self.bar(svg, lane, at, at, r##"fill="#000""##, "killed")?;
            }
        }
        let mut healed = BTreeMap::new();
        for event in self.history.events().iter().rev() {
            match &event.what {
                What::Healed { id } => {
                    healed.insert(*id, event.at);
                }
                What::Fault { id, kind, target, lasting } => {
                    let healed = healed.remove(id).unwrap_or(self.to);
                    let to = if *lasting { healed } else { event.at };
                    let lane =
                        self.faults.binary_search(&kind.as_str()).map(|lane| self.processes.len() + lane);
                    let lane = lane.expect("every kind has a lane");
                    self.bar(svg, lane, event.at, to, r##"fill="#b22222""##, &format!("{kind}: {target}"))?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn marks(&self, svg: &mut String) -> std::fmt::Result {
        for operation in self.history.operations() {
            let (Fate::Failed(error), Some(end)) = (&operation.fate, operation.end) else { continue };
            if let (STALE, Some(lane)) = (error.as_str(), self.lane(&operation.process)) {
                let (x, y) = (self.x(self.history.moment(end).at), self.y(lane) + 11.0);
                let path = format!("M{:.1} {} l8 8 m0 -8 l-8 8", x - 4.0, y - 4.0);
                let title = format!("stale {} rejected", operation.call.name());
                writeln!(
                    svg,
                    r##"<path d="{path}" stroke="#d00" stroke-width="2"><title>{title}</title></path>"##
                )?;
            }
        }
        for event in self.history.events() {
            if let (What::Lost { reason, .. }, Some(lane)) = (&event.what, self.lane(&event.process)) {
                let style = r##"fill="#d00""##;
                self.bar(svg, lane, event.at, event.at, style, &format!("lost: {reason}"))?;
            }
        }
        Ok(())
    }
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::history::{Call, Outcome, Recorder};
    use leasehold_core::{Clock, FencingToken};

    #[test]
    fn everything_is_in_the_picture() {
        let recorder = Recorder::in_memory("worker<1>", Clock::system());
        let token = FencingToken::new(0, 7, 0);
        let lock = "locks/a".into();
        let hold = recorder.invoke(Call::Acquire { lock, mode: Mode::Exclusive, only_if_free: false });
        recorder.ok(hold, Outcome::Granted { token, session: None });
        let harness = recorder.process("harness");
        harness.record(What::Paused { whom: "worker<1>".into() });
        let (kind, target) = ("partition".into(), "server".into());
        harness.record(What::Fault { id: 1, kind, target, lasting: true });
        harness.record(What::Resumed { whom: "worker<1>".into() });
        let read = recorder.invoke(Call::Read { resource: "disk".into(), token, shared: false });
        recorder.fail(read, STALE);
        recorder.record(What::Lost { hold, reason: "DeadlinePassed".into() });
        harness.record(What::Killed { whom: "worker<1>".into() });

        let svg = timeline(&History::new(recorder.events()));
        for part in [
            "worker&lt;1&gt;</text>",
            "partition</text>",
            "locks/a with FencingToken(0.7.0)",
            "paused",
            "partition: server",
            "stale read rejected",
            "lost: DeadlinePassed",
            "killed",
        ] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
        assert!(svg.starts_with("<svg") && svg.ends_with("</svg>\n"));
        assert!(timeline(&History::new(Vec::new())).ends_with("</svg>\n"), "nothing is a picture, too");
    }
}
