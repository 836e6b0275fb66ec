//! Many points as bytes, and what a ceremony hashes of them.
//!
//! A *response* is the last challenge followed by all points, compressed, and the contributor's proofs
//! of knowledge; the next *challenge* is the hash of the response's hash and all points, uncompressed.

use ark_bn254::{Fq, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{BigInteger, PrimeField};
use proofmark_prover::Progress;
use rayon::prelude::*;

use super::file::Ptau;
use super::tables::{ALPHA_TAU_G1, BETA_G2, BETA_TAU_G1, TAU_G1, TAU_G2, Table};
use crate::blake2b::Blake2b;
use crate::error::CeremonyError;
use crate::group::Group;
use crate::snarkjs::Point;

/// Points encoded by one thread at a time.
const ENCODED: usize = 1 << 10;
/// Points read at a time.
const CHUNK: u64 = 1 << 16;

/// Points uncompressed, see [`Point::push_uncompressed`].
pub(super) fn uncompressed<P: Point>(points: &[P]) -> Vec<u8> {
    encode(points, P::push_uncompressed)
}

/// Points as they stand in files, see [`Point::push_montgomery`].
pub(super) fn montgomery<P: Point>(points: &[P]) -> Vec<u8> {
    encode(points, P::push_montgomery)
}

/// Points compressed: the x coordinate big-endian, of G2 the imaginary part first, and in the first
/// bit whether y is greater than −y.
pub(super) fn compressed<P: Point>(points: &[P]) -> Vec<u8> {
    let half = Fq::MODULUS_MINUS_ONE_DIV_TWO.to_bytes_be();
    encode(points, |point, out| {
        let mut bytes = Vec::with_capacity(P::BYTES);
        point.push_uncompressed(&mut bytes);
        let (x, y) = bytes.split_at_mut(P::BYTES / 2);
        let zero = [0; 32];
        let part = y.chunks(32).find(|part| **part != zero);
        if let (Some(part), Some(first)) = (part, x.first_mut())
            && *part > *half
        {
            *first |= 0x80;
        }
        out.extend_from_slice(x);
    })
}

fn encode<P: Point>(points: &[P], push: impl Fn(&P, &mut Vec<u8>) + Sync) -> Vec<u8> {
    let blocks = points
        .par_chunks(ENCODED)
        .map(|points| {
            let mut block = Vec::with_capacity(points.len() * P::BYTES);
            for point in points {
                push(point, &mut block);
            }
            block
        })
        .collect::<Vec<_>>();
    blocks.concat()
}

/// The challenge to the first contributor of a ceremony: all points are generators.
pub(super) fn first_challenge(power: u32) -> [u8; 64] {
    let mut hasher = Blake2b::default();
    hasher.update(&Blake2b::digest(&[]));
    let mut repeat = |bytes: &[u8], count: u64| {
        let block = bytes.repeat(1024);
        for _ in 0..count / 1024 {
            hasher.update(&block);
        }
        for _ in 0..count % 1024 {
            hasher.update(bytes);
        }
    };
    let g1 = uncompressed(&[G1Affine::generator()]);
    let g2 = uncompressed(&[G2Affine::generator()]);
    repeat(&g1, TAU_G1.points(power));
    repeat(&g2, TAU_G2.points(power));
    repeat(&g1, ALPHA_TAU_G1.points(power));
    repeat(&g1, BETA_TAU_G1.points(power));
    repeat(&g2, BETA_G2.points(power));
    hasher.finish()
}

/// The challenge that follows a response, from the points of a file that was just written.
pub(super) fn next_challenge(
    ptau: &Ptau,
    response: &[u8; 64],
    progress: &dyn Progress,
) -> Result<[u8; 64], CeremonyError> {
    let mut hasher = Blake2b::default();
    hasher.update(response);
    hash_table(ptau, TAU_G1, &mut hasher, progress)?;
    hash_table(ptau, TAU_G2, &mut hasher, progress)?;
    hash_table(ptau, ALPHA_TAU_G1, &mut hasher, progress)?;
    hash_table(ptau, BETA_TAU_G1, &mut hasher, progress)?;
    hash_table(ptau, BETA_G2, &mut hasher, progress)?;
    Ok(hasher.finish())
}

fn hash_table<C: Group>(
    ptau: &Ptau,
    table: Table<C>,
    hasher: &mut Blake2b,
    progress: &dyn Progress,
) -> Result<(), CeremonyError>
where
    Affine<C>: Point,
{
    let count = table.points(ptau.power);
    let mut from = 0;
    while from < count {
        let next = CHUNK.min(count - from);
        let points = ptau.points_on_curve(table, from, next)?;
        hasher.update(&uncompressed(&points));
        from += next;
        progress.stage("hash of the next challenge", from, count);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_compressed_form_tells_a_point_from_its_negative() {
        let g1 = G1Affine::generator();
        // The generator is (1, 2).
        let mut expected = [0_u8; 32];
        expected[31] = 1;
        assert_eq!(compressed(&[g1]), expected);
        expected[0] = 0x80;
        assert_eq!(compressed(&[-g1]), expected);
        let g2 = G2Affine::generator();
        let [plus, minus] = [compressed(&[g2]), compressed(&[-g2])];
        assert_eq!(plus[1..], minus[1..]);
        assert_eq!((plus[0] ^ minus[0], plus.len()), (0x80, 64));
        // y's imaginary part is 4082…, below half of the order.
        assert_eq!(plus[0] & 0x80, 0);
    }
}
