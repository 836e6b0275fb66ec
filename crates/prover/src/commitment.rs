//! Phase one of a proof with a challenge: the commitment D and the challenge drawn from it.

use ark_bn254::{Fr, G1Affine};
use ark_ec::CurveGroup;
use proofmark_gadgets::{Challenger, LowerError};
use proofmark_verifier::challenge;
use zeroize::Zeroizing;

use crate::error::ProverError;
use crate::prover::Prover;
use crate::query::integers;
use crate::random;

/// Commits to the wires before the challenge, once, and draws the challenge: the
/// [`Challenger`] of a lowering in witness mode.
///
/// Under a plain key it is never asked, and [`finish`](Self::finish) gives nothing.
pub struct Committer<'p> {
    prover: &'p Prover,
    commitment: Option<Commitment>,
}

/// A commitment to the wires before the challenge, and what opens it. For one proof: it cannot be
/// cloned, and [`Prover::prove`] takes it.
///
/// It holds the committed values and κ, which hides them; both are wiped on drop.
pub struct Commitment {
    pub(crate) point: G1Affine,
    pub(crate) kappa: Zeroizing<Fr>,
    committed: Zeroizing<Vec<Fr>>,
}

impl<'p> Committer<'p> {
    pub(crate) const fn new(prover: &'p Prover) -> Self {
        Self {
            prover,
            commitment: None,
        }
    }

    /// The commitment that was made, to hand to [`Prover::prove`]; `None` when none was asked for.
    pub fn finish(self) -> Option<Commitment> {
        self.commitment
    }
}

impl Challenger for Committer<'_> {
    fn challenge(&mut self, public: &[Fr], committed: &[Fr]) -> Result<Fr, LowerError> {
        let path = || "challenge".to_owned();
        let shape = self.prover.shape();
        if shape.challenge.is_none() {
            return Err(LowerError::NoChallenge { path: path() });
        }
        if self.commitment.is_some() {
            return Err(LowerError::SecondCommitment { path: path() });
        }
        if public.len() != shape.num_public {
            return Err(LowerError::PublicInputCount {
                expected: shape.num_public,
                got: public.len(),
            });
        }
        let commitment = self
            .prover
            .commit(committed, random::scalar().map_err(failed)?)
            .map_err(failed)?;
        let challenge = commitment.challenge(self.prover, public);
        self.commitment = Some(commitment);
        Ok(challenge)
    }
}

#[expect(clippy::needless_pass_by_value, reason = "for map_err")]
fn failed(error: ProverError) -> LowerError {
    LowerError::Commitment {
        reason: error.to_string(),
    }
}

impl Commitment {
    /// D, as it will stand in the proof.
    pub const fn point(&self) -> &G1Affine {
        &self.point
    }

    /// What the challenge wire must carry.
    fn challenge(&self, prover: &Prover, public: &[Fr]) -> Fr {
        challenge(&prover.key_digest(), &self.point, public)
    }

    /// Checks that an assignment has the values that were committed to, and on the challenge wire
    /// the challenge of this commitment and of the assignment's own public inputs.
    pub(crate) fn check(&self, prover: &Prover, assignment: &[Fr]) -> Result<(), ProverError> {
        let refuse = |reason| Err(ProverError::CommitmentMismatch { reason });
        let shape = prover.shape();
        if assignment.get(shape.committed()) != Some(self.committed.as_slice()) {
            return refuse("the assignment has other values on the committed wires");
        }
        let public = assignment.get(1..=shape.num_public).unwrap_or_default();
        let drawn = shape.challenge.and_then(|wire| assignment.get(wire));
        if drawn != Some(&self.challenge(prover, public)) {
            return refuse("the assignment's challenge is not the one that follows from it");
        }
        Ok(())
    }
}

impl Prover {
    /// `D = Σ z_i·D_i + κ·δ` over the committed wires.
    ///
    /// # Errors
    /// [`ProverError::CommitmentMismatch`] for a wrong number of values and plain keys.
    pub(crate) fn commit(
        &self,
        committed: &[Fr],
        kappa: Zeroizing<Fr>,
    ) -> Result<Commitment, ProverError> {
        if self.shape().challenge.is_none() {
            return Err(ProverError::CommitmentMismatch {
                reason: "the key is a plain one",
            });
        }
        if committed.len() != self.shape().committed().len() {
            return Err(ProverError::CommitmentMismatch {
                reason: "the circuit commits to another number of wires",
            });
        }
        let point = self.delta_g1 * *kappa + self.queries.d.times(&integers(committed))?;
        Ok(Commitment {
            point: point.into_affine(),
            kappa,
            committed: Zeroizing::new(committed.to_vec()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generator::{NoProgress, setup, unsafe_dev_setup};
    use crate::qap::QuotientForm;
    use crate::testing::{Seeded, committed_assignment, committed_circuit, random_circuit};
    use ark_bn254::{Bn254, G2Affine};
    use ark_ec::AffineRepr;
    use ark_ec::pairing::Pairing;
    use ark_ff::{AdditiveGroup, Field};
    use proofmark_gadgets::Circuit;
    use proofmark_verifier::{PreparedKey, Proof};

    const VALUES: [i64; 4] = [7, 0, 3, 3];

    struct Fixture {
        circuit: Circuit,
        prover: Prover,
        /// D's points, which every holder of the key has.
        d_query: Vec<G1Affine>,
        verifier: PreparedKey,
    }

    impl Fixture {
        fn new(public: usize, values: usize) -> Self {
            let circuit = committed_circuit(public, values);
            let key = setup(&circuit, &NoProgress).unwrap();
            let d_query = key.committed.clone().unwrap().query;
            let prover = Prover::new(&circuit, key).unwrap();
            Self {
                verifier: PreparedKey::new(prover.verifying_key()).unwrap(),
                circuit,
                prover,
                d_query,
            }
        }

        fn lowered(&self, public: &[Fr], values: &[i64]) -> (Vec<Fr>, Commitment) {
            let mut committer = self.prover.committer();
            let assignment = committed_assignment(public, values, &mut committer).unwrap();
            assert!(self.circuit.r1cs.is_satisfied_by(&assignment));
            (assignment, committer.finish().unwrap())
        }

        fn proven(&self, public: &[Fr], values: &[i64]) -> Proof {
            let (assignment, commitment) = self.lowered(public, values);
            self.prover.prove(&assignment, Some(commitment)).unwrap()
        }

        fn accepts(&self, public: &[Fr], proof: &Proof) -> bool {
            self.verifier.verify(public, proof).is_ok()
        }

        /// What a prover without our checks sends who has this witness and says that the
        /// commitment was `commitment`.
        fn forced(&self, assignment: &[Fr], commitment: &Commitment) -> Proof {
            let mut random = Seeded::new(9);
            let (r, s) = (random.scalar(), random.scalar());
            self.prover
                .prove_with(assignment, Some(commitment), &r, &s)
                .unwrap()
        }

        fn challenge_wire(&self) -> usize {
            self.circuit.challenges[0].index()
        }

        /// Draws the challenge of `commitment` for the public inputs in `assignment`, and computes
        /// what stands behind it: inverses and quotients for the values and counts there are.
        /// Returns whether the lookups hold.
        fn continued(&self, assignment: &mut [Fr], commitment: &Commitment) -> bool {
            let public = assignment[1..=self.circuit.r1cs.num_public].to_vec();
            let x = commitment.challenge(&self.prover, &public);
            let at = self.challenge_wire();
            assignment[at] = x;
            let (counts, values) = (at - 8, at - 8 - VALUES.len());
            let mut sum = Fr::ZERO;
            for value in 0..VALUES.len() {
                let inverse = (x - assignment[values + value]).inverse().unwrap();
                assignment[at + 1 + value] = inverse;
                sum += inverse;
            }
            for entry in 0..8 {
                let inverse = (x - Fr::from(entry as u64)).inverse().unwrap();
                let quotient = assignment[counts + entry] * inverse;
                assignment[at + 1 + VALUES.len() + entry] = quotient;
                sum -= quotient;
            }
            self.circuit.r1cs.is_satisfied_by(assignment) && sum == Fr::ZERO
        }

        fn committed<'a>(&self, assignment: &'a [Fr]) -> &'a [Fr] {
            &assignment[self.circuit.r1cs.num_public + 1..self.challenge_wire()]
        }
    }

    fn kappa(seed: u64) -> Zeroizing<Fr> {
        Zeroizing::new(Seeded::new(seed).scalar())
    }

    #[test]
    fn honest_proofs_verify_for_their_statement_alone() {
        for form in [QuotientForm::Standard, QuotientForm::Folded] {
            for (public, values) in [(0_u64, &[1][..]), (1, &[]), (2, &VALUES), (3, &[5; 40])] {
                let inputs: Vec<Fr> = (0..public).map(|i| Fr::from(i + 5)).collect();
                let circuit = committed_circuit(inputs.len(), values.len());
                let key = unsafe_dev_setup(&circuit, [3; 32], form, &NoProgress).unwrap();
                let prover = Prover::new(&circuit, key).unwrap();
                let mut committer = prover.committer();
                let assignment = committed_assignment(&inputs, values, &mut committer).unwrap();
                let proof = prover.prove(&assignment, committer.finish()).unwrap();
                let verifier = PreparedKey::new(prover.verifying_key()).unwrap();
                assert!(verifier.verify(&inputs, &proof).is_ok());
                for index in 0..inputs.len() {
                    let mut other = inputs.clone();
                    other[index] += Fr::ONE;
                    assert!(verifier.verify(&other, &proof).is_err());
                }
                let mut longer = inputs.clone();
                longer.push(Fr::ZERO);
                assert!(verifier.verify(&longer, &proof).is_err());
            }
        }
    }

    /// The equation as the security page states it, term by term.
    #[test]
    fn proofs_satisfy_the_equation_of_the_page() {
        let fixture = Fixture::new(2, VALUES.len());
        let inputs = [Fr::from(11), Fr::from(12)];
        let proof = fixture.proven(&inputs, &VALUES);
        let vk = fixture.prover.verifying_key();
        let d = proof.commitment.unwrap();
        let x = challenge(&vk.digest().unwrap(), &d, &inputs);
        let ic = &vk.groth16.gamma_abc_g1;
        let statement = ic[0] + ic[1] * inputs[0] + ic[2] * inputs[1] + ic[3] * x;
        let e = |a: G1Affine, b: G2Affine| Bn254::pairing(a, b);
        assert_eq!(
            e(proof.groth16.a, proof.groth16.b),
            e(vk.groth16.alpha_g1, vk.groth16.beta_g2)
                + e(statement.into_affine(), G2Affine::generator())
                + e(proof.groth16.c, vk.groth16.delta_g2)
                + e(d, vk.delta_committed_g2.unwrap())
        );
    }

    /// CVE-2024-45040: a commitment without randomness tells whether two witnesses are equal, and
    /// a small one can be guessed.
    #[test]
    fn commitments_hide() {
        let fixture = Fixture::new(1, VALUES.len());
        let inputs = [Fr::from(3)];
        let (one, other) = (
            fixture.proven(&inputs, &VALUES),
            fixture.proven(&inputs, &VALUES),
        );
        assert_ne!(one.commitment, other.commitment);
        assert_ne!(one.groth16.a, other.groth16.a);
        assert_ne!(one.groth16.b, other.groth16.b);
        assert_ne!(one.groth16.c, other.groth16.c);
        // Without κ the commitment is a function of the witness, which anyone can compute.
        let (assignment, commitment) = fixture.lowered(&inputs, &VALUES);
        let guess: ark_bn254::G1Projective = fixture
            .d_query
            .iter()
            .zip(fixture.committed(&assignment))
            .map(|(point, value)| *point * value)
            .sum();
        assert_ne!(guess.into_affine(), *commitment.point());
        let bare = fixture
            .prover
            .commit(fixture.committed(&assignment), Zeroizing::new(Fr::ZERO))
            .unwrap();
        assert_eq!(guess.into_affine(), *bare.point());
    }

    #[test]
    fn a_commitment_to_zeros_is_no_identity() {
        let fixture = Fixture::new(1, 0);
        let (assignment, commitment) = fixture.lowered(&[Fr::ZERO], &[]);
        assert!(
            fixture
                .committed(&assignment)
                .iter()
                .all(|z| *z == Fr::ZERO)
        );
        assert!(!commitment.point().is_zero());
        let proof = fixture.prover.prove(&assignment, Some(commitment)).unwrap();
        assert!(fixture.accepts(&[Fr::ZERO], &proof));
    }

    #[test]
    fn an_assignment_is_proven_under_its_own_commitment_or_not_at_all() {
        let fixture = Fixture::new(1, VALUES.len());
        let inputs = [Fr::from(3)];
        let refused = |assignment: &[Fr], commitment| {
            let error = fixture.prover.prove(assignment, commitment).unwrap_err();
            assert_eq!(error.code(), "commitment-mismatch", "{error}");
        };
        let (assignment, commitment) = fixture.lowered(&inputs, &VALUES);
        refused(&assignment, None);
        // Another one of the same statement: other values, or the same and another challenge.
        refused(&assignment, Some(fixture.lowered(&inputs, &[1, 2, 3, 4]).1));
        refused(&assignment, Some(fixture.lowered(&inputs, &VALUES).1));
        // The negated input has the same square, so that all committed values are equal.
        let (_, negated) = fixture.lowered(&[-inputs[0]], &VALUES);
        refused(&assignment, Some(negated));
        let mut other = assignment.clone();
        other[1] = -other[1];
        assert!(fixture.circuit.r1cs.is_satisfied_by(&other));
        refused(&other, Some(fixture.lowered(&inputs, &VALUES).1));
        // A satisfying assignment with a challenge of one's own choice.
        let mut chosen = assignment.clone();
        let foreign = fixture.lowered(&inputs, &VALUES).1;
        assert!(fixture.continued(&mut chosen, &foreign));
        let copy = || Commitment {
            point: commitment.point,
            kappa: commitment.kappa.clone(),
            committed: commitment.committed.clone(),
        };
        refused(&chosen, Some(copy()));
        refused(&[], Some(copy()));
        assert!(fixture.prover.prove(&assignment, Some(copy())).is_ok());
        // A plain key takes no commitment.
        let (plain, witness) = random_circuit(90, 1, 10);
        let prover = Prover::new(&plain, setup(&plain, &NoProgress).unwrap()).unwrap();
        assert!(prover.committer().finish().is_none());
        let error = prover.prove(&witness, Some(copy())).unwrap_err();
        assert_eq!(error.code(), "commitment-mismatch");
    }

    #[test]
    fn the_committer_commits_once_and_to_all_wires() {
        let fixture = Fixture::new(1, VALUES.len());
        let (assignment, _) = fixture.lowered(&[Fr::ONE], &VALUES);
        let committed = fixture.committed(&assignment);
        let mut committer = fixture.prover.committer();
        let code = |result: Result<Fr, LowerError>| result.unwrap_err().code();
        assert_eq!(
            code(committer.challenge(&[], committed)),
            "public-input-count"
        );
        let short = &committed[1..];
        assert_eq!(
            code(committer.challenge(&[Fr::ONE], short)),
            "commitment-failed"
        );
        assert!(committer.challenge(&[Fr::ONE], committed).is_ok());
        // CVE-2024-45039 needs two commitments in one proof.
        let second = committer.challenge(&[Fr::ONE], committed);
        assert_eq!(code(second), "second-commitment");
        let (plain, _) = random_circuit(91, 1, 10);
        let prover = Prover::new(&plain, setup(&plain, &NoProgress).unwrap()).unwrap();
        let asked = prover.committer().challenge(&[Fr::ONE], &[]);
        assert_eq!(code(asked), "no-challenge");
    }

    #[test]
    fn a_commitment_cannot_be_replayed() {
        let fixture = Fixture::new(1, VALUES.len());
        let (p, q) = ([Fr::from(3)], [Fr::from(4)]);
        let (one, other) = (fixture.proven(&p, &VALUES), fixture.proven(&q, &VALUES));
        let again = fixture.proven(&p, &VALUES);
        assert!(fixture.accepts(&p, &one) && fixture.accepts(&q, &other));
        // D moved between proofs, of other statements and of the same.
        for (statement, proof, from) in [(&p, &one, &other), (&q, &other, &one), (&p, &one, &again)]
        {
            let mut moved = proof.clone();
            moved.commitment = from.commitment;
            assert!(!fixture.accepts(statement, &moved));
        }
        // A whole proof under another statement whose witness has the same committed values.
        let negated = [-p[0]];
        assert!(!fixture.accepts(&negated, &one));
        // The same commitment in a proof of that statement, by a prover who knows everything about
        // it: only with the challenge that its own public inputs give.
        let (mut assignment, commitment) = fixture.lowered(&p, &VALUES);
        assignment[1] = negated[0];
        let replayed = fixture.forced(&assignment, &commitment);
        assert!(!fixture.accepts(&negated, &replayed) && !fixture.accepts(&p, &replayed));
        assert!(fixture.continued(&mut assignment, &commitment));
        assert!(fixture.accepts(&negated, &fixture.forced(&assignment, &commitment)));
    }

    /// What CVE-2024-45039 and -45040's neighbours come to: a part of the statement or of another
    /// query put into D. In gnark's form D is added to the statement's own sum, so that adding
    /// `(x − x*)·IC_1` to it proves x under the name of x*; a proof of knowledge forbids it there.
    #[test]
    fn public_inputs_cannot_be_shifted_through_the_commitment() {
        let fixture = Fixture::new(1, VALUES.len());
        let x = [Fr::from(3)];
        let (mut assignment, commitment) = fixture.lowered(&x, &VALUES);
        let ic = fixture.prover.verifying_key().groth16.gamma_abc_g1[1];
        for claimed in [x, [Fr::from(4)]] {
            let shift = ic * (x[0] - claimed[0]);
            let shifted = Commitment {
                point: (commitment.point + shift).into_affine(),
                kappa: commitment.kappa.clone(),
                committed: commitment.committed.clone(),
            };
            // The challenge is that of the shifted commitment and the claimed input; all rows hold
            // for the true one.
            assignment[1] = claimed[0];
            fixture.continued(&mut assignment, &shifted);
            assignment[1] = x[0];
            assert!(fixture.circuit.r1cs.is_satisfied_by(&assignment));
            let proof = fixture.forced(&assignment, &shifted);
            assert_eq!(fixture.accepts(&claimed, &proof), claimed == x);
            // In an equation that adds D to the statement it would have been accepted.
            let vk = fixture.prover.verifying_key();
            let drawn = assignment[fixture.challenge_wire()];
            let points = &vk.groth16.gamma_abc_g1;
            let statement = points[0] + points[1] * claimed[0] + points[2] * drawn + shift;
            let e = |a: G1Affine, b: G2Affine| Bn254::pairing(a, b);
            assert_eq!(
                e(proof.groth16.a, proof.groth16.b),
                e(vk.groth16.alpha_g1, vk.groth16.beta_g2)
                    + e(statement.into_affine(), G2Affine::generator())
                    + e(proof.groth16.c, vk.groth16.delta_g2)
                    + e(commitment.point, vk.delta_committed_g2.unwrap())
            );
        }
    }

    #[test]
    fn values_and_multiplicities_cannot_be_chosen_after_the_challenge() {
        let fixture = Fixture::new(1, VALUES.len());
        let inputs = [Fr::from(3)];
        let (honest, _) = fixture.lowered(&inputs, &VALUES);
        let at = fixture.challenge_wire();
        let (counts, values) = (at - 8, at - 8 - VALUES.len());
        let mut forged = honest;
        // 9 is in no entry.
        forged[values] = Fr::from(9);
        let commitment = fixture
            .prover
            .commit(fixture.committed(&forged), kappa(1))
            .unwrap();
        assert!(!fixture.continued(&mut forged, &commitment));
        let error = fixture.prover.prove(&forged, None).unwrap_err();
        assert_eq!(error.code(), "commitment-mismatch");
        // With the challenge known, one count makes up for it.
        let x = forged[at];
        let gap: Fr = forged[at + 1..at + 1 + VALUES.len()].iter().sum::<Fr>()
            - forged[at + 1 + VALUES.len()..at + 9 + VALUES.len()]
                .iter()
                .sum::<Fr>();
        let late = gap * x;
        forged[counts] += late;
        forged[at + 1 + VALUES.len()] += gap;
        assert!(fixture.circuit.r1cs.is_satisfied_by(&forged));
        assert!(!fixture.accepts(&inputs, &fixture.forced(&forged, &commitment)));
        let own = Commitment {
            point: commitment.point,
            kappa: commitment.kappa.clone(),
            committed: commitment.committed.clone(),
        };
        let error = fixture.prover.prove(&forged, Some(own)).unwrap_err();
        assert_eq!(error.code(), "commitment-mismatch");

        // The difference put into D: the challenge is another one. Put into C, which is divided by
        // another δ: the equation does not hold.
        let place = counts - fixture.circuit.r1cs.num_public - 1;
        let difference = fixture.d_query[place] * late;
        let mut moved = fixture.forced(&forged, &commitment);
        moved.commitment = Some((commitment.point + difference).into_affine());
        assert!(!fixture.accepts(&inputs, &moved));
        let mut moved = fixture.forced(&forged, &commitment);
        moved.groth16.c = (moved.groth16.c + difference).into_affine();
        assert!(!fixture.accepts(&inputs, &moved));
        // The equation holds for that D with the old challenge: the hash is what is in the way.
        let vk = fixture.prover.verifying_key();
        let points = &vk.groth16.gamma_abc_g1;
        let statement = points[0] + points[1] * inputs[0] + points[2] * x;
        let proof = fixture.forced(&forged, &commitment);
        let e = |a: G1Affine, b: G2Affine| Bn254::pairing(a, b);
        assert_eq!(
            e(proof.groth16.a, proof.groth16.b),
            e(vk.groth16.alpha_g1, vk.groth16.beta_g2)
                + e(statement.into_affine(), G2Affine::generator())
                + e(proof.groth16.c, vk.groth16.delta_g2)
                + e(
                    (commitment.point + difference).into_affine(),
                    vk.delta_committed_g2.unwrap()
                )
        );
    }

    #[test]
    fn keys_of_the_other_backend_and_degenerate_ones_are_refused() {
        let circuit = committed_circuit(2, 3);
        let key = setup(&circuit, &NoProgress).unwrap();
        let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
        let code = |circuit: &Circuit, key| Prover::new(circuit, key).unwrap_err().code();
        let mut without = key.clone();
        without.committed = None;
        assert_eq!(code(&circuit, without), "key-circuit-mismatch");
        let (plain, _) = random_circuit(92, 2, 20);
        assert_eq!(code(&plain, key.clone()), "key-circuit-mismatch");
        let plain_key = setup(&plain, &NoProgress).unwrap();
        assert_eq!(code(&circuit, plain_key), "key-circuit-mismatch");
        let deltas = [
            ("identity", (G1Affine::zero(), G2Affine::zero())),
            ("gamma", (g1, g2)),
            ("delta", (key.groth16.delta_g1, key.groth16.vk.delta_g2)),
        ];
        for (name, (delta_g1, delta_g2)) in deltas {
            let mut other = key.clone();
            let committed = other.committed.as_mut().unwrap();
            (committed.delta_g1, committed.delta_g2) = (delta_g1, delta_g2);
            assert_eq!(code(&circuit, other), "key-degenerate", "{name}");
        }
        for length in [0, 1] {
            let mut other = key.clone();
            other.committed.as_mut().unwrap().query.truncate(length);
            assert_eq!(code(&circuit, other), "key-circuit-mismatch");
        }
    }
}
