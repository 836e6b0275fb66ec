//! Circuits that look like compiled models.

use ark_bn254::Fr;
use ark_ff::{AdditiveGroup, Field};
use proofmark_gadgets::{Backend, Circuit, Lc, LowerError, Lowering, Wire};

/// Bits of one synthetic activation.
const BITS: u64 = 16;

/// About `constraints` constraints: activations of 16 bits, each with one sum of earlier bits with
/// weights of 8 bits, folded into its recomposition.
pub(crate) fn synthetic(constraints: usize) -> Result<(Circuit, Vec<Fr>), LowerError> {
    let mut lowering = Lowering::shape(Backend::Plain, 8)?;
    let mut assignment = vec![Fr::ONE];
    assignment.extend((1..=8_u64).map(Fr::from));
    let mut bits: Vec<Wire> = Vec::new();
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state
    };
    let step = usize::try_from(BITS + 1).unwrap_or(17);
    for _ in 0..constraints / step {
        let value = random() & 0xffff;
        let mut sum = Lc::zero();
        for bit in 0..BITS {
            let wire = lowering.hint("bit", || Fr::ZERO)?;
            assignment.push(Fr::from((value >> bit) & 1));
            let complement = Lc::constant(Fr::ONE).add_scaled(-Fr::ONE, &Lc::wire(wire));
            lowering.enforce("bit", Lc::wire(wire), complement, Lc::zero())?;
            sum.push(wire, Fr::from(1_u64 << bit));
            bits.push(wire);
        }
        let mut weighted = Lc::zero();
        for _ in 0..64 {
            let at = usize::try_from(random()).unwrap_or(0) % bits.len();
            weighted.push(bits[at], Fr::from(random() & 0xff) - Fr::from(128_u64));
        }
        // A dense wire: the accumulator times the activation.
        let product = weighted.evaluate(&assignment) * sum.evaluate(&assignment);
        let wire = lowering.hint("product", || Fr::ZERO)?;
        assignment.push(product);
        lowering.enforce("product", weighted, sum, Lc::wire(wire))?;
    }
    let circuit = lowering.into_circuit(1, Vec::new());
    Ok((circuit.ok_or(LowerError::TooLarge)?, assignment))
}
