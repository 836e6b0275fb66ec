//! Points and coordinates as bytes: affine, uncompressed, each coordinate 32 bytes little-endian
//! below the base field's order, the identity all zeros (it is on neither curve). One encoding per
//! point.

use ark_bn254::{Fq, Fq2, g1, g2};
use ark_ec::AffineRepr;
use ark_ec::short_weierstrass::Affine;
use ark_ff::{BigInt, PrimeField};

/// A point with a fixed-length encoding.
pub trait Encoded: AffineRepr + Send + Sync {
    /// Length in bytes.
    const BYTES: usize;

    /// Appends the encoding.
    fn encode(&self, out: &mut Vec<u8>);

    /// Decodes a point that is on its curve; whether it is in the subgroup is for the caller to
    /// check where the curve is larger (G2).
    ///
    /// # Errors
    /// What is wrong, in words.
    fn decode(bytes: &[u8]) -> Result<Self, &'static str>;
}

const NOT_CANONICAL: &str = "a coordinate is not below the base field's order";
const NOT_ON_CURVE: &str = "a point is not on its curve";
const LENGTH: &str = "a point is cut short";

fn encode_coordinate(value: &Fq, out: &mut Vec<u8>) {
    for limb in value.into_bigint().0 {
        out.extend_from_slice(&limb.to_le_bytes());
    }
}

fn decode_coordinate(bytes: &[u8]) -> Result<Fq, &'static str> {
    let mut limbs = [0_u64; 4];
    let (words, rest) = bytes.as_chunks::<8>();
    if words.len() != limbs.len() || !rest.is_empty() {
        return Err(LENGTH);
    }
    for (limb, word) in limbs.iter_mut().zip(words) {
        *limb = u64::from_le_bytes(*word);
    }
    Fq::from_bigint(BigInt(limbs)).ok_or(NOT_CANONICAL)
}

impl Encoded for Affine<g1::Config> {
    const BYTES: usize = 64;

    fn encode(&self, out: &mut Vec<u8>) {
        match self.xy() {
            Some((x, y)) => {
                encode_coordinate(&x, out);
                encode_coordinate(&y, out);
            }
            None => out.resize(out.len() + Self::BYTES, 0),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() != Self::BYTES {
            return Err(LENGTH);
        }
        if bytes.iter().all(|&b| b == 0) {
            return Ok(Self::zero());
        }
        let (x, y) = bytes.split_at(32);
        let point = Self::new_unchecked(decode_coordinate(x)?, decode_coordinate(y)?);
        // The cofactor of G1 is 1: being on the curve is being in the group.
        point.is_on_curve().then_some(point).ok_or(NOT_ON_CURVE)
    }
}

impl Encoded for Affine<g2::Config> {
    const BYTES: usize = 128;

    fn encode(&self, out: &mut Vec<u8>) {
        match self.xy() {
            Some((x, y)) => {
                for coordinate in [&x.c0, &x.c1, &y.c0, &y.c1] {
                    encode_coordinate(coordinate, out);
                }
            }
            None => out.resize(out.len() + Self::BYTES, 0),
        }
    }

    fn decode(bytes: &[u8]) -> Result<Self, &'static str> {
        if bytes.len() != Self::BYTES {
            return Err(LENGTH);
        }
        if bytes.iter().all(|&b| b == 0) {
            return Ok(Self::zero());
        }
        let pair = |bytes: &[u8]| -> Result<Fq2, &'static str> {
            let (c0, c1) = bytes.split_at(32);
            Ok(Fq2::new(decode_coordinate(c0)?, decode_coordinate(c1)?))
        };
        let (x, y) = bytes.split_at(64);
        let point = Self::new_unchecked(pair(x)?, pair(y)?);
        point.is_on_curve().then_some(point).ok_or(NOT_ON_CURVE)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::CurveGroup;

    fn round_trip<G: Encoded>() {
        for scalar in 0_u64..5 {
            let point = (G::generator() * G::ScalarField::from(scalar)).into_affine();
            let mut bytes = Vec::new();
            point.encode(&mut bytes);
            assert_eq!(bytes.len(), G::BYTES);
            assert_eq!(G::decode(&bytes), Ok(point));
            if scalar > 0 {
                for coordinate in 0..G::BYTES / 32 {
                    let mut other = bytes.clone();
                    other[coordinate * 32] ^= 1;
                    assert_eq!(G::decode(&other), Err(NOT_ON_CURVE));
                    other[coordinate * 32..][..32].fill(0xff);
                    assert_eq!(G::decode(&other), Err(NOT_CANONICAL));
                }
            }
            assert_eq!(G::decode(&bytes[1..]), Err(LENGTH));
        }
    }

    #[test]
    fn one_encoding_per_point() {
        round_trip::<ark_bn254::G1Affine>();
        round_trip::<ark_bn254::G2Affine>();
    }
}
