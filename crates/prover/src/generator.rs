//! Single-party key generation, straight from the matrices, for both backends.
//!
//! Canonical generators of both groups, γ = 1, and the h query in the odd Lagrange points of the
//! doubled domain (see [`crate::qap`]). Notation as in Groth's paper (2016/260) with `A_i`, `B_i`,
//! `C_i` the column polynomials of wire `i`; a circuit with a challenge has a second δ, δc, which
//! the committed wires are divided by instead.
//!
//! Whoever runs this could keep the trapdoor and forge. Every transcript of such a key therefore
//! says `single-party`. The trapdoor and all scalars derived from it are wiped when they are no
//! longer needed; what the processor's registers and the stacks of worker threads keep is beyond
//! a library's reach.

use std::sync::atomic::{AtomicU64, Ordering};

use ark_bn254::{Fr, G1Affine, G2Affine, g1, g2};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, Field, Zero};
use ark_groth16::VerifyingKey;
use proofmark_gadgets::Circuit;
use proofmark_gadgets::r1cs::SparseMatrix;
use zeroize::Zeroizing;

use crate::error::ProverError;
use crate::fixed_base::FixedBase;
use crate::key::{CommittedKey, ProvingKey};
use crate::qap::{QuotientForm, odd_weights, row_weights};
use crate::shape::Shape;
use crate::trapdoor::Trapdoor;

/// Name and version of this generator, for transcripts. A change that makes other keys from the
/// same trapdoor changes it.
pub const GENERATOR: &str = "proofmark-groth16-bn254/2";

/// Receives the progress of long work. Called from several threads.
pub trait Progress: Sync {
    /// `done` of `total` points of the named stage are finished.
    fn stage(&self, name: &'static str, done: u64, total: u64);
}

/// Ignores progress.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn stage(&self, _: &'static str, _: u64, _: u64) {}
}

/// Makes the key of a circuit with a trapdoor from the operating system, which is wiped.
///
/// # Errors
/// [`ProverError::CircuitMalformed`] and [`ProverError::CircuitTooLarge`] for the circuit; [`ProverError::Randomness`];
/// [`ProverError::TrapdoorDegenerate`], which by chance does not happen.
pub fn setup(circuit: &Circuit, progress: &dyn Progress) -> Result<ProvingKey, ProverError> {
    let form = QuotientForm::Folded;
    generate(circuit, form, &Trapdoor::from_system()?, progress)
}

/// Makes a reproducible key whose trapdoor **everyone can compute** from `seed`: anyone can forge
/// proofs under it. For tests only; its transcript must say `unsafe-dev`.
///
/// # Errors
/// Those of [`setup`], without [`ProverError::Randomness`].
pub fn unsafe_dev_setup(
    circuit: &Circuit,
    seed: [u8; 32],
    form: QuotientForm,
    progress: &dyn Progress,
) -> Result<ProvingKey, ProverError> {
    generate(circuit, form, &Trapdoor::unsafe_from_seed(&seed), progress)
}

/// Columns `Σ_row weight(row) · M[row][wire]`, one per wire.
fn column_sums(matrix: &SparseMatrix, weights: &[Fr], wires: usize) -> Zeroizing<Vec<Fr>> {
    let mut columns = Zeroizing::new(vec![Fr::ZERO; wires]);
    for (row, weight) in weights.iter().enumerate().take(matrix.rows()) {
        for (wire, coefficient) in matrix.row(row) {
            columns[wire as usize] += if coefficient == Fr::ONE {
                *weight
            } else {
                *weight * coefficient
            };
        }
    }
    columns
}

/// The scalars of a key's queries.
struct Scalars {
    /// `A_i`, one per wire.
    a: Zeroizing<Vec<Fr>>,
    /// `B_i`, one per wire.
    b: Zeroizing<Vec<Fr>>,
    /// `β·A_i + α·B_i + C_i`, for inputs as it is (γ = 1), for committed wires over δc, for
    /// private ones over δ.
    combined: Zeroizing<Vec<Fr>>,
    /// `L_{2j+1}(τ)/δ`.
    h: Zeroizing<Vec<Fr>>,
}

impl Scalars {
    fn new(circuit: &Circuit, shape: &Shape, trapdoor: &Trapdoor) -> Result<Self, ProverError> {
        let Trapdoor {
            tau,
            alpha,
            beta,
            delta,
            delta_committed,
        } = trapdoor;
        let in_domain = || ProverError::TrapdoorDegenerate {
            reason: "tau is in the domain",
        };
        let inverse = |delta: &Fr| delta.inverse().map(Zeroizing::new).ok_or_else(in_domain);
        let (over_delta, over_committed) = (inverse(delta)?, inverse(delta_committed)?);
        let (size, wires) = (shape.size, shape.num_wires);
        let weights = row_weights(*tau, size).ok_or_else(in_domain)?;
        let h = odd_weights(*tau, size, *over_delta).ok_or_else(in_domain)?;
        let r1cs = &circuit.r1cs;
        let (mut a, (b, c)) = rayon::join(
            || column_sums(&r1cs.a, &weights, wires),
            || {
                rayon::join(
                    || column_sums(&r1cs.b, &weights, wires),
                    || column_sums(&r1cs.c, &weights, wires),
                )
            },
        );
        for (wire, weight) in shape.inputs().zip(&weights[shape.num_constraints..]) {
            a[wire] += weight;
        }
        drop(weights);
        let factor = Zeroizing::new(shape.form.column_factor(*tau, size));
        let mut combined = c;
        for ((combined, a), b) in combined.iter_mut().zip(a.iter()).zip(b.iter()) {
            *combined *= *factor;
            *combined += *beta * a + *alpha * b;
        }
        for (range, inverse) in [
            (shape.committed(), over_committed),
            (shape.private(), over_delta),
        ] {
            for combined in &mut combined[range] {
                *combined *= *inverse;
            }
        }
        Ok(Self { a, b, combined, h })
    }
}

/// Makes the key of a circuit for a given trapdoor.
pub(crate) fn generate(
    circuit: &Circuit,
    form: QuotientForm,
    trapdoor: &Trapdoor,
    progress: &dyn Progress,
) -> Result<ProvingKey, ProverError> {
    let shape = Shape::new(circuit, form)?;
    trapdoor.check()?;
    progress.stage("columns", 0, 1);
    let Scalars { a, b, combined, h } = Scalars::new(circuit, &shape, trapdoor)?;
    progress.stage("columns", 1, 1);

    let dense = |scalars: &[Fr]| scalars.iter().filter(|s| !s.is_zero()).count();
    let in_b = dense(&b);
    let in_g1 = dense(&a) + in_b + dense(&combined) + shape.size + 3;
    let g1 = FixedBase::<g1::Config>::new(G1Affine::generator(), in_g1);
    let g1_query = |name, scalars: &[Fr]| points(&g1, name, scalars, progress);
    let a_query = g1_query("query A in G1", &a);
    drop(a);
    let b_g1_query = g1_query("query B in G1", &b);
    let all = g1_query("queries IC, D and L in G1", &combined);
    drop(combined);
    let h_query = g1_query("query H in G1", &h);
    drop(h);
    drop(g1);
    let g2 = FixedBase::<g2::Config>::new(G2Affine::generator(), in_b);
    let b_g2_query = points(&g2, "query B in G2", &b, progress);
    drop(g2);
    drop(b);
    let gamma_abc_g1: Vec<G1Affine> = shape.inputs().map(|wire| all[wire]).collect();
    if gamma_abc_g1.iter().any(AffineRepr::is_zero) {
        return Err(ProverError::TrapdoorDegenerate {
            reason: "the point of a public input is the identity",
        });
    }

    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    let Trapdoor {
        alpha,
        beta,
        delta,
        delta_committed,
        ..
    } = trapdoor;
    let committed = shape.challenge.map(|_| CommittedKey {
        delta_g1: (g1 * delta_committed).into_affine(),
        delta_g2: (g2 * delta_committed).into_affine(),
        query: all[shape.committed()].to_vec(),
    });
    let groth16 = ark_groth16::ProvingKey {
        vk: VerifyingKey {
            alpha_g1: (g1 * alpha).into_affine(),
            beta_g2: (g2 * beta).into_affine(),
            gamma_g2: g2,
            delta_g2: (g2 * delta).into_affine(),
            gamma_abc_g1,
        },
        beta_g1: (g1 * beta).into_affine(),
        delta_g1: (g1 * delta).into_affine(),
        a_query,
        b_g1_query,
        b_g2_query,
        h_query,
        l_query: all[shape.private()].to_vec(),
    };
    Ok(ProvingKey {
        form,
        groth16,
        committed,
    })
}

fn points<P: ark_ec::short_weierstrass::SWCurveConfig>(
    base: &FixedBase<P>,
    name: &'static str,
    scalars: &[P::ScalarField],
    progress: &dyn Progress,
) -> Vec<ark_ec::short_weierstrass::Affine<P>> {
    let total = scalars.len() as u64;
    let finished = AtomicU64::new(0);
    progress.stage(name, 0, total);
    base.multiply(scalars, &|more| {
        let before = finished.fetch_add(more as u64, Ordering::Relaxed);
        progress.stage(name, before + more as u64, total);
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::stock::{FoldedReduction, SnarkjsReduction};
    use crate::testing::{Seeded, committed_circuit, random_circuit, stock_matrices};
    use ark_bn254::Bn254;
    use ark_ff::FftField;
    use ark_groth16::Groth16;
    use ark_groth16::r1cs_to_qap::R1CSToQAP;
    use ark_poly::{EvaluationDomain, GeneralEvaluationDomain};
    use ark_relations::gr1cs::{
        ConstraintSynthesizer, ConstraintSystemRef, LinearCombination, SynthesisError, Variable,
    };
    use ark_std::rand::{Error, RngCore};
    use proofmark_types::Digest;
    use std::sync::Mutex;

    type Spoil<'a> = &'a dyn Fn(&mut Trapdoor);

    fn trapdoor(seed: u64) -> Trapdoor {
        Trapdoor::unsafe_from_seed(Digest::of(&seed.to_le_bytes()).as_bytes())
    }

    /// `L_index(x)` over `points`, by its definition.
    fn lagrange(points: &[Fr], index: usize, x: Fr) -> Fr {
        let mut value = Fr::ONE;
        for (other, point) in points.iter().enumerate() {
            if other != index {
                value *= (x - point) / (points[index] - point);
            }
        }
        value
    }

    /// Every element of a key against its definition, with nothing of the generator's arithmetic.
    fn against_the_definition(circuit: &Circuit, form: QuotientForm, size: usize) {
        let r1cs = &circuit.r1cs;
        let secret = trapdoor(1);
        let key = generate(circuit, form, &secret, &NoProgress).unwrap();
        assert_eq!(key.form, form);
        let groth16 = &key.groth16;

        let constraints = r1cs.num_constraints();
        let root = Fr::get_root_of_unity(2 * size as u64).unwrap();
        let all: Vec<Fr> = (0..2 * size as u64).map(|j| root.pow([j])).collect();
        let even: Vec<Fr> = all.iter().copied().step_by(2).collect();
        // A column of C at the doubled domain's points: as it is, or 0 at the odd ones.
        let factor = match form {
            QuotientForm::Standard => Fr::ONE,
            QuotientForm::Folded => (0..size).map(|j| lagrange(&all, 2 * j, secret.tau)).sum(),
        };

        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        assert_eq!(groth16.vk.alpha_g1, (g1 * secret.alpha).into_affine());
        assert_eq!(groth16.vk.beta_g2, (g2 * secret.beta).into_affine());
        assert_eq!(groth16.vk.gamma_g2, g2);
        assert_eq!(groth16.vk.delta_g2, (g2 * secret.delta).into_affine());
        assert_eq!(groth16.beta_g1, (g1 * secret.beta).into_affine());
        assert_eq!(groth16.delta_g1, (g1 * secret.delta).into_affine());
        let challenge = circuit.challenges.first().map(|wire| wire.index());
        assert_eq!(key.committed.is_some(), challenge.is_some());
        if let Some(committed) = &key.committed {
            let delta = secret.delta_committed;
            assert_eq!(committed.delta_g1, (g1 * delta).into_affine());
            assert_eq!(committed.delta_g2, (g2 * delta).into_affine());
        }

        let column = |matrix: &SparseMatrix, wire: usize| {
            let mut unit = vec![Fr::ZERO; r1cs.num_wires];
            unit[wire] = Fr::ONE;
            (0..constraints)
                .map(|row| matrix.row_times(row, &unit) * lagrange(&even, row, secret.tau))
                .sum::<Fr>()
        };
        let mut inputs: Vec<usize> = (0..=r1cs.num_public).collect();
        inputs.extend(challenge);
        let mut ic = groth16.vk.gamma_abc_g1.iter();
        let mut d = key.committed.iter().flat_map(|c| &c.query);
        let mut l = groth16.l_query.iter();
        for wire in 0..r1cs.num_wires {
            let mut a = column(&r1cs.a, wire);
            let place = inputs.iter().position(|input| *input == wire);
            if let Some(place) = place {
                a += lagrange(&even, constraints + place, secret.tau);
            }
            let b = column(&r1cs.b, wire);
            let c = column(&r1cs.c, wire) * factor;
            assert_eq!(groth16.a_query[wire], (g1 * a).into_affine());
            assert_eq!(groth16.b_g1_query[wire], (g1 * b).into_affine());
            assert_eq!(groth16.b_g2_query[wire], (g2 * b).into_affine());
            let combined = secret.beta * a + secret.alpha * b + c;
            let (point, over) = if place.is_some() {
                (ic.next(), Fr::ONE)
            } else if challenge.is_some_and(|challenge| wire < challenge) {
                (d.next(), secret.delta_committed)
            } else {
                (l.next(), secret.delta)
            };
            assert_eq!(point, Some(&(g1 * (combined / over)).into_affine()));
        }
        assert_eq!((ic.next(), d.next(), l.next()), (None, None, None));
        for length in [
            groth16.a_query.len(),
            groth16.b_g1_query.len(),
            groth16.b_g2_query.len(),
        ] {
            assert_eq!(length, r1cs.num_wires);
        }
        assert_eq!(groth16.h_query.len(), size);
        for (j, point) in groth16.h_query.iter().enumerate() {
            let value = lagrange(&all, 2 * j + 1, secret.tau) / secret.delta;
            assert_eq!(*point, (g1 * value).into_affine());
        }
    }

    #[test]
    fn every_element_is_what_the_paper_defines() {
        // 20 constraints, 3 public inputs, the constant; 14 of them make 18 rows.
        let (twenty, _) = random_circuit(1, 3, 20);
        let (fourteen, _) = random_circuit(1, 3, 14);
        against_the_definition(&twenty, QuotientForm::Standard, 32);
        against_the_definition(&twenty, QuotientForm::Folded, 24);
        against_the_definition(&fourteen, QuotientForm::Folded, 18);
        let committed = committed_circuit(2, 3);
        let rows = committed.r1cs.num_constraints() + 4;
        assert!(16 < rows && rows <= 18, "{rows}");
        against_the_definition(&committed, QuotientForm::Standard, 32);
        against_the_definition(&committed, QuotientForm::Folded, 18);
    }

    struct Stock<'a>(&'a Circuit);

    impl ConstraintSynthesizer<Fr> for Stock<'_> {
        fn generate_constraints(self, cs: ConstraintSystemRef<Fr>) -> Result<(), SynthesisError> {
            let r1cs = &self.0.r1cs;
            let mut wires = vec![Variable::One];
            for _ in 0..r1cs.num_public {
                wires.push(cs.new_input_variable(|| Ok(Fr::ZERO))?);
            }
            for _ in wires.len()..r1cs.num_wires {
                wires.push(cs.new_witness_variable(|| Ok(Fr::ZERO))?);
            }
            let matrices = stock_matrices(self.0);
            let [a, b, c] = matrices.as_slice() else {
                unreachable!("there are three matrices")
            };
            for ((a, b), c) in a.iter().zip(b).zip(c) {
                let side = |terms: &[(Fr, usize)]| {
                    let mut lc = LinearCombination::zero();
                    for &(value, wire) in terms {
                        lc += (value, wires[wire]);
                    }
                    lc
                };
                cs.enforce_r1cs_constraint(|| side(a), || side(b), || side(c))?;
            }
            Ok(())
        }
    }

    /// `ark-std`'s interface to our reproducible source.
    #[derive(Clone)]
    struct Source(u64);

    impl RngCore for Source {
        fn next_u32(&mut self) -> u32 {
            unreachable!("field elements are drawn by 64 bits")
        }
        fn next_u64(&mut self) -> u64 {
            self.0 += 1;
            let bytes = *Digest::of(&self.0.to_le_bytes()).as_bytes();
            u64::from_le_bytes(bytes[..8].try_into().unwrap())
        }
        fn fill_bytes(&mut self, _: &mut [u8]) {
            unreachable!("field elements are drawn by 64 bits")
        }
        fn try_fill_bytes(&mut self, _: &mut [u8]) -> Result<(), Error> {
            unreachable!("field elements are drawn by 64 bits")
        }
    }

    fn against_stock<R: R1CSToQAP>(form: QuotientForm) {
        for (seed, public, gates) in [(2, 0, 30), (3, 5, 59), (4, 1, 200)] {
            let (circuit, _) = random_circuit(seed, public, gates);
            let mut random = Seeded::new(seed);
            let mut source = Source(seed << 32);
            let domain =
                GeneralEvaluationDomain::<Fr>::new(circuit.r1cs.num_constraints() + public + 1)
                    .unwrap();
            let secret = Trapdoor {
                tau: domain.sample_element_outside_domain(&mut source.clone()),
                alpha: random.scalar(),
                beta: random.scalar(),
                delta: random.scalar(),
                delta_committed: random.scalar(),
            };
            let ours = generate(&circuit, form, &secret, &NoProgress).unwrap();
            let stock = Groth16::<Bn254, R>::generate_parameters_with_qap::<Stock<'_>>(
                Stock(&circuit),
                secret.alpha,
                secret.beta,
                Fr::ONE,
                secret.delta,
                G1Affine::generator().into_group(),
                G2Affine::generator().into_group(),
                &mut source,
            )
            .unwrap();
            assert_eq!(ours.groth16, stock);
            assert_eq!(ours.committed, None);
        }
    }

    #[test]
    fn stock_generator_with_our_reductions_makes_the_same_key() {
        against_stock::<SnarkjsReduction>(QuotientForm::Standard);
        against_stock::<FoldedReduction>(QuotientForm::Folded);
    }

    #[test]
    fn degenerate_trapdoors_are_refused() {
        let (circuit, _) = random_circuit(5, 2, 20);
        let size = 24;
        let root = |order| Fr::get_root_of_unity(order).unwrap();
        let spoil: [(&str, Spoil<'_>); 16] = [
            ("tau 0", &|t| t.tau = Fr::ZERO),
            ("alpha 0", &|t| t.alpha = Fr::ZERO),
            ("beta 0", &|t| t.beta = Fr::ZERO),
            ("delta 0", &|t| t.delta = Fr::ZERO),
            ("delta is gamma", &|t| t.delta = Fr::ONE),
            ("committed delta 0", &|t| t.delta_committed = Fr::ZERO),
            ("committed delta is gamma", &|t| t.delta_committed = Fr::ONE),
            ("committed delta is delta", &|t| t.delta_committed = t.delta),
            ("delta is -gamma", &|t| t.delta = -Fr::ONE),
            ("committed delta is -gamma", &|t| {
                t.delta_committed = -Fr::ONE;
            }),
            ("committed delta is -delta", &|t| {
                t.delta_committed = -t.delta;
            }),
            ("beta is gamma", &|t| t.beta = Fr::ONE),
            ("beta is -delta", &|t| t.beta = -t.delta),
            ("tau 1", &|t| t.tau = Fr::ONE),
            ("tau a row", &|t| t.tau = root(size).pow([3])),
            ("tau an odd point", &|t| t.tau = root(2 * size).pow([5])),
        ];
        let generated =
            |secret: &Trapdoor| generate(&circuit, QuotientForm::Folded, secret, &NoProgress);
        for (what, spoil) in spoil {
            let mut secret = trapdoor(5);
            spoil(&mut secret);
            let refused = generated(&secret).unwrap_err();
            assert_eq!(refused.code(), "trapdoor-degenerate", "{what}");
        }
        // One public input whose point becomes the identity: beta·A + alpha·B + C' = 0.
        let mut secret = trapdoor(5);
        let weights = row_weights(secret.tau, 24).unwrap();
        let wires = circuit.r1cs.num_wires;
        let columns = |matrix| column_sums(matrix, &weights, wires)[1];
        let a = columns(&circuit.r1cs.a) + weights[circuit.r1cs.num_constraints() + 1];
        let b = columns(&circuit.r1cs.b);
        let c = columns(&circuit.r1cs.c) * QuotientForm::Folded.column_factor(secret.tau, 24);
        secret.beta = -(secret.alpha * b + c) / a;
        let refused = generated(&secret).unwrap_err();
        assert_eq!(refused.code(), "trapdoor-degenerate");
    }

    #[test]
    fn seeds_are_reproducible_and_the_system_is_not() {
        let (circuit, _) = random_circuit(6, 1, 9);
        let seeded = |seed| {
            let form = QuotientForm::Folded;
            unsafe_dev_setup(&circuit, [seed; 32], form, &NoProgress).unwrap()
        };
        assert_eq!(seeded(1), seeded(1));
        assert_ne!(seeded(1).groth16.vk.alpha_g1, seeded(2).groth16.vk.alpha_g1);
        let committed = committed_circuit(1, 4);
        let (one, other) = (
            setup(&committed, &NoProgress).unwrap(),
            setup(&committed, &NoProgress).unwrap(),
        );
        assert_ne!(one.groth16.vk.alpha_g1, other.groth16.vk.alpha_g1);
        assert_ne!(one.groth16.delta_g1, other.groth16.delta_g1);
        assert_ne!(one.groth16.h_query[0], other.groth16.h_query[0]);
        assert_ne!(
            one.committed.unwrap().delta_g1,
            other.committed.unwrap().delta_g1
        );
    }

    #[test]
    fn progress_reaches_the_total_of_every_stage() {
        struct Record(Mutex<Vec<(&'static str, u64, u64)>>);
        impl Progress for Record {
            fn stage(&self, name: &'static str, done: u64, total: u64) {
                self.0.lock().unwrap().push((name, done, total));
            }
        }
        let (circuit, _) = random_circuit(7, 1, 2000);
        let record = Record(Mutex::default());
        setup(&circuit, &record).unwrap();
        let calls = record.0.into_inner().unwrap();
        let mut names: Vec<&str> = calls.iter().map(|c| c.0).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), 6);
        for name in names {
            let of_stage = || calls.iter().filter(|c| c.0 == name);
            assert!(of_stage().any(|c| c.1 == 0), "{name}");
            assert!(of_stage().any(|c| c.1 == c.2), "{name}");
            assert!(of_stage().all(|c| c.1 <= c.2), "{name}");
        }
    }
}
