//! Points of BN254 as EIP-197 writes them: uncompressed, big-endian, the imaginary part of an
//! Fp2 coordinate first. Each point has one encoding; the identity has none.

use ark_bn254::{Fq, Fq2, G1Affine, G2Affine, G2Projective};
use ark_ec::AffineRepr;
use ark_ec::bn::BnConfig as _;
use ark_ff::{AdditiveGroup as _, BigInt, BigInteger, Field as _, PrimeField, Zero as _};

use crate::pairing::frobenius;

/// Bytes of a coordinate in Fp.
const FQ_BYTES: usize = 32;
/// Bytes of a point in G1.
pub(crate) const G1_BYTES: usize = 64;
/// Bytes of a point in G2.
pub(crate) const G2_BYTES: usize = 128;

/// Why bytes are not a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PointError {
    /// The bytes end too early.
    Short,
    /// A coordinate is not below the field modulus.
    NotReduced,
    /// The coordinates are those that EIP-197 writes the identity as.
    Identity,
    /// Not on the curve.
    OffCurve,
    /// On the curve, outside the subgroup of prime order.
    OffSubgroup,
}

impl PointError {
    pub(crate) const fn reason(self) -> &'static str {
        match self {
            Self::Short => "ends too early",
            Self::NotReduced => "has a coordinate that is not below the field modulus",
            Self::Identity => "is the identity",
            Self::OffCurve => "is not on the curve",
            Self::OffSubgroup => "is not in the subgroup of prime order",
        }
    }
}

/// Takes fixed-size pieces off the front of some bytes.
pub(crate) struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    pub(crate) const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(crate) fn take<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        Some(*head)
    }

    fn fq(&mut self) -> Result<Fq, PointError> {
        let bytes = self.take::<FQ_BYTES>().ok_or(PointError::Short)?;
        let mut limbs = [0_u64; 4];
        for (limb, chunk) in limbs.iter_mut().rev().zip(bytes.chunks_exact(8)) {
            *limb = chunk.iter().fold(0, |n, &b| (n << 8) | u64::from(b));
        }
        Fq::from_bigint(BigInt::new(limbs)).ok_or(PointError::NotReduced)
    }

    pub(crate) fn g1(&mut self) -> Result<G1Affine, PointError> {
        let (x, y) = (self.fq()?, self.fq()?);
        if x == Fq::default() && y == Fq::default() {
            return Err(PointError::Identity);
        }
        let point = G1Affine::new_unchecked(x, y);
        check_g1(&point)?;
        Ok(point)
    }

    pub(crate) fn g2(&mut self) -> Result<G2Affine, PointError> {
        let mut coordinate = || {
            let imaginary = self.fq()?;
            Ok(Fq2::new(self.fq()?, imaginary))
        };
        let (x, y) = (coordinate()?, coordinate()?);
        if x == Fq2::default() && y == Fq2::default() {
            return Err(PointError::Identity);
        }
        let point = G2Affine::new_unchecked(x, y);
        check_g2(&point)?;
        Ok(point)
    }
}

/// Not the identity, on the curve, in the subgroup.
pub(crate) fn check_g1(point: &G1Affine) -> Result<(), PointError> {
    if point.is_zero() {
        Err(PointError::Identity)
    } else if !point.is_on_curve() {
        Err(PointError::OffCurve)
    } else if !point.is_in_correct_subgroup_assuming_on_curve() {
        // The cofactor of G1 is 1: kept so that nobody has to remember that.
        Err(PointError::OffSubgroup)
    } else {
        Ok(())
    }
}

/// Not the identity, on the curve, in the subgroup.
pub(crate) fn check_g2(point: &G2Affine) -> Result<(), PointError> {
    if point.is_zero() {
        Err(PointError::Identity)
    } else if !point.is_on_curve() {
        Err(PointError::OffCurve)
    } else if !in_subgroup(point) {
        Err(PointError::OffSubgroup)
    } else {
        Ok(())
    }
}

/// Whether a point of the twist is in the subgroup of order r, by half the work of `ark-bn254`'s
/// test: with the curve's parameter x, `[x+1]P + ψ([x]P) + ψ²([x]P) = ψ³([2x]P)` (Dai, Lin, Zhao,
/// Zhou, ePrint 2022/348, §4).
///
/// Why this is enough: ψ² − [t]ψ + [p] = 0 on the whole twist, so the test says [N]P = 0 for the
/// resultant N of both polynomials in ψ; N is coprime to the cofactor and divisible by r once.
#[expect(
    clippy::arithmetic_side_effects,
    reason = "group arithmetic cannot overflow"
)]
fn in_subgroup(point: &G2Affine) -> bool {
    let psi = |point: G2Projective| {
        let (x, y) = frobenius((point.x, point.y));
        let mut z = point.z;
        z.frobenius_map_in_place(1);
        G2Projective::new_unchecked(x, y, z)
    };
    let multiple = point.mul_bigint(ark_bn254::Config::X);
    let inner = multiple - psi(multiple.double());
    (multiple + point + psi(multiple + psi(inner))).is_zero()
}

fn push_fq(bytes: &mut Vec<u8>, x: Fq) {
    bytes.extend(x.into_bigint().to_bytes_be());
}

/// Appends a point. The identity becomes zeros, as in EIP-197, and is refused on reading.
pub(crate) fn push_g1(bytes: &mut Vec<u8>, point: &G1Affine) {
    let (x, y) = point.xy().unwrap_or_default();
    push_fq(bytes, x);
    push_fq(bytes, y);
}

/// Appends a point. The identity becomes zeros, as in EIP-197, and is refused on reading.
pub(crate) fn push_g2(bytes: &mut Vec<u8>, point: &G2Affine) {
    let (x, y) = point.xy().unwrap_or_default();
    for coordinate in [x, y] {
        push_fq(bytes, coordinate.c1);
        push_fq(bytes, coordinate.c0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ec::CurveGroup as _;

    #[test]
    fn generators_are_written_as_in_eip_197() {
        // The generators as EIP-197 gives them, in hex.
        let mut bytes = Vec::new();
        push_g1(&mut bytes, &G1Affine::generator());
        assert_eq!(hex::encode(&bytes), format!("{:064x}{:064x}", 1, 2));
        let mut bytes = Vec::new();
        push_g2(&mut bytes, &G2Affine::generator());
        assert_eq!(
            hex::encode(&bytes),
            "198e9393920d483a7260bfb731fb5d25f1aa493335a9e71297e485b7aef312c2\
             1800deef121f1e76426a00665e5c4479674322d4f75edadd46debd5cd992f6ed\
             090689d0585ff075ec9e99ad690c3395bc4b313370b38ef355acdadcd122975b\
             12c85ea5db8c6deb4aab71808dcb408fe3d1e7690c43d37b4ce6cc0166fa7daa"
        );
        assert_eq!(Reader::new(&bytes).g2(), Ok(G2Affine::generator()));
    }

    #[test]
    fn refuses_what_is_no_point() {
        let mut one_two = Vec::new();
        push_g1(&mut one_two, &G1Affine::generator());
        assert_eq!(Reader::new(&one_two[..63]).g1(), Err(PointError::Short));
        assert_eq!(Reader::new(&[0; 64]).g1(), Err(PointError::Identity));
        assert_eq!(Reader::new(&[0; 128]).g2(), Err(PointError::Identity));
        assert_eq!(Reader::new(&[0xff; 64]).g1(), Err(PointError::NotReduced));
        let mut bad = one_two.clone();
        bad[63] = 3;
        assert_eq!(Reader::new(&bad).g1(), Err(PointError::OffCurve));
        // x + p has the same residue as x.
        let p = BigInt::<4>::from(Fq::from(-1));
        let mut shifted = p;
        shifted.add_with_carry(&BigInt::from(2_u64));
        let mut bytes = shifted.to_bytes_be();
        bytes.extend_from_slice(&one_two[32..]);
        assert_eq!(Reader::new(&bytes).g1(), Err(PointError::NotReduced));
    }

    #[test]
    fn refuses_g2_points_outside_the_subgroup() {
        // Almost every point of the twist is outside the subgroup of order r.
        let point = (1_u64..)
            .find_map(|x| G2Affine::get_point_from_x_unchecked(Fq2::from(x), false))
            .unwrap();
        assert!(point.is_on_curve());
        let mut bytes = Vec::new();
        push_g2(&mut bytes, &point);
        assert_eq!(Reader::new(&bytes).g2(), Err(PointError::OffSubgroup));
        // Our test against the reference's and the definition, inside, outside and in the cofactor.
        for x in 1_u64..60 {
            let Some(point) = G2Affine::get_point_from_x_unchecked(Fq2::from(x), x % 2 == 0) else {
                continue;
            };
            let multiple = point.mul_bigint(ark_bn254::Fr::MODULUS).into_affine();
            for point in [point, multiple, point.clear_cofactor()] {
                let inside = point.mul_bigint(ark_bn254::Fr::MODULUS).is_zero();
                assert_eq!(point.is_in_correct_subgroup_assuming_on_curve(), inside);
                assert_eq!(in_subgroup(&point), inside);
            }
            assert!(!in_subgroup(&point) && in_subgroup(&point.clear_cofactor()));
        }
        let inside = point.clear_cofactor().into_group().into_affine();
        assert_eq!(check_g2(&inside), Ok(()));
    }
}
