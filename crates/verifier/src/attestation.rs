//! An auditor's attestation against the package that the verifier has pinned.

use proofmark_types::attestation::{SignedAttestation, Subjects};
use proofmark_types::receipt::key_id;
use proofmark_types::{Digest, Manifest};

use crate::receipt::TrustedPackage;
use crate::rejection::Rejection;

/// Checks that an attestation is in its strict form, is signed by the auditor whom it names, and
/// names the package with this digest and manifest with all of its parts. Whether the auditor is to
/// be trusted is not asked here; see [`TrustedPackage::check_attestations`].
///
/// # Errors
/// [`Rejection`] with a code `attestation-…`; `package-not-sealed` for a draft.
pub fn check_attestation(
    envelope: &[u8],
    package: Digest,
    manifest: &Manifest,
) -> Result<SignedAttestation, Rejection> {
    let signed = SignedAttestation::parse(envelope)?;
    signed.verify_signature()?;
    let (expected, sealed) = Subjects::of(package, manifest)
        .zip(manifest.sealed.as_ref())
        .ok_or(Rejection::PackageNotSealed)?;
    let attestation = signed.attestation();
    let subject = expected.difference(&attestation.subjects);
    let kind = (attestation.setup_kind != sealed.setup_kind).then_some("setupKind");
    match subject.or(kind) {
        Some(what) => Err(Rejection::AttestationMismatch { what }),
        None => Ok(signed),
    }
}

impl TrustedPackage {
    /// Checks attestations of this package: each is by one of these auditors (raw Ed25519 public
    /// keys), each of whom has given one. Gives what they say, in the order given.
    ///
    /// # Errors
    /// The first [`Rejection`] found. Nothing is accepted in part: an attestation that does not
    /// hold is a reason to ask, not to go on with the others.
    pub fn check_attestations<E: AsRef<[u8]>>(
        &self,
        envelopes: &[E],
        auditors: &[[u8; 32]],
    ) -> Result<Vec<SignedAttestation>, Rejection> {
        let accepted = envelopes
            .iter()
            .map(|envelope| {
                let signed = check_attestation(envelope.as_ref(), self.digest(), self.manifest())?;
                if auditors.contains(&signed.attestation().auditor) {
                    Ok(signed)
                } else {
                    Err(Rejection::AttestationAuditor {
                        got: signed.key_id(),
                    })
                }
            })
            .collect::<Result<Vec<_>, _>>()?;
        for auditor in auditors {
            let of_auditor = |signed: &SignedAttestation| signed.attestation().auditor == *auditor;
            if !accepted.iter().any(of_auditor) {
                return Err(Rejection::AttestationMissing {
                    auditor: key_id(auditor),
                });
            }
        }
        Ok(accepted)
    }
}
