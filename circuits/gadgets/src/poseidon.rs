//! Poseidon (ePrint 2019/458) with circomlib's parameters, as the native hash in
//! `proofmark_types::poseidon` computes it.

use ark_bn254::Fr;
use ark_ff::AdditiveGroup;
use proofmark_types::poseidon::params;

use crate::error::LowerError;
use crate::lowering::Lowering;
use crate::num::{Signal, product};

/// The hash of 1 to 16 field elements: 3 constraints for each x^5, `8·t + partial rounds` of them
/// with `t` the number of inputs plus 1 (243 constraints for 2 inputs, 612 for 16).
///
/// # Soundness
/// Each x^5 is three products of which the last is the new value; round constants and the MDS
/// matrix are linear and cost nothing. The elements of the state that skip the S-box in a partial
/// round stay linear combinations, of at most `t + partial rounds` wires.
///
/// # Errors
/// [`LowerError::PoseidonArity`] for another number of inputs.
pub fn hash(cx: &mut Lowering<'_>, inputs: &[Signal]) -> Result<Signal, LowerError> {
    let params = params(inputs.len()).map_err(|error| LowerError::PoseidonArity {
        path: cx.path("poseidon"),
        got: error.got,
    })?;
    let mut state = Vec::with_capacity(params.t);
    state.push(Signal::constant(cx, Fr::ZERO));
    state.extend_from_slice(inputs);
    let half = params.full_rounds / 2;
    let partial = half..half + params.partial_rounds;
    for (round, constants) in params.constants.chunks_exact(params.t).enumerate() {
        let boxed = if partial.contains(&round) {
            1
        } else {
            params.t
        };
        let mut mixed = Vec::with_capacity(params.t);
        for (at, (element, &constant)) in state.iter().zip(constants).enumerate() {
            let shifted = Signal::linear(cx, [(Fr::from(1_u64), element)], constant);
            mixed.push(if at < boxed {
                fifth_power(cx, &shifted)?
            } else {
                shifted
            });
        }
        state = params
            .mds
            .iter()
            .map(|row| {
                let mut sum = Signal::linear(cx, row.iter().copied().zip(&mixed), Fr::ZERO);
                // Merged here, a combination never holds a wire twice and so stays short.
                sum.lc = sum.lc.normalised();
                sum
            })
            .collect();
    }
    state
        .into_iter()
        .next()
        .ok_or_else(|| LowerError::Encoding {
            path: cx.path("poseidon"),
            reason: "empty state".to_owned(),
        })
}

fn fifth_power(cx: &mut Lowering<'_>, x: &Signal) -> Result<Signal, LowerError> {
    let square = product(cx, "poseidon-square", x, x)?;
    let fourth = product(cx, "poseidon-fourth", &square, &square)?;
    product(cx, "poseidon-fifth", &fourth, x)
}

#[cfg(test)]
mod tests {
    use proofmark_types::poseidon;

    use super::*;
    use crate::circuit::Backend;
    use crate::lowering::NoChallenge;
    use crate::num::Num;
    use crate::testing::Subject;

    fn lower(cx: &mut Lowering<'_>, inputs: usize) -> Signal {
        let signals: Vec<Signal> = (0..inputs).map(|i| cx.public(i).unwrap()).collect();
        hash(cx, &signals).unwrap()
    }

    #[test]
    fn equals_the_native_hash_and_satisfies_the_matrices() {
        for (inputs, constraints) in [
            (1, 3 * (8 * 2 + 56)),
            (2, 243),
            (5, 3 * (8 * 6 + 60)),
            (16, 612),
        ] {
            let values: Vec<Fr> = (0..inputs).map(|i| -Fr::from(7 * i as u64 + 1)).collect();
            let mut shape = Lowering::shape(Backend::Plain, inputs).unwrap();
            let out = lower(&mut shape, inputs);
            let circuit = shape.into_circuit(1, Vec::new()).unwrap();
            assert_eq!(circuit.r1cs.num_constraints(), constraints);

            let mut challenger = NoChallenge;
            let mut witness = Lowering::witness(Backend::Plain, &values, &mut challenger).unwrap();
            let digest = lower(&mut witness, inputs).value;
            assert_eq!(digest, poseidon::hash(&values).unwrap());
            let assignment = witness.into_assignment().unwrap();
            assert!(circuit.r1cs.is_satisfied_by(&assignment));
            assert_eq!(out.lc.evaluate(&assignment), digest);

            // Every wire is fixed by the inputs: no single change is accepted.
            for wire in inputs + 1..assignment.len() {
                let mut forged = assignment.clone();
                forged[wire] += Fr::from(1_u64);
                assert!(!circuit.r1cs.is_satisfied_by(&forged), "wire {wire}");
            }
        }
    }

    #[test]
    fn the_permutation_is_sound() {
        let build = |cx: &mut Lowering<'_>, x: &[Num]| {
            let x = x[0].to_signal(cx);
            Ok(vec![hash(cx, &[x])?])
        };
        let expected = |v: &[i64]| Some(vec![poseidon::hash(&[Fr::from(v[0])]).unwrap()]);
        let subject = Subject::new("poseidon", &[(-1, 1 << 40)], &build, &expected);
        let points = [vec![-1], vec![0], vec![1 << 40]];
        subject.check(&points).unwrap();
        assert_eq!(subject.check_all_solutions(&points).unwrap(), 3);
    }

    #[test]
    fn circomlibs_known_digests() {
        // circomlibjs: poseidon([1]), poseidon([1, 2]) and poseidon([1, …, 16]).
        let known = |digits: &str| digits.parse::<Fr>().unwrap();
        for (inputs, digest) in [
            (
                1,
                "18586133768512220936620570745912940619677854269274689475585506675881198879027",
            ),
            (
                2,
                "7853200120776062878684798364095072458815029376092732009249414926327459813530",
            ),
            (
                16,
                "9989051620750914585850546081941653841776809718687451684622678807385399211877",
            ),
        ] {
            let values: Vec<Fr> = (1..=inputs as u64).map(Fr::from).collect();
            let mut challenger = NoChallenge;
            let mut cx = Lowering::witness(Backend::Plain, &values, &mut challenger).unwrap();
            assert_eq!(lower(&mut cx, inputs).value, known(digest));
        }
    }

    #[test]
    fn another_number_of_inputs_is_refused() {
        let mut cx = Lowering::shape(Backend::Plain, 1).unwrap();
        assert_eq!(hash(&mut cx, &[]).unwrap_err().code(), "poseidon-arity");
    }
}
