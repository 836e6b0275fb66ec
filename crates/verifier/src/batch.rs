//! Many proofs under one key at the price of one final exponentiation.
//!
//! Each equation is raised to a random power of 128 bits and all are multiplied: the pairings with
//! the key's points then share one Miller loop each, and what remains a proof is one Miller loop,
//! a multiplication of A, and two or three terms of sums. The powers come from a hash of the key
//! and of every statement and proof in the batch, so that nobody chooses a proof after knowing
//! its power: one false equation, or several that cancel, pass with chance 2^−128 a try.

#![expect(
    clippy::arithmetic_side_effects,
    reason = "field and group arithmetic cannot overflow"
)]

use ark_bn254::{Fq12, Fr, G1Affine, G1Projective, G2Affine};
use ark_ec::CurveGroup as _;
use ark_ff::{AdditiveGroup as _, One as _};
use proofmark_types::Digest;
use proofmark_types::digest::DigestStream;
use proofmark_types::field::fr_to_bytes;

use crate::groth16::PreparedKey;
use crate::pairing::{Lines, finish, miller_loops};
use crate::proof::{CheckedProof, Proof, encode_proof};
use crate::rejection::Rejection;
use crate::weights::{Weight, products, weighted_sum};

/// Domain string of the hash that weights are taken from.
const WEIGHTS_DOMAIN: &[u8; 32] = b"proofmark/batch-weights/v1\0\0\0\0\0\0";
/// Proofs whose lines are computed side by side: enough to make an inversion cheap, few enough for
/// their lines (12 KiB each) to stay in a core's cache.
const SIDE_BY_SIDE: usize = 32;

/// A statement and its proof, one of a batch under one key.
#[derive(Debug, Clone, Copy)]
pub struct BatchItem<'a> {
    /// The public inputs.
    pub public_inputs: &'a [Fr],
    /// The proof.
    pub proof: &'a CheckedProof,
}

/// A proof of a batch that does not verify.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Culprit {
    /// Its position in the batch.
    pub index: usize,
    /// Why it does not verify: what [`PreparedKey::verify`] answers for it alone.
    pub rejection: Rejection,
}

/// An item that has passed the checks before the equation.
struct Candidate<'a> {
    index: usize,
    item: BatchItem<'a>,
    /// Public inputs, and with a commitment the challenge.
    wires: Vec<Fr>,
    weight: Weight,
}

impl PreparedKey {
    /// Verifies many proofs together. An empty batch holds no false proof and is accepted.
    ///
    /// A batch that fails is halved until each false proof has failed by itself, so that a batch
    /// of n with b false ones costs about `b·log2(n)` further batches of falling size.
    ///
    /// # Errors
    /// Every proof that does not verify by itself, in the order of the batch.
    pub fn verify_batch(&self, batch: &[BatchItem<'_>]) -> Result<(), Vec<Culprit>> {
        let mut culprits = Vec::new();
        let mut candidates = Vec::with_capacity(batch.len());
        let seed = self.batch_seed(batch);
        for (index, item) in batch.iter().enumerate() {
            match self.wires(item.public_inputs, item.proof.proof()) {
                Ok(wires) => candidates.push(Candidate {
                    index,
                    item: *item,
                    wires,
                    weight: weight(&seed, index),
                }),
                Err(rejection) => culprits.push(Culprit { index, rejection }),
            }
        }
        self.search(&candidates, false, &mut culprits);
        if culprits.is_empty() {
            return Ok(());
        }
        culprits.sort_by_key(|culprit| culprit.index);
        Err(culprits)
    }

    /// What all weights depend on: the key, and every statement and proof in order.
    fn batch_seed(&self, batch: &[BatchItem<'_>]) -> Digest {
        let mut stream = DigestStream::new();
        stream.update(WEIGHTS_DOMAIN);
        stream.update(self.digest().as_bytes());
        for item in batch {
            let count = u64::try_from(item.public_inputs.len()).unwrap_or(u64::MAX);
            stream.update(&count.to_le_bytes());
            for input in item.public_inputs {
                stream.update(&fr_to_bytes(input));
            }
            let proof = encode_proof(item.proof.proof());
            let length = u64::try_from(proof.len()).unwrap_or(u64::MAX);
            stream.update(&length.to_le_bytes());
            stream.update(&proof);
        }
        stream.finish()
    }

    /// Finds the false ones among `candidates`, of which at least one is false when `guilty`.
    fn search(&self, candidates: &[Candidate<'_>], guilty: bool, culprits: &mut Vec<Culprit>) {
        if let [candidate] = candidates {
            let proof = candidate.item.proof.proof();
            if let Err(rejection) = self.equation(&candidate.wires, proof) {
                culprits.push(Culprit {
                    index: candidate.index,
                    rejection,
                });
            }
            return;
        }
        if candidates.is_empty() || (!guilty && self.holds(candidates)) {
            return;
        }
        let half = candidates.len().div_ceil(2);
        let (left, right) = candidates.split_at_checked(half).unwrap_or_default();
        let before = culprits.len();
        self.search(left, false, culprits);
        // A product that is wrong while its left half is right is wrong in its right half.
        self.search(right, culprits.len() == before, culprits);
    }

    /// Whether the weighted product of the equations holds.
    fn holds(&self, candidates: &[Candidate<'_>]) -> bool {
        let chunks = candidates.len().div_ceil(SIDE_BY_SIDE).max(1);
        let chunk = candidates.len().div_ceil(chunks).max(1);
        let Share { loops, c, d } = shares(candidates, chunk);
        let (total, wires) = weighted_wires(candidates);
        let Some(inputs) = self.ic.sum(&wires) else {
            return false;
        };
        let sums = [self.alpha * -total, self.constant * total + inputs, c, d];
        let sums = G1Projective::normalize_batch(&sums);
        let key = [&self.beta, &self.gamma_neg, &self.delta_neg];
        let fixed = key.into_iter().chain(&self.delta_committed_neg);
        finish(&(loops * miller_loops(sums.into_iter().zip(fixed))))
            .is_some_and(|value| value.0.is_one())
    }
}

/// What some candidates contribute to the product.
struct Share {
    /// Miller loops of the weighted A and B.
    loops: Fq12,
    /// Weighted sum of C.
    c: G1Projective,
    /// Weighted sum of D.
    d: G1Projective,
}

impl Share {
    fn of(candidates: &[Candidate<'_>]) -> Self {
        let weights: Vec<Weight> = candidates.iter().map(|c| c.weight).collect();
        let proofs = || candidates.iter().map(|c| c.item.proof.proof());
        let right: Vec<G2Affine> = proofs().map(|p| p.groth16.b).collect();
        let [left, c] = [|p: &Proof| p.groth16.a, |p: &Proof| p.groth16.c]
            .map(|part| proofs().map(part).collect::<Vec<_>>());
        let d: Vec<G1Affine> = proofs().filter_map(|p| p.commitment).collect();
        Self {
            loops: miller_loops(
                products(&left, &weights)
                    .into_iter()
                    .zip(&Lines::of_many(&right)),
            ),
            c: weighted_sum(&c, &weights),
            d: weighted_sum(&d, &weights),
        }
    }

    #[expect(clippy::needless_pass_by_value, reason = "folds hand over values")]
    fn and(mut self, other: Self) -> Self {
        let Self { loops, c, d } = other;
        self.loops *= loops;
        self.c += c;
        self.d += d;
        self
    }

    fn none() -> Self {
        Self {
            loops: Fq12::one(),
            c: G1Projective::ZERO,
            d: G1Projective::ZERO,
        }
    }
}

#[cfg(feature = "parallel")]
fn shares(candidates: &[Candidate<'_>], chunk: usize) -> Share {
    use rayon::prelude::*;
    candidates
        .par_chunks(chunk)
        .map(Share::of)
        .reduce(Share::none, Share::and)
}

#[cfg(not(feature = "parallel"))]
fn shares(candidates: &[Candidate<'_>], chunk: usize) -> Share {
    candidates
        .chunks(chunk)
        .map(Share::of)
        .fold(Share::none(), Share::and)
}

/// The sum of the weights, and the weighted sums of the wires that IC's points are multiplied with.
fn weighted_wires(candidates: &[Candidate<'_>]) -> (Fr, Vec<Fr>) {
    let mut total = Fr::ZERO;
    let mut sums = vec![Fr::ZERO; candidates.first().map_or(0, |c| c.wires.len())];
    for candidate in candidates {
        let weight = candidate.weight.residue();
        total += weight;
        for (sum, wire) in sums.iter_mut().zip(&candidate.wires) {
            *sum += weight * wire;
        }
    }
    (total, sums)
}

fn weight(seed: &Digest, index: usize) -> Weight {
    let mut stream = DigestStream::new();
    stream.update(seed.as_bytes());
    stream.update(&u64::try_from(index).unwrap_or(u64::MAX).to_le_bytes());
    Weight::from_digest(&stream.finish())
}
