//! The fields whose elements can stand side by side.

use ark_bn254::{Fq, Fr};
use ark_ff::{AdditiveGroup, BigInt, PrimeField};

mod sealed {
    pub trait Sealed {}
}

/// A prime field of BN254 by the words of its elements.
pub trait LaneField: PrimeField + sealed::Sealed {
    /// The prime, little-endian.
    const PRIME: [u64; 4];
    /// `1/16`.
    const SIXTEENTH: Self;
    /// The words of ark-ff's own form: the residue times 2^256, below the prime, little-endian.
    fn words(&self) -> &[u64; 4];
    /// The words, to be written: the caller keeps them below the prime.
    #[doc(hidden)]
    fn words_mut(&mut self) -> &mut [u64; 4];
    /// The element with these words; 0 for words that are not below the prime. They can come from a
    /// file that somebody changed, and ark-ff's arithmetic panics on what is no residue.
    fn from_words(words: [u64; 4]) -> Self;
}

macro_rules! lane_field {
    ($field:ty) => {
        impl sealed::Sealed for $field {}
        impl LaneField for $field {
            const PRIME: [u64; 4] = <$field as PrimeField>::MODULUS.0;
            // 2^256 / 16, which is below either prime
            const SIXTEENTH: Self = Self::new_unchecked(BigInt([0, 0, 0, 1 << 60]));
            #[inline(always)]
            fn words(&self) -> &[u64; 4] {
                &self.0.0
            }
            #[inline(always)]
            fn words_mut(&mut self) -> &mut [u64; 4] {
                &mut self.0.0
            }
            #[inline(always)]
            fn from_words(words: [u64; 4]) -> Self {
                let words = BigInt(words);
                if words < Self::MODULUS {
                    Self::new_unchecked(words)
                } else {
                    Self::ZERO
                }
            }
        }
    };
}

lane_field!(Fq);
lane_field!(Fr);
