//! Keys whose trapdoor the tests know, so that they have proofs of any statement at once. What
//! contracts check does not depend on where a proof comes from; real ones are in `credit`.

use ark_bn254::{Fq, Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{BigInteger as _, Field as _, PrimeField as _};
use proofmark_types::ProofBytes;
use proofmark_types::manifest::Backend;
use proofmark_verifier::{
    Proof, VerifyingKey, challenge, decode_proof, encode_proof, encode_verifying_key,
};
use revm::primitives::{B256, U256, keccak256};

/// Both proof systems.
pub(crate) const BACKENDS: [Backend; 2] = [Backend::Groth16, Backend::Groth16Logup];

/// A key with what could forge under it.
pub(crate) struct Trapdoor {
    alpha: Fr,
    beta: Fr,
    delta: Fr,
    delta_committed: Option<Fr>,
    ic: Vec<Fr>,
}

/// A scalar that a label names.
pub(crate) fn scalar(label: &str) -> Fr {
    Fr::from_be_bytes_mod_order(keccak256(label).as_slice())
}

pub(crate) fn g1(scalar: Fr) -> G1Affine {
    (G1Affine::generator() * scalar).into_affine()
}

fn g2(scalar: Fr) -> G2Affine {
    (G2Affine::generator() * scalar).into_affine()
}

impl Trapdoor {
    /// A key of this many public inputs. Another name, another key.
    pub(crate) fn new(backend: Backend, inputs: usize, name: &str) -> Self {
        let of = |part: &str| scalar(&format!("{name}/{backend:?}/{part}"));
        let committed = backend == Backend::Groth16Logup;
        Self {
            alpha: of("alpha"),
            beta: of("beta"),
            delta: of("delta"),
            delta_committed: committed.then(|| of("delta committed")),
            ic: (0..=inputs + usize::from(committed))
                .map(|k| of(&format!("ic {k}")))
                .collect(),
        }
    }

    pub(crate) fn key(&self) -> VerifyingKey {
        VerifyingKey {
            groth16: ark_groth16::VerifyingKey {
                alpha_g1: g1(self.alpha),
                beta_g2: g2(self.beta),
                gamma_g2: G2Affine::generator(),
                delta_g2: g2(self.delta),
                gamma_abc_g1: self.ic.iter().map(|s| g1(*s)).collect(),
            },
            delta_committed_g2: self.delta_committed.map(g2),
        }
    }

    pub(crate) fn key_bytes(&self) -> Vec<u8> {
        encode_verifying_key(self.key()).unwrap()
    }

    pub(crate) fn digest(&self) -> B256 {
        B256::from(*self.key().digest().unwrap().as_bytes())
    }

    /// A proof of a statement; another label, other randomness.
    pub(crate) fn prove(&self, inputs: &[Fr], label: &str) -> ProofBytes {
        let [a, b, d] = ["a", "b", "d"].map(|part| scalar(&format!("{label}/{part}")));
        let commitment = self.delta_committed.map(|_| g1(d));
        let mut wires = inputs.to_vec();
        wires.extend(
            commitment.map(|point| challenge(&self.key().digest().unwrap(), &point, inputs)),
        );
        assert_eq!(self.ic.len(), 1 + wires.len());
        let sum: Fr = self.ic[0]
            + self.ic[1..]
                .iter()
                .zip(&wires)
                .map(|(s, x)| *s * x)
                .sum::<Fr>();
        let committed = self.delta_committed.map_or(Fr::from(0), |s| s * d);
        let c = (a * b - self.alpha * self.beta - sum - committed) / self.delta;
        encode_proof(Proof {
            groth16: ark_groth16::Proof {
                a: g1(a),
                b: g2(b),
                c: g1(c),
            },
            commitment,
        })
    }
}

/// Another proof of the same statement, as anybody can make it: A/s, s·B.
pub(crate) fn rerandomised(proof: &ProofBytes) -> ProofBytes {
    let mut proof = decode_proof(proof).unwrap();
    let s = Fr::from(7);
    proof.groth16.a = (proof.groth16.a * s.inverse().unwrap()).into_affine();
    proof.groth16.b = (proof.groth16.b * s).into_affine();
    encode_proof(proof)
}

/// The words that a contract takes.
pub(crate) fn words(inputs: &[Fr]) -> Vec<U256> {
    inputs.iter().map(word).collect()
}

pub(crate) fn word(input: &Fr) -> U256 {
    U256::from_be_slice(&input.into_bigint().to_bytes_be())
}

/// A field element of a word that is one.
pub(crate) fn element(word: U256) -> Fr {
    Fr::from_be_bytes_mod_order(&word.to_be_bytes::<32>())
}

/// Order of the scalar field.
pub(crate) fn field_order() -> U256 {
    U256::from_be_slice(&Fr::MODULUS.to_bytes_be())
}

/// Modulus of the coordinates.
pub(crate) fn base_order() -> U256 {
    U256::from_be_slice(&Fq::MODULUS.to_bytes_be())
}

/// Public inputs that differ from each other.
pub(crate) fn statement(count: usize) -> Vec<Fr> {
    (0..count).map(|k| scalar(&format!("input {k}"))).collect()
}
