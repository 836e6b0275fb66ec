//! What the vector arithmetic must know of a prime, computed from it when the crate is compiled.

/// Bits in a limb: what `vpmadd52` multiplies.
pub(super) const LIMB_BITS: u32 = 52;
/// Limbs of an element; the Montgomery radix is 2^260.
pub(super) const LIMBS: usize = 5;
/// The low bits of a word that a limb fills.
pub(super) const LIMB_MASK: u64 = (1 << LIMB_BITS) - 1;
/// The bit of the highest limb from which quotients are estimated: bit 253 of the number.
pub(super) const QUOTIENT_SHIFT: u32 = 253 - 4 * LIMB_BITS;

/// Five words of 64 bits, little-endian.
type Wide = [u64; 5];

/// Constants of a prime `p` of 254 bits.
pub(super) struct Constants {
    /// `p`.
    pub(super) prime: [u64; LIMBS],
    /// `2p`.
    pub(super) prime_2: [u64; LIMBS],
    /// `4p`.
    pub(super) prime_4: [u64; LIMBS],
    /// `k = −p⁻¹ mod 2^52`.
    pub(super) negated_inverse: u64,
    /// `h = (k·p + 1) / 2^52`: adding `m·k·p` to a number whose lowest limb is `m` and dividing by
    /// 2^52 is dropping that limb and adding `m·h`.
    pub(super) high: [u64; LIMBS],
    /// `multiples[j][i]` is limb `j` of `⌊i·2^253 / p⌋ · p`.
    pub(super) multiples: [[u64; 16]; LIMBS],
}

impl Constants {
    pub(super) const fn new(prime: [u64; 4]) -> Self {
        let wide = [prime[0], prime[1], prime[2], prime[3], 0];
        // Newton: every step doubles the number of right bits, and an odd number is its own
        // inverse in the lowest three.
        let mut inverse = prime[0];
        let mut step = 0;
        while step < 5 {
            inverse = inverse.wrapping_mul(2u64.wrapping_sub(prime[0].wrapping_mul(inverse)));
            step += 1;
        }
        let negated_inverse = inverse.wrapping_neg() & LIMB_MASK;
        let product = times(wide, negated_inverse);
        // the lowest 52 bits of the product are ones
        let raised = add(product, [1, 0, 0, 0, 0]);
        let high = [
            raised[0] >> 52 | raised[1] << 12,
            raised[1] >> 52 | raised[2] << 12,
            raised[2] >> 52 | raised[3] << 12,
            raised[3] >> 52 | raised[4] << 12,
            raised[4] >> 52,
        ];
        let mut multiples = [[0; 16]; LIMBS];
        let mut index = 0;
        while index < 16 {
            let bound = [0, 0, 0, (index as u64 & 7) << 61, index as u64 >> 3];
            let mut quotient = 0;
            while !less(bound, times(wide, quotient + 1)) {
                quotient += 1;
            }
            let multiple = limbs(times(wide, quotient));
            let mut limb = 0;
            while limb < LIMBS {
                multiples[limb][index] = multiple[limb];
                limb += 1;
            }
            index += 1;
        }
        Self {
            prime: limbs(wide),
            prime_2: limbs(times(wide, 2)),
            prime_4: limbs(times(wide, 4)),
            negated_inverse,
            high: limbs(high),
            multiples,
        }
    }
}

/// A number below 2^260 in limbs.
const fn limbs(words: Wide) -> [u64; LIMBS] {
    [
        words[0] & LIMB_MASK,
        (words[0] >> 52 | words[1] << 12) & LIMB_MASK,
        (words[1] >> 40 | words[2] << 24) & LIMB_MASK,
        (words[2] >> 28 | words[3] << 36) & LIMB_MASK,
        (words[3] >> 16 | words[4] << 48) & LIMB_MASK,
    ]
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is meant"
)]
const fn times(words: Wide, factor: u64) -> Wide {
    let mut product = [0; 5];
    let mut carry = 0;
    let mut index = 0;
    while index < 5 {
        let sum = words[index] as u128 * factor as u128 + carry;
        product[index] = sum as u64;
        carry = sum >> 64;
        index += 1;
    }
    product
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "the low half is what is meant"
)]
const fn add(left: Wide, right: Wide) -> Wide {
    let mut sum = [0; 5];
    let mut carry = 0;
    let mut index = 0;
    while index < 5 {
        let word = left[index] as u128 + right[index] as u128 + carry;
        sum[index] = word as u64;
        carry = word >> 64;
        index += 1;
    }
    sum
}

const fn less(left: Wide, right: Wide) -> bool {
    let mut index = 5;
    while index > 0 {
        index -= 1;
        if left[index] != right[index] {
            return left[index] < right[index];
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use ark_bn254::{Fq, Fr};

    use super::*;
    use crate::LaneField;

    /// A number in limbs, in units of `2^253`, to about 50 bits.
    #[expect(clippy::cast_precision_loss, reason = "limbs of 52 bits are exact")]
    fn approximate(limbs: [u64; LIMBS]) -> f64 {
        let highest_unit = 2f64.powi(4 * 52 - 253);
        limbs
            .iter()
            .fold(0.0, |sum, &limb| sum / 2f64.powi(52) + limb as f64)
            * highest_unit
    }

    fn check<F: LaneField>() {
        let constants = Constants::new(F::PRIME);
        let prime = approximate(constants.prime);
        assert!((approximate(constants.prime_2) - 2.0 * prime).abs() < 1e-12);
        assert!((approximate(constants.prime_4) - 4.0 * prime).abs() < 1e-12);
        // what `ifma` says of the product: p·(k/2^52) < 0.13p
        assert!(constants.negated_inverse < LIMB_MASK / 100 * 13);
        assert_eq!(
            constants.negated_inverse.wrapping_mul(F::PRIME[0]) & LIMB_MASK,
            LIMB_MASK
        );
        // what `ifma` says of the quotients: subtracting the multiple of an index that is right, or
        // one too large by next to nothing, leaves between 0 and 1.7p
        for index in 0..16u8 {
            let multiple = approximate(constants.multiples.map(|limb| limb[usize::from(index)]));
            let least = f64::from(index) - multiple;
            assert!(multiple == 0.0 || least > 1e-6, "{index}");
            assert!(least + 1.0 < 1.69 * prime, "{index}");
        }
    }

    #[test]
    fn constants_are_within_the_bounds_that_the_arithmetic_states() {
        check::<Fq>();
        check::<Fr>();
    }
}
