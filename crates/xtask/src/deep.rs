//! `cargo xtask deep`: the long versions of the checks of which `cargo xtask test` takes a share.
//! Its dated result goes to `docs/results/` and is committed.

use std::fmt::Write as _;
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context as _, Result, bail};
use proofmark_types::time::date;

use crate::{emulation, fetch_runtime, say};

/// Test targets that have a long version, and the packages that they are of.
const TARGETS: [(&str, &str); 7] = [
    ("exactness", TESTS),
    ("fuzz", TESTS),
    ("killed", "proofmark-log"),
    ("models", TESTS),
    ("service", TESTS),
    ("soundness", TESTS),
    ("third_party", TESTS),
];
/// The package of tests.
const TESTS: &str = "proofmark-tests";
/// The same programs on emulated processors.
const EMULATION: &str = "emulation";
/// The archive of node cases, made again by the Python that `PROOFMARK_PYTHON` names.
const NODE_CASES: &str = "node_cases";

/// What to run.
#[derive(Debug, clap::Args)]
pub(crate) struct Options {
    /// Only these (all without): exactness, fuzz, killed, models, service, soundness, third_party, emulation, node_cases
    #[arg(value_parser = clap::builder::PossibleValuesParser::new(TARGETS.iter().map(|(target, _)| target).chain([&EMULATION, &NODE_CASES])))]
    only: Vec<String>,
}

/// Runs the long checks and writes their result.
pub(crate) fn run(options: &Options) -> Result<()> {
    say(&fetch_runtime::run()?.to_string())?;
    let mut report = format!(
        "# Deep checks, {}\n\nMade by `cargo xtask deep` at commit {} on {} processors.\n",
        today()?,
        output("git", &["rev-parse", "--short", "HEAD"])?,
        std::thread::available_parallelism()?,
    );
    let wanted = |t: &&str| options.only.is_empty() || options.only.iter().any(|only| only == t);
    for (target, package) in TARGETS.iter().filter(|(t, _)| wanted(t)) {
        say(&format!("{target} …"))?;
        let start = Instant::now();
        let run = Command::new("cargo")
            .args([
                "test",
                "--package",
                package,
                "--test",
                target,
                "--",
                "--nocapture",
                "--test-threads=1",
            ])
            .env("PROOFMARK_DEEP", "1")
            .output()
            .context("cannot start cargo")?;
        let text = String::from_utf8_lossy(&run.stdout);
        say(&text)?;
        if !run.status.success() {
            say(&String::from_utf8_lossy(&run.stderr))?;
            bail!("the deep run of {target} failed");
        }
        writeln!(
            report,
            "\n## {target} ({} s)\n\n```",
            start.elapsed().as_secs()
        )?;
        for line in text.lines().filter(|line| tells(line)) {
            report.push_str(line);
            report.push('\n');
        }
        report.push_str("```\n");
    }
    if wanted(&EMULATION) {
        say("emulation …")?;
        let start = Instant::now();
        let lines = emulation::run(&emulation::Options { all: true })?;
        let text = lines.join("\n");
        say(&text)?;
        writeln!(
            report,
            "\n## emulation ({} s)\n\n```\n{text}\n```",
            start.elapsed().as_secs()
        )?;
    }
    if wanted(&NODE_CASES) {
        let line = node_cases()?;
        say(&line)?;
        writeln!(report, "\n## node_cases\n\n```\n{line}\n```")?;
    }
    let what = if options.only.is_empty() {
        "all".to_owned()
    } else {
        options.only.join("-")
    };
    let path = format!("docs/results/deep-{what}-{}.md", today()?);
    fs::create_dir_all("docs/results")?;
    fs::write(&path, report)?;
    say(&format!("written to {path}"))
}

/// Makes the archive of the ONNX project's node cases again and compares it with the committed one,
/// or says what is missing for that.
fn node_cases() -> Result<String> {
    let python = std::env::var("PROOFMARK_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let run = Command::new(&python)
        .args(["tests/node_cases/collect.py", "--check"])
        .output();
    let Ok(run) = run else {
        return Ok(format!("not made again: there is no {python}"));
    };
    let errors = String::from_utf8_lossy(&run.stderr);
    if errors.contains("No module named") || errors.contains("is installed; the cases") {
        return Ok(format!(
            "not made again: {python} has not the packages named in tests/node_cases/collect.py"
        ));
    }
    if !run.status.success() {
        bail!("{}", errors.trim());
    }
    Ok(String::from_utf8_lossy(&run.stdout).trim().to_owned())
}

/// What a reader wants of a test's output: its figures and the verdict.
fn tells(line: &str) -> bool {
    !line.trim().is_empty() && !line.starts_with("running ") && !line.starts_with("test ")
        || line.starts_with("test result")
}

fn output(program: &str, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program)
        .args(arguments)
        .output()
        .with_context(|| format!("cannot start {program}"))?;
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

/// Today in UTC as `YYYY-MM-DD`.
fn today() -> Result<String> {
    let since: Duration = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?;
    Ok(date(since.as_secs()))
}
