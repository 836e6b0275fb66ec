//! Keys that many made together: whether the contributions in the transcript hold, whether they end in
//! the package's keys, and, with the powers of tau at hand, whether the proving key follows from circuit,
//! powers and contributions and from nothing else.

use std::path::Path;

use proofmark_ceremony::phase1::{self, Origin, Ptau};
use proofmark_ceremony::phase2::{Chain, InitialKey, folder, verify_record};
use proofmark_ceremony::{CeremonyError, Progress};
use proofmark_gadgets::Circuit;
use proofmark_prover::ProvingKey;
use proofmark_prover::ceremony::CeremonyRecord;
use proofmark_types::manifest::{Backend, Sealed};
use proofmark_verifier::decode_verifying_key;

use crate::Request;
use crate::check::Check;
use crate::finding::Finding;

const CHECK: Check = Check::SetupKind;

/// What there is to judge a ceremony by.
pub(crate) struct Claim<'a> {
    /// What the transcript tells.
    pub(crate) record: &'a CeremonyRecord,
    /// What the manifest tells.
    pub(crate) sealed: &'a Sealed,
    /// The package's proof system.
    pub(crate) backend: Backend,
    /// The verifying key's file, if it is the manifest's.
    pub(crate) verifying: Option<Vec<u8>>,
    /// The proving key, if it is the manifest's and well formed.
    pub(crate) key: Option<&'a ProvingKey>,
    /// The circuit that was compiled here, if it is the manifest's.
    pub(crate) circuit: Option<&'a Circuit>,
}

/// Who could forge under keys that are said to be a ceremony's.
pub(crate) fn check(request: &Request, claim: &Claim<'_>, progress: &dyn Progress) -> Finding {
    let record = claim.record;
    let chain = match chain(record, claim.backend, progress) {
        Ok(chain) => chain,
        Err(error) => return broken(claim, &error),
    };
    let finding = if let Err(error) = folder::contains(&chain, &request.contributions) {
        dropped(&error)
    } else if !ends_in_keys(claim, &chain) {
        Finding::fail(
            CHECK,
            "The keys are not the ones that the contributions end in: somebody made them outside of the \
             ceremony that the transcript tells of, and may know their secret. Whoever knows it forges \
             proofs of anything.",
        )
        .remedy("do not rely on receipts of this package; ask for the keys of the ceremony")
    } else {
        against_phase1(request, claim, progress)
    };
    evidence(finding, claim, &chain)
}

/// The contributions, which hold, and of which one at least is a secret.
fn chain(
    record: &CeremonyRecord,
    backend: Backend,
    progress: &dyn Progress,
) -> Result<Chain, CeremonyError> {
    let hash = record.initial_key.0.as_slice().try_into().map_err(|_| {
        CeremonyError::ContributionMalformed {
            part: "initial key",
            reason: "its hash has not 64 bytes".to_owned(),
        }
    })?;
    let committed = backend == Backend::Groth16Logup;
    let chain = Chain::verify(hash, committed, &record.contributions, progress)?;
    if chain.secret == 0 {
        return Err(CeremonyError::NoContribution);
    }
    Ok(chain)
}

/// Whether the keys that are there have the contributions' δ and δc.
fn ends_in_keys(claim: &Claim<'_>, chain: &Chain) -> bool {
    let verifying = claim.verifying.as_deref().map(decode_verifying_key);
    let in_g2 = match verifying {
        Some(Ok(key)) => chain.ends_in(&key),
        // There is none, or a finding of its own about it.
        Some(Err(_)) | None => true,
    };
    in_g2 && claim.key.is_none_or(|key| claim.record.ends_in(key))
}

fn against_phase1(request: &Request, claim: &Claim<'_>, progress: &dyn Progress) -> Finding {
    let Some(path) = &request.phase1 else {
        return Finding::not_checked(
            CHECK,
            "Every contribution in the transcript proves a factor, and the keys have the factors of all. \
             Whether the keys follow from this circuit, and how many made the powers of tau that they \
             began from, is not shown here.",
            "give the powers of tau (--phase1); the transcript has the file's digest",
        );
    };
    let (Some(circuit), Some(key)) = (claim.circuit, claim.key) else {
        return Finding::not_checked(
            CHECK,
            "Every contribution in the transcript proves a factor. Whether the proving key follows from \
             the circuit needs both, and one of them is not at hand.",
            "see the findings about circuit and proving key",
        );
    };
    match verified(path, circuit, claim.record, key, progress) {
        Ok(powers) => Finding::pass(
            CHECK,
            format!(
                "The proving key follows from circuit, powers of tau and contributions, point by point, \
                 and from nothing else. Nobody can forge as long as one of the contributors to the key \
                 ({}) forgot their secret, and one of those to the powers of tau ({}) theirs.",
                claim.record.contributions.iter().filter(|c| c.beacon.is_none()).count(),
                powers.contributions.iter().filter(|c| c.origin == Origin::Person).count(),
            ),
        )
        .evidence("powers of tau", powers.power),
        Err(Problem::Unreadable(error)) => Finding::not_checked(
            CHECK,
            "The file of powers of tau that you gave could not be read.",
            "give the .ptau file whose digest stands in the transcript",
        )
        .evidence("reason", &error)
        .evidence("code", error.code()),
        Err(Problem::Powers(error)) => Finding::fail(
            CHECK,
            "The powers of tau that the keys began from are unsound: their secret can be known, or they \
             are no powers of one secret. Proofs under such keys show nothing.",
        )
        .remedy("do not rely on receipts of this package, if this is the file that its transcript names")
        .evidence("reason", &error)
        .evidence("code", error.code()),
        Err(Problem::Key(error)) => Finding::fail(
            CHECK,
            "The proving key does not follow from circuit, powers of tau and contributions: either the \
             ceremony was another one than the transcript tells, or points of the key were replaced \
             afterwards, so that it proves something else than the circuit says.",
        )
        .remedy("do not rely on receipts of this package; see that you have the right .ptau file")
        .evidence("reason", &error)
        .evidence("code", error.code()),
    }
}

/// What is wrong, by whose fault.
enum Problem {
    Unreadable(CeremonyError),
    Powers(CeremonyError),
    Key(CeremonyError),
}

fn verified(
    path: &Path,
    circuit: &Circuit,
    record: &CeremonyRecord,
    key: &ProvingKey,
    progress: &dyn Progress,
) -> Result<phase1::Verified, Problem> {
    let of_powers = |error: CeremonyError| match error {
        CeremonyError::Io { .. } | CeremonyError::Randomness { .. } => Problem::Unreadable(error),
        _ => Problem::Powers(error),
    };
    let ptau = Ptau::open(path).map_err(of_powers)?;
    let powers = phase1::verify_open(&ptau, progress).map_err(of_powers)?;
    if powers.digest != record.phase1 {
        return Err(Problem::Key(CeremonyError::CeremonyMismatch {
            part: "phase 1",
            expected: record.phase1.to_string(),
            got: powers.digest.to_string(),
        }));
    }
    let initial = InitialKey::from_ptau(circuit, &ptau, progress).map_err(Problem::Key)?;
    verify_record(&initial, record, key, progress).map_err(Problem::Key)?;
    Ok(powers)
}

fn broken(claim: &Claim<'_>, error: &CeremonyError) -> Finding {
    Finding::fail(
        CHECK,
        "The transcript tells of a ceremony that was none: a contribution in it proves nothing, or none \
         is a secret. Whoever made the keys may know their secret and forge proofs of anything.",
    )
    .remedy("do not rely on receipts of this package")
    .evidence("transcript", claim.sealed.transcript.digest)
    .evidence("reason", error)
    .evidence("code", error.code())
}

/// For keys of a single party, when contributions were asked for.
pub(crate) fn none() -> Finding {
    Finding::fail(
        CHECK,
        "You asked for contributions, and one party made the keys alone: nobody else's contribution is in \
         them. Whoever made them can forge proofs of anything, unless they wiped the setup's secret.",
    )
    .remedy("do not rely on receipts of this package if a ceremony was promised to you")
    .evidence("code", "contribution-missing")
}

fn dropped(error: &CeremonyError) -> Finding {
    Finding::fail(
        CHECK,
        "A contribution that you asked for is not part of the keys: its maker contributed, and the \
         coordinator left it out. The others may all be the coordinator's own.",
    )
    .remedy("do not rely on receipts of this package; ask the coordinator why it was dropped")
    .evidence("reason", error)
    .evidence("code", error.code())
}

fn evidence(mut finding: Finding, claim: &Claim<'_>, chain: &Chain) -> Finding {
    finding = finding
        .evidence("transcript", claim.sealed.transcript.digest)
        .evidence("powers of tau named", claim.record.phase1);
    for (record, hash) in claim.record.contributions.iter().zip(&chain.hashes) {
        let kind = if record.beacon.is_some() {
            "beacon"
        } else {
            "contribution"
        };
        let hash = proofmark_prover::ceremony::HexBytes(hash.to_vec()).to_hex();
        finding = finding.evidence(kind, format!("{} {hash}", record.name));
    }
    finding
}
