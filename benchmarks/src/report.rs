//! Results as Markdown.

use std::fmt::Write as _;
use std::fs;

use anyhow::{Context as _, Result};

use crate::machine::Place;
use crate::results::{Row, Status, number, ratio};
use crate::scaling::{Curve, place_on_curve};
use crate::systems::System;

/// The page that shows recorded results.
const PAGE: &str = "BENCHMARKS.md";

/// Duration with a unit, three digits.
fn seconds(value: Option<f64>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    match value {
        v if v < 0.001 => format!("{:.0} µs", v * 1e6),
        v if v < 0.1 => format!("{:.1} ms", v * 1e3),
        v if v < 1.0 => format!("{:.0} ms", v * 1e3),
        v if v < 10.0 => format!("{v:.2} s"),
        v => format!("{v:.0} s"),
    }
}

/// Size with a decimal unit, three digits.
fn size(value: Option<u64>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    let mut shown = number(value);
    for unit in ["B", "kB", "MB"] {
        if shown < 1000.0 {
            return digits(shown, unit);
        }
        shown /= 1000.0;
    }
    digits(shown, "GB")
}

fn digits(value: f64, unit: &str) -> String {
    if value < 10.0 && unit != "B" {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// A count with commas between thousands.
fn grouped(value: Option<u64>) -> String {
    let Some(value) = value else {
        return "–".to_owned();
    };
    let digits = value.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

fn times(value: Option<f64>) -> String {
    match value {
        Some(value) if value >= 10.0 => format!("{value:.0}×"),
        Some(value) => format!("{value:.2}×"),
        None => "–".to_owned(),
    }
}

fn agreement(row: &Row) -> String {
    match (row.agreement, row.agreement_samples) {
        (Some(share), Some(samples)) => {
            format!("{:.1} % of {}", share * 100.0, grouped(Some(samples)))
        }
        _ => "–".to_owned(),
    }
}

/// One row for people, while the benchmark runs.
pub(crate) fn line(row: &Row) -> String {
    if row.status == Status::Failed {
        return format!("{}: not run: {}", row.system, row.reason);
    }
    format!(
        "{}: {} rows, setup {}, proving {}, request {}, verifying {}, key {}, memory {} / {}, proof {}",
        row.system,
        grouped(row.rows),
        seconds(row.setup_s),
        seconds(row.proving_s),
        seconds(row.request_s),
        seconds(row.verifying_s),
        size(row.proving_key_bytes),
        size(row.setup_peak_bytes),
        size(row.proving_peak_bytes),
        size(row.proof_bytes),
    )
}

/// The models of some rows, in order, none twice.
fn models(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for row in rows {
        if !names.contains(&row.model.as_str()) {
            names.push(&row.model);
        }
    }
    names
}

fn title(system: &str) -> &str {
    let known = System::ALL.into_iter().find(|s| s.name() == system);
    known.map_or(system, |known| known.title())
}

fn table(text: &mut String, headings: &[&str], lines: impl Iterator<Item = Vec<String>>) {
    let rule = vec!["---"; headings.len()];
    let line = |cells: String| format!("| {cells} |\n");
    text.extend([line(headings.join(" | ")), line(rule.join(" | "))]);
    text.extend(lines.map(|cells| line(cells.join(" | "))));
}

fn heading(place: &Place) -> String {
    format!(
        "{}, commit {}. {}.\n\n",
        place.date, place.commit, place.machine
    )
}

/// All that was measured: figures, ratios, and what could not be run.
pub(crate) fn results(rows: &[Row], place: &Place) -> String {
    let mut text = heading(place);
    let done = rows.iter().filter(|row| row.status == Status::Done);
    table(
        &mut text,
        &[
            "model",
            "system",
            "rows",
            "setup",
            "proving",
            "request to verified proof",
            "verifying",
            "proving key",
            "memory: setup, proving",
            "proof",
            "same class as the original",
        ],
        done.map(|row| {
            vec![
                row.model.clone(),
                title(&row.system).to_owned(),
                grouped(row.rows),
                seconds(row.setup_s),
                seconds(row.proving_s),
                seconds(row.request_s),
                seconds(row.verifying_s),
                size(row.proving_key_bytes),
                format!(
                    "{}, {}",
                    size(row.setup_peak_bytes),
                    size(row.proving_peak_bytes)
                ),
                size(row.proof_bytes),
                agreement(row),
            ]
        }),
    );
    text.push_str(&ratios(rows));
    let mut failed = rows
        .iter()
        .filter(|row| row.status == Status::Failed)
        .peekable();
    if failed.peek().is_some() {
        text.push_str("\nNot run:\n\n");
    }
    text.extend(failed.map(|row| {
        let reason = row.reason.replace(['\n', '|'], " ");
        format!("* {}, {}: {reason}\n", row.model, title(&row.system))
    }));
    text
}

/// How many times better ours is, by model.
fn ratios(rows: &[Row]) -> String {
    let mut lines = Vec::new();
    for model in models(rows) {
        let of = |pair, figure: fn(&Row) -> Option<f64>| ratio(rows, model, pair, figure);
        let proving: fn(&Row) -> Option<f64> = |row| row.proving_s;
        let memory: fn(&Row) -> Option<f64> = |row| row.proving_peak_bytes.map(number);
        let key: fn(&Row) -> Option<f64> = |row| row.proving_key_bytes.map(number);
        let constraints: fn(&Row) -> Option<f64> = |row| row.rows.map(number);
        // Against others the fastest of ours counts, the same for all figures.
        let mut ours = "plain";
        for other in ["plain-tables", "lookup", "lookup-tables"] {
            if of([ours, other], proving).is_some_and(|faster| faster > 1.0) {
                ours = other;
            }
        }
        let figures = [
            of(["stock", "plain"], proving),
            of(["stock", "plain"], memory),
            of(["stock", "plain-tables"], proving),
            of(["plain", "lookup"], constraints),
            of(["plain", "lookup"], proving),
            of(["snarkjs", ours], proving),
            of(["ezkl", ours], proving),
            of(["ezkl", ours], key),
            of(["ezkl", ours], memory),
        ];
        if figures.iter().any(Option::is_some) {
            let mut line = vec![model.to_owned()];
            line.extend(figures.map(times));
            lines.push(line);
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    let mut text = "\nHow many times less ours takes:\n\n".to_owned();
    table(
        &mut text,
        &[
            "model",
            "plain, against ark-groth16: proving",
            "memory",
            "plain, tables: proving",
            "lookup, against plain: rows",
            "proving",
            "best: proving, against snarkjs",
            "best: proving, against EZKL",
            "key",
            "memory",
        ],
        lines.into_iter(),
    );
    text
}

/// The curves as tables.
pub(crate) fn scaling(rows: &[Row], place: &Place) -> String {
    let mut text = heading(place);
    for curve in Curve::ALL {
        text.extend([format!("\nOver {}:\n\n", curve.axis())]);
        let on = rows.iter().filter_map(|row| {
            let (found, x) = place_on_curve(row)?;
            (found == curve).then_some((row, x))
        });
        table(
            &mut text,
            &[
                "model",
                curve.axis(),
                "system",
                "rows",
                "proving",
                "an activation",
                "memory: setup, proving",
            ],
            on.map(|(row, x)| {
                let each = row.proving_s.zip(row.activations);
                let each = each.map(|(time, count)| time / number(count.max(1)));
                vec![
                    row.model.clone(),
                    format!("{x}"),
                    title(&row.system).to_owned(),
                    grouped(row.rows),
                    seconds(row.proving_s),
                    each.map_or_else(|| row.reason.clone(), |s| format!("{:.1} µs", s * 1e6)),
                    format!(
                        "{}, {}",
                        size(row.setup_peak_bytes),
                        size(row.proving_peak_bytes)
                    ),
                ]
            }),
        );
    }
    text
}

/// Puts a text between the marks of its part of `BENCHMARKS.md`.
pub(crate) fn replace(part: &str, text: &str) -> Result<()> {
    let page = fs::read_to_string(PAGE).with_context(|| format!("cannot read {PAGE}"))?;
    let page =
        replaced(&page, part, text).with_context(|| format!("{PAGE} has no marks for {part}"))?;
    fs::write(PAGE, page).with_context(|| format!("cannot write {PAGE}"))
}

fn replaced(page: &str, part: &str, text: &str) -> Option<String> {
    let (begin, end) = (
        format!("<!-- {part}: written by `cargo xtask bench --record` -->\n"),
        format!("<!-- end of {part} -->"),
    );
    let (before, rest) = page.split_once(&begin)?;
    let (_, after) = rest.split_once(&end)?;
    let mut page = String::new();
    write!(page, "{before}{begin}\n{}\n\n{end}{after}", text.trim()).ok()?;
    Some(page)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(model: &str, system: &str, proving_s: f64, key: u64) -> Row {
        Row {
            model: model.to_owned(),
            system: system.to_owned(),
            proving_s: Some(proving_s),
            proving_key_bytes: Some(key),
            proving_peak_bytes: Some(key * 10),
            rows: Some(key / 100),
            ..Row::default()
        }
    }

    fn place() -> Place {
        Place {
            date: "2026-01-31".to_owned(),
            commit: "abc".to_owned(),
            machine: "cpu".to_owned(),
            cores: 2,
        }
    }

    #[test]
    fn figures_are_short() {
        assert_eq!(seconds(Some(0.000_123)), "123 µs");
        assert_eq!(seconds(Some(0.012_34)), "12.3 ms");
        assert_eq!(seconds(Some(0.5)), "500 ms");
        assert_eq!(seconds(Some(123.4)), "123 s");
        assert_eq!(seconds(None), "–");
        assert_eq!(size(Some(256)), "256 B");
        assert_eq!(size(Some(1_450_000)), "1.4 MB");
        assert_eq!(size(Some(4_600_000_000)), "4.6 GB");
        assert_eq!(grouped(Some(1_234_567)), "1,234,567");
        assert_eq!(grouped(Some(12)), "12");
    }

    #[test]
    fn ratios_take_the_better_backend_against_others() {
        let rows = [
            row("m", "plain", 0.2, 1_000_000),
            row("m", "lookup", 0.1, 500_000),
            row("m", "stock", 0.8, 1_000_000),
            row("m", "ezkl", 20.0, 50_000_000),
            row("n", "plain", 0.2, 1),
        ];
        let text = ratios(&rows);
        let line = "| m | 4.00× | 1.00× | – | 2.00× | 2.00× | – | 200× | 100× | 100× |";
        assert!(text.contains(line), "{text}");
        assert!(
            !text.contains("| n |"),
            "a system alone has no ratio: {text}"
        );
    }

    #[test]
    fn what_could_not_be_run_is_said() {
        let mut failed = row("m", "ezkl", 1.0, 1);
        failed.status = Status::Failed;
        failed.reason = "took more than 17.0 GiB".to_owned();
        let text = results(&[row("m", "plain", 0.2, 1), failed], &place());
        assert!(
            text.contains("* m, EZKL: took more than 17.0 GiB"),
            "{text}"
        );
        assert!(!text.contains("| m | EZKL"), "{text}");
    }

    #[test]
    fn a_part_of_the_page_is_replaced_and_nothing_else() {
        let page =
            "a\n<!-- x: written by `cargo xtask bench --record` -->\nold\n<!-- end of x -->\nb\n";
        let new = replaced(page, "x", "new\n").unwrap();
        assert_eq!(
            new,
            "a\n<!-- x: written by `cargo xtask bench --record` -->\n\nnew\n\n<!-- end of x -->\nb\n"
        );
        assert_eq!(replaced(&new, "x", "new").as_ref(), Some(&new));
        assert_eq!(replaced(page, "y", "new"), None);
    }

    #[test]
    fn curves_have_their_rows() {
        let mut first = row("depth-4", "plain", 0.001, 1);
        (first.activations, first.parameters) = (Some(500), Some(9));
        let mut second = row("groups-10", "plain", 0.002, 1);
        (second.activations, second.parameters) = (Some(4000), Some(405_010));
        let mut third = row("lenet5-mnist", "plain", 0.003, 1);
        (third.activations, third.threads) = (Some(1000), 2);
        let text = scaling(&[first, second, third], &place());
        for part in [
            "| depth-4 | 500 | plain | 0 | 1.0 ms | 2.0 µs |",
            "| groups-10 | 405010 |",
            "| lenet5-mnist | 2 |",
        ] {
            assert!(text.contains(part), "{text}");
        }
    }
}
