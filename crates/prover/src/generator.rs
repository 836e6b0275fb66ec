//! Single-party key generation, straight from the matrices.
//!
//! Canonical generators of both groups, γ = 1, and the h query in the odd Lagrange points of the
//! doubled domain (see [`crate::qap`]): the shape of snarkjs's keys. Notation as in Groth's paper
//! (2016/260) with `A_i`, `B_i`, `C_i` the column polynomials of wire `i`.
//!
//! Whoever runs this could keep the trapdoor and forge. Every transcript of such a key therefore
//! says `single-party`. The trapdoor and all scalars derived from it are wiped when they are no
//! longer needed; what the processor's registers and the stacks of worker threads keep is beyond
//! a library's reach.

use std::sync::atomic::{AtomicU64, Ordering};

use ark_bn254::{Bn254, Fr, G1Affine, G2Affine, g1, g2};
use ark_ec::{AffineRepr, CurveGroup};
use ark_ff::{AdditiveGroup, Field, PrimeField, Zero};
use ark_groth16::{ProvingKey, VerifyingKey};
use proofmark_gadgets::r1cs::SparseMatrix;
use proofmark_gadgets::{Backend, Circuit, R1cs};
use proofmark_types::digest::DigestStream;
use zeroize::{Zeroize, ZeroizeOnDrop, Zeroizing};

use crate::error::ProverError;
use crate::evaluator::check_shape;
use crate::fixed_base::FixedBase;
use crate::qap::{odd_weights, row_weights};
use crate::random;

/// Name and version of this generator, for transcripts. A change that makes other keys from the
/// same trapdoor changes it.
pub const GENERATOR: &str = "proofmark-groth16-bn254/1";

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

/// The toxic waste. Wiped on drop.
#[derive(Zeroize, ZeroizeOnDrop)]
pub(crate) struct Trapdoor {
    pub(crate) tau: Fr,
    pub(crate) alpha: Fr,
    pub(crate) beta: Fr,
    pub(crate) delta: Fr,
}

impl Trapdoor {
    fn from_system() -> Result<Self, ProverError> {
        Ok(Self {
            tau: *random::scalar()?,
            alpha: *random::scalar()?,
            beta: *random::scalar()?,
            delta: *random::scalar()?,
        })
    }

    /// Derived from a seed that is no secret.
    pub(crate) fn unsafe_from_seed(seed: &[u8; 32]) -> Self {
        let scalar = |name: &str| {
            let half = |half: u8| {
                let mut stream = DigestStream::new();
                stream.update(b"proofmark/unsafe-dev-setup/v1\0");
                stream.update(seed);
                stream.update(name.as_bytes());
                stream.update(&[half]);
                *stream.finish().as_bytes()
            };
            Fr::from_le_bytes_mod_order(&[half(0), half(1)].concat())
        };
        Self {
            tau: scalar("tau"),
            alpha: scalar("alpha"),
            beta: scalar("beta"),
            delta: scalar("delta"),
        }
    }

    /// Refuses values with which the key would be forgeable or the arithmetic undefined; those of
    /// τ that depend on the circuit are found where they matter.
    fn check(&self) -> Result<(), ProverError> {
        let refuse = |reason| Err(ProverError::TrapdoorDegenerate { reason });
        if self.tau.is_zero() || self.alpha.is_zero() || self.beta.is_zero() {
            return refuse("tau, alpha or beta is 0");
        }
        if self.delta.is_zero() {
            return refuse("delta is 0");
        }
        if self.delta == Fr::ONE {
            return refuse("delta equals gamma");
        }
        Ok(())
    }
}

/// Makes the key of a circuit with a trapdoor from the operating system, which is wiped.
///
/// # Errors
/// [`ProverError::BackendUnsupported`], [`ProverError::CircuitMalformed`] and
/// [`ProverError::CircuitTooLarge`] for the circuit; [`ProverError::Randomness`];
/// [`ProverError::TrapdoorDegenerate`], which by chance does not happen.
pub fn setup(circuit: &Circuit, progress: &dyn Progress) -> Result<ProvingKey<Bn254>, ProverError> {
    check_backend(circuit)?;
    generate(&circuit.r1cs, &Trapdoor::from_system()?, progress)
}

/// Makes a reproducible key whose trapdoor **everyone can compute** from `seed`: anyone can forge
/// proofs under it. For tests only; its transcript must say `unsafe-dev`.
///
/// # Errors
/// Those of [`setup`], without [`ProverError::Randomness`].
pub fn unsafe_dev_setup(
    circuit: &Circuit,
    seed: [u8; 32],
    progress: &dyn Progress,
) -> Result<ProvingKey<Bn254>, ProverError> {
    check_backend(circuit)?;
    generate(&circuit.r1cs, &Trapdoor::unsafe_from_seed(&seed), progress)
}

/// Refuses circuits that need another proof system than plain Groth16.
pub(crate) fn check_backend(circuit: &Circuit) -> Result<(), ProverError> {
    let plain = circuit.backend == Backend::Plain
        && circuit.committed.is_empty()
        && circuit.challenges.is_empty();
    if plain {
        Ok(())
    } else {
        Err(ProverError::BackendUnsupported {
            backend: Backend::Committed.name(),
        })
    }
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

/// Makes the key of `r1cs` for a given trapdoor.
pub(crate) fn generate(
    r1cs: &R1cs,
    trapdoor: &Trapdoor,
    progress: &dyn Progress,
) -> Result<ProvingKey<Bn254>, ProverError> {
    let size = check_shape(r1cs)?;
    trapdoor.check()?;
    let Trapdoor {
        tau,
        alpha,
        beta,
        delta,
    } = trapdoor;
    let in_domain = || ProverError::TrapdoorDegenerate {
        reason: "tau is in the domain",
    };
    let delta_inverse = Zeroizing::new(delta.inverse().ok_or_else(in_domain)?);
    let inputs = r1cs.num_public + 1;
    let wires = r1cs.num_wires;

    progress.stage("columns", 0, 1);
    let weights = row_weights(*tau, size).ok_or_else(in_domain)?;
    let h = odd_weights(*tau, size, *delta_inverse).ok_or_else(in_domain)?;
    let (mut a, (b, c)) = rayon::join(
        || column_sums(&r1cs.a, &weights, wires),
        || {
            rayon::join(
                || column_sums(&r1cs.b, &weights, wires),
                || column_sums(&r1cs.c, &weights, wires),
            )
        },
    );
    for (column, weight) in a
        .iter_mut()
        .zip(&weights[r1cs.num_constraints()..])
        .take(inputs)
    {
        *column += weight;
    }
    drop(weights);
    // (β·A_i + α·B_i + C_i), for public wires over γ = 1, for private ones over δ.
    let mut combined = c;
    for (index, ((combined, a), b)) in combined.iter_mut().zip(a.iter()).zip(b.iter()).enumerate() {
        *combined += *beta * a + *alpha * b;
        if index >= inputs {
            *combined *= *delta_inverse;
        }
    }
    progress.stage("columns", 1, 1);

    let dense = |scalars: &[Fr]| scalars.iter().filter(|s| !s.is_zero()).count();
    let in_b = dense(&b);
    let in_g1 = dense(&a) + in_b + dense(&combined) + size + 3;
    let g1 = FixedBase::<g1::Config>::new(G1Affine::generator(), in_g1);
    let g1_query = |name, scalars: &[Fr]| points(&g1, name, scalars, progress);
    let a_query = g1_query("query A in G1", &a);
    drop(a);
    let b_g1_query = g1_query("query B in G1", &b);
    let mut gamma_abc_g1 = g1_query("queries IC and L in G1", &combined);
    drop(combined);
    let l_query = gamma_abc_g1.split_off(inputs);
    let h_query = g1_query("query H in G1", &h);
    drop(h);
    drop(g1);
    let g2 = FixedBase::<g2::Config>::new(G2Affine::generator(), in_b);
    let b_g2_query = points(&g2, "query B in G2", &b, progress);
    drop(g2);
    drop(b);
    if gamma_abc_g1.iter().any(AffineRepr::is_zero) {
        return Err(ProverError::TrapdoorDegenerate {
            reason: "the point of a public input is the identity",
        });
    }

    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    Ok(ProvingKey {
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
        l_query,
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
    use crate::qap::SnarkjsReduction;
    use crate::testing::{Seeded, random_circuit, stock_matrices};
    use ark_ff::FftField;
    use ark_groth16::Groth16;
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

    #[test]
    fn every_element_is_what_the_paper_defines() {
        let (circuit, _) = random_circuit(1, 3, 20);
        let r1cs = &circuit.r1cs;
        let secret = trapdoor(1);
        let key = generate(r1cs, &secret, &NoProgress).unwrap();

        let constraints = r1cs.num_constraints();
        let size = 32; // 20 constraints, 3 public inputs, the constant
        assert!(constraints + 4 > 16 && constraints + 4 <= size);
        let root = Fr::get_root_of_unity(2 * size as u64).unwrap();
        let all: Vec<Fr> = (0..2 * size as u64).map(|j| root.pow([j])).collect();
        let even: Vec<Fr> = all.iter().copied().step_by(2).collect();

        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        assert_eq!(key.vk.alpha_g1, (g1 * secret.alpha).into_affine());
        assert_eq!(key.vk.beta_g2, (g2 * secret.beta).into_affine());
        assert_eq!(key.vk.gamma_g2, g2);
        assert_eq!(key.vk.delta_g2, (g2 * secret.delta).into_affine());
        assert_eq!(key.beta_g1, (g1 * secret.beta).into_affine());
        assert_eq!(key.delta_g1, (g1 * secret.delta).into_affine());

        let column = |matrix: &SparseMatrix, wire: usize| {
            let mut unit = vec![Fr::ZERO; r1cs.num_wires];
            unit[wire] = Fr::ONE;
            (0..constraints)
                .map(|row| matrix.row_times(row, &unit) * lagrange(&even, row, secret.tau))
                .sum::<Fr>()
        };
        assert_eq!(key.a_query.len(), r1cs.num_wires);
        assert_eq!(key.b_g1_query.len(), r1cs.num_wires);
        assert_eq!(key.b_g2_query.len(), r1cs.num_wires);
        assert_eq!(key.vk.gamma_abc_g1.len(), 4);
        assert_eq!(key.l_query.len(), r1cs.num_wires - 4);
        for wire in 0..r1cs.num_wires {
            let mut a = column(&r1cs.a, wire);
            if wire <= 3 {
                a += lagrange(&even, constraints + wire, secret.tau);
            }
            let b = column(&r1cs.b, wire);
            let c = column(&r1cs.c, wire);
            assert_eq!(key.a_query[wire], (g1 * a).into_affine());
            assert_eq!(key.b_g1_query[wire], (g1 * b).into_affine());
            assert_eq!(key.b_g2_query[wire], (g2 * b).into_affine());
            let combined = secret.beta * a + secret.alpha * b + c;
            if wire <= 3 {
                assert_eq!(key.vk.gamma_abc_g1[wire], (g1 * combined).into_affine());
            } else {
                let over_delta = (g1 * (combined / secret.delta)).into_affine();
                assert_eq!(key.l_query[wire - 4], over_delta);
            }
        }
        assert_eq!(key.h_query.len(), size);
        for (j, point) in key.h_query.iter().enumerate() {
            let value = lagrange(&all, 2 * j + 1, secret.tau) / secret.delta;
            assert_eq!(*point, (g1 * value).into_affine());
        }
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

    #[test]
    fn stock_generator_with_our_reduction_makes_the_same_key() {
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
            };
            let ours = generate(&circuit.r1cs, &secret, &NoProgress).unwrap();
            let stock =
                Groth16::<Bn254, SnarkjsReduction>::generate_parameters_with_qap::<Stock<'_>>(
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
            assert_eq!(ours, stock);
        }
    }

    #[test]
    fn degenerate_trapdoors_are_refused() {
        let (circuit, _) = random_circuit(5, 2, 20);
        let root = |order| Fr::get_root_of_unity(order).unwrap();
        let spoil: [(&str, Spoil<'_>); 8] = [
            ("tau 0", &|t| t.tau = Fr::ZERO),
            ("alpha 0", &|t| t.alpha = Fr::ZERO),
            ("beta 0", &|t| t.beta = Fr::ZERO),
            ("delta 0", &|t| t.delta = Fr::ZERO),
            ("delta is gamma", &|t| t.delta = Fr::ONE),
            ("tau 1", &|t| t.tau = Fr::ONE),
            ("tau a row", &|t| t.tau = root(32).pow([3])),
            ("tau an odd point", &|t| t.tau = root(64).pow([5])),
        ];
        for (what, spoil) in spoil {
            let mut secret = trapdoor(5);
            spoil(&mut secret);
            let refused = generate(&circuit.r1cs, &secret, &NoProgress).unwrap_err();
            assert_eq!(refused.code(), "trapdoor-degenerate", "{what}");
        }
        // One public input whose point becomes the identity: beta·A + alpha·B + C = 0.
        let mut secret = trapdoor(5);
        let weights = row_weights(secret.tau, 32).unwrap();
        let wires = circuit.r1cs.num_wires;
        let columns = |matrix| column_sums(matrix, &weights, wires)[1];
        let a = columns(&circuit.r1cs.a) + weights[circuit.r1cs.num_constraints() + 1];
        let (b, c) = (columns(&circuit.r1cs.b), columns(&circuit.r1cs.c));
        secret.beta = -(secret.alpha * b + c) / a;
        let refused = generate(&circuit.r1cs, &secret, &NoProgress).unwrap_err();
        assert_eq!(refused.code(), "trapdoor-degenerate");
    }

    #[test]
    fn seeds_are_reproducible_and_the_system_is_not() {
        let (circuit, _) = random_circuit(6, 1, 9);
        let seeded = |seed| unsafe_dev_setup(&circuit, [seed; 32], &NoProgress).unwrap();
        assert_eq!(seeded(1), seeded(1));
        assert_ne!(seeded(1).vk.alpha_g1, seeded(2).vk.alpha_g1);
        let (one, other) = (
            setup(&circuit, &NoProgress).unwrap(),
            setup(&circuit, &NoProgress).unwrap(),
        );
        assert_ne!(one.vk.alpha_g1, other.vk.alpha_g1);
        assert_ne!(one.delta_g1, other.delta_g1);
        assert_ne!(one.h_query[0], other.h_query[0]);
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
