//! The equation over BN254: e(A, B) = e(α, β) · e(IC(x), γ) · e(C, δ), with a commitment further
//! · e(D, δc), where the last wire of IC(x) is the challenge.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "field and group arithmetic cannot overflow"
)]

use ark_bn254::{Bn254, Fr, G1Affine};
use ark_ec::CurveGroup as _;
use ark_ec::pairing::{Pairing as _, PairingOutput};
use proofmark_types::Digest;
use proofmark_types::field::{FR_BYTES, fr_from_bytes};
use proofmark_types::manifest::Backend;

use crate::challenge::challenge;
use crate::inputs::Inputs;
use crate::key::{VerifyingKey, check_verifying_key, decode_verifying_key, write};
use crate::pairing::{Lines, finish, miller_loops};
use crate::proof::{CheckedProof, Proof};
use crate::rejection::Rejection;

/// A checked verifying key with the parts of the equation that do not depend on the proof.
#[derive(Debug, Clone)]
pub struct PreparedKey {
    digest: Digest,
    alpha_beta: PairingOutput<Bn254>,
    pub(crate) alpha: G1Affine,
    pub(crate) beta: Lines,
    pub(crate) gamma_neg: Lines,
    pub(crate) delta_neg: Lines,
    pub(crate) delta_committed_neg: Option<Lines>,
    /// The point of IC that belongs to the constant.
    pub(crate) constant: G1Affine,
    /// Those of the public inputs, and with a commitment that of the challenge.
    pub(crate) ic: Inputs,
}

impl PreparedKey {
    /// Checks and prepares a key.
    ///
    /// # Errors
    /// As [`check_verifying_key`].
    pub fn new(key: impl Into<VerifyingKey>) -> Result<Self, Rejection> {
        let key = key.into();
        check_verifying_key(&key)?;
        Self::of_checked(&key)
    }

    /// Prepares a key that came through [`decode_verifying_key`], which checks the same.
    pub(crate) fn of_checked(key: &VerifyingKey) -> Result<Self, Rejection> {
        let groth16 = &key.groth16;
        let refuse = || Rejection::KeyMalformed {
            part: "IC",
            reason: "has too few points, or more than are read",
        };
        let (constant, ic) = groth16.gamma_abc_g1.split_first().ok_or_else(refuse)?;
        Ok(Self {
            digest: Digest::of(&write(key).ok_or_else(refuse)?),
            alpha_beta: Bn254::pairing(groth16.alpha_g1, groth16.beta_g2),
            alpha: groth16.alpha_g1,
            beta: Lines::of(&groth16.beta_g2),
            gamma_neg: Lines::of(&-groth16.gamma_g2),
            delta_neg: Lines::of(&-groth16.delta_g2),
            delta_committed_neg: key.delta_committed_g2.map(|point| Lines::of(&-point)),
            constant: *constant,
            ic: Inputs::new(ic),
        })
    }

    /// SHA-256 of the key's one encoding.
    pub const fn digest(&self) -> Digest {
        self.digest
    }

    /// The proof system that the key is of.
    pub const fn backend(&self) -> Backend {
        match self.delta_committed_neg {
            None => Backend::Groth16,
            Some(_) => Backend::Groth16Logup,
        }
    }

    /// Number of the statement's public inputs: neither the constant nor the challenge counts.
    pub const fn public_inputs(&self) -> usize {
        match self.backend() {
            Backend::Groth16 => self.ic.len(),
            Backend::Groth16Logup => self.ic.len().saturating_sub(1),
        }
    }

    /// Verifies a proof.
    ///
    /// # Errors
    /// [`Rejection::KeyPublicInputs`] for a wrong number of public inputs,
    /// [`Rejection::ProofMalformed`] as [`CheckedProof::new`], [`Rejection::ProofSystemMismatch`] for a
    /// proof of another backend than the key's, [`Rejection::ProofInvalid`] when the equation does
    /// not hold.
    pub fn verify(&self, public_inputs: &[Fr], proof: impl Into<Proof>) -> Result<(), Rejection> {
        self.verify_checked(public_inputs, &CheckedProof::new(proof)?)
    }

    /// Verifies a proof whose points have been checked.
    ///
    /// # Errors
    /// As [`verify`](Self::verify), but [`Rejection::ProofMalformed`].
    pub fn verify_checked(
        &self,
        public_inputs: &[Fr],
        proof: &CheckedProof,
    ) -> Result<(), Rejection> {
        let proof = proof.proof();
        self.equation(&self.wires(public_inputs, proof)?, proof)
    }

    /// The equation for given wires of IC.
    pub(crate) fn equation(&self, wires: &[Fr], proof: &Proof) -> Result<(), Rejection> {
        let Proof {
            groth16,
            commitment,
        } = proof;
        let inputs = self.ic.sum(wires).ok_or_else(|| self.count(wires))?;
        let inputs = (inputs + self.constant).into_affine();
        let own = Lines::of(&groth16.b);
        let pairs = [
            (groth16.a, &own),
            (inputs, &self.gamma_neg),
            (groth16.c, &self.delta_neg),
        ];
        let committed = commitment.iter().copied().zip(&self.delta_committed_neg);
        if finish(&miller_loops(pairs.into_iter().chain(committed))) == Some(self.alpha_beta) {
            Ok(())
        } else {
            Err(Rejection::ProofInvalid)
        }
    }

    /// What IC's points are multiplied with: the public inputs, and with a commitment the
    /// challenge.
    pub(crate) fn wires(&self, public_inputs: &[Fr], proof: &Proof) -> Result<Vec<Fr>, Rejection> {
        if proof.backend() != self.backend() {
            return Err(Rejection::ProofSystemMismatch {
                what: "proof",
                expected: self.backend(),
                got: proof.backend(),
            });
        }
        if public_inputs.len() != self.public_inputs() {
            return Err(self.count(public_inputs));
        }
        let mut wires = public_inputs.to_vec();
        wires.extend(
            proof
                .commitment
                .map(|point| challenge(&self.digest, &point, public_inputs)),
        );
        Ok(wires)
    }

    const fn count(&self, public_inputs: &[Fr]) -> Rejection {
        Rejection::KeyPublicInputs {
            expected: self.public_inputs(),
            got: public_inputs.len(),
        }
    }
}

/// Verifies one proof under a key that need not have been checked before.
///
/// # Errors
/// As [`PreparedKey::new`] and [`PreparedKey::verify`].
pub fn verify_proof(
    key: impl Into<VerifyingKey>,
    public_inputs: &[Fr],
    proof: impl Into<Proof>,
) -> Result<(), Rejection> {
    PreparedKey::new(key)?.verify(public_inputs, proof)
}

/// Reads public inputs, 32 big-endian bytes each.
///
/// # Errors
/// [`Rejection::PublicInputNotCanonical`] for one that is not below the field order: it would
/// verify as its residue and let one proof stand for several statements.
pub fn decode_public_inputs(public_inputs: &[[u8; FR_BYTES]]) -> Result<Vec<Fr>, Rejection> {
    public_inputs
        .iter()
        .enumerate()
        .map(|(index, bytes)| {
            fr_from_bytes(bytes).map_err(|_| Rejection::PublicInputNotCanonical { index })
        })
        .collect()
}

/// Verifies a proof when key, public inputs and proof are bytes.
///
/// # Errors
/// As [`decode_verifying_key`], [`decode_public_inputs`], [`CheckedProof::decode`] and [`verify_proof`].
pub fn verify_proof_bytes(
    key: &[u8],
    public_inputs: &[[u8; FR_BYTES]],
    proof: &[u8],
) -> Result<(), Rejection> {
    let key = decode_verifying_key(key)?;
    let public_inputs = decode_public_inputs(public_inputs)?;
    let proof = CheckedProof::decode(proof)?;
    PreparedKey::of_checked(&key)?.verify_checked(&public_inputs, &proof)
}
