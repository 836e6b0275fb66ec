//! The arithmetic in limbs. The bounds are those of the parent module.
//!
//! Every function here is `unsafe` for one reason: it must run only where the processor has the
//! instructions of `Ifma::run`, which a token of the parent module proves. None touches memory other
//! than through references.
#![expect(
    unsafe_code,
    reason = "vector instructions; a token proves that the processor has them"
)]

use std::arch::x86_64::{
    __m256i, __m512i, __mmask8, _mm512_add_epi64, _mm512_and_si512, _mm512_castsi256_si512,
    _mm512_castsi512_si256, _mm512_cmpeq_epi64_mask, _mm512_cmplt_epi64_mask,
    _mm512_extracti64x4_epi64, _mm512_inserti64x4, _mm512_madd52hi_epu64, _mm512_madd52lo_epu64,
    _mm512_mask_blend_epi64, _mm512_or_si512, _mm512_permutex2var_epi64, _mm512_permutexvar_epi64,
    _mm512_set1_epi64, _mm512_setzero_si512, _mm512_shldi_epi64, _mm512_shrdi_epi64,
    _mm512_slli_epi64, _mm512_srai_epi64, _mm512_srli_epi64, _mm512_sub_epi64,
    _mm512_unpackhi_epi64, _mm512_unpacklo_epi64, _mm512_xor_si512,
};

use super::constants::{Constants, LIMB_BITS, LIMB_MASK, LIMBS, QUOTIENT_SHIFT};
use crate::{LaneField, Packed};

/// Limb `i` of eight numbers in element `i`.
pub(super) type Limbs = [__m512i; LIMBS];

/// The constants of a field.
struct Of<F>(std::marker::PhantomData<F>);

impl<F: LaneField> Of<F> {
    const CONSTANTS: Constants = Constants::new(F::PRIME);
}

/// The same word in all lanes.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn every(word: u64) -> __m512i {
    // SAFETY: as the caller says.
    unsafe { _mm512_set1_epi64(word.cast_signed()) }
}

/// Numbers that are all the same.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn every_limb(words: [u64; LIMBS]) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        [
            every(words[0]),
            every(words[1]),
            every(words[2]),
            every(words[3]),
            every(words[4]),
        ]
    }
}

/// The number with all limbs but the highest brought into 52 bits. Takes limbs with signs, below
/// 2^62 in size, of numbers that are not negative and below 2^260.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn carry(mut limbs: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let mask = every(LIMB_MASK);
        for index in 0..LIMBS - 1 {
            // the shift keeps the sign: a borrow is a carry of −1
            let carry = _mm512_srai_epi64::<LIMB_BITS>(limbs[index]);
            limbs[index + 1] = _mm512_add_epi64(limbs[index + 1], carry);
            limbs[index] = _mm512_and_si512(limbs[index], mask);
        }
        limbs
    }
}

/// Limb by limb, no carries.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn plus(mut left: Limbs, right: Limbs) -> Limbs {
    for index in 0..LIMBS {
        // SAFETY: as the caller says.
        left[index] = unsafe { _mm512_add_epi64(left[index], right[index]) };
    }
    left
}

/// Limb by limb, no borrows.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn minus(mut left: Limbs, right: Limbs) -> Limbs {
    for index in 0..LIMBS {
        // SAFETY: as the caller says.
        left[index] = unsafe { _mm512_sub_epi64(left[index], right[index]) };
    }
    left
}

/// Brings a number from `[0, 5.29p)` (2^256) below the vector bound. The limbs may carry signs and be
/// up to 2^56 in size; a number with negative limbs is at least `0.01p`.
///
/// The index is `⌊number/2^253⌋`, or one less or more where the lower limbs carry or borrow. One less leaves
/// an excess over the row's range of next to nothing, one more a remainder that is still not
/// negative, as the test of the constants shows; an index that should be 0 is not negative, because
/// the number is 0.01p at least. Indices are 0 to 7 since the number is below 2^256.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn reduce<F: LaneField>(limbs: Limbs) -> Limbs {
    let multiples = const { &Of::<F>::CONSTANTS.multiples };
    // SAFETY: as the caller says.
    unsafe {
        let index = _mm512_srli_epi64::<QUOTIENT_SHIFT>(limbs[LIMBS - 1]);
        let mut multiple = [_mm512_setzero_si512(); LIMBS];
        for limb in 0..LIMBS {
            multiple[limb] = _mm512_permutexvar_epi64(index, halves(&multiples[limb])[0]);
        }
        carry(minus(limbs, multiple))
    }
}

/// As [`reduce`], for numbers below `10p`.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn reduce_more<F: LaneField>(limbs: Limbs) -> Limbs {
    let multiples = const { &Of::<F>::CONSTANTS.multiples };
    // SAFETY: as the caller says.
    unsafe {
        let index = _mm512_srli_epi64::<QUOTIENT_SHIFT>(limbs[LIMBS - 1]);
        let mut multiple = [_mm512_setzero_si512(); LIMBS];
        for limb in 0..LIMBS {
            let [low, high] = halves(&multiples[limb]);
            multiple[limb] = _mm512_permutex2var_epi64(low, index, high);
        }
        carry(minus(limbs, multiple))
    }
}

/// Sixteen words as two vectors.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn halves(words: &[u64; 16]) -> [__m512i; 2] {
    // SAFETY: both types are 128 bytes without padding in which every pattern is valid.
    unsafe { std::mem::transmute::<[u64; 16], [__m512i; 2]>(*words) }
}

/// `a + b`: below 3.4p before the reduction.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn add<F: LaneField>(a: Limbs, b: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe { reduce::<F>(plus(a, b)) }
}

/// `a − b + 2p`: between 0.3p and 3.7p before the reduction.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn sub<F: LaneField>(a: Limbs, b: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let offset = every_limb(const { Of::<F>::CONSTANTS.prime_2 });
        reduce::<F>(minus(plus(a, offset), b))
    }
}

/// `a − b − c + 4p`: between 0.6p and 5.7p before the reduction.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn sub_both<F: LaneField>(a: Limbs, b: Limbs, c: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let offset = every_limb(const { Of::<F>::CONSTANTS.prime_4 });
        reduce_more::<F>(minus(minus(plus(a, offset), b), c))
    }
}

/// `a + b + c`: below 5.1p before the reduction.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn add_both<F: LaneField>(a: Limbs, b: Limbs, c: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe { reduce::<F>(plus(plus(a, b), c)) }
}

/// `a + b − c + 2p`: between 0.3p and 5.4p before the reduction.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn add_sub<F: LaneField>(a: Limbs, b: Limbs, c: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let offset = every_limb(const { Of::<F>::CONSTANTS.prime_2 });
        reduce_more::<F>(minus(plus(plus(a, offset), b), c))
    }
}

/// `a + b + c + d`: below 6.8p before the reduction.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn add_all<F: LaneField>([a, b, c, d]: [Limbs; 4]) -> Limbs {
    // SAFETY: as the caller says.
    unsafe { reduce_more::<F>(plus(plus(a, b), plus(c, d))) }
}

/// `a + b`, not reduced: a factor below 3.4p.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn sum(a: Limbs, b: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe { carry(plus(a, b)) }
}

/// `a − b + 2p`, not reduced: a factor between 0.3p and 3.7p.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn difference<F: LaneField>(a: Limbs, b: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let offset = every_limb(const { Of::<F>::CONSTANTS.prime_2 });
        carry(minus(plus(a, offset), b))
    }
}

/// `a + b − c − d + 4p`, not reduced: a factor between 0.6p and 7.4p.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn differences<F: LaneField>([a, b, c, d]: [Limbs; 4]) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let offset = every_limb(const { Of::<F>::CONSTANTS.prime_4 });
        carry(minus(minus(plus(plus(a, offset), b), c), d))
    }
}

/// `2p − a`: between 0.3p and 2p before the reduction.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn neg<F: LaneField>(a: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let offset = every_limb(const { Of::<F>::CONSTANTS.prime_2 });
        reduce::<F>(minus(offset, a))
    }
}

/// `a · b / 2^260`: below the vector bound as long as the product of the factors' bounds is at most
/// `48p²`.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn multiply<F: LaneField>(a: Limbs, b: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let mut product = [_mm512_setzero_si512(); 2 * LIMBS];
        for i in 0..LIMBS {
            for j in 0..LIMBS {
                product[i + j] = _mm512_madd52lo_epu64(product[i + j], a[i], b[j]);
                product[i + j + 1] = _mm512_madd52hi_epu64(product[i + j + 1], a[i], b[j]);
            }
        }
        divide::<F>(product)
    }
}

/// `a² / 2^260`, as [`multiply`].
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn square<F: LaneField>(a: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let mut product = [_mm512_setzero_si512(); 2 * LIMBS];
        for i in 0..LIMBS {
            for j in i + 1..LIMBS {
                product[i + j] = _mm512_madd52lo_epu64(product[i + j], a[i], a[j]);
                product[i + j + 1] = _mm512_madd52hi_epu64(product[i + j + 1], a[i], a[j]);
            }
        }
        for limb in &mut product {
            *limb = _mm512_add_epi64(*limb, *limb);
        }
        for i in 0..LIMBS {
            product[2 * i] = _mm512_madd52lo_epu64(product[2 * i], a[i], a[i]);
            product[2 * i + 1] = _mm512_madd52hi_epu64(product[2 * i + 1], a[i], a[i]);
        }
        divide::<F>(product)
    }
}

/// Montgomery's division by 2^260 of a number `t` in ten limbs, each below `10·2^52`.
///
/// With `p' = k·p ≡ −1 (mod 2^52)`, the first four steps add `m·p'` where `m` is the lowest limb itself: that
/// limb goes, and `m·h` is added to the others (`Constants::high`). They leave less than
/// `t/2^208 + p'·(1 + 2^-51)`. The last step adds the usual multiple of `p` instead: the result is below
/// `t/2^260 + p'/2^52·(1 + 2^-51) + p`, where `p'/2^52 < 0.13p`.
///
/// No limb overflows: each receives at most 10 halves of products of the input, two of each of 5
/// steps, and a carry, less than `21·2^52` in all.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn divide<F: LaneField>(mut number: [__m512i; 2 * LIMBS]) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let high = every_limb(const { Of::<F>::CONSTANTS.high });
        for step in 0..LIMBS - 1 {
            // `vpmadd52` takes the low 52 bits of its factors by itself
            let lowest = number[step];
            number[step + 1] =
                _mm512_add_epi64(number[step + 1], _mm512_srli_epi64::<LIMB_BITS>(lowest));
            for (limb, &high) in high.iter().enumerate() {
                let at = step + 1 + limb;
                number[at] = _mm512_madd52lo_epu64(number[at], lowest, high);
                number[at + 1] = _mm512_madd52hi_epu64(number[at + 1], lowest, high);
            }
        }
        let step = LIMBS - 1;
        let prime = every_limb(const { Of::<F>::CONSTANTS.prime });
        let factor = _mm512_madd52lo_epu64(
            _mm512_setzero_si512(),
            number[step],
            every(const { Of::<F>::CONSTANTS.negated_inverse }),
        );
        for (limb, &prime) in prime.iter().enumerate() {
            let at = step + limb;
            number[at] = _mm512_madd52lo_epu64(number[at], factor, prime);
            number[at + 1] = _mm512_madd52hi_epu64(number[at + 1], factor, prime);
        }
        number[LIMBS] =
            _mm512_add_epi64(number[LIMBS], _mm512_srli_epi64::<LIMB_BITS>(number[step]));
        carry([number[5], number[6], number[7], number[8], number[9]])
    }
}

/// The representative below `p` of a number below the vector bound.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn canonical<F: LaneField>(a: Limbs) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let less = carry(minus(a, every_limb(const { Of::<F>::CONSTANTS.prime })));
        let negative = _mm512_cmplt_epi64_mask(less[LIMBS - 1], _mm512_setzero_si512());
        select(negative, a, less)
    }
}

/// The lanes that are 0 or `p`: with numbers below the vector bound, those that are zero.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn is_zero<F: LaneField>(a: Limbs) -> __mmask8 {
    // SAFETY: as the caller says.
    unsafe {
        let prime = every_limb(const { Of::<F>::CONSTANTS.prime });
        let mut ones = a[0];
        let mut differences = _mm512_xor_si512(a[0], prime[0]);
        for index in 1..LIMBS {
            ones = _mm512_or_si512(ones, a[index]);
            differences = _mm512_or_si512(differences, _mm512_xor_si512(a[index], prime[index]));
        }
        let zero = _mm512_setzero_si512();
        _mm512_cmpeq_epi64_mask(ones, zero) | _mm512_cmpeq_epi64_mask(differences, zero)
    }
}

/// Lanes of `a` where the mask is set, of `b` elsewhere.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn select(mask: __mmask8, a: Limbs, mut b: Limbs) -> Limbs {
    for index in 0..LIMBS {
        // SAFETY: as the caller says.
        b[index] = unsafe { _mm512_mask_blend_epi64(mask, b[index], a[index]) };
    }
    b
}

/// The same number in all lanes.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn splat(words: &Packed) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        split([
            every(words[0]),
            every(words[1]),
            every(words[2]),
            every(words[3]),
        ])
    }
}

/// Eight numbers of four words, one a lane.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn load(rows: [&Packed; 8]) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        // Rows i and i + 4 in one register, then a transposition of 4×4 words in either half.
        let pairs = [
            pair(rows[0], rows[4]),
            pair(rows[1], rows[5]),
            pair(rows[2], rows[6]),
            pair(rows[3], rows[7]),
        ];
        split(transpose(pairs))
    }
}

/// Words of two rows.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn pair(low: &Packed, high: &Packed) -> __m512i {
    // SAFETY: as the caller says; the types are 32 bytes without padding in which every pattern is
    // valid.
    unsafe {
        let low = std::mem::transmute::<Packed, __m256i>(*low);
        let high = std::mem::transmute::<Packed, __m256i>(*high);
        _mm512_inserti64x4::<1>(_mm512_castsi256_si512(low), high)
    }
}

/// The reverse of [`load`], for numbers below 2^256.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
pub(super) unsafe fn rows(limbs: Limbs) -> [Packed; 8] {
    // SAFETY: as the caller says; the types are 32 bytes without padding in which every pattern is
    // valid.
    unsafe {
        let pairs = transpose(join(limbs));
        let mut rows = [[0; 4]; 8];
        for index in 0..4 {
            rows[index] =
                std::mem::transmute::<__m256i, Packed>(_mm512_castsi512_si256(pairs[index]));
            rows[index + 4] = std::mem::transmute::<__m256i, Packed>(
                _mm512_extracti64x4_epi64::<1>(pairs[index]),
            );
        }
        rows
    }
}

/// Transposes 4×4 words in the lower and in the upper halves; its own inverse.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn transpose(rows: [__m512i; 4]) -> [__m512i; 4] {
    // SAFETY: as the caller says; the types of the constants are 64 bytes without padding in which
    // every pattern is valid.
    unsafe {
        let even = std::mem::transmute::<[u64; 8], __m512i>([0, 1, 8, 9, 4, 5, 12, 13]);
        let odd = std::mem::transmute::<[u64; 8], __m512i>([2, 3, 10, 11, 6, 7, 14, 15]);
        let low = [
            _mm512_unpacklo_epi64(rows[0], rows[1]),
            _mm512_unpacklo_epi64(rows[2], rows[3]),
        ];
        let high = [
            _mm512_unpackhi_epi64(rows[0], rows[1]),
            _mm512_unpackhi_epi64(rows[2], rows[3]),
        ];
        [
            _mm512_permutex2var_epi64(low[0], even, low[1]),
            _mm512_permutex2var_epi64(high[0], even, high[1]),
            _mm512_permutex2var_epi64(low[0], odd, low[1]),
            _mm512_permutex2var_epi64(high[0], odd, high[1]),
        ]
    }
}

/// Four words of 64 bits into five limbs of 52.
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn split(words: [__m512i; 4]) -> Limbs {
    // SAFETY: as the caller says.
    unsafe {
        let mask = every(LIMB_MASK);
        [
            _mm512_and_si512(words[0], mask),
            _mm512_and_si512(_mm512_shrdi_epi64::<52>(words[0], words[1]), mask),
            _mm512_and_si512(_mm512_shrdi_epi64::<40>(words[1], words[2]), mask),
            _mm512_and_si512(_mm512_shrdi_epi64::<28>(words[2], words[3]), mask),
            _mm512_srli_epi64::<16>(words[3]),
        ]
    }
}

/// The reverse of [`split`].
///
/// # Safety
/// The processor has the instructions of `Ifma::run`.
#[inline(always)]
unsafe fn join(limbs: Limbs) -> [__m512i; 4] {
    // SAFETY: as the caller says.
    unsafe {
        // `shldi::<n>(a, b)` is `a << n | b >> (64 − n)`: the limb below is moved to the top of its
        // word first.
        let top = [
            _mm512_slli_epi64::<12>(limbs[1]),
            _mm512_slli_epi64::<12>(limbs[2]),
            _mm512_slli_epi64::<12>(limbs[3]),
        ];
        [
            _mm512_or_si512(limbs[0], _mm512_slli_epi64::<52>(limbs[1])),
            _mm512_shldi_epi64::<40>(limbs[2], top[0]),
            _mm512_shldi_epi64::<28>(limbs[3], top[1]),
            _mm512_shldi_epi64::<16>(limbs[4], top[2]),
        ]
    }
}
