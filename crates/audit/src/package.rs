//! Step 1: the package's files.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use proofmark_package::{ATTESTATIONS_FOLDER, Package, PackageError, read_bounded};
use proofmark_prover::key_file;
use proofmark_types::Digest;
use proofmark_types::manifest::{MANIFEST_FILE, MAX_MANIFEST_BYTES, Manifest, ModelFile, Sealed};
use proofmark_validation::{TranslationReport, check_report};
use proofmark_verifier::check_attestation;

use crate::Request;
use crate::check::Check;
use crate::error::AuditError;
use crate::finding::{Culprit, Finding, Findings};
use crate::report::PackageSummary;

/// A package's folder, as far as it can be read.
pub(crate) struct Opened {
    pub(crate) summary: PackageSummary,
    /// The package and what `setup` recorded, when the manifest is one of a sealed package.
    pub(crate) package: Option<(Package, Sealed)>,
}

pub(crate) fn check(request: &Request, findings: &mut Findings) -> Result<Opened, AuditError> {
    let path = request.package.join(MANIFEST_FILE);
    let digest = Digest::of(&read_bounded(&path, MAX_MANIFEST_BYTES as u64)?);
    findings.add(pinned(request.pinned, digest));
    let package = match Package::open(&request.package) {
        Ok(package) => package,
        Err(PackageError::Manifest { source, .. }) => {
            findings.add(
                Finding::fail(
                    Check::PackageManifest,
                    "The manifest is not in its strict form, so that nothing says which model, \
                     circuit and keys the package claims to be. No software of Proofmark wrote it \
                     like this.",
                )
                .remedy("ask for the package again, byte for byte as it was sealed")
                .evidence("reason", source),
            );
            return Ok(Opened {
                summary: PackageSummary::unreadable(digest),
                package: None,
            });
        }
        Err(error) => return Err(error.into()),
    };
    let summary = PackageSummary::of(digest, package.manifest());
    let Some(sealed) = package.manifest().sealed.clone() else {
        findings.add(
            Finding::fail(
                Check::PackageManifest,
                "The package is a draft: it has no keys, so no receipt can be of it.",
            )
            .remedy("ask for the sealed package"),
        );
        return Ok(Opened {
            summary,
            package: None,
        });
    };
    findings.add(
        Finding::pass(
            Check::PackageManifest,
            "The manifest is in its strict form and names a circuit and keys.",
        )
        .evidence("format", &package.manifest().format),
    );
    findings.add(files(&package, &sealed));
    findings.add(translation(&package, &sealed));
    Ok(Opened {
        summary,
        package: Some((package, sealed)),
    })
}

fn pinned(pinned: Option<Digest>, got: Digest) -> Finding {
    let check = Check::PackagePinned;
    match pinned {
        Some(pinned) if pinned == got => Finding::pass(
            check,
            "The manifest has the digest that you pinned, so this is the package that you mean.",
        ),
        Some(pinned) => Finding::fail(
            check,
            "This is another package than the one you pinned: another model, circuit, key or \
             version. Whatever this audit finds is about this package, not about yours.",
        )
        .remedy("ask for the package with the pinned digest, or find out why it was replaced")
        .evidence("pinned", pinned),
        None => Finding::not_checked(
            check,
            "You pinned no digest, so this audit is of whatever package lies in the folder. A \
             package proves only itself.",
            "get the digest from those who rely on the service and give it with --package-digest",
        ),
    }
    .evidence("digest", got)
}

/// Every file that the manifest names.
fn records<'m>(manifest: &'m Manifest, sealed: &'m Sealed) -> Vec<(&'static str, &'m ModelFile)> {
    let mut records = vec![("integer model", &manifest.integer_model)];
    records.extend(
        manifest
            .float_model
            .iter()
            .map(|file| ("float model", file)),
    );
    records.extend(
        manifest
            .translation
            .iter()
            .map(|file| ("translation report", file)),
    );
    records.extend([
        ("verifying key", &sealed.verifying_key),
        ("proving key", &sealed.proving_key),
        ("setup transcript", &sealed.transcript),
    ]);
    records
}

fn files(package: &Package, sealed: &Sealed) -> Finding {
    let check = Check::PackageFiles;
    let (mut same, mut missing, mut culprits) = (Vec::new(), Vec::new(), Vec::new());
    for (what, record) in records(package.manifest(), sealed) {
        let path = package.path_of(&record.file);
        if !path.exists() {
            missing.push(format!("{what} ({})", record.file));
            continue;
        }
        let culprit = |code: &str, reason| Culprit {
            source: record.file.clone(),
            receipt: None,
            code: code.to_owned(),
            reason,
        };
        match (key_file::digest(&path), package.file_bytes(&record.file)) {
            (Ok(got), Ok(bytes)) if got == record.digest && bytes == record.bytes => {
                same.push(what);
            }
            (Ok(got), _) => culprits.push(culprit(
                "package-file-digest",
                format!(
                    "the {what} has digest {got}, the manifest says {}",
                    record.digest
                ),
            )),
            (Err(error), _) => culprits.push(culprit(error.code(), error.to_string())),
        }
    }
    let finding = if !culprits.is_empty() {
        Finding::fail(
            check,
            "A file in the folder is not the one that was sealed: the model, a key or a report was \
             changed or exchanged afterwards. Receipts speak of the sealed files, not of these.",
        )
        .remedy("ask for the files that the manifest describes")
        .culprits(culprits)
    } else if missing.is_empty() {
        Finding::pass(
            check,
            "Every file has the digest and the length that the manifest states.",
        )
    } else {
        Finding::not_checked(
            check,
            "Files that the manifest names are not in the folder, as with a model that is kept \
             closed. What they hold is not known here.",
            "ask the operator for the missing files; their digests stand in the manifest",
        )
    };
    let finding = finding.evidence("as the manifest states", list(&same));
    let finding = if missing.is_empty() {
        finding
    } else {
        finding.evidence("missing", missing.join(", "))
    };
    let finding = match attestations(package) {
        Some(said) => finding.evidence("attestations", said),
        None => finding,
    };
    match unnamed(package.folder(), package.manifest(), sealed) {
        Some(others) => finding.evidence("in the folder and bound by nothing", others),
        None => finding,
    }
}

fn list(parts: &[&str]) -> String {
    if parts.is_empty() {
        "none".to_owned()
    } else {
        parts.join(", ")
    }
}

/// What lies among the attestations: nothing rests on it here, where all is derived again.
fn attestations(package: &Package) -> Option<String> {
    let files = match package.attestations() {
        Ok(files) => files,
        Err(error) => return Some(error.to_string()),
    };
    let said: Vec<String> = files
        .iter()
        .map(
            |(file, bytes)| match check_attestation(bytes, package.digest(), package.manifest()) {
                Ok(signed) => format!("{file}: by auditor {}", signed.key_id()),
                Err(rejection) => format!("{file}: does not hold ({})", rejection.code()),
            },
        )
        .collect();
    (!said.is_empty()).then(|| said.join(", "))
}

/// Files of the folder that the manifest does not name.
fn unnamed(folder: &Path, manifest: &Manifest, sealed: &Sealed) -> Option<String> {
    let named: BTreeSet<&str> = records(manifest, sealed)
        .into_iter()
        .map(|(_, record)| record.file.as_str())
        .chain([MANIFEST_FILE, ATTESTATIONS_FOLDER])
        .collect();
    let others: BTreeSet<String> = fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
        .filter(|name| !named.contains(name.as_str()))
        .collect();
    let others: Vec<&str> = others.iter().map(String::as_str).collect();
    (!others.is_empty()).then(|| others.join(", "))
}

fn translation(package: &Package, sealed: &Sealed) -> Finding {
    let check = Check::PackageTranslation;
    let manifest = package.manifest();
    let Some(record) = &manifest.translation else {
        return Finding::not_checked(
            check,
            "The package has no report of a comparison between ONNX Runtime and the circuit's \
             arithmetic: it was sealed before there was one.",
            "ask the operator to run `proofmark setup` again with this version",
        );
    };
    if !package.path_of(&record.file).exists() {
        return Finding::not_checked(
            check,
            "The report of the comparison is not in the folder.",
            "ask the operator for it",
        );
    }
    let report = package
        .read(record)
        .map_err(|error| error.to_string())
        .and_then(|bytes| TranslationReport::parse(&bytes).map_err(|error| error.to_string()))
        .and_then(|report| {
            let (model, circuit) = (manifest.integer_model.digest, sealed.circuit.digest);
            check_report(&report, model, circuit).map_err(|error| error.to_string())?;
            if report.runtime == manifest.runtime {
                Ok(report)
            } else {
                Err("the report is of another version of the runtime".to_owned())
            }
        });
    match report {
        Ok(report) => {
            let totals = report.totals();
            Finding::pass(
                check,
                "When the package was made, ONNX Runtime and the circuit's arithmetic were \
                 compared on this model and none of the integers differed.",
            )
            .evidence("integers compared", totals.compared)
            .evidence("thresholds", totals.thresholds)
            .evidence("table entries", totals.table_entries)
        }
        Err(reason) => Finding::fail(
            check,
            "The report that is to show that ONNX Runtime computes what the circuit proves is not \
             about this model and circuit.",
        )
        .remedy("ask the operator to run `proofmark setup` again")
        .evidence("reason", reason),
    }
}
