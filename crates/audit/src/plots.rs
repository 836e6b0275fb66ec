//! Inline SVG: bars, shares, matrices. Colours come from the page's style sheet; every picture has
//! a name and a description for those who do not see it.

use crate::html::{escape, line};

/// Most bars of a histogram.
pub(crate) const MAX_BARS: usize = 60;
/// Most classes whose numbers are written into a matrix.
const MAX_NUMBERED: usize = 16;

/// Adds a line to a picture.
macro_rules! add {
    ($svg:expr, $($part:tt)*) => {
        line(&mut $svg, format_args!($($part)*))
    };
}

fn open(id: &str, width: f64, height: f64, name: &str, description: &str) -> String {
    let (name, description) = (escape(name), escape(description));
    let mut svg = String::new();
    add!(
        svg,
        "<svg viewBox=\"0 0 {width:.0} {height:.0}\" role=\"img\" aria-labelledby=\"{id}-name {id}-text\" \
         preserveAspectRatio=\"xMinYMin meet\">\n<title id=\"{id}-name\">{name}</title>\n\
         <desc id=\"{id}-text\">{description}</desc>"
    );
    svg
}

#[expect(clippy::cast_precision_loss, reason = "a coordinate of a picture")]
const fn float(count: usize) -> f64 {
    count as f64
}

/// Marks of an axis of counts, from 0 to at least `most`: 1, 2 or 5 times a power of ten apart.
fn marks(most: usize) -> Vec<usize> {
    let mut step: usize = 1;
    let mut factors = [2, 5, 10].into_iter().cycle();
    let mut unit: usize = 1;
    while most > step.saturating_mul(5) {
        let factor = factors.next().unwrap_or(10);
        step = unit.saturating_mul(factor);
        if factor == 10 {
            unit = step;
        }
    }
    let count = most.div_ceil(step).max(1);
    (0..=count).map(|at| at.saturating_mul(step)).collect()
}

/// A histogram: one bar a label, its count above it. `axes` says what stands on them: below and at
/// the left.
pub(crate) fn bars(id: &str, name: &str, axes: [&str; 2], bars: &[(String, usize)]) -> String {
    let most = bars
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(0)
        .max(1);
    let total: usize = bars.iter().map(|(_, count)| count).sum();
    let (left, top, plot, width) = (64.0, 34.0, 160.0, 640.0);
    let step = ((width - left - 8.0) / float(bars.len().max(1))).min(72.0);
    let description = format!("{} bars, {total} in all, at most {most}", bars.len());
    let mut svg = open(id, width, top + plot + 100.0, name, &description);
    let base = top + plot;
    let marks = marks(most);
    let most = marks.last().copied().unwrap_or(most);
    for mark in marks {
        let y = base - plot * float(mark) / float(most);
        add!(
            svg,
            "<line class=\"axis\" x1=\"{left}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\"/>\
             <text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{mark}</text>",
            width - 8.0,
            left - 8.0,
            y + 4.0
        );
    }
    let [below, beside] = axes.map(escape);
    add!(
        svg,
        "<text class=\"title\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{below}</text>\
         <text class=\"title\" transform=\"translate(14 {:.1}) rotate(-90)\" \
         text-anchor=\"middle\">{beside}</text>",
        f64::midpoint(left, width),
        base + 94.0,
        top + plot / 2.0
    );
    for (at, (label, count)) in bars.iter().enumerate() {
        let x = step.mul_add(float(at), left);
        let height = plot * float(*count) / float(most);
        let middle = x + step / 2.0;
        let label = escape(label);
        add!(
            svg,
            "<rect class=\"bar\" x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{height:.1}\">\
             <title>{label}: {count}</title></rect>",
            step.mul_add(0.12, x),
            base - height,
            step * 0.76
        );
        if step >= 20.0 {
            add!(
                svg,
                "<text class=\"value\" x=\"{middle:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{count}</text>",
                base - height - 5.0
            );
        }
        add!(
            svg,
            "<text class=\"label\" transform=\"translate({:.1} {:.1}) rotate(-60)\" text-anchor=\"end\">\
             {label}</text>",
            middle + 4.0,
            base + 14.0
        );
    }
    svg + "</svg>\n"
}

/// Shares from 0 to 1, one bar each, with their values.
pub(crate) fn shares(id: &str, name: &str, shares: &[(&str, f64)]) -> String {
    let (left, width, row) = (170.0, 640.0, 34.0_f64);
    let plot = width - left - 80.0;
    let said: Vec<String> = shares
        .iter()
        .map(|(label, share)| format!("{label} {:.2} %", share * 100.0))
        .collect();
    let end = row.mul_add(float(shares.len()), 6.0);
    let mut svg = open(id, width, end + 44.0, name, &said.join("; "));
    for tenths in [0, 2, 4, 6, 8, 10] {
        let x = (plot * float(tenths)).mul_add(0.1, left);
        add!(
            svg,
            "<line class=\"axis\" x1=\"{x:.1}\" y1=\"2\" x2=\"{x:.1}\" y2=\"{end:.1}\"/>\
             <text class=\"label\" x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            end + 14.0,
            tenths * 10
        );
    }
    add!(
        svg,
        "<text class=\"title\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">share of the \
         samples, in %</text>",
        left + plot / 2.0,
        end + 34.0
    );
    for (at, (label, share)) in shares.iter().enumerate() {
        let y = row.mul_add(float(at), 6.0);
        let share = share.clamp(0.0, 1.0);
        let label = escape(label);
        add!(
            svg,
            "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\
             <rect class=\"track\" x=\"{left}\" y=\"{y:.1}\" width=\"{plot}\" height=\"20\"/>\
             <rect class=\"bar\" x=\"{left}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"20\"/>\
             <text class=\"value\" x=\"{:.1}\" y=\"{:.1}\">{:.2} %</text>",
            left - 10.0,
            y + 15.0,
            plot * share,
            left + plot + 8.0,
            y + 15.0,
            share * 100.0
        );
    }
    svg + "</svg>\n"
}

/// A matrix of counts: the darker a cell, the larger its share of its row.
pub(crate) fn matrix(
    id: &str,
    name: &str,
    rows: &str,
    classes: &[String],
    cells: &[Vec<u64>],
) -> String {
    let count = classes.len();
    let (left, top) = (150.0, 12.0);
    let step = (float(480) / float(count.max(1))).clamp(7.0, 56.0);
    let size = step * float(count);
    let (right, all) = cells
        .iter()
        .enumerate()
        .fold((0, 0), |(right, all), (at, row)| {
            let sum: u64 = row.iter().sum();
            (right + row.get(at).copied().unwrap_or(0), all + sum)
        });
    let description = format!("{all} samples, {right} of them on the diagonal");
    let mut svg = open(
        id,
        // As wide as the other pictures, so that its letters are as large as theirs.
        640.0,
        top + size + 120.0,
        name,
        &description,
    );
    add!(
        svg,
        "<text class=\"title\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">class of the integer \
         model</text>\
         <text class=\"title\" transform=\"translate(14 {:.1}) rotate(-90)\" \
         text-anchor=\"middle\">{}</text>",
        left + size / 2.0,
        top + size + 112.0,
        // A few classes are less high than this title is long.
        top + size.max(180.0) / 2.0,
        escape(rows)
    );
    for (at, (class, row)) in classes.iter().zip(cells).enumerate() {
        let y = step.mul_add(float(at), top);
        let sum: u64 = row.iter().sum::<u64>().max(1);
        let label = escape(class);
        if step >= 9.0 {
            add!(
                svg,
                "<text class=\"label\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>\
                 <text class=\"label\" transform=\"translate({:.1} {:.1}) rotate(-60)\" \
                 text-anchor=\"end\">{label}</text>",
                left - 8.0,
                y + step / 2.0 + 4.0,
                step.mul_add(float(at) + 0.5, left) + 4.0,
                top + size + 14.0
            );
        }
        for (column, cell) in row.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "a shade of a picture")]
            let share = *cell as f64 / sum as f64;
            let x = step.mul_add(float(column), left);
            let kind = if at == column { "same" } else { "other" };
            add!(
                svg,
                "<rect class=\"cell {kind}\" x=\"{x:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"{:.1}\" \
                 fill-opacity=\"{share:.3}\"/>",
                step - 1.0,
                step - 1.0
            );
            if count <= MAX_NUMBERED && *cell > 0 {
                let dark = if share > 0.5 { " dark" } else { "" };
                add!(
                    svg,
                    "<text class=\"count{dark}\" x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{cell}</text>",
                    x + step / 2.0,
                    y + step / 2.0 + 4.0
                );
            }
        }
    }
    svg + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_of_counts_end_at_or_above_the_largest() {
        assert_eq!(marks(1), [0, 1]);
        assert_eq!(marks(5), [0, 1, 2, 3, 4, 5]);
        assert_eq!(marks(7), [0, 2, 4, 6, 8]);
        assert_eq!(marks(2_000), [0, 500, 1_000, 1_500, 2_000]);
        assert_eq!(marks(10_000), [0, 2_000, 4_000, 6_000, 8_000, 10_000]);
        for most in [0, 11, 26, 51, 101, usize::MAX / 64] {
            let marks = marks(most);
            assert!(*marks.last().unwrap() >= most && marks.len() <= 7, "{most}");
        }
    }

    #[test]
    fn pictures_have_names_and_descriptions_and_no_text_of_others_as_markup() {
        let evil = "<script>&\"'".to_owned();
        let all = [
            bars(
                "a",
                &evil,
                [&evil, &evil],
                &[(evil.clone(), 3), ("b".to_owned(), 0)],
            ),
            bars("b", "none", ["day", "proofs"], &[]),
            shares("c", &evil, &[(&evil, 2.0), ("y", f64::MIN_POSITIVE)]),
            matrix(
                "d",
                "m",
                &evil,
                &[evil.clone(), "z".to_owned()],
                &[vec![1, 2], vec![0, 0]],
            ),
        ];
        for svg in &all {
            assert!(svg.contains("role=\"img\""), "{svg}");
            assert_eq!(svg.matches("<desc").count(), 1);
            assert!(!svg.contains("<script"), "{svg}");
            assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
            let opened = svg.matches("<text").count();
            assert_eq!(opened, svg.matches("</text>").count());
        }
        assert!(all[0].contains("3 in all"));
        assert!(all[3].contains("3 samples, 1 of them on the diagonal"));
    }
}
