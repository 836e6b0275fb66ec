//! The audit: from a package and any number of its receipts, with no access to the service that
//! made them, everything is derived again and compared. [`audit`] answers one question a
//! [`Check`] and leaves none out: what could not be found out is said to be *not checked*, with
//! what to do about it. The [`Report`] is data; [`html`] shows it to people.
//!
//! | step | module | derives |
//! | --- | --- | --- |
//! | package | `package` | digests of all files |
//! | circuit | `circuit` | the circuit, from the integer model |
//! | setup | `setup`, `ceremony` | what the keys, the transcript, the circuit and the powers of tau say of each other |
//! | receipts | `receipts`, `openings`, `conduct` | public inputs, proofs (one batch), signatures; hidden values; replays, contradictions and times |
//! | log | `log` | inclusion, consistency, cosignatures, revocations |
//! | samples | `samples` | outputs of some receipts, in ONNX Runtime and in the evaluator |
//! | accuracy | `accuracy` | float and integer model on the auditor's data |
//!
//! Nothing that is audited is trusted: package, receipts and log come from the operator. The clock
//! and the randomness are the caller's, so that the same request gives the same report.
#![forbid(unsafe_code)]

mod accuracy;
mod ceremony;
mod check;
mod circuit;
mod conduct;
mod error;
mod finding;
mod html;
mod log;
mod openings;
mod package;
mod plots;
mod receipts;
mod report;
mod samples;
mod setup;

use std::path::PathBuf;

use proofmark_quantizer::Samples;
use proofmark_types::Digest;

pub use accuracy::{Accuracy, DEFAULT_ACCURACY_LOSS};
pub use check::{Check, Step};
pub use conduct::FIRST_RECEIPTS;
pub use error::AuditError;
pub use finding::{Culprit, Evidence, Finding, MAX_CULPRITS, Status};
pub use html::html;
pub use log::LogEvidence;
pub use proofmark_engine::{NoProgress, Progress};
pub use proofmark_log::tlog::{Policy, VerifierKey};
pub use report::{
    DayCount, Outcome, PackageSummary, REPORT_FORMAT, ReceiptsSummary, Report, SamplesSummary,
    SignerCount, Software,
};

use crate::finding::Findings;
use crate::log::Log;

/// What is to be audited, and with what.
#[derive(Debug, Clone)]
pub struct Request {
    /// Folder of the package.
    pub package: PathBuf,
    /// Digest that its manifest must have.
    pub pinned: Option<Digest>,
    /// Raw Ed25519 public keys of the services that the auditor trusts; empty when none is known.
    pub signers: Vec<[u8; 32]>,
    /// Files of receipts, and folders whose `*.json` files are receipts.
    pub receipts: Vec<PathBuf>,
    /// Openings of hidden inputs and outputs: files, and folders whose `*.openings` files are some.
    /// Those of the receipt `NAME.json` are `NAME.openings` or `NAME.json.openings`.
    pub openings: Vec<PathBuf>,
    /// Unix seconds before which there was no such package, as far as the auditor knows.
    pub not_before: Option<u64>,
    /// The powers of tau that a ceremony's keys began from: a `.ptau` file, from a source that the
    /// auditor trusts no more than the operator; it is verified.
    pub phase1: Option<PathBuf>,
    /// Hashes of contributions that must be part of the keys, as their makers published them.
    pub contributions: Vec<Vec<u8>>,
    /// What the auditor has of the transparency log.
    pub log: Option<LogEvidence>,
    /// How many receipts to compute again, at most.
    pub samples: usize,
    /// Data of the auditor's own to compare both models on.
    pub data: Option<Data>,
    /// Chooses the samples. Drawn at random it cannot be foreseen by whoever made the receipts.
    pub seed: [u8; 32],
    /// Unix seconds of the audit.
    pub now: u64,
}

/// Data of the auditor's own.
#[derive(Debug, Clone)]
pub struct Data {
    /// The float model; `None` for the package's.
    pub float_model: Option<PathBuf>,
    /// The samples, with labels where accuracy is to be known.
    pub samples: Samples,
    /// Largest accuracy that the integer model may lose against the float model, 0 to 1.
    pub max_loss: f64,
}

/// Audits a package and receipts.
///
/// # Errors
/// [`AuditError`] when a file that the auditor named cannot be read. Everything else, however
/// broken, is a finding of the report.
pub fn audit(request: &Request, progress: &dyn Progress) -> Result<Report, AuditError> {
    let mut findings = Findings::default();
    let mut report = Report::new(request);
    let steps = u64::try_from(Step::ALL.len()).unwrap_or(u64::MAX);
    let mut step = 0;
    let mut next = || {
        progress.stage("auditing", step, steps);
        step += 1;
    };

    next();
    let log = Log::open(request)?;
    let opened = package::check(request, &mut findings)?;
    report.package = opened.summary;
    if let Some((package, sealed)) = opened.package {
        next();
        let compiled = circuit::check(&package, &sealed, &mut findings);
        let circuit = compiled.as_ref().and_then(|compiled| {
            let circuit = compiled.circuit.as_ref()?;
            Some((&compiled.plan, circuit))
        });
        next();
        // A key that the log shows to be the service's is as good as the pinned one.
        let mut signers = request.signers.clone();
        if !signers.is_empty() {
            signers.extend(log.iter().flat_map(Log::service_keys));
        }
        let trusted = setup::check(
            request,
            signers,
            &package,
            &sealed,
            circuit,
            progress,
            &mut findings,
        );
        next();
        let receipts = receipts::check(request, trusted.as_ref(), &mut findings)?;
        conduct::check(request, &receipts, &mut findings);
        next();
        let digest = package.digest();
        let subject = log::Subjects::of(digest, &sealed);
        log::check(request, log.as_ref(), &subject, &receipts, &mut findings);
        next();
        let samples = samples::check(
            request,
            &package,
            compiled.as_ref(),
            &receipts,
            &mut findings,
        );
        next();
        let accuracy = accuracy::check(request, &package, &mut findings)?;
        report.limits(trusted.as_ref(), &receipts);
        report.summarize(&receipts, samples, accuracy);
    }
    progress.stage("auditing", steps, steps);
    report.conclude(findings.finish());
    Ok(report)
}
