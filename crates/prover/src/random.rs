//! Scalars drawn from the operating system.

use ark_bn254::Fr;
use ark_ff::PrimeField;
use zeroize::Zeroizing;

use crate::error::ProverError;

/// Fills `bytes` from the operating system.
///
/// # Errors
/// [`ProverError::Randomness`].
pub fn fill(bytes: &mut [u8]) -> Result<(), ProverError> {
    getrandom::fill(bytes).map_err(|error| ProverError::Randomness {
        reason: error.to_string(),
    })
}

/// A scalar from 64 bytes of the operating system, reduced modulo the field's order (its distance
/// from uniform is below 2^-250). It and the bytes are wiped on drop.
///
/// # Errors
/// [`ProverError::Randomness`].
pub fn scalar() -> Result<Zeroizing<Fr>, ProverError> {
    let mut bytes = Zeroizing::new([0_u8; 64]);
    fill(bytes.as_mut_slice())?;
    Ok(Zeroizing::new(Fr::from_le_bytes_mod_order(
        bytes.as_slice(),
    )))
}
