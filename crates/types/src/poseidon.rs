//! Poseidon over the BN254 scalar field with circomlib's parameters: x^5, 8 full rounds, state of
//! one capacity element (0) and the inputs, output the first element of the state.
//!
//! The constants are not a table but what they were made from: the Grain LFSR of the Poseidon
//! paper (eprint 2019/458, appendix E), run once per width and kept. Tests compare with an
//! independent implementation that carries the table.

use std::sync::OnceLock;

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field, PrimeField};

/// Most inputs of one permutation.
pub const MAX_INPUTS: usize = 16;
/// Full rounds, half of them before and half after the partial ones.
pub const FULL_ROUNDS: usize = 8;
/// Partial rounds for 1, 2, … 16 inputs.
pub const PARTIAL_ROUNDS: [usize; MAX_INPUTS] = [
    56, 57, 56, 60, 60, 63, 64, 63, 60, 66, 60, 65, 70, 60, 64, 68,
];
/// Bits of the field order, and of the numbers drawn.
const FIELD_BITS: u32 = 254;

/// What the permutation of one width is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoseidonParams {
    /// Width of the state: inputs plus 1.
    pub t: usize,
    /// Full rounds.
    pub full_rounds: usize,
    /// Partial rounds, where only the first element of the state goes through x^5.
    pub partial_rounds: usize,
    /// Round constants, `t` for each round, in the order of the rounds.
    pub constants: Vec<Fr>,
    /// Rows of the MDS matrix: `new[i] = Σ mds[i][j] · old[j]`.
    pub mds: Vec<Vec<Fr>>,
}

/// A number of inputs that Poseidon has no parameters for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("poseidon takes 1 to {MAX_INPUTS} inputs, got {got}")]
pub struct PoseidonError {
    /// The number of inputs.
    pub got: usize,
}

impl PoseidonError {
    /// Stable kebab-case code.
    pub const fn code(&self) -> &'static str {
        "poseidon-arity"
    }
}

/// The parameters for a number of inputs, made at first use.
///
/// # Errors
/// [`PoseidonError`] unless 1 ≤ `inputs` ≤ [`MAX_INPUTS`].
pub fn params(inputs: usize) -> Result<&'static PoseidonParams, PoseidonError> {
    static CACHE: [OnceLock<PoseidonParams>; MAX_INPUTS] = [const { OnceLock::new() }; MAX_INPUTS];
    let error = PoseidonError { got: inputs };
    let index = inputs.checked_sub(1).ok_or(error)?;
    let cell = CACHE.get(index).ok_or(error)?;
    let partial_rounds = *PARTIAL_ROUNDS.get(index).ok_or(error)?;
    Ok(cell.get_or_init(|| generate(inputs.saturating_add(1), partial_rounds)))
}

/// The hash of 1 to 16 field elements.
///
/// # Errors
/// [`PoseidonError`] for any other number of them.
pub fn hash(inputs: &[Fr]) -> Result<Fr, PoseidonError> {
    let params = params(inputs.len())?;
    let mut state = Vec::with_capacity(params.t);
    state.push(Fr::ZERO);
    state.extend_from_slice(inputs);
    permute(params, &mut state);
    state
        .first()
        .copied()
        .ok_or(PoseidonError { got: inputs.len() })
}

/// The permutation, on a state of `params.t` elements.
fn permute(params: &PoseidonParams, state: &mut Vec<Fr>) {
    let half = params.full_rounds >> 1;
    let partial = half..half.saturating_add(params.partial_rounds);
    for (round, constants) in params.constants.chunks_exact(params.t).enumerate() {
        for (x, c) in state.iter_mut().zip(constants) {
            *x += c;
        }
        let boxed = if partial.contains(&round) {
            1
        } else {
            params.t
        };
        for x in state.iter_mut().take(boxed) {
            let fourth = x.square().square();
            *x *= fourth;
        }
        *state = params
            .mds
            .iter()
            .map(|row| row.iter().zip(state.iter()).map(|(m, x)| *m * x).sum())
            .collect();
    }
}

/// The 80-bit Grain LFSR in self-shrinking mode, seeded with the description of the permutation.
struct Grain {
    /// The oldest bit is bit 0.
    state: u128,
}

impl Grain {
    fn new(t: usize, partial_rounds: usize) -> Self {
        let wide = |n: usize| u128::try_from(n).unwrap_or(0);
        let mut grain = Self { state: 0 };
        let mut filled = 0_u32;
        // prime field, x^alpha, field bits, width, full rounds, partial rounds, ones
        for (value, width) in [
            (1, 2),
            (0, 4),
            (u128::from(FIELD_BITS), 12),
            (wide(t), 12),
            (wide(FULL_ROUNDS), 10),
            (wide(partial_rounds), 10),
            ((1 << 30) - 1, 30),
        ] {
            for bit in (0_u32..width).rev() {
                grain.state |= ((value >> bit) & 1) << filled;
                filled = filled.saturating_add(1);
            }
        }
        for _ in 0..160 {
            grain.step();
        }
        grain
    }

    /// Clocks the register once and gives the bit that enters.
    fn step(&mut self) -> bool {
        let tap = |n: u32| (self.state >> n) & 1;
        let bit = tap(62) ^ tap(51) ^ tap(38) ^ tap(23) ^ tap(13) ^ tap(0);
        self.state = (self.state >> 1) | (bit << 79);
        bit == 1
    }

    /// The next output bit: of each pair of bits the second, where the first is 1.
    fn bit(&mut self) -> bool {
        while !self.step() {
            self.step();
        }
        self.step()
    }

    /// 254 bits, most significant first, as four limbs.
    fn number(&mut self) -> ark_ff::BigInt<4> {
        let mut limbs = [0_u64; 4];
        for index in (0..FIELD_BITS).rev() {
            let bit = u64::from(self.bit());
            let limb = usize::try_from(index >> 6).unwrap_or(0);
            if let Some(limb) = limbs.get_mut(limb) {
                *limb |= bit << (index & 63);
            }
        }
        ark_ff::BigInt::new(limbs)
    }

    /// A field element, drawn again until it is below the order.
    fn below_order(&mut self) -> Fr {
        loop {
            if let Some(x) = Fr::from_bigint(self.number()) {
                return x;
            }
        }
    }

    /// A field element, reduced.
    fn reduced(&mut self) -> Fr {
        let bytes = ark_ff::BigInteger::to_bytes_le(&self.number());
        Fr::from_le_bytes_mod_order(&bytes)
    }
}

fn generate(t: usize, partial_rounds: usize) -> PoseidonParams {
    let mut grain = Grain::new(t, partial_rounds);
    let rounds = FULL_ROUNDS.saturating_add(partial_rounds);
    let constants = (0..rounds.saturating_mul(t))
        .map(|_| grain.below_order())
        .collect();
    // A Cauchy matrix 1 / (x_i + y_j), drawn again in the cases where it does not exist.
    let mds = loop {
        let drawn: Vec<Fr> = (0..t.saturating_mul(2)).map(|_| grain.reduced()).collect();
        let (xs, ys) = drawn.split_at(t);
        let distinct = drawn
            .iter()
            .enumerate()
            .all(|(k, a)| drawn.iter().skip(k.saturating_add(1)).all(|b| a != b));
        let rows: Option<Vec<Vec<Fr>>> = xs
            .iter()
            .map(|x| ys.iter().map(|y| (*x + y).inverse()).collect())
            .collect();
        if let (true, Some(rows)) = (distinct, rows) {
            break rows;
        }
    };
    PoseidonParams {
        t,
        full_rounds: FULL_ROUNDS,
        partial_rounds,
        constants,
        mds,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::field::{fr_from_bytes, fr_to_bytes, fr_to_hex};
    use light_poseidon::{Poseidon, PoseidonBytesHasher as _};

    #[test]
    fn agrees_with_an_independent_implementation() {
        // light-poseidon carries circomlib's constants up to width 13.
        let mut x = Fr::from(7);
        for inputs in 1..=12 {
            let mut oracle = Poseidon::<Fr>::new_circom(inputs).unwrap();
            for _ in 0..4 {
                let values: Vec<Fr> = (0..inputs)
                    .map(|_| {
                        x = x.square() + Fr::from(3);
                        x
                    })
                    .collect();
                let bytes: Vec<[u8; 32]> = values.iter().map(fr_to_bytes).collect();
                let slices: Vec<&[u8]> = bytes.iter().map(<[u8; 32]>::as_slice).collect();
                let want = fr_from_bytes(&oracle.hash_bytes_be(&slices).unwrap()).unwrap();
                assert_eq!(hash(&values).unwrap(), want, "{inputs} inputs");
            }
        }
    }

    #[test]
    fn agrees_with_circomlib_at_the_widths_in_use() {
        // Poseidon([1, 2]) as published with circomlib; 13 to 16 inputs [1, 2, …] computed with
        // the JavaScript package poseidon-lite.
        let ascending = |n: u64| (1..=n).map(Fr::from).collect::<Vec<_>>();
        for (n, want) in [
            (
                2,
                "0x115cc0f5e7d690413df64c6b9662e9cf2a3617f2743245519e19607a4417189a",
            ),
            (
                13,
                "0x0f918939632fadca6456a2fe6e65a124828d4c3920d379cc744e90a666887806",
            ),
            (
                14,
                "0x1278779aaafc5ca58bf573151005830cdb4683fb26591c85a7464d4f0e527776",
            ),
            (
                15,
                "0x094ae33b67a845998abb55e917642d4022d078d96f7c36ea11da4273ecf20f50",
            ),
            (
                16,
                "0x16159a551cbb66108281a48099fff949ae08afd7f1f2ec06de2ffb96b919b765",
            ),
        ] {
            assert_eq!(fr_to_hex(&hash(&ascending(n)).unwrap()), want, "{n} inputs");
        }
    }

    #[test]
    fn refuses_other_numbers_of_inputs() {
        assert_eq!(hash(&[]), Err(PoseidonError { got: 0 }));
        assert_eq!(hash(&[Fr::ZERO; 17]), Err(PoseidonError { got: 17 }));
        assert!(params(16).is_ok());
    }
}
