//! A beacon: factors from public randomness that nobody could foresee, such as a block hash named in
//! advance. It adds no secret; it keeps the last contributor from choosing the result.

use proofmark_prover::Progress;
use proofmark_prover::ceremony::{BeaconRecord, HexBytes};
use sha2::{Digest as _, Sha256};

use crate::error::CeremonyError;
use crate::snarkjs::Generator;

/// Binary logarithm of how often SHA-256 is applied, at least and at most. snarkjs takes up to 63;
/// 32 are some minutes, and who verifies has to do the same.
pub const ITERATIONS_LOG2: std::ops::RangeInclusive<u32> = 10..=32;
/// Longest value, in bytes.
const MAX_BYTES: usize = 255;
/// Iterations between reports of progress.
const STEP: u64 = 1 << 20;

/// Checks a beacon's bounds.
///
/// # Errors
/// [`CeremonyError::Beacon`].
pub fn check(beacon: &BeaconRecord) -> Result<(), CeremonyError> {
    let refuse = |reason| Err(CeremonyError::Beacon { reason });
    if beacon.value.0.is_empty() || beacon.value.0.len() > MAX_BYTES {
        return refuse("its value must have 1 to 255 bytes");
    }
    if !ITERATIONS_LOG2.contains(&beacon.iterations_log2) {
        return refuse("it must be iterated 2^10 to 2^32 times");
    }
    Ok(())
}

/// The generator that a beacon starts: of SHA-256 applied `2^iterations_log2` times to its value.
///
/// # Errors
/// [`CeremonyError::Beacon`].
pub fn generator(
    beacon: &BeaconRecord,
    progress: &dyn Progress,
) -> Result<Generator, CeremonyError> {
    check(beacon)?;
    let BeaconRecord {
        value: HexBytes(value),
        iterations_log2,
    } = beacon;
    let total = 1_u64 << iterations_log2;
    let mut hash: [u8; 32] = Sha256::digest(value).into();
    for done in 1..total {
        if done % STEP == 0 {
            progress.stage("beacon", done, total);
        }
        hash = Sha256::digest(hash).into();
    }
    progress.stage("beacon", total, total);
    Ok(Generator::new(&hash))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proofmark_prover::NoProgress;

    fn beacon(value: &[u8], iterations_log2: u32) -> BeaconRecord {
        BeaconRecord {
            value: HexBytes(value.to_vec()),
            iterations_log2,
        }
    }

    #[test]
    fn the_value_is_hashed_over_and_over() {
        let mut hash = b"block".to_vec();
        for _ in 0..1024 {
            hash = Sha256::digest(&hash).to_vec();
        }
        let mut expected = Generator::new(&hash.try_into().unwrap());
        let mut got = generator(&beacon(b"block", 10), &NoProgress).unwrap();
        assert_eq!(got.scalar(), expected.scalar());
        assert_eq!(got.g1(), expected.g1());
        let mut other = generator(&beacon(b"block", 11), &NoProgress).unwrap();
        assert_ne!(other.scalar(), got.scalar());
    }

    #[test]
    fn bounds_are_kept() {
        for bad in [
            beacon(b"", 10),
            beacon(&[1; 256], 10),
            beacon(b"x", 9),
            beacon(b"x", 33),
            beacon(b"x", u32::MAX),
        ] {
            assert_eq!(check(&bad).unwrap_err().code(), "beacon-unusable");
        }
        assert_eq!(check(&beacon(&[1; 255], 32)), Ok(()));
    }
}
