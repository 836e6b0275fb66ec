//! The whole check, in its order.

use proofmark_types::Digest;
use proofmark_types::attestation::SignedAttestation;
use proofmark_types::field::FR_BYTES;
use proofmark_types::manifest::{Manifest, Visibility};
use proofmark_types::receipt::TensorRecord;
use proofmark_verifier::{
    Expectations, Opening, Pins, Rejection, SignatureVerdict, TrustedPackage, Verdict,
    verify_proof_bytes,
};

use crate::check::Check;
use crate::demands::{Demands, LogDemand};
use crate::logged::{Logged, check_log};
use crate::refusal::Refusal;
use crate::report::Report;

/// An accepted receipt with what it was verified against.
#[derive(Debug, Clone)]
pub struct Verified {
    /// The pinned package.
    pub package: Digest,
    /// Its manifest.
    pub manifest: Manifest,
    /// What was found.
    pub verdict: Verdict,
    /// The openings that were compared.
    pub openings: Vec<Opening>,
    /// The receipt's place in the transparency log, if that was looked at.
    pub logged: Option<Logged>,
    /// What auditors whose keys were given attest of the package.
    pub attestations: Vec<SignedAttestation>,
    /// Whether context or nonce was compared.
    pub fresh: bool,
    /// Whether the context's deadline was compared with a time.
    pub timely: bool,
}

/// Opens a package that the recipient pins, for any number of its receipts.
///
/// # Errors
/// As [`TrustedPackage::open`].
pub fn open_package(
    digest: Digest,
    manifest: &[u8],
    verifying_key: &[u8],
) -> Result<TrustedPackage, Refusal> {
    Ok(TrustedPackage::open(
        &Pins::package(digest),
        manifest,
        verifying_key,
    )?)
}

/// Verifies a receipt whole: attestations of its package, its form, every member that the package
/// fixes, context, signature, openings, public inputs, proof, deadline, and what the log says of it.
///
/// # Errors
/// The first [`Refusal`] found.
pub fn verify(
    package: &TrustedPackage,
    receipt: &[u8],
    demands: &Demands<'_>,
) -> Result<Verified, Refusal> {
    let attesters = &demands.attesters;
    let attestations = package.check_attestations(&attesters.attestations, &attesters.auditors)?;
    let follows_log = demands.log.as_ref().is_some_and(|log| log.copy.is_some());
    let expectations = Expectations {
        context: demands.context,
        nonce: demands.nonce,
        // With the whole log the key may be one that rotations lead to from the pinned one.
        signer: demands.service_key.filter(|_| !follows_log),
        openings: demands.openings.clone(),
    };
    let verdict = package.verify(receipt, &expectations)?;
    let deadline = verdict.receipt.context.deadline;
    if let Some(now) = demands.now.filter(|now| deadline != 0 && *now > deadline) {
        return Err(Refusal::Expired { deadline, now });
    }
    let mut verified = Verified {
        package: package.digest(),
        manifest: package.manifest().clone(),
        verdict,
        openings: expectations.openings,
        logged: None,
        attestations,
        fresh: demands.context.is_some() || demands.nonce.is_some(),
        timely: demands.now.is_some(),
    };
    if let Some(log) = &demands.log {
        verified.check_log(receipt, log, demands.service_key.as_ref())?;
    }
    Ok(verified)
}

/// Verifies a proof alone, for public inputs (big-endian) that the caller vouches for, under a key that is pinned
/// by its digest. What the inputs mean, and which model they are of, is the caller's knowledge:
/// a receipt is verified by [`verify`].
///
/// # Errors
/// [`Rejection`]: `verifying-key-mismatch`, `key-malformed`, `key-degenerate`, `proof-malformed`,
/// `proof-system-mismatch`, `key-public-inputs-mismatch`, `public-input-not-canonical`,
/// `proof-invalid`.
pub fn verify_proof(
    key_digest: Digest,
    verifying_key: &[u8],
    proof: &[u8],
    public_inputs: &[[u8; FR_BYTES]],
) -> Result<(), Refusal> {
    if Digest::of(verifying_key) != key_digest {
        return Err(Rejection::VerifyingKeyMismatch {
            what: "the given key",
        }
        .into());
    }
    Ok(verify_proof_bytes(verifying_key, public_inputs, proof)?)
}

impl Verified {
    /// Checks what is asked of a log, for the receipt that was verified: these are its bytes.
    ///
    /// # Errors
    /// As [`check_log`].
    pub fn check_log(
        &mut self,
        receipt: &[u8],
        demand: &LogDemand<'_>,
        service_key: Option<&[u8; 32]>,
    ) -> Result<(), Refusal> {
        self.logged = Some(check_log(demand, receipt, service_key)?);
        if let (SignatureVerdict::ValidUnpinned { key_id }, Some(_)) =
            (self.verdict.signature, &demand.copy)
        {
            self.verdict.signature = SignatureVerdict::ValidPinned { key_id };
        }
        Ok(())
    }

    /// What was found, for people and for programs.
    pub fn report(&self) -> Report<'_> {
        Report::new(self.package, &self.manifest, &self.verdict, &self.openings)
            .with_log(self.logged.as_ref())
            .with_attestations(&self.attestations)
    }

    /// Names of the hidden tensors whose values nobody gave.
    pub fn closed(&self) -> impl Iterator<Item = &str> {
        let receipt = &self.verdict.receipt;
        let records = receipt.inputs.iter().chain(&receipt.outputs);
        records
            .filter(|record| is_closed(record, &self.verdict.opened))
            .map(|record| record.name.as_str())
    }

    /// Whether this part of a verification was made.
    pub fn made(&self, check: Check) -> bool {
        match check {
            Check::Package | Check::Statement | Check::Proof | Check::Signature => true,
            Check::Signer => {
                matches!(self.verdict.signature, SignatureVerdict::ValidPinned { .. })
            }
            Check::Freshness => self.fresh,
            Check::Deadline => self.timely,
            Check::Openings => self.closed().next().is_none(),
            Check::LogInclusion => self.logged.is_some(),
            Check::Witnesses => {
                let mut logged = self.logged.iter();
                logged.any(|logged| !logged.cosignatures.is_empty())
            }
            Check::Revocations => {
                let mut logged = self.logged.iter();
                logged.any(|logged| logged.advisories.is_some())
            }
            Check::Attestations => !self.attestations.is_empty(),
        }
    }
}

/// Whether the receipt shows a commitment only, and nobody opened it.
pub(crate) fn is_closed(record: &TensorRecord, opened: &[String]) -> bool {
    record.visibility() != Visibility::Public && !opened.contains(&record.name)
}
