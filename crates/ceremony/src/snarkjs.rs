//! What snarkjs's ceremony files and proofs of knowledge are made of: points in two encodings,
//! BLAKE2b-512, and its generator of field elements and points from a seed.

use ark_bn254::{Fq, Fq2, Fr, G1Affine, G2Affine, g1, g2};
use ark_ec::short_weierstrass::{Affine, SWCurveConfig};
use ark_ec::{AffineRepr, CurveConfig, CurveGroup, PrimeGroup};
use ark_ff::{BigInt, BigInteger, PrimeField, Zero};

use crate::blake2b::Blake2b;

/// BLAKE2b-512 of bytes and points.
#[derive(Debug, Clone, Default)]
pub struct Hasher(Blake2b);

impl Hasher {
    /// Takes in bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    /// Takes in points, [uncompressed](Point::push_uncompressed).
    pub fn points<P: Point>(&mut self, points: &[P]) {
        let mut block = Vec::with_capacity(P::BYTES * points.len().min(1 << 12));
        for points in points.chunks(1 << 12) {
            block.clear();
            for point in points {
                point.push_uncompressed(&mut block);
            }
            self.update(&block);
        }
    }

    /// The digest.
    pub fn finish(self) -> [u8; 64] {
        self.0.finish()
    }
}

/// A point in snarkjs's encodings. In both the identity is all zeros.
pub trait Point: AffineRepr<ScalarField = Fr> + Send + Sync {
    /// Bytes in either encoding.
    const BYTES: usize;

    /// Appends the affine coordinates big-endian, of G2 the imaginary part first: as EIP-197 has
    /// points, and as they are hashed.
    fn push_uncompressed(&self, out: &mut Vec<u8>);

    /// Appends the affine coordinates' Montgomery representatives little-endian, of G2 the real part
    /// first: as they stand in files.
    fn push_montgomery(&self, out: &mut Vec<u8>);

    /// Reads what [`push_uncompressed`](Self::push_uncompressed) wrote. The point is on its curve; it
    /// is not checked for its subgroup.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn from_uncompressed(bytes: &[u8]) -> Result<Self, &'static str>;

    /// Reads what [`push_montgomery`](Self::push_montgomery) wrote. The point is on its curve; it is
    /// not checked for its subgroup.
    ///
    /// # Errors
    /// What is wrong, in words.
    fn from_montgomery(bytes: &[u8]) -> Result<Self, &'static str>;
}

const NOT_REDUCED: &str = "a coordinate is not below the base field's order";
const OFF_CURVE: &str = "a point is not on its curve";
const LENGTH: &str = "a point is cut short";

fn limbs(bytes: &[u8]) -> Result<BigInt<4>, &'static str> {
    let (words, rest) = bytes.as_chunks::<8>();
    if words.len() != 4 || !rest.is_empty() {
        return Err(LENGTH);
    }
    let mut limbs = [0; 4];
    for (limb, word) in limbs.iter_mut().zip(words) {
        *limb = u64::from_le_bytes(*word);
    }
    Ok(BigInt(limbs))
}

fn big_endian(bytes: &[u8]) -> Result<Fq, &'static str> {
    let reversed: Vec<u8> = bytes.iter().rev().copied().collect();
    Fq::from_bigint(limbs(&reversed)?).ok_or(NOT_REDUCED)
}

fn montgomery(bytes: &[u8]) -> Result<Fq, &'static str> {
    let limbs = limbs(bytes)?;
    if limbs < Fq::MODULUS {
        Ok(Fq::new_unchecked(limbs))
    } else {
        Err(NOT_REDUCED)
    }
}

fn push_limbs(limbs: &BigInt<4>, out: &mut Vec<u8>) {
    for limb in limbs.0 {
        out.extend_from_slice(&limb.to_le_bytes());
    }
}

/// The point with these coordinates; zeros are the identity.
fn on_curve<C: SWCurveConfig>(x: C::BaseField, y: C::BaseField) -> Result<Affine<C>, &'static str> {
    if x.is_zero() && y.is_zero() {
        return Ok(Affine::identity());
    }
    let point = Affine::new_unchecked(x, y);
    point.is_on_curve().then_some(point).ok_or(OFF_CURVE)
}

impl Point for Affine<g1::Config> {
    const BYTES: usize = 64;

    fn push_uncompressed(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or_default();
        for coordinate in [x, y] {
            out.extend(coordinate.into_bigint().to_bytes_be());
        }
    }

    fn push_montgomery(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or_default();
        for coordinate in [x, y] {
            push_limbs(&coordinate.0, out);
        }
    }

    fn from_uncompressed(bytes: &[u8]) -> Result<Self, &'static str> {
        let (x, y) = bytes.split_at_checked(32).ok_or(LENGTH)?;
        on_curve::<g1::Config>(big_endian(x)?, big_endian(y)?)
    }

    fn from_montgomery(bytes: &[u8]) -> Result<Self, &'static str> {
        let (x, y) = bytes.split_at_checked(32).ok_or(LENGTH)?;
        on_curve::<g1::Config>(montgomery(x)?, montgomery(y)?)
    }
}

impl Point for Affine<g2::Config> {
    const BYTES: usize = 128;

    fn push_uncompressed(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or_default();
        for coordinate in [x.c1, x.c0, y.c1, y.c0] {
            out.extend(coordinate.into_bigint().to_bytes_be());
        }
    }

    fn push_montgomery(&self, out: &mut Vec<u8>) {
        let (x, y) = self.xy().unwrap_or_default();
        for coordinate in [x.c0, x.c1, y.c0, y.c1] {
            push_limbs(&coordinate.0, out);
        }
    }

    fn from_uncompressed(bytes: &[u8]) -> Result<Self, &'static str> {
        let [x1, x0, y1, y0] = quarters(bytes, big_endian)?;
        on_curve::<g2::Config>(Fq2::new(x0, x1), Fq2::new(y0, y1))
    }

    fn from_montgomery(bytes: &[u8]) -> Result<Self, &'static str> {
        let [x0, x1, y0, y1] = quarters(bytes, montgomery)?;
        on_curve::<g2::Config>(Fq2::new(x0, x1), Fq2::new(y0, y1))
    }
}

fn quarters(
    bytes: &[u8],
    read: impl Fn(&[u8]) -> Result<Fq, &'static str>,
) -> Result<[Fq; 4], &'static str> {
    let (quarters, rest) = bytes.as_chunks::<32>();
    let [a, b, c, d] = quarters else {
        return Err(LENGTH);
    };
    if !rest.is_empty() {
        return Err(LENGTH);
    }
    Ok([read(a)?, read(b)?, read(c)?, read(d)?])
}

/// snarkjs's generator: the key stream of ChaCha20 under a seed of 32 bytes and a nonce of 0.
///
/// Field elements come from it by rejection. What is drawn is the element's *Montgomery
/// representative*.
pub struct Generator {
    state: [u32; 16],
    block: [u32; 16],
    next: usize,
}

impl Generator {
    /// Starts from the first 32 bytes of a digest, as eight big-endian words.
    pub fn new(seed: &[u8; 32]) -> Self {
        let mut state = [0; 16];
        let (constants, rest) = state.split_at_mut(4);
        constants.copy_from_slice(&[0x6170_7865, 0x3320_646e, 0x7962_2d32, 0x6b20_6574]);
        for (word, bytes) in rest.iter_mut().zip(seed.as_chunks::<4>().0) {
            *word = u32::from_be_bytes(*bytes);
        }
        Self {
            state,
            block: [0; 16],
            next: 16,
        }
    }

    fn refill(&mut self) {
        let mut block = self.state;
        for _ in 0..10 {
            for column in 0..4 {
                quarter_round(&mut block, [column, 4 + column, 8 + column, 12 + column]);
            }
            for column in 0..4 {
                let diagonal = |row: usize| 4 * row + (column + row) % 4;
                quarter_round(&mut block, [column, diagonal(1), diagonal(2), diagonal(3)]);
            }
        }
        for (word, before) in block.iter_mut().zip(&self.state) {
            *word = word.wrapping_add(*before);
        }
        self.block = block;
        self.next = 0;
        // Far fewer than 2^32 blocks are ever drawn.
        if let Some(counter) = self.state.get_mut(12) {
            *counter = counter.wrapping_add(1);
        }
    }

    fn word(&mut self) -> u32 {
        if self.next >= self.block.len() {
            self.refill();
        }
        let word = self.block.get(self.next).copied().unwrap_or_default();
        self.next += 1;
        word
    }

    /// 254 bits below a modulus.
    fn below(&mut self, modulus: &BigInt<4>) -> BigInt<4> {
        loop {
            let mut limbs = [0_u64; 4];
            for limb in &mut limbs {
                let high = u64::from(self.word());
                *limb = high << 32 | u64::from(self.word());
            }
            let [.., top] = &mut limbs;
            *top &= (1 << 62) - 1;
            let drawn = BigInt(limbs);
            if drawn < *modulus {
                return drawn;
            }
        }
    }

    /// An element of the scalar field.
    pub fn scalar(&mut self) -> Fr {
        Fr::new_unchecked(self.below(&Fr::MODULUS))
    }

    fn coordinate(&mut self) -> Fq {
        Fq::new_unchecked(self.below(&Fq::MODULUS))
    }

    /// A point of G1 whose logarithm nobody knows, unless its maker knows the seed.
    pub fn g1(&mut self) -> G1Affine {
        loop {
            let x = self.coordinate();
            let greatest = self.word() & 1 == 1;
            if let Some(point) = Affine::get_point_from_x_unchecked(x, greatest) {
                return point;
            }
        }
    }

    /// A point of G2 whose logarithm nobody knows.
    pub fn g2(&mut self) -> G2Affine {
        loop {
            let x = Fq2::new(self.coordinate(), self.coordinate());
            let greatest = self.word() & 1 == 1;
            let point: Option<G2Affine> = Affine::get_point_from_x_unchecked(x, greatest);
            if let Some(point) = point {
                let cofactor = <g2::Config as CurveConfig>::COFACTOR;
                return point.into_group().mul_bigint(cofactor).into_affine();
            }
        }
    }
}

impl Drop for Generator {
    fn drop(&mut self) {
        use zeroize::Zeroize;
        self.state.zeroize();
        self.block.zeroize();
    }
}

fn quarter_round(block: &mut [u32; 16], indices: [usize; 4]) {
    let get = |block: &[u32; 16], index: usize| block.get(index).copied().unwrap_or_default();
    let [mut a, mut b, mut c, mut d] = indices.map(|index| get(block, index));
    for (first, second) in [(16, 12), (8, 7)] {
        a = a.wrapping_add(b);
        d = (d ^ a).rotate_left(first);
        c = c.wrapping_add(d);
        b = (b ^ c).rotate_left(second);
    }
    for (index, word) in indices.into_iter().zip([a, b, c, d]) {
        if let Some(place) = block.get_mut(index) {
            *place = word;
        }
    }
}

/// The point of G2 that a digest stands for.
pub fn hash_to_g2(digest: &[u8; 64]) -> G2Affine {
    let seed = digest.first_chunk::<32>();
    Generator::new(seed.unwrap_or(&[0; 32])).g2()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::Field;

    #[test]
    fn the_key_stream_is_chacha20s() {
        // RFC 8439, appendix A.1: test vectors 1 and 2, keys of zeros, counters 0 and 1.
        let mut generator = Generator::new(&[0; 32]);
        let words: Vec<u32> = (0..17).map(|_| generator.word()).collect();
        assert_eq!(words[..2], [0xade0_b876, 0x903d_f1a0]);
        assert_eq!(words[15..], [0x8665_eeb2, 0xbee7_079f]);
    }

    #[test]
    fn encodings_round_trip_and_others_are_refused() {
        fn check<P: Point + PartialEq>() {
            let mut bytes = Vec::new();
            for scalar in 0_u64..4 {
                let point = (P::generator() * Fr::from(scalar)).into_affine();
                bytes.clear();
                point.push_uncompressed(&mut bytes);
                assert_eq!(bytes.len(), P::BYTES);
                assert_eq!(P::from_uncompressed(&bytes), Ok(point));
                let short = &bytes[..P::BYTES - 1];
                assert_eq!(P::from_uncompressed(short), Err(LENGTH));
                bytes.clear();
                point.push_montgomery(&mut bytes);
                assert_eq!(bytes.len(), P::BYTES);
                assert_eq!(P::from_montgomery(&bytes), Ok(point));
                bytes[0] ^= 1;
                assert_eq!(P::from_montgomery(&bytes), Err(OFF_CURVE));
                bytes[..32].fill(0xff);
                assert_eq!(P::from_montgomery(&bytes), Err(NOT_REDUCED));
                assert_eq!(P::from_uncompressed(&bytes), Err(NOT_REDUCED));
            }
        }
        check::<G1Affine>();
        check::<G2Affine>();
    }

    #[test]
    fn points_from_seeds_are_in_their_groups_and_differ() {
        let mut generator = Generator::new(&[7; 32]);
        let (one, other) = (generator.g1(), generator.g1());
        assert!(one.is_on_curve() && one != other);
        let (one, other) = (hash_to_g2(&[1; 64]), hash_to_g2(&[2; 64]));
        assert!(one.is_on_curve() && one.is_in_correct_subgroup_assuming_on_curve());
        assert!(!one.is_zero() && one != other);
        assert_eq!(one, hash_to_g2(&[1; 64]));
        // What is drawn is a representative, not the number itself.
        let drawn = Generator::new(&[7; 32]).below(&Fr::MODULUS);
        let scalar = Generator::new(&[7; 32]).scalar();
        let radix = Fr::from(2_u64).pow([256_u64]);
        assert_eq!(Fr::from_bigint(drawn).unwrap(), scalar * radix);
    }
}
