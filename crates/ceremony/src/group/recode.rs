//! Scalars as two short ones in digits that are never zero.
//!
//! With λ the endomorphism's eigenvalue, the pairs `(u, v)` with `u + v·λ = 0` modulo the group's
//! order are a lattice with the basis `(A1, −B)`, `(A2, A1)`. A scalar `k` is `(k, 0)` minus the
//! lattice point next to it, about 2^126 in either coordinate; adding basis vectors makes both
//! coordinates odd (their determinant is). An odd number has a form in odd digits from −15 to 15,
//! so that every step of a multiplication adds something, in all lanes alike.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, BigInt, MontFp, PrimeField};

/// The eigenvalue: a cube root of one.
pub(crate) const LAMBDA: Fr = MontFp!("4407920970296243842393367215006156084916469457145843978461");
const A1: u64 = 9_931_322_734_385_697_763;
const B: u128 = 147_946_756_881_789_319_000_765_030_803_803_410_728;
/// `2^256 · A1 / r`, rounded.
const A1_OVER_ORDER: [u64; 3] = [0xd91d_232e_c7e0_b3d7, 2, 0];
/// `2^256 · B / r`, rounded.
const B_OVER_ORDER: [u64; 3] = [0x7a7b_d9d4_391e_b18e, 0x4cce_f014_a773_d2cf, 2];

/// Digits of each half.
pub(crate) const STEPS: usize = 32;
/// Odd multiples in a table: 1, 3, … 15.
pub(crate) const MULTIPLES: usize = 8;
/// Added to a digit's index into the table when it is negative.
pub(crate) const NEGATIVE: u8 = 8;

/// For each step, highest first, the digits of both halves: `(|digit| − 1)/2`, plus [`NEGATIVE`].
pub(crate) type Digits = [[u8; 2]; STEPS];

/// The digits of a scalar.
pub(crate) fn recode(scalar: &Fr) -> Digits {
    let integer = scalar.into_bigint();
    let c1 = high_product(&integer.0, A1_OVER_ORDER);
    let c2 = high_product(&integer.0, B_OVER_ORDER);
    let (a1, b) = (Fr::from(A1), Fr::from(B));
    let mut second = Fr::from(c1) * b - Fr::from(c2) * a1;
    if centred(&second).1 & 1 == 0 {
        second += a1;
    }
    let mut first = *scalar - second * LAMBDA;
    if centred(&first).1 & 1 == 0 {
        second -= b;
        first += a1;
    }
    let mut digits = [[0; 2]; STEPS];
    for (half, value) in [first, second].iter().enumerate() {
        let (negative, magnitude) = centred(value);
        write(magnitude, negative, half, &mut digits);
    }
    digits
}

/// Bits from 256 on of a product, rounded.
fn high_product(a: &[u64; 4], b: [u64; 3]) -> u128 {
    let mut product = [0_u64; 8];
    for (i, a) in a.iter().enumerate() {
        let mut carry = 0_u128;
        for (j, b) in b.iter().enumerate() {
            let sum = u128::from(*a) * u128::from(*b) + u128::from(product[i + j]) + carry;
            product[i + j] = low(sum);
            carry = sum >> 64;
        }
        product[i + 3] = low(carry);
    }
    let high = u128::from(product[4]) | u128::from(product[5]) << 64;
    high + u128::from(product[3] >> 63)
}

#[expect(clippy::cast_possible_truncation, reason = "the low word is meant")]
const fn low(value: u128) -> u64 {
    value as u64
}

/// Whether the residue next to zero is negative, and its magnitude, below 2^128 here.
fn centred(value: &Fr) -> (bool, u128) {
    let BigInt(words) = value.into_bigint();
    if words[2] | words[3] == 0 {
        return (false, u128::from(words[0]) | u128::from(words[1]) << 64);
    }
    let BigInt(words) = (Fr::ZERO - value).into_bigint();
    (true, u128::from(words[0]) | u128::from(words[1]) << 64)
}

/// Writes the odd digits of an odd number below `15 · 16^31`.
fn write(mut magnitude: u128, negative: bool, half: usize, digits: &mut Digits) {
    for step in (0..STEPS).rev() {
        // Of the two digits that leave a multiple of 16, the one whose sixteenth is odd.
        let window = u8::try_from(magnitude & 31).unwrap_or(0);
        let below = step > 0 && window < 16;
        let size = if below { 16 - window } else { window & 15 };
        magnitude = (magnitude >> 4) | 1;
        let sign = if below == negative { 0 } else { NEGATIVE };
        digits[step][half] = ((size - 1) / 2) | sign;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ark_ff::Field;

    fn value(digits: &Digits) -> Fr {
        let digit = |code: u8| {
            let size = Fr::from(2 * (code & 7) + 1);
            if code & NEGATIVE == 0 { size } else { -size }
        };
        digits.iter().fold(Fr::ZERO, |sum, [first, second]| {
            sum * Fr::from(16) + digit(*first) + digit(*second) * LAMBDA
        })
    }

    #[test]
    fn digits_stand_for_their_scalar() {
        let mut state = -Fr::from(3);
        let mut cases = vec![Fr::ZERO, Fr::ONE, -Fr::ONE, LAMBDA, -LAMBDA, Fr::from(B)];
        cases.extend((0..254).map(|bit| Fr::from(2).pow([bit])));
        for _ in 0..5000 {
            state = state.square() + Fr::from(7);
            cases.push(state);
        }
        for scalar in cases {
            assert_eq!(value(&recode(&scalar)), scalar, "{scalar}");
        }
    }

    #[test]
    fn the_basis_is_one_of_the_lattice() {
        assert_eq!(Fr::from(A1), Fr::from(B) * LAMBDA);
        assert_eq!(LAMBDA.square() + LAMBDA + Fr::ONE, Fr::ZERO);
        let a2 = 147_946_756_881_789_319_010_696_353_538_189_108_491;
        assert_eq!(centred(&(-Fr::from(A1) * LAMBDA)), (false, a2));
    }
}
