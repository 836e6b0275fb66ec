//! Step 4, between its halves: what the owners of hidden tensors told the auditor of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use proofmark_types::manifest::Visibility;
use proofmark_types::receipt::{Envelope, MAX_OPENINGS_BYTES, read_openings};
use proofmark_verifier::{TrustedPackage, check_openings};

use crate::Request;
use crate::check::Check;
use crate::error::AuditError;
use crate::finding::{Culprit, Finding, Findings};
use crate::receipts::{Receipts, files, read_up_to};

/// How a file of openings ends.
const EXTENSION: &str = "openings";

/// Names under which a file that belongs to a receipt may be known: with and without its ending.
pub(crate) fn names(source: &str) -> impl Iterator<Item = &str> {
    let path = Path::new(source);
    let names = [path.file_stem(), path.file_name()];
    names.into_iter().flatten().filter_map(|name| name.to_str())
}

/// Compares openings with the receipts that verify, and keeps those that fit with them.
pub(crate) fn check(
    request: &Request,
    trusted: &TrustedPackage,
    envelopes: &[Vec<u8>],
    receipts: &mut Receipts,
    findings: &mut Findings,
) -> Result<(), AuditError> {
    let check = Check::ReceiptsOpenings;
    let mut sources = Vec::new();
    for path in &request.openings {
        files(path, EXTENSION, &mut sources)?;
    }
    let layout = trusted.layout();
    let tensors = layout.inputs().iter().chain(layout.outputs());
    let hidden = tensors.filter(|tensor| tensor.visibility != Visibility::Public);
    let hidden: Vec<&str> = hidden.map(|tensor| tensor.name.as_str()).collect();
    if sources.is_empty() {
        findings.add(if hidden.is_empty() {
            Finding::pass(
                check,
                "Nothing is hidden: every receipt shows all inputs and outputs.",
            )
        } else {
            Finding::not_checked(
                check,
                "The receipts hide inputs or outputs behind commitments, and nobody opened them to \
                 you. The proofs hold for the values behind them, whatever these are.",
                "ask the owners of the values for their files of openings and give them with \
                 --openings",
            )
            .evidence("hidden", hidden.join(", "))
        });
        return Ok(());
    }
    let mut files = BTreeMap::new();
    for path in &sources {
        let name = path.file_stem().and_then(|stem| stem.to_str());
        files.insert(name.unwrap_or_default().to_owned(), path);
    }
    let (mut used, mut culprits, mut opened) = (BTreeSet::new(), Vec::new(), 0_usize);
    for accepted in &mut receipts.accepted {
        let found = names(&accepted.source).find_map(|name| files.get_key_value(name));
        let Some((name, path)) = found else {
            continue;
        };
        used.insert(name.clone());
        let limit = u64::try_from(MAX_OPENINGS_BYTES).unwrap_or(u64::MAX);
        let bytes = read_up_to(path, limit)?;
        let compared = read_openings(&bytes)
            .map_err(|error| (error.code(), error.to_string()))
            .and_then(|openings| {
                let envelope = envelopes
                    .get(accepted.position)
                    .map_or(&[][..], Vec::as_slice);
                let envelope =
                    Envelope::parse(envelope).map_err(|error| (error.code(), error.to_string()))?;
                check_openings(&envelope, &openings)
                    .map_err(|rejection| (rejection.code(), rejection.to_string()))?;
                Ok(openings)
            });
        match compared {
            Ok(openings) => {
                opened += 1;
                accepted.openings = openings;
            }
            Err((code, reason)) => culprits.push(Culprit {
                source: path.display().to_string(),
                receipt: Some(accepted.verdict.receipt_id),
                code: code.to_owned(),
                reason,
            }),
        }
    }
    let unused: Vec<&str> = files
        .keys()
        .filter(|name| !used.contains(*name))
        .map(String::as_str)
        .collect();
    let finding = if !culprits.is_empty() {
        Finding::fail(
            check,
            "These openings are not of the values that the proofs are about: whoever gave them \
             names other inputs or outputs than the model was run on, or lost the salt.",
        )
        .remedy("believe the receipts, not these values, and ask their owner for the true ones")
        .culprits(culprits)
    } else if opened == 0 {
        Finding::not_checked(
            check,
            "None of the openings belongs to a receipt that verifies.",
            "name the openings of the receipt NAME.json NAME.openings or NAME.json.openings",
        )
    } else {
        Finding::pass(
            check,
            "The opened values are those that the receipts commit to: the model was run on exactly \
             these.",
        )
    };
    let finding = finding
        .evidence("receipts opened", opened)
        .evidence("receipts that verify", receipts.accepted.len())
        .evidence("hidden", hidden.join(", "));
    findings.add(if unused.is_empty() {
        finding
    } else {
        finding.evidence("openings of no receipt that verifies", unused.join(", "))
    });
    Ok(())
}
