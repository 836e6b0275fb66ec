//! `proofmark audit`: a package and its receipts, derived again without the service.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::Instant;

use proofmark_audit::{
    AuditError, Data, Finding, LogEvidence, Outcome, Report, Request, Status, audit, html,
};
use proofmark_package::Package;
use proofmark_quantizer::Samples;
use proofmark_types::Manifest;
use proofmark_verify::{Exit, Failure};
use serde_json::{Value, json};

use crate::arguments::AuditArgs;
use crate::commands::{now, random_bytes, write};
use crate::failures::{Fail, OrFail as _};
use crate::output::{Output, grouped, seconds};
use crate::samples;

/// Name of the report for programs.
const JSON: &str = "report.json";
/// Name of the report for people.
const HTML: &str = "report.html";

pub(crate) fn run(args: &AuditArgs, output: Output) -> Result<(), Failure> {
    check_folder(&args.report)?;
    let data = match &args.data {
        Some(path) => {
            let package = Package::open(&args.package).or_fail()?;
            Some(Data {
                float_model: args.float.clone(),
                samples: data(package.manifest(), path)?,
                max_loss: args.accuracy_loss,
            })
        }
        None => None,
    };
    let request = Request {
        package: args.package.clone(),
        pinned: args.package_digest,
        signers: args.service_key.clone(),
        receipts: args.receipts.clone(),
        openings: args.openings.clone(),
        not_before: args.not_before,
        phase1: args.phase1.clone(),
        contributions: args.contribution.clone(),
        log: args.log_keys.policy()?.map(|policy| LogEvidence {
            policy,
            folders: args.log.clone(),
            proofs: args.tlog_proof.clone(),
            checkpoints: args.checkpoint.clone(),
        }),
        samples: args.samples,
        data,
        seed: match args.seed {
            Some(seed) => seed,
            None => random_bytes()?,
        },
        now: now(),
    };
    let start = Instant::now();
    let bars = output.bars();
    let report = audit(&request, &bars).or_fail()?;
    drop(bars);
    let elapsed = start.elapsed().as_secs_f64();

    fs::create_dir_all(&args.report).map_err(|error| unwritable(&args.report, &error))?;
    write(&args.report.join(JSON), &report.to_json())?;
    write(&args.report.join(HTML), html(&report).as_bytes())?;
    conclude(&report, args, elapsed, output)
}

/// The folder for the report is new or empty: two reports in one would contradict each other.
fn check_folder(folder: &Path) -> Result<(), Failure> {
    match fs::read_dir(folder).map(|mut entries| entries.next().is_none()) {
        Ok(true) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Ok(false) => Err(Failure::usage(
            "report-folder-not-empty",
            format!("{} is not empty", folder.display()),
        )
        .hint("choose a new folder for the report")),
        Err(error) => Err(unwritable(folder, &error)),
    }
}

fn unwritable(folder: &Path, error: &std::io::Error) -> Failure {
    let message = format!("cannot write into {}", folder.display());
    let mut failure = Failure::environment("file-unwritable", message);
    failure.causes.push(error.to_string());
    failure
}

/// Samples for every input of the integer model, and their labels.
fn data(manifest: &Manifest, path: &Path) -> Result<Samples, Failure> {
    let content = samples::read(path)?;
    let only = manifest.inputs.len() == 1;
    let mut inputs = BTreeMap::new();
    for spec in &manifest.inputs {
        let refuse = |reason: String| {
            Failure::usage("samples-mismatch", format!("{}: {reason}", path.display()))
        };
        let name = &spec.name;
        let array = content.array(name, only).ok_or_else(|| {
            refuse(format!("there is no array for input {name:?}"))
                .hint("name the array after the input, or `x` for a model's only input")
        })?;
        let count = spec.shape.iter().product();
        let values = array.all_samples(count).ok_or_else(|| {
            refuse(format!(
                "the array for input {name:?} has shape {:?}; a sample has {count} numbers",
                array.shape
            ))
        })?;
        inputs.insert(name.clone(), values);
    }
    Ok(Samples {
        inputs,
        labels: content.labels(),
    })
}

fn conclude(
    report: &Report,
    args: &AuditArgs,
    elapsed: f64,
    output: Output,
) -> Result<(), Failure> {
    let folder = args.report.as_path();
    let object = summary(report, folder, elapsed);
    if report.outcome == Outcome::Failed {
        let failed = || report.findings.iter().filter(|f| f.status == Status::Fail);
        let count = failed().count();
        let verb = if count == 1 {
            "finding fails"
        } else {
            "findings fail"
        };
        let message = format!("{count} {verb}; the report is in {}", folder.display());
        let mut failure = Failure::new(Exit::Rejected, "audit-failed", message);
        failure.causes = failed().map(line).collect();
        return Err(failure.member("audit", object));
    }
    let open = || {
        let findings = report.findings.iter();
        findings.filter(|f| f.status == Status::NotChecked)
    };
    if args.strict && report.outcome == Outcome::Incomplete {
        let message = format!(
            "nothing fails, but {} of {} questions could not be answered; the report is in {}",
            report.count(Status::NotChecked),
            report.findings.len(),
            folder.display()
        );
        let mut failure = Failure::new(Exit::Rejected, "audit-incomplete", message)
            .hint("give what the report asks for, or audit without --strict");
        failure.causes = open().map(line).collect();
        return Err(failure.member("audit", object));
    }
    let mut lines = vec![format!(
        "{}: {} of {} questions hold, {} could not be checked ({})",
        report.outcome.name(),
        report.count(Status::Pass),
        report.findings.len(),
        report.count(Status::NotChecked),
        seconds(elapsed)
    )];
    lines.push(format!(
        "receipts   {} given, {} verify, {} computed again",
        grouped(report.receipts.given as u64),
        grouped(report.receipts.accepted as u64),
        grouped(report.samples.computed as u64)
    ));
    for finding in open() {
        lines.push(format!("not checked  {}", line(finding)));
        if let Some(remedy) = &finding.remedy {
            lines.push(format!("             → {remedy}"));
        }
    }
    lines.extend(
        report
            .not_proven
            .iter()
            .map(|sentence| format!("not proven   {sentence}")),
    );
    lines.push(format!("report     {}", folder.join(HTML).display()));
    output.result(&object, &lines.join("\n"))
}

fn line(finding: &Finding) -> String {
    let culprits = match finding.culprits.as_slice() {
        [] => String::new(),
        [first, ..] => format!(
            " ({} in all, first {}: {})",
            finding.culprits_total, first.source, first.reason
        ),
    };
    format!("{}: {}{culprits}", finding.id.id(), finding.meaning)
}

/// What programs get on stdout; the whole report is in the file.
fn summary(report: &Report, folder: &Path, elapsed: f64) -> Value {
    let ids = |status| -> Vec<&str> {
        let findings = report
            .findings
            .iter()
            .filter(|finding| finding.status == status);
        findings.map(|finding| finding.id.id()).collect()
    };
    json!({
        "outcome": report.outcome,
        "package_digest": report.package.digest,
        "pass": ids(Status::Pass),
        "fail": ids(Status::Fail),
        "not_checked": ids(Status::NotChecked),
        "receipts": report.receipts,
        "samples": report.samples,
        "not_proven": report.not_proven,
        "report_json": folder.join(JSON),
        "report_html": folder.join(HTML),
        "seconds": elapsed,
    })
}

impl Fail for AuditError {
    fn fail(&self) -> Failure {
        match self {
            Self::Package(error) => error.fail(),
            Self::Unreadable { .. } => Failure::of(Exit::Environment, self.code(), self),
            _ => Failure::of(Exit::Usage, self.code(), self),
        }
    }
}
