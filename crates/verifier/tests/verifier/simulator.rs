//! Keys whose trapdoor is known, and with it valid proofs of any statement in both backends: the
//! simulator of the zero-knowledge argument. No circuit is behind them; what they prove is that
//! the verifier checks the equation.

use ark_bn254::{Fr, G1Affine, G2Affine};
use ark_ec::{AffineRepr as _, CurveGroup as _};
use ark_ff::{Field as _, PrimeField as _};
use proofmark_types::Digest;
use proofmark_verifier::{Proof, VerifyingKey, challenge};

/// A field element that depends on a name and a number.
pub(crate) fn scalar(name: &str, number: u64) -> Fr {
    let half = |half: u8| {
        let text = format!("{name}/{number}/{half}");
        *Digest::of(text.as_bytes()).as_bytes()
    };
    Fr::from_le_bytes_mod_order(&[half(0), half(1)].concat())
}

pub(crate) fn g1(x: Fr) -> G1Affine {
    (G1Affine::generator() * x).into_affine()
}

pub(crate) fn g2(x: Fr) -> G2Affine {
    (G2Affine::generator() * x).into_affine()
}

pub(crate) struct Simulator {
    pub(crate) alpha: Fr,
    pub(crate) beta: Fr,
    pub(crate) delta: Fr,
    pub(crate) delta_committed: Option<Fr>,
    /// Logarithms of IC's points.
    pub(crate) ic: Vec<Fr>,
    pub(crate) key: VerifyingKey,
    digest: Digest,
}

impl Simulator {
    pub(crate) fn new(public_inputs: usize, committed: bool, seed: u64) -> Self {
        let [alpha, beta, delta, delta_committed] =
            ["alpha", "beta", "delta", "delta committed"].map(|name| scalar(name, seed));
        let wires = public_inputs + if committed { 2 } else { 1 };
        let ic: Vec<Fr> = (0_u64..)
            .take(wires)
            .map(|wire| scalar(&format!("ic {seed}"), wire))
            .collect();
        let key = VerifyingKey {
            groth16: ark_groth16::VerifyingKey {
                alpha_g1: g1(alpha),
                beta_g2: g2(beta),
                gamma_g2: G2Affine::generator(),
                delta_g2: g2(delta),
                gamma_abc_g1: ic.iter().copied().map(g1).collect(),
            },
            delta_committed_g2: committed.then(|| g2(delta_committed)),
        };
        Self {
            alpha,
            beta,
            delta,
            delta_committed: committed.then_some(delta_committed),
            ic,
            digest: key.digest().unwrap(),
            key,
        }
    }

    /// A proof of any statement.
    pub(crate) fn prove(&self, public_inputs: &[Fr], seed: u64) -> Proof {
        let [a, b, d] = ["a", "b", "d"].map(|name| scalar(name, seed));
        let commitment = self.delta_committed.map(|delta| (delta, d));
        let mut wires = vec![Fr::ONE];
        wires.extend_from_slice(public_inputs);
        wires.extend(commitment.map(|(_, d)| challenge(&self.digest, &g1(d), public_inputs)));
        assert_eq!(wires.len(), self.ic.len());
        let inputs: Fr = self
            .ic
            .iter()
            .zip(&wires)
            .map(|(ic, wire)| *ic * wire)
            .sum();
        let committed = commitment.map_or(Fr::from(0), |(delta, d)| delta * d);
        let c = (a * b - self.alpha * self.beta - inputs - committed) / self.delta;
        Proof {
            groth16: ark_groth16::Proof {
                a: g1(a),
                b: g2(b),
                c: g1(c),
            },
            commitment: commitment.map(|(_, d)| g1(d)),
        }
    }
}
