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

/// A histogram: one bar a label, its count above it.
pub(crate) fn bars(id: &str, name: &str, bars: &[(String, usize)]) -> String {
    let most = bars
        .iter()
        .map(|(_, count)| *count)
        .max()
        .unwrap_or(0)
        .max(1);
    let total: usize = bars.iter().map(|(_, count)| count).sum();
    let (left, top, plot) = (8.0, 24.0, 160.0);
    let step = (float(640) / float(bars.len().max(1))).min(72.0);
    let width = step.mul_add(float(bars.len()), 2.0 * left).max(160.0);
    let description = format!("{} bars, {total} in all, at most {most}", bars.len());
    let mut svg = open(id, width, top + plot + 84.0, name, &description);
    let base = top + plot;
    add!(
        svg,
        "<line class=\"axis\" x1=\"{left}\" y1=\"{base}\" x2=\"{:.1}\" y2=\"{base}\"/>",
        width - left
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
    let height = row.mul_add(float(shares.len()), 12.0);
    let mut svg = open(id, width, height, name, &said.join("; "));
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
    let (left, top) = (110.0, 30.0);
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
        left + size + 10.0,
        top + size + 96.0,
        name,
        &description,
    );
    add!(
        svg,
        "<text class=\"label\" x=\"{left}\" y=\"16\">rows: {}; columns: class of the integer model</text>",
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
    fn pictures_have_names_and_descriptions_and_no_text_of_others_as_markup() {
        let evil = "<script>&\"'".to_owned();
        let all = [
            bars("a", &evil, &[(evil.clone(), 3), ("b".to_owned(), 0)]),
            bars("b", "none", &[]),
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
