//! Pictures as SVG, with logarithmic axes: dots of one figure by model and system, and lines of
//! one figure over another.

use std::fmt::Write as _;

use crate::results::{Row, number};
use crate::systems::System;

const WIDTH: f64 = 960.0;
const LEFT: f64 = 230.0;
const RIGHT: f64 = 30.0;
const TOP: f64 = 64.0;
const ROW: f64 = 24.0;
/// A colour a system, told apart by the colour-blind too (Okabe and Ito).
const COLOURS: [&str; 7] = [
    "#0072b2", "#56b4e9", "#009e73", "#a6d854", "#e69f00", "#cc79a7", "#d55e00",
];

/// Points under one name.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Series {
    /// Its name.
    pub(crate) name: &'static str,
    /// Positive coordinates.
    pub(crate) points: Vec<(f64, f64)>,
}

/// A chart of lines.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Chart {
    /// What is shown, with its unit.
    pub(crate) title: String,
    /// What the horizontal axis counts.
    pub(crate) x: &'static str,
    /// The lines.
    pub(crate) series: Vec<Series>,
}

/// Proving time by model.
pub(crate) fn proving(rows: &[Row]) -> String {
    dots("Proving, seconds (median)", rows, |row| row.proving_s)
}

/// Peak memory of proving by model.
pub(crate) fn memory(rows: &[Row]) -> String {
    dots("Peak memory of the proving process, MiB", rows, |row| {
        row.proving_peak_bytes
            .map(|bytes| number(bytes) / 1_048_576.0)
    })
}

/// Size of the proving key by model.
pub(crate) fn keys(rows: &[Row]) -> String {
    dots("Proving key, MB", rows, |row| {
        row.proving_key_bytes.map(|bytes| number(bytes) / 1e6)
    })
}

/// A logarithmic axis over whole decades.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// An axis from one pixel to another that holds all values.
    fn new(values: impl Iterator<Item = f64>, from: f64, to: f64) -> Self {
        let (mut low, mut high) = (f64::INFINITY, f64::NEG_INFINITY);
        for value in values.filter(|value| *value > 0.0) {
            low = low.min(value.log10().floor());
            high = high.max(value.log10().ceil());
        }
        if low > high {
            (low, high) = (0.0, 1.0);
        }
        if high - low < 1.0 {
            high = low + 1.0;
        }
        Self {
            low,
            high,
            from,
            to,
        }
    }

    fn at(self, value: f64) -> f64 {
        let share = (value.log10() - self.low) / (self.high - self.low);
        share.mul_add(self.to - self.from, self.from)
    }

    /// Powers of ten on the axis.
    fn decades(self) -> impl Iterator<Item = f64> {
        std::iter::successors(Some(self.low), |power| Some(power + 1.0))
            .take_while(move |power| *power <= self.high)
            .map(|power| 10_f64.powf(power))
    }
}

struct Svg(String);

impl Svg {
    fn new(height: f64, title: &str) -> Self {
        let mut svg = Self(String::new());
        svg.push(format_args!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" \
             font-family=\"sans-serif\" font-size=\"12\">\n\
             <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"white\"/>"
        ));
        svg.text(LEFT, 20.0, "start", title);
        svg
    }

    fn push(&mut self, element: std::fmt::Arguments<'_>) {
        // Writing into a string does not fail.
        let written = writeln!(self.0, "{element}");
        debug_assert!(written.is_ok());
    }

    fn text(&mut self, x: f64, y: f64, anchor: &str, text: &str) {
        let text = text.replace('&', "&amp;").replace('<', "&lt;");
        self.push(format_args!(
            "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{text}</text>"
        ));
    }

    fn line(&mut self, [x1, y1, x2, y2]: [f64; 4], colour: &str) {
        self.push(format_args!(
            "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
        ));
    }

    fn dot(&mut self, x: f64, y: f64, colour: &str) {
        self.push(format_args!(
            "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{colour}\" fill-opacity=\"0.85\"/>"
        ));
    }

    fn legend<'n>(&mut self, names: impl Iterator<Item = (&'n str, &'static str)>) {
        let mut x = LEFT;
        for (name, colour) in names {
            self.dot(x + 5.0, 36.0, colour);
            self.text(x + 14.0, 40.0, "start", name);
            x += 100.0;
        }
    }

    fn finish(mut self) -> String {
        self.0.push_str("</svg>\n");
        self.0
    }
}

fn colour(system: System) -> &'static str {
    let index = System::ALL.iter().position(|s| *s == system).unwrap_or(0);
    COLOURS.get(index).copied().unwrap_or("black")
}

/// A line a model, a dot a system.
fn dots(title: &str, rows: &[Row], figure: impl Fn(&Row) -> Option<f64>) -> String {
    let mut models: Vec<&str> = Vec::new();
    for row in rows {
        if !models.contains(&row.model.as_str()) {
            models.push(&row.model);
        }
    }
    let bottom = ROW.mul_add(number(models.len() as u64), TOP);
    let axis = Axis::new(rows.iter().filter_map(&figure), LEFT, WIDTH - RIGHT);
    let mut svg = Svg::new(bottom + 30.0, title);
    let shown = |system: &System| rows.iter().any(|row| row.system == system.name());
    let systems = System::ALL.into_iter().filter(shown);
    svg.legend(systems.map(|system| (system.title(), colour(system))));
    for decade in axis.decades() {
        let x = axis.at(decade);
        svg.line([x, TOP - 10.0, x, bottom], "#ddd");
        svg.text(x, bottom + 16.0, "middle", &tick(decade));
    }
    for (index, model) in models.iter().enumerate() {
        let y = ROW.mul_add(number(index as u64) + 0.5, TOP);
        svg.text(LEFT - 12.0, y + 4.0, "end", model);
        svg.line([LEFT, y, WIDTH - RIGHT, y], "#eee");
        for row in rows.iter().filter(|row| row.model == *model) {
            let system = System::ALL.into_iter().find(|s| s.name() == row.system);
            if let (Some(value), Some(system)) = (figure(row).filter(|v| *v > 0.0), system) {
                svg.dot(axis.at(value), y, colour(system));
            }
        }
    }
    svg.finish()
}

/// One figure over another, a line a system.
pub(crate) fn lines(chart: &Chart) -> String {
    let (top, bottom, left) = (TOP, 400.0, 90.0);
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let xs = Axis::new(points().map(|point| point.0), left, WIDTH - RIGHT);
    let ys = Axis::new(points().map(|point| point.1), bottom, top);
    let mut svg = Svg::new(bottom + 46.0, &chart.title);
    let coloured = |series: &Series| {
        let system = System::ALL.into_iter().find(|s| s.title() == series.name);
        system.map_or("black", colour)
    };
    let names = chart
        .series
        .iter()
        .map(|series| (series.name, coloured(series)));
    svg.legend(names);
    for decade in xs.decades() {
        let x = xs.at(decade);
        svg.line([x, top, x, bottom], "#ddd");
        svg.text(x, bottom + 16.0, "middle", &tick(decade));
    }
    for decade in ys.decades() {
        let y = ys.at(decade);
        svg.line([left, y, WIDTH - RIGHT, y], "#ddd");
        svg.text(left - 8.0, y + 4.0, "end", &tick(decade));
    }
    svg.text(f64::midpoint(left, WIDTH), bottom + 36.0, "middle", chart.x);
    for series in &chart.series {
        let mut sorted = series.points.clone();
        sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
        let place = |&(x, y): &(f64, f64)| (xs.at(x), ys.at(y));
        let placed: Vec<(f64, f64)> = sorted.iter().map(place).collect();
        for pair in placed.windows(2) {
            if let [(x1, y1), (x2, y2)] = *pair {
                svg.line([x1, y1, x2, y2], coloured(series));
            }
        }
        for (x, y) in placed {
            svg.dot(x, y, coloured(series));
        }
    }
    svg.finish()
}

/// A power of ten.
fn tick(value: f64) -> String {
    if (0.001..1e6).contains(&value) {
        format!("{value}")
    } else {
        format!("{value:e}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, system: &str, proving: Option<f64>) -> Row {
        Row {
            model: model.to_owned(),
            system: system.to_owned(),
            proving_s: proving,
            ..Row::default()
        }
    }

    #[test]
    fn an_axis_holds_its_values_in_whole_decades() {
        let axis = Axis::new([0.02, 3.0].into_iter(), 100.0, 400.0);
        assert_eq!((axis.low, axis.high), (-2.0, 1.0));
        let near = |a: f64, b: f64| (a - b).abs() < 1e-9;
        assert!(near(axis.at(0.01), 100.0) && near(axis.at(10.0), 400.0));
        assert!(near(axis.at(0.1), 200.0));
        assert_eq!(axis.decades().count(), 4);
        // One value, or none, still makes an axis.
        assert_eq!(Axis::new([10.0].into_iter(), 0.0, 1.0).decades().count(), 2);
        assert_eq!(Axis::new([].into_iter(), 0.0, 1.0).decades().count(), 2);
    }

    #[test]
    fn a_picture_has_a_dot_for_each_figure() {
        let rows = [
            row("m", "plain", Some(0.01)),
            row("m", "ezkl", Some(3.0)),
            row("x<y", "plain", Some(0.02)),
            row("x<y", "ezkl", None),
        ];
        let svg = proving(&rows);
        // Three figures, two systems in the legend.
        assert_eq!(svg.matches("<circle").count(), 5, "{svg}");
        assert!(svg.contains("x&lt;y") && !svg.contains("x<y"), "{svg}");
        assert!(svg.ends_with("</svg>\n"));
    }

    #[test]
    fn lines_join_points_in_order() {
        let series = Series {
            name: System::Plain.title(),
            points: vec![(100.0, 3.0), (1.0, 1.0), (10.0, 2.0)],
        };
        let svg = lines(&Chart {
            title: "t".to_owned(),
            x: "cores",
            series: vec![series],
        });
        assert_eq!(svg.matches("#0072b2\"/>").count(), 2, "{svg}");
        assert_eq!(svg.matches("<circle").count(), 4);
    }
}
