//! A bar chart as SVG.

use std::fmt::Write;

use crate::measure::Measured;

const BAR: f64 = 26.0;
const GROUP: f64 = 2.0 * BAR + 30.0;
const LEFT: f64 = 110.0;
const WIDTH: f64 = 440.0;
const TOP: f64 = 64.0;

/// Handoffs per second and L = N/T of every service, on a logarithmic scale: memory is far from the others.
pub(crate) fn svg(workers: usize, rows: &[Measured]) -> String {
    let largest = rows.iter().flat_map(|row| [row.handoffs_per_second, row.throughput]).fold(10.0, f64::max);
    let decades = largest.log10().ceil();
    let x = |value: f64| value.max(1.0).log10() / decades * WIDTH;
    let bottom = TOP + GROUP * rows.len() as f64;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{}\" height=\"{}\" font-family=\"sans-serif\" font-size=\"13\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n\
         <text x=\"{LEFT}\" y=\"22\" font-size=\"15\">One lock, {workers} nodes (per second, logarithmic)</text>\n",
        LEFT + WIDTH + 90.0,
        bottom + 34.0
    );
    for (at, (label, colour)) in [("handoffs/s", "#31688e"), ("L = N/T", "#35b779")].into_iter().enumerate() {
        let left = LEFT + 130.0 * at as f64;
        let _ = writeln!(svg, "<rect x=\"{left}\" y=\"34\" width=\"14\" height=\"14\" fill=\"{colour}\"/>");
        let _ = writeln!(svg, "<text x=\"{}\" y=\"46\">{label}</text>", left + 20.0);
    }
    for decade in 0..=decades as i32 {
        let (left, value) = (LEFT + x(10f64.powi(decade)), 10f64.powi(decade));
        let _ =
            writeln!(svg, "<line x1=\"{left}\" x2=\"{left}\" y1=\"{TOP}\" y2=\"{bottom}\" stroke=\"#ccc\"/>");
        let _ =
            writeln!(svg, "<text x=\"{left}\" y=\"{}\" text-anchor=\"middle\">{value}</text>", bottom + 18.0);
    }
    for (at, row) in rows.iter().enumerate() {
        let top = TOP + GROUP * at as f64 + 15.0;
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
            LEFT - 10.0,
            top + BAR + 4.0,
            row.backend
        );
        for (bar, (value, colour)) in
            [(row.handoffs_per_second, "#31688e"), (row.throughput, "#35b779")].into_iter().enumerate()
        {
            let (y, width) = (top + BAR * bar as f64, x(value));
            let height = BAR - 2.0;
            let _ = writeln!(
                svg,
                "<rect x=\"{LEFT}\" y=\"{y}\" width=\"{width}\" height=\"{height}\" fill=\"{colour}\"/>"
            );
            let _ = writeln!(svg, "<text x=\"{}\" y=\"{}\">{value:.0}</text>", LEFT + width + 6.0, y + 17.0);
        }
    }
    svg.push_str("</svg>\n");
    svg
}
