//! The prover of one circuit.
//!
//! The formula is that of `ark-groth16`, term by term (a test compares the proofs for equal `r`
//! and `s`), with the commitment of circuits with a challenge (`docs/security/lookup-backend.md`).
//! Every row of the constraints is checked before anything is multiplied, intermediates are wiped,
//! and the finished proof is verified.
//!
//! # Memory
//! A proof takes, besides the prover and the assignment, 64 bytes (standard form: 96) for each row
//! of the domain, at most 160 bytes a wire, and what the multiplications keep for each thread.

use std::fmt;

use ark_bn254::{Fr, G1Affine};
use ark_ec::CurveGroup;
use proofmark_fft::Transform;
use proofmark_gadgets::Circuit;
use proofmark_types::Digest;
use proofmark_verifier::{PreparedKey, Proof, VerifyingKey};

use crate::commitment::{Commitment, Committer};
use crate::error::ProverError;
use crate::evaluator::Evaluator;
use crate::key::{ProvingKey, check_strength};
use crate::options::ProverOptions;
use crate::qap::{domain, odd_values};
use crate::query::{Queries, integers};
use crate::random;
use crate::shape::Shape;

/// Proves statements of one circuit under one key. Built once; `Sync`, so that any number of
/// threads may prove at the same time: they share points and multiples.
pub struct Prover {
    evaluator: Evaluator,
    transform: Transform,
    vk: VerifyingKey,
    prepared: PreparedKey,
    beta_g1: G1Affine,
    pub(crate) delta_g1: G1Affine,
    /// δc in G1.
    delta_committed_g1: Option<G1Affine>,
    pub(crate) queries: Queries,
}

impl fmt::Debug for Prover {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Prover")
            .field("shape", self.shape())
            .field("verifying_key", &self.key_digest())
            .finish_non_exhaustive()
    }
}

impl Prover {
    /// [`with_options`](Self::with_options) by default: without multiples of the key's points.
    ///
    /// # Errors
    /// Those of [`with_options`](Self::with_options).
    pub fn new(circuit: &Circuit, key: ProvingKey) -> Result<Self, ProverError> {
        Self::with_options(circuit, key, &ProverOptions::default())
    }

    /// Takes a key and prepares its points.
    ///
    /// That the key was made *for* the circuit is bound by digests (see
    /// [`key_file::load`](crate::key_file::load)); here its dimensions are compared.
    ///
    /// # Errors
    /// [`ProverError::CircuitMalformed`] and [`ProverError::CircuitTooLarge`] for the circuit;
    /// [`ProverError::KeyMismatch`] and [`ProverError::KeyBackend`];
    /// [`ProverError::KeyDegenerate`] when the verifying key is one that verifiers refuse, or its
    /// points in G1 are others: proofs under such a key may verify and hide nothing;
    /// [`ProverError::Multiplication`] for points on no curve, and when table files cannot be
    /// written.
    pub fn with_options(
        circuit: &Circuit,
        key: ProvingKey,
        options: &ProverOptions,
    ) -> Result<Self, ProverError> {
        let evaluator = Evaluator::new(circuit, key.form)?;
        key.check_shape(&evaluator.shape)?;
        check_strength(&key)?;
        let vk = key.verifying_key();
        let prepared = PreparedKey::new(&vk).map_err(|rejection| ProverError::KeyDegenerate {
            reason: rejection.to_string(),
        })?;
        let shape = &evaluator.shape;
        let rows = shape.size;
        let domain = domain(rows, key.form).ok_or(ProverError::CircuitTooLarge { rows })?;
        let queries = Queries::new(&key, shape, options)?;
        Ok(Self {
            transform: Transform::new(domain),
            evaluator,
            vk,
            prepared,
            beta_g1: key.groth16.beta_g1,
            delta_g1: key.groth16.delta_g1,
            delta_committed_g1: key.committed.map(|committed| committed.delta_g1),
            queries,
        })
    }

    /// The key that verifies this prover's proofs.
    pub fn verifying_key(&self) -> &VerifyingKey {
        &self.vk
    }

    /// SHA-256 of the verifying key's one encoding.
    pub fn key_digest(&self) -> Digest {
        self.prepared.digest()
    }

    /// Bytes of the key's points and their multiples: the memory that all threads share. Those in
    /// mapped files belong to the system.
    pub fn point_bytes(&self) -> usize {
        self.queries.bytes()
    }

    pub(crate) fn shape(&self) -> &Shape {
        &self.evaluator.shape
    }

    /// Number of wires: the length of an assignment.
    pub fn num_wires(&self) -> usize {
        self.shape().num_wires
    }

    /// Number of public inputs, without the constant 1 and the challenge.
    pub fn num_public(&self) -> usize {
        self.shape().num_public
    }

    /// The [`Challenger`](proofmark_gadgets::Challenger) for one witness, whatever the backend.
    /// What it has committed to goes into [`prove`](Self::prove).
    pub const fn committer(&self) -> Committer<'_> {
        Committer::new(self)
    }

    /// Proves that the public inputs in `assignment` (wires `1 ..= num_public`) have a satisfying
    /// witness, and verifies the proof before returning it. `assignment` is the full one, wire by
    /// wire, wire 0 being 1; wiping it is its owner's business, all copies made here are wiped.
    /// `commitment` is what the
    /// [`committer`](Self::committer) of the assignment's lowering gave: `None` under plain keys.
    ///
    /// Two proofs of one statement differ in every point: `r`, `s` and the commitment's κ come
    /// from the operating system each time.
    ///
    /// # Errors
    /// [`ProverError::AssignmentLength`] and [`ProverError::AssignmentConstant`];
    /// [`ProverError::Unsatisfied`] when a constraint is violated, in every build;
    /// [`ProverError::CommitmentMismatch`] when the assignment is not the one committed to, or the
    /// backend has a commitment and there is none, or the reverse; [`ProverError::Randomness`];
    /// [`ProverError::SelfVerification`].
    pub fn prove(
        &self,
        assignment: &[Fr],
        commitment: Option<Commitment>,
    ) -> Result<Proof, ProverError> {
        let proof = self.prove_unverified(assignment, commitment)?;
        let public = assignment.get(1..=self.num_public()).unwrap_or_default();
        self.prepared
            .verify(public, &proof)
            .map_err(|_| ProverError::SelfVerification)?;
        Ok(proof)
    }

    /// As [`prove`](Self::prove), for a caller that verifies what leaves itself, from its bytes and
    /// against the statement: the proof is **not verified here**.
    ///
    /// # Errors
    /// Those of [`prove`](Self::prove) without [`ProverError::SelfVerification`].
    #[expect(
        clippy::needless_pass_by_value,
        reason = "a commitment is for one proof"
    )]
    pub fn prove_unverified(
        &self,
        assignment: &[Fr],
        commitment: Option<Commitment>,
    ) -> Result<Proof, ProverError> {
        match (self.delta_committed_g1, &commitment) {
            (None, None) => {}
            (Some(_), Some(commitment)) => commitment.check(self, assignment)?,
            (Some(_), None) => {
                return Err(ProverError::CommitmentMismatch {
                    reason: "the key needs a commitment and there is none",
                });
            }
            (None, Some(_)) => {
                return Err(ProverError::CommitmentMismatch {
                    reason: "the key is a plain one",
                });
            }
        }
        let (r, s) = (random::scalar()?, random::scalar()?);
        self.prove_with(assignment, commitment.as_ref(), &r, &s)
    }

    /// The proof for given `r` and `s`, neither verified nor its commitment compared.
    pub(crate) fn prove_with(
        &self,
        assignment: &[Fr],
        commitment: Option<&Commitment>,
        r: &Fr,
        s: &Fr,
    ) -> Result<Proof, ProverError> {
        let products = self.evaluator.products(assignment)?;
        let quotient = move || {
            let p = odd_values(&self.transform, products.a, products.b, products.c).ok_or(
                ProverError::CircuitTooLarge {
                    rows: self.shape().size,
                },
            )?;
            let scalars = integers(&p);
            drop(p);
            Ok::<_, ProverError>(self.queries.h.msm(&scalars)?)
        };
        let queries = || {
            let scalars = integers(assignment);
            let private = scalars.get(self.shape().private()).unwrap_or_default();
            let (a, (b, l)) = rayon::join(
                || self.queries.a.times(&scalars),
                || {
                    rayon::join(
                        || self.queries.b.times(&scalars),
                        || self.queries.l.times(private),
                    )
                },
            );
            let (b_g1, b_g2) = b?;
            let vk = &self.vk.groth16;
            let a = self.delta_g1 * r + vk.alpha_g1 + a?;
            let b = vk.delta_g2 * s + vk.beta_g2 + b_g2;
            let b_g1 = self.delta_g1 * s + self.beta_g1 + b_g1;
            let mut c = a * s + b_g1 * r - self.delta_g1 * (*r * s) + l?;
            if let (Some(delta), Some(commitment)) = (self.delta_committed_g1, commitment) {
                c -= delta * *commitment.kappa;
            }
            Ok::<_, ProverError>((a, b, c))
        };
        let (h, queries) = rayon::join(quotient, queries);
        let (h, (a, b, c)) = (h?, queries?);
        Ok(Proof {
            groth16: ark_groth16::Proof {
                a: a.into_affine(),
                b: b.into_affine(),
                c: (c + h).into_affine(),
            },
            commitment: commitment.map(|commitment| commitment.point),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{NoProgress, setup, unsafe_dev_setup};
    use crate::options::TableFiles;
    use crate::qap::QuotientForm;
    use crate::stock::{FoldedReduction, SnarkjsReduction};
    use crate::testing::{
        Seeded, committed_assignment, committed_circuit, random_circuit, stock_matrices,
    };
    use ark_bn254::{Bn254, G2Affine};
    use ark_ec::AffineRepr;
    use ark_ff::{AdditiveGroup, Field};
    use ark_groth16::Groth16;
    use ark_groth16::r1cs_to_qap::R1CSToQAP;
    use proofmark_gadgets::Backend;
    use zeroize::Zeroizing;

    type Spoil<'a> = &'a dyn Fn(&mut ProvingKey);

    fn prover(circuit: &Circuit) -> Prover {
        Prover::new(circuit, setup(circuit, &NoProgress).unwrap()).unwrap()
    }

    #[test]
    fn stock_verifier_accepts_the_statement_and_no_other() {
        for (seed, public, gates) in [(10, 0, 4), (11, 1, 30), (12, 7, 300)] {
            let (circuit, assignment) = random_circuit(seed, public, gates);
            let prover = prover(&circuit);
            let proof = prover.prove(&assignment, None).unwrap();
            let prepared = ark_groth16::prepare_verifying_key(&prover.verifying_key().groth16);
            let mut inputs = assignment[1..=public].to_vec();
            assert_eq!(
                Groth16::<Bn254>::verify_proof(&prepared, &proof.groth16, &inputs),
                Ok(true)
            );
            for index in 0..public {
                inputs[index] += Fr::ONE;
                assert_eq!(
                    Groth16::<Bn254>::verify_proof(&prepared, &proof.groth16, &inputs),
                    Ok(false)
                );
                inputs[index] -= Fr::ONE;
            }
            assert_ne!(proof, prover.prove(&assignment, None).unwrap());
        }
    }

    fn against_stock<R: R1CSToQAP>(form: QuotientForm, gates: usize) {
        let (circuit, assignment) = random_circuit(13, 4, gates);
        let key = unsafe_dev_setup(&circuit, [13; 32], form, &NoProgress).unwrap();
        let prover = Prover::new(&circuit, key.clone()).unwrap();
        let mut random = Seeded::new(13);
        for (r, s) in [
            (random.scalar(), random.scalar()),
            (Fr::ZERO, Fr::ZERO),
            (Fr::ONE, Fr::ZERO),
        ] {
            let stock = Groth16::<Bn254, R>::create_proof_with_reduction_and_matrices(
                &key.groth16,
                r,
                s,
                &stock_matrices(&circuit),
                5,
                circuit.r1cs.num_constraints(),
                &assignment,
            )
            .unwrap();
            assert_eq!(
                prover.prove_with(&assignment, None, &r, &s),
                Ok(stock.into())
            );
        }
    }

    #[test]
    fn stock_prover_makes_the_same_proof() {
        against_stock::<SnarkjsReduction>(QuotientForm::Standard, 500);
        // Domains of 512, 576 and 384.
        for gates in [500, 560, 300] {
            against_stock::<FoldedReduction>(QuotientForm::Folded, gates);
        }
    }

    #[test]
    fn every_mutated_value_is_refused_by_both_paths() {
        let (circuit, assignment) = random_circuit(14, 3, 90);
        let key = setup(&circuit, &NoProgress).unwrap();
        let prover = Prover::new(&circuit, key.clone()).unwrap();
        let matrices = stock_matrices(&circuit);
        let mut random = Seeded::new(1400);
        for wire in 1..circuit.r1cs.num_wires {
            let mut forged = assignment.clone();
            for value in [forged[wire] + Fr::ONE, -forged[wire], random.scalar()] {
                forged[wire] = value;
                let violated = circuit.r1cs.violated(&forged);
                if violated.is_empty() {
                    // −0 is 0, and a bit that nothing reads may flip: a satisfying witness.
                    assert!(prover.prove(&forged, None).is_ok());
                    continue;
                }
                assert_eq!(
                    prover.prove(&forged, None),
                    Err(ProverError::Unsatisfied {
                        first: violated[0],
                        violated: violated.len(),
                    })
                );
                let stock =
                    Groth16::<Bn254, FoldedReduction>::create_proof_with_reduction_and_matrices(
                        &key.groth16,
                        Fr::ONE,
                        Fr::ONE,
                        &matrices,
                        4,
                        circuit.r1cs.num_constraints(),
                        &forged,
                    );
                assert!(stock.is_err());
            }
            // A random value never satisfies: every wire is constrained.
            assert!(prover.prove(&forged, None).is_err(), "wire {wire}");
        }
    }

    #[test]
    fn a_malformed_assignment_is_refused() {
        let (circuit, assignment) = random_circuit(15, 1, 10);
        let prover = prover(&circuit);
        let code = |assignment: &[Fr]| prover.prove(assignment, None).unwrap_err().code();
        assert_eq!(code(&[]), "assignment-malformed");
        assert_eq!(code(&assignment[1..]), "assignment-malformed");
        let mut longer = assignment.clone();
        longer.push(Fr::ZERO);
        assert_eq!(code(&longer), "assignment-malformed");
        // Scaling an assignment satisfies homogeneous constraints; the constant is checked.
        let zeros = vec![Fr::ZERO; assignment.len()];
        assert_eq!(
            prover.prove(&zeros, None),
            Err(ProverError::AssignmentConstant)
        );
    }

    #[test]
    fn a_key_of_other_dimensions_is_refused() {
        let (circuit, _) = random_circuit(16, 2, 20);
        let key = setup(&circuit, &NoProgress).unwrap();
        let spoil: [(&str, Spoil<'_>); 6] = [
            ("IC", &|k| {
                k.groth16.vk.gamma_abc_g1.push(G1Affine::generator());
            }),
            ("query A", &|k| k.groth16.a_query.truncate(5)),
            ("query B in G1", &|k| k.groth16.b_g1_query.clear()),
            ("query B in G2", &|k| {
                k.groth16.b_g2_query.push(G2Affine::zero());
            }),
            ("query L", &|k| k.groth16.l_query.truncate(1)),
            ("query H", &|k| k.groth16.h_query.truncate(23)),
        ];
        for (name, spoil) in spoil {
            let mut other = key.clone();
            spoil(&mut other);
            let error = Prover::new(&circuit, other).unwrap_err();
            assert_eq!(error.code(), "key-circuit-mismatch");
            assert!(
                matches!(error, ProverError::KeyMismatch { part, .. } if part == name),
                "{name}"
            );
        }
    }

    #[test]
    fn a_proof_under_the_key_of_another_circuit_never_leaves() {
        // Same wires, same public inputs, same domain; other coefficients.
        let (circuit, assignment) = random_circuit(17, 2, 20);
        let (other, _) = random_circuit(18, 2, 20);
        let key = setup(&other, &NoProgress).unwrap();
        let prover = Prover::new(&circuit, key).unwrap();
        assert_eq!(
            prover.prove(&assignment, None),
            Err(ProverError::SelfVerification)
        );
    }

    #[test]
    fn proofs_do_not_depend_on_the_memory_for_tables() {
        let (plain, _) = random_circuit(22, 2, 300);
        let committed = committed_circuit(2, 300);
        for circuit in [&plain, &committed] {
            let form = QuotientForm::Folded;
            let key = unsafe_dev_setup(circuit, [22; 32], form, &NoProgress).unwrap();
            let with = |table_bytes| {
                let options = ProverOptions {
                    table_bytes,
                    table_files: None,
                };
                Prover::with_options(circuit, key.clone(), &options).unwrap()
            };
            let provers = [0, 100_000, u64::MAX].map(with);
            let [none, some, all] = provers.each_ref().map(Prover::point_bytes);
            assert!(none < some && some < all, "{none} {some} {all}");
            assert!(some <= none + 100_000);
            let public = [Fr::from(5), Fr::from(6)];
            let assignment = match circuit.backend {
                Backend::Plain => random_circuit(22, 2, 300).1,
                Backend::Committed => {
                    let mut transcript = provers[0].committer();
                    committed_assignment(&public, &[1; 300], &mut transcript).unwrap()
                }
            };
            let mut random = Seeded::new(22);
            let (r, s, kappa) = (random.scalar(), random.scalar(), random.scalar());
            let proofs = provers.each_ref().map(|prover| {
                let wires = prover.shape().committed();
                let commitment = prover
                    .commit(&assignment[wires], Zeroizing::new(kappa))
                    .ok();
                assert_eq!(commitment.is_some(), circuit.backend == Backend::Committed);
                prover
                    .prove_with(&assignment, commitment.as_ref(), &r, &s)
                    .unwrap()
            });
            assert_eq!(proofs[0], proofs[1]);
            assert_eq!(proofs[0], proofs[2]);
        }
    }

    #[test]
    fn tables_are_kept_in_files() {
        let (circuit, assignment) = random_circuit(23, 2, 300);
        let setup = |seed| {
            let form = QuotientForm::Folded;
            unsafe_dev_setup(&circuit, [seed; 32], form, &NoProgress).unwrap()
        };
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("h.tables");
        let prover = |seed: u8, table_bytes| {
            let options = ProverOptions {
                table_bytes,
                table_files: Some(TableFiles {
                    folder: folder.path().to_owned(),
                    key: Digest::of(&[seed]),
                }),
            };
            Prover::with_options(&circuit, setup(seed), &options)
        };
        // Without a budget there is nothing to keep.
        prover(1, 0).unwrap();
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        let large = 1 << 20;
        let first = prover(1, large).unwrap();
        assert!(first.prove(&assignment, None).is_ok());
        let written = std::fs::read(&file).unwrap();
        let age = || std::fs::metadata(&file).unwrap().modified().unwrap();
        let before = age();
        let second = prover(1, large).unwrap();
        assert_eq!(age(), before);
        assert!(second.prove(&assignment, None).is_ok());
        // Another key, another budget: other tables. The mapped file of the first lives on.
        let other = prover(2, large).unwrap();
        assert_ne!(std::fs::read(&file).unwrap(), written);
        assert!(other.prove(&assignment, None).is_ok());
        prover(1, large / 2).unwrap();
        assert_ne!(std::fs::read(&file).unwrap(), written);
        assert!(first.prove(&assignment, None).is_ok());
        // A file that somebody changed is made again, or its proofs stay here.
        let replace = |bytes: &[u8]| {
            std::fs::remove_file(&file).unwrap();
            std::fs::write(&file, bytes).unwrap();
        };
        replace(&written[..written.len() - 1]);
        let made_again = prover(1, large).unwrap();
        assert_eq!(std::fs::read(&file).unwrap(), written);
        assert!(made_again.prove(&assignment, None).is_ok());
        let mut changed = written.clone();
        changed[128..written.len() / 2].reverse();
        replace(&changed);
        let error = prover(1, large).unwrap().prove(&assignment, None);
        assert_eq!(error, Err(ProverError::SelfVerification));
        // A folder that is not there.
        std::fs::remove_dir_all(folder.path()).unwrap();
        assert_eq!(prover(1, large).unwrap_err().code(), "file-unwritable");
    }

    #[test]
    fn many_threads_prove_at_once() {
        let (circuit, assignment) = random_circuit(21, 2, 200);
        let prover = prover(&circuit);
        let mut forged = assignment.clone();
        forged[circuit.r1cs.num_wires - 1] += Fr::ONE;
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|worker| {
                    let (prover, assignment, forged) = (&prover, &assignment, &forged);
                    scope.spawn(move || {
                        let honest = worker % 2 == 0;
                        let chosen = if honest { assignment } else { forged };
                        (0..3).all(|_| prover.prove(chosen, None).is_ok() == honest)
                    })
                })
                .collect();
            assert!(workers.into_iter().all(|w| w.join().unwrap()));
        });
    }
}
