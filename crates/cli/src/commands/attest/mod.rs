//! `proofmark attest`: an auditor signs what an audit found, for those who see no more of a package
//! than its public files.

mod report;

use std::fs;
use std::path::{Path, PathBuf};

use clap::{ArgGroup, Args};
use ed25519_dalek::SigningKey;
use proofmark_log::load_or_create_key;
use proofmark_package::Package;
use proofmark_prover::key_file;
use proofmark_types::Digest;
use proofmark_types::attestation::{
    Attestation, AttestationError, CheckStatus, SignedAttestation, Subjects,
};
use proofmark_types::manifest::Sealed;
use proofmark_verifier::check_attestation;
use proofmark_verify::{Exit, Failure, bytes_to_hex};
use serde_json::json;

use self::report::AuditReport;
use crate::commands::write;
use crate::failures::OrFail as _;
use crate::output::Output;

#[derive(Debug, Args)]
#[command(group(ArgGroup::new("signer").required(true).args(["key", "new_key"])))]
pub(crate) struct AttestArgs {
    /// Folder of the audit's report, as `proofmark audit --report` made it
    #[arg(value_name = "REPORT_DIR")]
    pub(crate) report: PathBuf,
    /// Folder of the package that was audited, with all that the operator keeps
    #[arg(long, value_name = "DIR")]
    pub(crate) package: PathBuf,
    /// Your key: a file that only you can read, as --new-key makes it
    #[arg(long, value_name = "FILE")]
    pub(crate) key: Option<PathBuf>,
    /// Make a key, keep it in this new file, and sign with it
    #[arg(long, value_name = "FILE")]
    pub(crate) new_key: Option<PathBuf>,
    /// What you say of the package in your own words, on one line of at most 4096 bytes
    #[arg(long, value_name = "TEXT")]
    pub(crate) statement: String,
    /// Where to write the attestation; a new file, PACKAGE/attestations/NAME.json to have it served
    #[arg(long, value_name = "FILE")]
    pub(crate) out: PathBuf,
}

pub(crate) fn run(args: &AttestArgs, output: Output) -> Result<(), Failure> {
    if args.out.exists() {
        return Err(unwritable(&args.out, "it exists"));
    }
    let report = AuditReport::read(&args.report)?;
    let package = Package::open(&args.package).or_fail()?;
    let sealed = package.sealed().or_fail()?;
    let bars = output.bars();
    let spinner = bars.spinner("comparing files");
    check_files(&package, sealed)?;
    drop(spinner);
    let digest = package.digest();
    let manifest = package.manifest();
    let subjects = Subjects::of(digest, manifest)
        .ok_or_else(|| report::mismatch("the package is a draft".to_owned()))?;
    let mut attestation = Attestation {
        subjects,
        setup_kind: report.check_package(&subjects, sealed.setup_kind)?,
        checks: report.checks()?,
        report: report.digest,
        software: report.software.clone(),
        receipts: report.receipts(),
        samples: report.samples,
        statement: args.statement.clone(),
        audited_at: report.audited_at,
        auditor: [0; 32],
    };
    // What cannot be attested is refused before a key is made for it.
    attestation.to_payload().map_err(|error| refused(&error))?;
    let key = signing_key(args)?;
    attestation.auditor = key.verifying_key().to_bytes();
    let signed = SignedAttestation::sign(attestation, &key).map_err(|error| refused(&error))?;
    let bytes = signed.to_bytes().map_err(|error| refused(&error))?;
    check_attestation(&bytes, digest, manifest)?;
    if let Some(folder) = args.out.parent() {
        fs::create_dir_all(folder).map_err(|error| unwritable(&args.out, &error.to_string()))?;
    }
    write(&args.out, &bytes)?;
    conclude(args, &signed, digest, output)
}

/// Every file of the package is the one that its manifest describes; only the float model and the
/// translation report may be missing, of which nothing is attested.
fn check_files(package: &Package, sealed: &Sealed) -> Result<(), Failure> {
    let manifest = package.manifest();
    let optional = [&manifest.float_model, &manifest.translation];
    let present = |file: &str| package.path_of(file).exists();
    let given = optional
        .into_iter()
        .flatten()
        .filter(|record| present(&record.file));
    let needed = [
        &manifest.integer_model,
        &sealed.verifying_key,
        &sealed.transcript,
    ];
    for record in needed.into_iter().chain(given) {
        package.read(record).or_fail()?;
    }
    // It may be larger than memory.
    let record = &sealed.proving_key;
    package.check_length(record).or_fail()?;
    let got = key_file::digest(&package.path_of(&record.file))
        .map_err(|error| Failure::of(Exit::Environment, error.code(), &error))?;
    if got != record.digest {
        let message = format!(
            "{} has digest {got}, the manifest says {}",
            record.file, record.digest
        );
        return Err(Failure::new(Exit::Rejected, "package-file-digest", message)
            .hint("ask the operator for the file that was sealed, and audit that"));
    }
    Ok(())
}

/// The auditor's key: a file like that of the service's key.
fn signing_key(args: &AttestArgs) -> Result<SigningKey, Failure> {
    let (path, made) = match (&args.key, &args.new_key) {
        (Some(path), _) => (path, false),
        (None, Some(path)) => (path, true),
        (None, None) => return Err(Failure::usage("auditor-key", "give --key or --new-key")),
    };
    let unusable = |reason: String| {
        let message = format!("the auditor's key in {} is not usable", path.display());
        let mut failure = Failure::environment("auditor-key", message);
        failure.causes.push(reason);
        failure
    };
    match (made, path.exists()) {
        (true, true) => {
            return Err(unusable("the file exists already".to_owned())
                .hint("sign with the key in it with --key, or choose a new name"));
        }
        (false, false) => {
            return Err(unusable("there is no such file".to_owned())
                .hint("--new-key FILE makes a key and signs with it"));
        }
        _ => {}
    }
    load_or_create_key(path).map_err(|error| unusable(error.to_string()))
}

fn refused(error: &AttestationError) -> Failure {
    let exit = match error {
        AttestationError::Value { field: "statement" } => Exit::Usage,
        _ => Exit::Rejected,
    };
    Failure::of(exit, error.code(), error)
}

fn unwritable(path: &Path, reason: &str) -> Failure {
    let message = format!("cannot write {}", path.display());
    let mut failure = Failure::environment("file-unwritable", message);
    failure.causes.push(reason.to_owned());
    failure.hint("an attestation is never written over another; choose a new name")
}

fn conclude(
    args: &AttestArgs,
    signed: &SignedAttestation,
    package: Digest,
    output: Output,
) -> Result<(), Failure> {
    let attestation = signed.attestation();
    let key = bytes_to_hex(&attestation.auditor);
    let ids = |status| attestation.with_status(status).collect::<Vec<_>>();
    let (passed, open) = (ids(CheckStatus::Pass), ids(CheckStatus::NotChecked));
    let object = json!({
        "attestation_file": args.out,
        "attestation_id": signed.id(),
        "auditor_key": key,
        "auditor_key_id": signed.key_id(),
        "package_digest": package,
        "report": attestation.report,
        "pass": passed,
        "not_checked": open,
    });
    let mut lines = vec![
        format!("attested   {package}"),
        format!(
            "checks     {} hold, {} were not made",
            passed.len(),
            open.len()
        ),
    ];
    if !open.is_empty() {
        lines.push(format!("not made   {}", open.join(", ")));
    }
    lines.extend([
        format!("your key   {key}"),
        format!("written    {}", args.out.display()),
        "Recipients give it with --attestation, and your key, from a source that they trust, with \
         --auditor-key."
            .to_owned(),
    ]);
    output.result(&object, &lines.join("\n"))
}
