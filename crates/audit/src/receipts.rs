//! Step 4, first half: the receipts one by one, and their proofs as one batch.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read as _;
use std::path::{Path, PathBuf};

use proofmark_types::Digest;
use proofmark_types::receipt::{MAX_ENVELOPE_BYTES, Opening};
use proofmark_verifier::{Expectations, Rejection, SignatureVerdict, TrustedPackage, Verdict};
use rayon::prelude::*;

use crate::Request;
use crate::check::Check;
use crate::error::AuditError;
use crate::finding::{Culprit, Finding, Findings};
use crate::openings;

/// Most bytes of receipts that are held together: their proofs are one batch.
const MAX_TOTAL_BYTES: u64 = 4 << 30;

/// A receipt that verifies.
pub(crate) struct Accepted {
    /// The file that it came from.
    pub(crate) source: String,
    /// Its place among those given.
    pub(crate) position: usize,
    /// SHA-256 of the envelope's bytes, which a log's entry names.
    pub(crate) envelope: Digest,
    /// What was found.
    pub(crate) verdict: Verdict,
    /// Openings of its hidden tensors that fit.
    pub(crate) openings: Vec<Opening>,
}

/// All receipts of the audit.
#[derive(Default)]
pub(crate) struct Receipts {
    /// How many were given.
    pub(crate) given: usize,
    /// Receipts given more than once, the first time not counted.
    pub(crate) copies: usize,
    /// Those that verify, without copies, in the order in which they were given.
    pub(crate) accepted: Vec<Accepted>,
    /// Those that do not.
    pub(crate) rejected: usize,
    /// SHA-256 of every file given, whether it verifies or not.
    pub(crate) envelopes: BTreeSet<Digest>,
}

/// The checks that only concern receipts.
const CHECKS: &[Check] = &[
    Check::ReceiptsForm,
    Check::ReceiptsPackage,
    Check::ReceiptsSignature,
    Check::ReceiptsSigner,
    Check::ReceiptsProof,
    Check::ReceiptsUnique,
    Check::ReceiptsAgree,
    Check::ReceiptsOpenings,
    Check::ReceiptsDeadline,
    Check::ReceiptsTime,
];

pub(crate) fn check(
    request: &Request,
    trusted: Option<&TrustedPackage>,
    findings: &mut Findings,
) -> Result<Receipts, AuditError> {
    let mut sources = Vec::new();
    for path in &request.receipts {
        files(path, "json", &mut sources)?;
    }
    if sources.is_empty() {
        findings.not_reached(
            CHECKS,
            if request.receipts.is_empty() {
                "No receipts were given: this audit is of the package alone."
            } else {
                "The folders that were given hold no receipts: none of their files is named *.json."
            },
            "give the receipts, files or folders of *.json files, with --receipts",
        );
        return Ok(Receipts::default());
    }
    let given = sources.len();
    let Some(trusted) = trusted else {
        findings.not_reached(
            CHECKS,
            "Without a sound verifying key no receipt can be checked.",
            "see the findings about the verifying key",
        );
        return Ok(Receipts {
            given,
            ..Receipts::default()
        });
    };
    let envelopes = read_all(&sources)?;
    let verdicts = trusted.verify_many(&envelopes, &Expectations::default());
    let mut receipts = Receipts {
        given,
        ..Receipts::default()
    };
    let mut culprits: BTreeMap<Check, Vec<Culprit>> = BTreeMap::new();
    let digests: Vec<Digest> = envelopes
        .par_iter()
        .map(|envelope| Digest::of(envelope))
        .collect();
    let judgements = sources.iter().zip(digests).zip(verdicts).enumerate();
    for (position, ((source, envelope), verdict)) in judgements {
        let source = source.display().to_string();
        let new = receipts.envelopes.insert(envelope);
        match verdict {
            // Of the same bytes only: one statement signed twice is two answers to one request.
            Ok(_) if !new => receipts.copies += 1,
            Ok(verdict) => receipts.accepted.push(Accepted {
                source,
                position,
                envelope,
                verdict,
                openings: Vec::new(),
            }),
            Err(rejection) => {
                receipts.rejected += 1;
                culprits
                    .entry(blamed(&rejection))
                    .or_default()
                    .push(Culprit {
                        source,
                        receipt: None,
                        code: rejection.code().to_owned(),
                        reason: rejection.to_string(),
                    });
            }
        }
    }
    // A receipt is judged up to the first check that it fails: later ones say nothing of it.
    let mut judged = given;
    for (check, passed, failed, remedy) in VERDICTS {
        let culprits = culprits.remove(check).unwrap_or_default();
        let failing = culprits.len();
        let finding = if failing > 0 {
            Finding::fail(*check, *failed)
                .remedy(*remedy)
                .culprits(culprits)
        } else if judged == 0 {
            Finding::not_checked(
                *check,
                "No receipt came as far as this check: all of them fail an earlier one.",
                "see the findings about the receipts that fail",
            )
        } else if judged < given {
            let left = format!("Of the {judged} of {given} receipts that came this far: {passed}");
            Finding::pass(*check, left)
        } else {
            Finding::pass(*check, *passed)
        };
        findings.add(
            finding
                .evidence("receipts given", given)
                .evidence("receipts that came to this check", judged)
                .evidence("receipts that pass it", judged.saturating_sub(failing)),
        );
        judged = judged.saturating_sub(failing);
    }
    openings::check(request, trusted, &envelopes, &mut receipts, findings)?;
    findings.add(signers(request, &receipts));
    Ok(receipts)
}

/// For each check: what it means when all receipts pass, what when some do not, and what to do.
const VERDICTS: &[(Check, &str, &str, &str)] = &[
    (
        Check::ReceiptsForm,
        "Every receipt reads, and is byte for byte what its content encodes to: nobody can show \
         two readers two versions of one.",
        "These files are no receipts in their one form: damaged, cut, edited after they were made, \
         with a signature added or taken away, or made by other software. They prove nothing.",
        "ask for them again, byte for byte as the service stored them",
    ),
    (
        Check::ReceiptsPackage,
        "Every receipt names this package, its model, circuit, verifying key, setup and runtime.",
        "These receipts are of another package, model, circuit or key. Whatever they prove, it is \
         not that this model gave these outputs.",
        "ask the operator why they are presented for this package; audit them with their own",
    ),
    (
        Check::ReceiptsSignature,
        "Every signature is that of the key that the receipt names.",
        "The signature of these receipts is wrong: they were changed after they were signed, or \
         nobody who holds the key signed them. The service is not bound by them.",
        "ask for them again; if they come the same, the operator does not stand by them",
    ),
    (
        Check::ReceiptsProof,
        "Every proof verifies for the inputs, outputs and context that stand in its receipt: the \
         model computed exactly these outputs from exactly these inputs. All proofs were verified \
         as one batch whose weights are a hash of the key and of every statement and proof in it, \
         so that no proof could be chosen to make up for another.",
        "The proof of these receipts does not verify for the inputs, outputs and context in them: \
         the operator shows a result that the model did not give, or altered it afterwards, and \
         signed it all the same.",
        "treat these results as made up, and ask the operator to account for them",
    ),
];

/// The check that a rejection answers.
fn blamed(rejection: &Rejection) -> Check {
    match rejection {
        Rejection::Receipt(error) if error.code() == "signature-invalid" => {
            Check::ReceiptsSignature
        }
        Rejection::PackageNotPinned { .. }
        | Rejection::ModelMismatch { .. }
        | Rejection::CircuitMismatch { .. }
        | Rejection::VerifyingKeyMismatch { .. }
        | Rejection::SetupMismatch { .. }
        | Rejection::RuntimeMismatch
        | Rejection::TensorMismatch { .. }
        | Rejection::Statement(_)
        | Rejection::ProofSystemMismatch { .. } => Check::ReceiptsPackage,
        Rejection::ProofMalformed { .. }
        | Rejection::PublicInputNotCanonical { .. }
        | Rejection::ProofInvalid => Check::ReceiptsProof,
        _ => Check::ReceiptsForm,
    }
}

fn signers(request: &Request, receipts: &Receipts) -> Finding {
    let check = Check::ReceiptsSigner;
    let unknown = receipts.accepted.iter().filter_map(|accepted| {
        let SignatureVerdict::ValidUnpinned { key_id } = accepted.verdict.signature else {
            return None;
        };
        Some(Culprit {
            source: accepted.source.clone(),
            receipt: Some(accepted.verdict.receipt_id),
            code: "signer-mismatch".to_owned(),
            reason: format!("signed by key {key_id}"),
        })
    });
    let unknown: Vec<Culprit> = unknown.collect();
    let finding = if request.signers.is_empty() {
        Finding::not_checked(
            check,
            "You named no service key. The proofs stand without one; who made the receipts, when \
             and with which software is then a claim of nobody in particular.",
            "give the service's public key with --service-key",
        )
    } else if receipts.accepted.is_empty() {
        Finding::not_checked(
            check,
            "No receipt verifies, so there is no signer to judge.",
            "see the findings about the receipts that fail",
        )
    } else if unknown.is_empty() {
        Finding::pass(
            check,
            "Every receipt that verifies was signed by a service key that you named.",
        )
    } else {
        Finding::fail(
            check,
            "These receipts are signed by a key that you did not name: by somebody else, or by the \
             service with a key that it did not tell you about.",
        )
        .remedy("ask the operator whose key it is; a rotation of keys stands in the log")
        .culprits(unknown)
    };
    let mut counts: BTreeMap<Digest, usize> = BTreeMap::new();
    for accepted in &receipts.accepted {
        *counts.entry(signer(&accepted.verdict)).or_default() += 1;
    }
    counts.into_iter().fold(finding, |finding, (key, count)| {
        finding.evidence(&format!("receipts signed by {key}"), count)
    })
}

/// Id of the key that signed.
pub(crate) const fn signer(verdict: &Verdict) -> Digest {
    match verdict.signature {
        SignatureVerdict::ValidPinned { key_id } | SignatureVerdict::ValidUnpinned { key_id } => {
            key_id
        }
    }
}

/// A file, or the files of a folder with this extension in the order of their names.
pub(crate) fn files(
    path: &Path,
    extension: &str,
    into: &mut Vec<PathBuf>,
) -> Result<(), AuditError> {
    let refuse = |source| AuditError::unreadable(path, source);
    if !fs::metadata(path).map_err(refuse)?.is_dir() {
        into.push(path.to_owned());
        return Ok(());
    }
    let mut found = Vec::new();
    for entry in fs::read_dir(path).map_err(refuse)? {
        let entry = entry.map_err(refuse)?;
        let hidden = entry.file_name().to_string_lossy().starts_with('.');
        let entry = entry.path();
        let named = entry.extension().is_some_and(|found| found == extension);
        if named && !hidden && entry.is_file() {
            found.push(entry);
        }
    }
    found.sort();
    into.append(&mut found);
    Ok(())
}

fn read_all(sources: &[PathBuf]) -> Result<Vec<Vec<u8>>, AuditError> {
    let sizes = sources.par_iter().map(|path| {
        let metadata = fs::metadata(path).map_err(|source| AuditError::unreadable(path, source))?;
        Ok(metadata.len())
    });
    let sizes: Vec<u64> = sizes.collect::<Result<_, AuditError>>()?;
    // Of a file that is too long for a receipt no more is read than shows that.
    let longest = u64::try_from(MAX_ENVELOPE_BYTES).unwrap_or(u64::MAX);
    let total = sizes.iter().fold(0_u64, |sum, size| {
        sum.saturating_add((*size).min(longest.saturating_add(1)))
    });
    if total > MAX_TOTAL_BYTES {
        return Err(AuditError::TooMany {
            limit: MAX_TOTAL_BYTES,
        });
    }
    sources.par_iter().map(|path| read(path)).collect()
}

/// Reads a file up to one byte more than a receipt may have: what is longer is no receipt.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, AuditError> {
    read_up_to(path, u64::try_from(MAX_ENVELOPE_BYTES).unwrap_or(u64::MAX))
}

/// Reads a file up to one byte more than it may have.
pub(crate) fn read_up_to(path: &Path, limit: u64) -> Result<Vec<u8>, AuditError> {
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(limit.saturating_add(1)).read_to_end(&mut bytes))
        .map_err(|source| AuditError::unreadable(path, source))?;
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use proofmark_types::receipt::ReceiptError;

    use super::*;

    #[test]
    fn a_folder_gives_its_json_files_by_name_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.json", ".hidden.json", "a.tlog-proof", "c.JSON"] {
            fs::write(folder.path().join(name), name).unwrap();
        }
        fs::create_dir(folder.path().join("d.json")).unwrap();
        let mut found = Vec::new();
        files(folder.path(), "json", &mut found).unwrap();
        files(&folder.path().join("a.tlog-proof"), "json", &mut found).unwrap();
        let names: Vec<&str> = found
            .iter()
            .filter_map(|path| path.file_name()?.to_str())
            .collect();
        assert_eq!(names, ["a.json", "b.json", "a.tlog-proof"]);
        assert_eq!(read_all(&found).unwrap()[1], b"b.json");
        let missing = folder.path().join("missing");
        let error = files(&missing, "json", &mut found).unwrap_err();
        assert_eq!(error.code(), "file-unreadable");
    }

    #[test]
    fn rejections_are_sorted_by_what_they_mean() {
        for (rejection, check) in [
            (Rejection::ProofInvalid, Check::ReceiptsProof),
            (Rejection::RuntimeMismatch, Check::ReceiptsPackage),
            (
                Rejection::Receipt(ReceiptError::TooLarge { bytes: 1 }),
                Check::ReceiptsForm,
            ),
        ] {
            assert_eq!(blamed(&rejection), check);
        }
    }
}
