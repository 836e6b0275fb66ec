//! The report as a page for people: one file, no script, nothing loaded from anywhere.

use std::fmt;

use proofmark_types::manifest::SetupKind;
use proofmark_types::text::printable;
use proofmark_types::time::utc;

use crate::accuracy::Accuracy;
use crate::check::Step;
use crate::finding::{Finding, Status};
use crate::plots::{MAX_BARS, bars, matrix, shares};
use crate::report::{Outcome, Report};

const STYLE: &str = include_str!("report.css");

/// Adds a line to the page.
macro_rules! add {
    ($page:expr, $($part:tt)*) => {
        line($page, format_args!($($part)*))
    };
}

/// Adds a line.
pub(crate) fn line(out: &mut String, text: fmt::Arguments<'_>) {
    out.push_str(&text.to_string());
    out.push('\n');
}

/// Text as HTML: nothing in it is markup, and nothing steers the direction of writing.
pub(crate) fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in printable(text).chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

/// The report as a self-contained page.
pub fn html(report: &Report) -> String {
    let name = report
        .package
        .name
        .as_deref()
        .unwrap_or("unreadable package");
    let title = format!("Audit of {name}: {}", report.outcome.name());
    let mut text = String::new();
    let page = &mut text;
    add!(
        page,
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src \
         'unsafe-inline'\">\n<meta name=\"viewport\" content=\"width=device-width, \
         initial-scale=1\">\n<meta name=\"referrer\" content=\"no-referrer\">\n\
         <title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
         <a class=\"skip\" href=\"#findings\">Skip to the findings</a>",
        escape(&title)
    );
    header(page, report, name);
    add!(page, "<main>");
    listed(page, report, Status::Fail, "fails", "What fails");
    listed(
        page,
        report,
        Status::NotChecked,
        "open",
        "What was not checked",
    );
    limits(page, report);
    facts(page, report);
    pictures(page, report);
    findings(page, report);
    add!(
        page,
        "</main>\n<footer><p>Made by {} {}; format {}. The same findings stand in \
         <code>report.json</code>.</p></footer>\n</body>\n</html>",
        report.software.name,
        report.software.version,
        report.format
    );
    text
}

fn header(page: &mut String, report: &Report, name: &str) {
    add!(
        page,
        "<header>\n<h1>Audit of {}{}</h1>\n<p class=\"outcome {outcome}\"><strong>{outcome}</strong> \
         <span>{}</span></p>\n<ul class=\"counts\"><li class=\"pass\"><b>{}</b> \
         hold</li><li class=\"fail\"><b>{}</b> fail</li><li class=\"not-checked\"><b>{}</b> not \
         checked</li></ul>\n<p>{} questions, asked at <time datetime=\"{time}\">{time}</time>.</p>\n\
         </header>",
        escape(name),
        report
            .package
            .version
            .as_ref()
            .map_or_else(String::new, |version| format!(
                ", version {}",
                escape(version)
            )),
        escape(&headline(report)),
        report.count(Status::Pass),
        report.count(Status::Fail),
        report.count(Status::NotChecked),
        report.findings.len(),
        outcome = report.outcome.name(),
        time = utc(report.audited_at),
    );
}

/// What the audit comes to, in sentences that claim no more than was found.
fn headline(report: &Report) -> String {
    let mut text = match report.outcome {
        Outcome::Passed => "Everything that an audit asks was checked, and holds.",
        Outcome::Incomplete => {
            "Nothing that was checked fails, but not everything could be checked: what is open is \
             listed below, with what to ask for."
        }
        Outcome::Failed => {
            "Something does not hold. Read what fails before relying on any receipt."
        }
    }
    .to_owned();
    let receipts = &report.receipts;
    if receipts.accepted == 0 {
        text.push_str(" No receipt was verified.");
    } else if receipts.rejected == 0 {
        let accepted = grouped(receipts.accepted);
        text.push_str(&format!(
            " Receipts that verify: {accepted}, that is all that were given."
        ));
    } else {
        let (accepted, rejected) = (grouped(receipts.accepted), grouped(receipts.rejected));
        text.push_str(&format!(
            " Receipts that verify: {accepted}, that do not: {rejected}."
        ));
    }
    if report.package.setup_kind == Some(SetupKind::SingleParty) {
        text.push_str(
            " The keys were made by one party alone, who could forge proofs that no audit tells \
             from true ones by themselves.",
        );
    }
    text
}

/// A count with its thousands set apart.
fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}

/// The findings of one status, up where everybody reads them.
fn listed(page: &mut String, report: &Report, status: Status, id: &str, heading: &str) {
    let found = report.findings.iter().filter(|f| f.status == status);
    let found: Vec<&Finding> = found.collect();
    if found.is_empty() {
        return;
    }
    add!(
        page,
        "<section aria-labelledby=\"{id}\">\n<h2 id=\"{id}\">{heading}</h2>\n<ul class=\"listed {}\">",
        status.name()
    );
    for finding in found {
        let remedy = finding.remedy.as_deref().unwrap_or_default();
        add!(
            page,
            "<li><a href=\"#{}\">{}</a> {}{} <em>What to do: {}.</em></li>",
            finding.id.id(),
            escape(finding.title),
            escape(&finding.meaning),
            culprits_named(finding),
            escape(remedy)
        );
    }
    add!(page, "</ul>\n</section>");
}

/// The first culprits of a finding, in a sentence.
fn culprits_named(finding: &Finding) -> String {
    let first = finding.culprits.iter().take(3);
    let first: Vec<String> = first
        .map(|culprit| {
            let name = culprit.source.rsplit('/').next().unwrap_or_default();
            format!("<code>{}</code>", escape(name))
        })
        .collect();
    let more = finding.culprits_total - first.len();
    match (first.is_empty(), more) {
        (true, _) => String::new(),
        (false, 0) => format!(" Named: {}.", first.join(", ")),
        (false, more) => format!(" Named: {} and {more} more.", first.join(", ")),
    }
}

fn facts(page: &mut String, report: &Report) {
    let package = &report.package;
    let digest = |value: Option<proofmark_types::Digest>| value.map(|d| d.to_string());
    let rows = [
        ("Package", Some(package.digest.to_string())),
        ("Integer model", digest(package.integer_model)),
        ("Circuit", digest(package.circuit)),
        ("Verifying key", digest(package.verifying_key)),
        (
            "Proof system",
            package.backend.map(|b| b.proof_system_name().to_owned()),
        ),
        (
            "Setup",
            package.setup_kind.map(|kind| kind.name().to_owned()),
        ),
        (
            "Receipts",
            Some(format!(
                "{} given, {} verify, {} do not, {} given more than once",
                report.receipts.given,
                report.receipts.accepted,
                report.receipts.rejected,
                report.receipts.copies
            )),
        ),
        (
            "Inferences computed again",
            Some(format!(
                "{} of {} that can be",
                report.samples.computed, report.samples.eligible
            )),
        ),
        ("Seed of the samples", Some(report.seed.clone())),
    ];
    add!(
        page,
        "<section aria-labelledby=\"facts\">\n<h2 id=\"facts\">What was audited</h2>\n<table>\n<tbody>"
    );
    for (label, value) in rows {
        let value = value.unwrap_or_else(|| "unknown".to_owned());
        add!(
            page,
            "<tr><th scope=\"row\">{label}</th><td><code>{}</code></td></tr>",
            escape(&value)
        );
    }
    add!(page, "</tbody>\n</table>\n</section>");
}

fn limits(page: &mut String, report: &Report) {
    if report.not_proven.is_empty() {
        return;
    }
    add!(
        page,
        "<section aria-labelledby=\"limits\">\n<h2 id=\"limits\">What is not proven</h2>\n\
         <p>Even of receipts that verify:</p>\n<ul>"
    );
    for sentence in &report.not_proven {
        add!(page, "<li>{}</li>", escape(sentence));
    }
    add!(page, "</ul>\n</section>");
}

fn pictures(page: &mut String, report: &Report) {
    if !report.receipts.proofs_per_day.is_empty() {
        let days = report.receipts.proofs_per_day.iter();
        let by_day: Vec<(String, usize)> = days.map(|day| (day.day.clone(), day.proofs)).collect();
        let (unit, counted) = condense(by_day);
        add!(
            page,
            "<section aria-labelledby=\"days\">\n<h2 id=\"days\">Proofs per {unit}</h2>\n<p>By the \
             signers' clocks; times without proofs are left out.</p>"
        );
        let name = format!("Proofs per {unit}");
        let below = format!("{unit} (UTC, by the signers' clocks)");
        page.push_str(&bars("plot-days", &name, [&below, "proofs"], &counted));
        let rows = counted
            .iter()
            .map(|(label, count)| vec![label.clone(), count.to_string()]);
        numbers(page, &[unit, "proofs"], rows);
        add!(page, "</section>");
    }
    if let Some(accuracy) = &report.accuracy {
        compared(page, accuracy);
    }
}

/// Days, or where they are too many for a picture months or years.
fn condense(days: Vec<(String, usize)>) -> (&'static str, Vec<(String, usize)>) {
    let grouped = |kept: usize| {
        let mut groups: Vec<(String, usize)> = Vec::new();
        for (day, count) in &days {
            // A date is `YYYY-MM-DD`, with more digits for years far away.
            let end = day.len().saturating_sub(kept);
            let label = day.get(..end).unwrap_or(day);
            match groups.last_mut() {
                Some((last, sum)) if last == label => *sum += count,
                _ => groups.push((label.to_owned(), *count)),
            }
        }
        groups
    };
    if days.len() <= MAX_BARS {
        return ("day", days);
    }
    let months = grouped("-DD".len());
    if months.len() <= MAX_BARS {
        return ("month", months);
    }
    let mut years = grouped("-MM-DD".len());
    // Receipts may state any year; the picture shows the last ones.
    let surplus = years.len().saturating_sub(MAX_BARS);
    years.drain(..surplus);
    ("year", years)
}

fn compared(page: &mut String, accuracy: &Accuracy) {
    add!(
        page,
        "<section aria-labelledby=\"models\">\n<h2 id=\"models\">Both models on the auditor's data</h2>\n\
         <p>{} samples. “Claimed” is what the manifest says of the operator's data.</p>",
        accuracy.samples
    );
    let all = [
        ("float model", accuracy.float_accuracy),
        ("… claimed", accuracy.claimed_float_accuracy),
        ("integer model", accuracy.integer_accuracy),
        ("… claimed", accuracy.claimed_integer_accuracy),
        ("same class", Some(accuracy.agreement)),
        ("… claimed", accuracy.claimed_agreement),
    ];
    let known: Vec<(&str, f64)> = all
        .into_iter()
        .filter_map(|(label, share)| Some((label, share?)))
        .collect();
    page.push_str(&shares("plot-accuracy", "Accuracy and agreement", &known));
    let rows = known
        .iter()
        .map(|(label, share)| vec![(*label).to_owned(), format!("{:.2} %", share * 100.0)]);
    numbers(page, &["what", "share"], rows);
    for (id, heading, rows, cells) in [
        (
            "plot-agreement",
            "Where the models agree",
            "class of the float model",
            &accuracy.float_to_integer,
        ),
        (
            "plot-confusion",
            "Where the integer model is right",
            "right class",
            &accuracy.label_to_integer,
        ),
    ] {
        if cells.is_empty() || accuracy.classes.is_empty() {
            continue;
        }
        add!(page, "<h3>{heading}</h3>");
        page.push_str(&matrix(id, heading, rows, &accuracy.classes, cells));
        let head: Vec<&str> = [rows]
            .into_iter()
            .chain(accuracy.classes.iter().map(String::as_str))
            .collect();
        let table = accuracy.classes.iter().zip(cells).map(|(class, row)| {
            let cells = row.iter().map(ToString::to_string);
            [class.clone()].into_iter().chain(cells).collect()
        });
        numbers(page, &head, table);
    }
    add!(page, "</section>");
}

/// The numbers of a picture as a table.
fn numbers(page: &mut String, head: &[&str], rows: impl Iterator<Item = Vec<String>>) {
    add!(
        page,
        "<details><summary>The numbers</summary>\n<div class=\"wide\"><table>\n<thead><tr>"
    );
    for cell in head {
        add!(page, "<th scope=\"col\">{}</th>", escape(cell));
    }
    add!(page, "</tr></thead>\n<tbody>");
    for row in rows {
        add!(page, "<tr>");
        for (at, cell) in row.iter().enumerate() {
            let cell = escape(cell);
            if at == 0 {
                add!(page, "<th scope=\"row\">{cell}</th>");
            } else {
                add!(page, "<td>{cell}</td>");
            }
        }
        add!(page, "</tr>");
    }
    add!(page, "</tbody>\n</table></div></details>");
}

fn findings(page: &mut String, report: &Report) {
    add!(
        page,
        "<section aria-labelledby=\"findings\">\n<h2 id=\"findings\">All findings</h2>"
    );
    for &step in Step::ALL {
        add!(page, "<h3>{}</h3>", step.title());
        for finding in report.findings.iter().filter(|f| f.step == step) {
            one(page, finding);
        }
    }
    add!(page, "</section>");
}

fn one(page: &mut String, finding: &Finding) {
    let (id, status) = (finding.id.id(), finding.status.name());
    let word = match finding.status {
        Status::Pass => "holds",
        Status::Fail => "fails",
        Status::NotChecked => "not checked",
    };
    add!(
        page,
        "<article class=\"finding {status}\" aria-labelledby=\"{id}\">\n<h4 id=\"{id}\"><span \
         class=\"badge\">{word}</span> {}</h4>\n<p>{}</p>",
        escape(finding.title),
        escape(&finding.meaning)
    );
    if let Some(remedy) = &finding.remedy {
        add!(
            page,
            "<p class=\"remedy\"><strong>What to do:</strong> {}</p>",
            escape(remedy)
        );
    }
    if finding.culprits_total > 0 {
        add!(
            page,
            "<div class=\"wide\"><table>\n<caption>{} of {}</caption>\n<thead><tr><th \
             scope=\"col\">where</th><th scope=\"col\">code</th><th scope=\"col\">reason</th><th \
             scope=\"col\">receipt</th></tr></thead>\n<tbody>",
            finding.culprits.len(),
            finding.culprits_total
        );
        for culprit in &finding.culprits {
            let receipt = culprit.receipt.map(|id| id.to_string()).unwrap_or_default();
            add!(
                page,
                "<tr><th scope=\"row\">{}</th><td><code>{}</code></td><td>{}</td><td><code>{}</code></td></tr>",
                escape(&culprit.source),
                escape(&culprit.code),
                escape(&culprit.reason),
                escape(&receipt)
            );
        }
        add!(page, "</tbody>\n</table></div>");
    }
    if !finding.evidence.is_empty() {
        add!(page, "<dl>");
        for evidence in &finding.evidence {
            add!(
                page,
                "<dt>{}</dt><dd><code>{}</code></dd>",
                escape(&evidence.label),
                escape(&evidence.value)
            );
        }
        add!(page, "</dl>");
    }
    add!(page, "</article>");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_of_others_is_never_markup() {
        assert_eq!(
            escape("<b onclick='x' id=\"y\">&\u{202e}"),
            "&lt;b onclick=&#39;x&#39; id=&quot;y&quot;&gt;&amp;\u{fffd}"
        );
    }

    #[test]
    fn many_days_become_months_and_many_months_years() {
        let days = |count: usize, date: &dyn Fn(usize) -> String| -> Vec<(String, usize)> {
            (0..count).map(|at| (date(at), 2)).collect()
        };
        let (unit, few) = condense(days(3, &|at| format!("2026-11-{:02}", at + 1)));
        assert_eq!((unit, few.len()), ("day", 3));
        let (unit, months) = condense(days(84, &|at| {
            format!("2026-{:02}-{:02}", at / 28 + 1, at % 28 + 1)
        }));
        assert_eq!((unit, months.len()), ("month", 3));
        assert_eq!(months[0], ("2026-01".to_owned(), 56));
        let (unit, years) = condense(days(1200, &|at| {
            format!("{}-{:02}-01", at / 12 + 2000, at % 12 + 1)
        }));
        assert_eq!((unit, years.len()), ("year", MAX_BARS));
        assert_eq!(years[MAX_BARS - 1], ("2099".to_owned(), 24));
    }
}
