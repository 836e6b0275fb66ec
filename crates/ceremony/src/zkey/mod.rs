//! snarkjs's `.zkey` files (version 1, Groth16 over BN254), for plain circuits: [`write()`], [`Zkey::read`];
//! and circuits of other compilers, [`read_r1cs`].
//!
//! A file is the magic `zkey`, version and number of sections (u32 LE each), then for each section
//! its number (u32), length in bytes (u64) and content. Points are affine in Montgomery form.
//!
//! | section | content |
//! | --- | --- |
//! | 1 | protocol: 1, Groth16 |
//! | 2 | both moduli with their lengths; wires, public inputs, size of the domain; α, β in G1, β, γ in G2, δ in G1, δ in G2 |
//! | 3 | IC |
//! | 4 | entries of the matrices A and B: matrix, row, wire (u32 each), value times 2^512 |
//! | 5, 6, 7 | queries A, B in G1, B in G2 |
//! | 8, 9 | queries L and H |
//! | 10 | hash of the initial key, and the contributions |

mod coefficients;
mod r1cs;
mod read;
mod write;

pub use r1cs::read_r1cs;
pub use read::Zkey;
pub use write::write;

use ark_bn254::{Fq, Fr};
use ark_ff::{BigInteger, PrimeField};

/// Sections.
mod section {
    pub(super) const PROTOCOL: u32 = 1;
    pub(super) const HEADER: u32 = 2;
    pub(super) const IC: u32 = 3;
    pub(super) const COEFFICIENTS: u32 = 4;
    pub(super) const A: u32 = 5;
    pub(super) const B_G1: u32 = 6;
    pub(super) const B_G2: u32 = 7;
    pub(super) const L: u32 = 8;
    pub(super) const H: u32 = 9;
    pub(super) const CONTRIBUTIONS: u32 = 10;
}

const MAGIC: &[u8; 4] = b"zkey";
const GROTH16: u32 = 1;
/// Bytes of a modulus.
const MODULUS_BYTES: u32 = 32;
/// Bytes of an entry of section 4.
const COEFFICIENT_BYTES: u64 = 44;
/// Bytes of section 2.
const HEADER_BYTES: u64 = 2 * (4 + 32) + 3 * 4 + 3 * 64 + 3 * 128;
/// Parameters of a contribution, in the order in which they must stand.
const NAME: u8 = 1;
const BEACON_ITERATIONS: u8 = 2;
const BEACON_VALUE: u8 = 3;

fn moduli() -> [Vec<u8>; 2] {
    [Fq::MODULUS.to_bytes_le(), Fr::MODULUS.to_bytes_le()]
}
