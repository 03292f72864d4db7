//! A chart of lines as SVG, both axes logarithmic.

use std::fmt::Write;

use crate::measure::Spread;

const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 460.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 260.0;
const TOP: f64 = 40.0;
const BOTTOM: f64 = 50.0;

/// Told apart also by those who do not see all colours (Okabe and Ito).
const COLOURS: [&str; 8] =
    ["#000000", "#0072b2", "#56b4e9", "#d55e00", "#e69f00", "#009e73", "#cc79a7", "#999999"];

pub(crate) struct Line {
    pub(crate) name: String,
    /// In the order of the numbers.
    pub(crate) points: Vec<(usize, Spread)>,
}

/// The chart; of what is zero there is no point.
pub(crate) fn svg(title: &str, across: &str, lines: &[Line]) -> String {
    let mut svg = String::new();
    // Writing to a string does not fail.
    let _ = write(&mut svg, title, across, lines);
    svg
}

/// A logarithmic axis.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let part = (value / self.least).ln() / (self.most / self.least).ln();
        self.from + part * (self.to - self.from)
    }
}

fn write(svg: &mut String, title: &str, across: &str, lines: &[Line]) -> std::fmt::Result {
    let points = || lines.iter().flat_map(|line| &line.points).filter(|(_, spread)| spread.min > 0.0);
    let numbers = points().map(|(number, _)| *number as f64);
    let (first, last) = numbers.fold((f64::MAX, 1.0), |(low, high): (f64, f64), n| (low.min(n), high.max(n)));
    let (low, high) =
        points().fold((f64::MAX, 1.0), |(low, high): (f64, f64), (_, s)| (low.min(s.min), high.max(s.max)));
    // From a power of ten to another.
    let (low, high) = (10_f64.powf(low.log10().floor()), 10_f64.powf(high.log10().ceil()));
    let x = Axis { least: first, most: last.max(first * 2.0), from: LEFT, to: WIDTH - RIGHT };
    let y = Axis { least: low, most: high.max(low * 10.0), from: HEIGHT - BOTTOM, to: TOP };
    writeln!(
        svg,
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#ffffff\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">{}</text>",
        escaped(title)
    )?;
    let mut power = y.least;
    while power <= y.most * 1.01 {
        for tick in [power, power * 2.0, power * 5.0].into_iter().filter(|tick| *tick <= y.most * 1.01) {
            let (at, end, beside) = (y.at(tick), WIDTH - RIGHT, LEFT - 8.0);
            writeln!(svg, "<path d=\"M{LEFT} {at:.1}H{end}\" stroke=\"#dddddd\"/>")?;
            writeln!(svg, "<text x=\"{beside}\" y=\"{:.1}\" text-anchor=\"end\">{tick}</text>", at + 4.0)?;
        }
        power *= 10.0;
    }
    let mut named: Vec<usize> = points().map(|(number, _)| *number).collect();
    named.sort_unstable();
    named.dedup();
    let below = HEIGHT - BOTTOM + 18.0;
    for number in named {
        let at = x.at(number as f64);
        writeln!(svg, "<text x=\"{at:.1}\" y=\"{below}\" text-anchor=\"middle\">{number}</text>")?;
    }
    let middle = (LEFT + WIDTH - RIGHT) / 2.0;
    writeln!(svg, "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{across}</text>", below + 20.0)?;
    for (index, line) in lines.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let dash = if index < COLOURS.len() { "" } else { " stroke-dasharray=\"5 3\"" };
        let mut path = String::new();
        for (number, spread) in line.points.iter().filter(|(_, spread)| spread.min > 0.0) {
            let (at, up) = (x.at(*number as f64), y.at(spread.median));
            let step = if path.is_empty() { 'M' } else { 'L' };
            write!(path, "{step}{at:.1} {up:.1}")?;
            let (least, most) = (y.at(spread.min), y.at(spread.max));
            writeln!(svg, "<path d=\"M{at:.1} {least:.1}V{most:.1}\" stroke=\"{colour}\"/>")?;
            writeln!(svg, "<circle cx=\"{at:.1}\" cy=\"{up:.1}\" r=\"3.5\" fill=\"{colour}\"/>")?;
        }
        writeln!(svg, "<path d=\"{path}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>")?;
        let (at, row) = (WIDTH - RIGHT + 20.0, TOP + 10.0 + index as f64 * 20.0);
        writeln!(svg, "<path d=\"M{at} {row}h22\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>")?;
        writeln!(svg, "<text x=\"{}\" y=\"{}\">{}</text>", at + 28.0, row + 4.0, escaped(&line.name))?;
    }
    writeln!(svg, "</svg>")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_more_is_higher() {
        let point = |number, value| (number, Spread { median: value, min: value, max: value });
        let lines = [
            Line { name: "a<b".into(), points: vec![point(2, 100.0), point(8, 1_000.0)] },
            Line { name: "nobody".into(), points: vec![point(2, 0.0)] },
        ];
        let svg = svg("title", "contenders", &lines);
        let heights: Vec<f64> = svg
            .lines()
            .filter_map(|line| {
                line.strip_prefix("<circle")?.split("cy=\"").nth(1)?.split('"').next()?.parse().ok()
            })
            .collect();
        assert!(heights.len() == 2 && heights[0] > heights[1], "{svg}");
        assert!(svg.contains("a&lt;b") && svg.contains("nobody"), "{svg}");
        assert!((heights[0] - (HEIGHT - BOTTOM)).abs() < 0.1, "the least is at the bottom: {svg}");
    }
}
