//! The key that phase 1 and the circuit give before anyone contributed: δ = 1, and δc = 1 with the
//! lookup backend. Whoever has both files makes the same key, byte for byte. Anyone can forge under it.

use std::sync::atomic::{AtomicU64, Ordering};

use ark_bn254::{G1Affine, G2Affine};
use ark_ec::short_weierstrass::Affine;
use ark_ec::{AffineRepr, CurveGroup};
use ark_groth16::VerifyingKey;
use proofmark_gadgets::{Backend, Circuit};
use proofmark_msm::Curve;
use proofmark_prover::shape::Shape;
use proofmark_prover::{CommittedKey, Progress, ProvingKey, QuotientForm};
use proofmark_types::Digest;
use rayon::prelude::*;

use super::columns::{Columns, column_sums};
use crate::error::CeremonyError;
use crate::phase1::{Lagrange, Ptau};
use crate::snarkjs::Hasher;

/// What begins the hash of a key with a commitment.
const COMMITTED_DOMAIN: &[u8] = b"proofmark/ceremony/initial-key/v1\0";
/// Up to this size of the domain snarkjs hashes one difference of powers less than there are points.
const HASHED_WHOLE: usize = 1 << 14;

/// Phase 1 as a circuit's key is made from it.
#[derive(Debug, Clone, Copy)]
pub struct Powers<'a> {
    /// SHA-256 of the powers-of-tau file.
    pub digest: Digest,
    /// In the Lagrange basis of the circuit's domain, see [`domain_power`].
    pub lagrange: &'a Lagrange,
    /// `τ^i·G1` from i = 0 on, at least twice as many but one as the domain has points.
    pub tau_g1: &'a [G1Affine],
}

/// Binary logarithm of the size of the domain that a circuit's key needs.
///
/// # Errors
/// [`CeremonyError::Prover`] for a circuit that is malformed or too large.
pub fn domain_power(circuit: &Circuit) -> Result<u32, CeremonyError> {
    Ok(Shape::new(circuit, QuotientForm::Standard)?
        .size
        .trailing_zeros())
}

/// A circuit's key before any contribution.
#[derive(Debug, Clone)]
pub struct InitialKey {
    /// Digest of the circuit.
    pub circuit: Digest,
    /// SHA-256 of the powers-of-tau file.
    pub phase1: Digest,
    /// The circuit's wires and domain.
    pub shape: Shape,
    /// The key, in snarkjs's form, with the generators as deltas.
    pub key: ProvingKey,
    /// BLAKE2b-512 of the key. Contributions prove their knowledge to it and all that precedes them.
    pub hash: [u8; 64],
    /// Whether the hash is the one that snarkjs computes.
    pub snarkjs_hash: bool,
}

impl InitialKey {
    /// Makes the key.
    ///
    /// # Errors
    /// [`CeremonyError::Prover`] for a circuit that is malformed or too large;
    /// [`CeremonyError::PtauUnsuitable`] for powers of another size than the circuit's.
    pub fn new(
        circuit: &Circuit,
        powers: &Powers<'_>,
        progress: &dyn Progress,
    ) -> Result<Self, CeremonyError> {
        let shape = Shape::new(circuit, QuotientForm::Standard)?;
        check(powers, &shape)?;
        let key = derive(circuit, &shape, powers.lagrange, progress)?;
        let circuit = circuit.digest();
        progress.stage("hash of the initial key", 0, 1);
        let (hash, snarkjs_hash) = hash(&circuit, &shape, &key, powers.tau_g1);
        progress.stage("hash of the initial key", 1, 1);
        Ok(Self {
            circuit,
            phase1: powers.digest,
            shape,
            key,
            hash,
            snarkjs_hash,
        })
    }

    /// Makes the key from a file of phase 1. Whether the file's points are powers of one secret is for
    /// [`phase1::verify`](crate::phase1::verify()) to check.
    ///
    /// # Errors
    /// As [`new`](Self::new); those of reading the file.
    pub fn from_ptau(
        circuit: &Circuit,
        ptau: &Ptau,
        progress: &dyn Progress,
    ) -> Result<Self, CeremonyError> {
        let power = domain_power(circuit)?;
        let powers = Powers {
            digest: ptau.digest(progress)?,
            lagrange: &ptau.lagrange(power, progress)?,
            tau_g1: &ptau.tau_g1(power)?,
        };
        Self::new(circuit, &powers, progress)
    }

    /// Whether the circuit has a commitment, and so a second delta.
    pub fn is_committed(&self) -> bool {
        self.key.committed.is_some()
    }
}

fn check(powers: &Powers<'_>, shape: &Shape) -> Result<(), CeremonyError> {
    let Lagrange {
        g1,
        g2,
        alpha_g1,
        beta_g1,
        odd_g1,
        ..
    } = powers.lagrange;
    let size = shape.size;
    let lengths = [g1, alpha_g1, beta_g1, odd_g1].map(Vec::len);
    if lengths == [size; 4] && g2.len() == size && powers.tau_g1.len() >= 2 * size - 1 {
        return Ok(());
    }
    Err(CeremonyError::PtauUnsuitable {
        reason: format!(
            "the circuit needs powers for a domain of {size} points; prepare a file of power {} or more",
            size.trailing_zeros()
        ),
    })
}

/// [`column_sums`] with progress.
fn sums<C: Curve>(
    name: &'static str,
    parts: &[(&Columns, &[Affine<C>])],
    progress: &dyn Progress,
) -> Vec<Affine<C>> {
    let total = parts.first().map_or(0, |(columns, _)| columns.wires()) as u64;
    let finished = AtomicU64::new(0);
    progress.stage(name, 0, total);
    column_sums(parts, &|more| {
        let before = finished.fetch_add(more as u64, Ordering::Relaxed);
        progress.stage(name, before + more as u64, total);
    })
}

fn derive(
    circuit: &Circuit,
    shape: &Shape,
    lagrange: &Lagrange,
    progress: &dyn Progress,
) -> Result<ProvingKey, CeremonyError> {
    let r1cs = &circuit.r1cs;
    let wires = shape.num_wires;
    // Row `constraints + i` carries the i-th input in A alone.
    let inputs: Vec<(usize, usize)> = (shape.num_constraints..).zip(shape.inputs()).collect();
    progress.stage("columns", 0, 3);
    let a = Columns::new(&r1cs.a, wires, &inputs)?;
    progress.stage("columns", 1, 3);
    let b = Columns::new(&r1cs.b, wires, &[])?;
    progress.stage("columns", 2, 3);
    let c = Columns::new(&r1cs.c, wires, &[])?;
    progress.stage("columns", 3, 3);
    let Lagrange {
        g1,
        g2,
        alpha_g1,
        beta_g1,
        ..
    } = lagrange;
    let a_query = sums("query A in G1", &[(&a, g1)], progress);
    let b_g1_query = sums("query B in G1", &[(&b, g1)], progress);
    let b_g2_query = sums("query B in G2", &[(&b, g2)], progress);
    let combined = sums(
        "queries IC, D and L in G1",
        &[(&a, beta_g1), (&b, alpha_g1), (&c, g1)],
        progress,
    );
    let of = |range: std::ops::Range<usize>| combined.get(range).unwrap_or_default().to_vec();
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    Ok(ProvingKey {
        form: QuotientForm::Standard,
        committed: shape.challenge.map(|_| CommittedKey {
            delta_g1: g1,
            delta_g2: g2,
            query: of(shape.committed()),
        }),
        groth16: ark_groth16::ProvingKey {
            vk: VerifyingKey {
                alpha_g1: lagrange.alpha,
                beta_g2: lagrange.beta_g2,
                gamma_g2: g2,
                delta_g2: g2,
                gamma_abc_g1: shape
                    .inputs()
                    .filter_map(|wire| combined.get(wire).copied())
                    .collect(),
            },
            beta_g1: lagrange.beta,
            delta_g1: g1,
            a_query,
            b_g1_query,
            b_g2_query,
            h_query: lagrange.odd_g1.clone(),
            l_query: of(shape.private()),
        },
    })
}

/// The hash of a key, and whether snarkjs would compute the same.
///
/// It covers α, β, γ, δ, and counts and points of IC, H, L, A and B. H enters as `τ^(n+i) − τ^i` for
/// i below n − 1. Above 2^14 points snarkjs takes one more by oversight; where phase 1 ends before it,
/// snarkjs hashes what happens to follow in the file, and the hash here does without.
fn hash(
    circuit: &Digest,
    shape: &Shape,
    key: &ProvingKey,
    tau_g1: &[G1Affine],
) -> ([u8; 64], bool) {
    let groth16 = &key.groth16;
    let vk = &groth16.vk;
    let mut hasher = Hasher::default();
    if shape.backend == Backend::Committed {
        hasher.update(COMMITTED_DOMAIN);
        hasher.update(circuit.as_bytes());
    }
    hasher.points(&[vk.alpha_g1, groth16.beta_g1]);
    hasher.points(&[vk.beta_g2, vk.gamma_g2]);
    hasher.points(&[groth16.delta_g1]);
    hasher.points(&[vk.delta_g2]);
    // Domains have at most 2^27 points, circuits at most 2^32 wires.
    let count = |hasher: &mut Hasher, count: usize| {
        hasher.update(&u32::try_from(count).unwrap_or(u32::MAX).to_be_bytes());
    };
    count(&mut hasher, vk.gamma_abc_g1.len());
    hasher.points(&vk.gamma_abc_g1);
    let size = shape.size;
    count(&mut hasher, size - 1);
    let wanted = if size > HASHED_WHOLE { size } else { size - 1 };
    let high = tau_g1.get(size..).unwrap_or_default();
    let high = high.get(..wanted).unwrap_or(high);
    for (low, high) in tau_g1.chunks(1 << 12).zip(high.chunks(1 << 12)) {
        let differences: Vec<_> = (low, high)
            .into_par_iter()
            .map(|(low, high)| high.into_group() - low)
            .collect();
        hasher.points(&CurveGroup::normalize_batch(&differences));
    }
    count(&mut hasher, groth16.l_query.len());
    hasher.points(&groth16.l_query);
    count(&mut hasher, groth16.a_query.len());
    hasher.points(&groth16.a_query);
    count(&mut hasher, groth16.b_g1_query.len());
    hasher.points(&groth16.b_g1_query);
    count(&mut hasher, groth16.b_g2_query.len());
    hasher.points(&groth16.b_g2_query);
    if let Some(committed) = &key.committed {
        hasher.points(&[committed.delta_g1]);
        hasher.points(&[committed.delta_g2]);
        count(&mut hasher, committed.query.len());
        hasher.points(&committed.query);
    }
    let snarkjs = shape.backend == Backend::Plain && high.len() == wanted;
    (hasher.finish(), snarkjs)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::phase2::testing::{Secret, committed_circuit, powers, random_circuit};
    use proofmark_prover::NoProgress;

    /// Against the definition over the field, with the secrets of phase 1 known.
    fn against_the_definition(circuit: &Circuit) {
        let secret = Secret::new(1);
        let phase1 = powers(&secret, domain_power(circuit).unwrap());
        let initial = InitialKey::new(circuit, &phase1.powers(), &NoProgress).unwrap();
        let expected = secret.initial_key(circuit);
        assert_eq!(initial.key, expected);
        assert_eq!(initial.circuit, circuit.digest());
        assert_eq!(initial.shape.size, 1 << domain_power(circuit).unwrap());
        assert_eq!(
            initial.is_committed(),
            circuit.backend == Backend::Committed
        );
        assert_eq!(initial.snarkjs_hash, circuit.backend == Backend::Plain);
        // Deterministic; another circuit of the same size has another hash.
        let again = InitialKey::new(circuit, &phase1.powers(), &NoProgress).unwrap();
        assert_eq!(again.hash, initial.hash);
    }

    #[test]
    fn the_key_is_what_the_paper_defines() {
        against_the_definition(&random_circuit(1, 3, 50).0);
        against_the_definition(&random_circuit(2, 1, 14).0);
        against_the_definition(&committed_circuit(2, 10));
    }

    #[test]
    fn powers_of_another_size_are_refused() {
        let (circuit, _) = random_circuit(1, 3, 50);
        let power = domain_power(&circuit).unwrap();
        for other in [power - 1, power + 1] {
            let phase1 = powers(&Secret::new(1), other);
            let refused = InitialKey::new(&circuit, &phase1.powers(), &NoProgress).unwrap_err();
            assert_eq!(refused.code(), "ptau-unsuitable");
        }
    }

    #[test]
    fn the_hash_names_circuit_and_powers() {
        let hash = |seed, circuit: &Circuit| {
            let phase1 = powers(&Secret::new(seed), domain_power(circuit).unwrap());
            InitialKey::new(circuit, &phase1.powers(), &NoProgress)
                .unwrap()
                .hash
        };
        let (one, other) = (random_circuit(1, 3, 50).0, random_circuit(2, 3, 50).0);
        assert_ne!(hash(1, &one), hash(1, &other));
        assert_ne!(hash(1, &one), hash(2, &one));
    }
}
