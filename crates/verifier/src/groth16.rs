//! The Groth16 equation over BN254: e(A, B) = e(α, β) · e(IC(x), γ) · e(C, δ).

use ark_bn254::{Bn254, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::pairing::{Pairing, PairingOutput};
use ark_ec::{AffineRepr as _, CurveGroup as _, VariableBaseMSM as _};
use ark_groth16::{Proof, VerifyingKey};
use proofmark_types::field::{FR_BYTES, fr_from_bytes};

use crate::key::{check_verifying_key, decode_verifying_key};
use crate::proof::{check_proof, decode_proof};
use crate::rejection::Rejection;

type G2Prepared = <Bn254 as Pairing>::G2Prepared;

/// A checked verifying key with the parts of the equation that do not depend on the proof.
#[derive(Debug, Clone)]
pub struct PreparedKey {
    alpha_beta: PairingOutput<Bn254>,
    gamma_neg: G2Prepared,
    delta_neg: G2Prepared,
    ic: Vec<G1Affine>,
}

impl PreparedKey {
    /// Checks and prepares a key.
    ///
    /// # Errors
    /// As [`check_verifying_key`].
    pub fn new(key: &VerifyingKey<Bn254>) -> Result<Self, Rejection> {
        check_verifying_key(key)?;
        Ok(Self::of_checked(key))
    }

    /// Prepares a key that came through [`decode_verifying_key`], which checks the same.
    pub(crate) fn of_checked(key: &VerifyingKey<Bn254>) -> Self {
        Self {
            alpha_beta: Bn254::pairing(key.alpha_g1, key.beta_g2),
            gamma_neg: negated(key.gamma_g2),
            delta_neg: negated(key.delta_g2),
            ic: key.gamma_abc_g1.clone(),
        }
    }

    /// Number of public inputs, the constant one not counted.
    pub const fn public_inputs(&self) -> usize {
        self.ic.len().saturating_sub(1)
    }

    /// Verifies a proof.
    ///
    /// # Errors
    /// [`Rejection::KeyPublicInputs`] for a wrong number of public inputs,
    /// [`Rejection::ProofMalformed`] as [`check_proof`], [`Rejection::ProofInvalid`] when the
    /// equation does not hold.
    pub fn verify(&self, public_inputs: &[Fr], proof: &Proof<Bn254>) -> Result<(), Rejection> {
        check_proof(proof)?;
        self.verify_checked(public_inputs, proof)
    }

    /// Verifies a proof that came through [`decode_proof`], which checks the points.
    pub(crate) fn verify_checked(
        &self,
        public_inputs: &[Fr],
        proof: &Proof<Bn254>,
    ) -> Result<(), Rejection> {
        let count = Rejection::KeyPublicInputs {
            expected: self.public_inputs(),
            got: public_inputs.len(),
        };
        let Some((constant, bases)) = self.ic.split_first() else {
            return Err(count);
        };
        let sum = G1Projective::msm(bases, public_inputs).map_err(|_| count)?;
        let inputs = added(sum, constant);
        let product = Bn254::multi_pairing(
            [proof.a, inputs, proof.c],
            [
                proof.b.into(),
                self.gamma_neg.clone(),
                self.delta_neg.clone(),
            ],
        );
        if product == self.alpha_beta {
            Ok(())
        } else {
            Err(Rejection::ProofInvalid)
        }
    }
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "group arithmetic cannot overflow"
)]
fn negated(point: G2Affine) -> G2Prepared {
    (-point.into_group()).into_affine().into()
}

#[expect(
    clippy::arithmetic_side_effects,
    reason = "group arithmetic cannot overflow"
)]
fn added(sum: G1Projective, constant: &G1Affine) -> G1Affine {
    (sum + constant).into_affine()
}

/// Verifies one proof under a key that need not have been checked before.
///
/// # Errors
/// As [`PreparedKey::new`] and [`PreparedKey::verify`].
pub fn verify_proof(
    key: &VerifyingKey<Bn254>,
    public_inputs: &[Fr],
    proof: &Proof<Bn254>,
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
/// As [`decode_verifying_key`], [`decode_public_inputs`], [`decode_proof`] and [`verify_proof`].
pub fn verify_proof_bytes(
    key: &[u8],
    public_inputs: &[[u8; FR_BYTES]],
    proof: &[u8],
) -> Result<(), Rejection> {
    let key = decode_verifying_key(key)?;
    let public_inputs = decode_public_inputs(public_inputs)?;
    let proof = decode_proof(proof)?;
    PreparedKey::of_checked(&key).verify_checked(&public_inputs, &proof)
}
