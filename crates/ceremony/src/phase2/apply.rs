//! What a contribution does to a key: δ times its factor, L and H over it; δc and D likewise.

use ark_bn254::{Fr, G1Affine};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::Field;
use proofmark_prover::{ProverError, ProvingKey};
use zeroize::Zeroizing;

use super::chain::Factors;
use crate::error::CeremonyError;
use crate::group::multiply_all;

/// The inverse of a factor, which is 0 once in 2^254 draws.
pub(crate) fn inverse(factor: &Fr) -> Result<Zeroizing<Fr>, CeremonyError> {
    let degenerate = ProverError::TrapdoorDegenerate {
        reason: "a factor is 0",
    };
    let inverse = factor.inverse().ok_or(degenerate)?;
    Ok(Zeroizing::new(inverse))
}

/// Divides points by the inverse's factor.
pub(crate) fn divide(points: &mut [G1Affine], inverse: &Fr) {
    multiply_all(points, inverse);
}

impl Factors {
    /// Applies the contribution to a whole key in memory.
    ///
    /// # Errors
    /// [`CeremonyError::Prover`] for a factor 0.
    pub fn apply(&self, key: &mut ProvingKey) -> Result<(), CeremonyError> {
        fn times<P: AffineRepr<ScalarField = Fr>>(point: &mut P, factor: &Fr) {
            *point = (*point * factor).into_affine();
        }
        let over = inverse(&self.delta)?;
        let groth16 = &mut key.groth16;
        times(&mut groth16.delta_g1, &self.delta);
        times(&mut groth16.vk.delta_g2, &self.delta);
        divide(&mut groth16.l_query, &over);
        divide(&mut groth16.h_query, &over);
        if let (Some((factor, _)), Some(committed)) = (&self.committed, &mut key.committed) {
            let over = inverse(factor)?;
            times(&mut committed.delta_g1, factor);
            times(&mut committed.delta_g2, factor);
            divide(&mut committed.query, &over);
        }
        Ok(())
    }
}
