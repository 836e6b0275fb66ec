//! The proving key, and what makes one too weak to use.

use ark_bn254::{Bn254, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_ec::pairing::Pairing;

use proofmark_verifier::VerifyingKey;

use crate::error::ProverError;
use crate::qap::QuotientForm;
use crate::shape::Shape;

/// A proving key: `ark-groth16`'s, with what its type has no place for.
#[derive(Debug, Clone, PartialEq)]
pub struct ProvingKey {
    /// How C is accounted for.
    pub form: QuotientForm,
    /// The plain part. Its L query has the private wires that are not committed to; its IC has the
    /// challenge last, where there is one.
    pub groth16: ark_groth16::ProvingKey<Bn254>,
    /// What commits to wires; `None` for plain Groth16.
    pub committed: Option<CommittedKey>,
}

/// The part of a proving key that commits to wires.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedKey {
    /// δc in G1.
    pub delta_g1: G1Affine,
    /// δc in G2.
    pub delta_g2: G2Affine,
    /// `(β·A_i + α·B_i + C_i)/δc` for each committed wire: query D.
    pub query: Vec<G1Affine>,
}

impl ProvingKey {
    /// The key that verifies proofs made under this one.
    pub fn verifying_key(&self) -> VerifyingKey {
        VerifyingKey {
            groth16: self.groth16.vk.clone(),
            delta_committed_g2: self.committed.as_ref().map(|c| c.delta_g2),
        }
    }

    /// Whether the dimensions are those of a circuit.
    ///
    /// # Errors
    /// [`ProverError::KeyMismatch`]; [`ProverError::KeyBackend`] when one of the two has a
    /// commitment and the other has not.
    pub fn check_shape(&self, shape: &Shape) -> Result<(), ProverError> {
        if self.committed.is_some() != shape.challenge.is_some() {
            return Err(ProverError::KeyBackend {
                backend: shape.backend.name(),
            });
        }
        let key = &self.groth16;
        let committed = self.committed.as_ref().map_or(0, |c| c.query.len());
        for (part, expected, got) in [
            ("IC", shape.num_inputs(), key.vk.gamma_abc_g1.len()),
            ("query A", shape.num_wires, key.a_query.len()),
            ("query B in G1", shape.num_wires, key.b_g1_query.len()),
            ("query B in G2", shape.num_wires, key.b_g2_query.len()),
            ("query D", shape.committed().len(), committed),
            ("query L", shape.private().len(), key.l_query.len()),
            ("query H", shape.size, key.h_query.len()),
        ] {
            if expected != got {
                return Err(ProverError::KeyMismatch {
                    part,
                    expected,
                    got,
                });
            }
        }
        Ok(())
    }
}

/// Refuses a key under which anyone can forge, or whose fixed points contradict each other. All
/// points are taken to be in their groups.
///
/// A key without phase 2 has δ = γ: then C of a proof and the public inputs can be traded against
/// each other, which has been exploited. With δc = γ the commitment could be, and with δc = δ
/// committed wires could be chosen after the challenge.
///
/// # Errors
/// [`ProverError::KeyDegenerate`].
pub fn check_strength(key: &ProvingKey) -> Result<(), ProverError> {
    let degenerate = |reason: String| Err(ProverError::KeyDegenerate { reason });
    let groth16 = &key.groth16;
    let vk = &groth16.vk;
    let committed = key.committed.as_ref();
    for (name, identity) in [
        ("alpha in G1", vk.alpha_g1.is_zero()),
        ("beta in G1", groth16.beta_g1.is_zero()),
        ("delta in G1", groth16.delta_g1.is_zero()),
        ("beta in G2", vk.beta_g2.is_zero()),
        ("gamma in G2", vk.gamma_g2.is_zero()),
        ("delta in G2", vk.delta_g2.is_zero()),
        (
            "the commitment's delta in G1",
            committed.is_some_and(|c| c.delta_g1.is_zero()),
        ),
        (
            "the commitment's delta in G2",
            committed.is_some_and(|c| c.delta_g2.is_zero()),
        ),
    ] {
        if identity {
            return degenerate(format!("{name} is the identity"));
        }
    }
    if let Some(index) = vk.gamma_abc_g1.iter().position(AffineRepr::is_zero) {
        return degenerate(format!("IC[{index}] is the identity"));
    }
    let (g1, g2) = (G1Affine::generator(), G2Affine::generator());
    // Equal or opposite: points with one x.
    let opposite = vk.delta_g2.x == vk.gamma_g2.x;
    if opposite || vk.delta_g2.x == g2.x || groth16.delta_g1.x == g1.x {
        return degenerate("delta equals gamma or its opposite: the key had no phase 2".to_owned());
    }
    if [vk.gamma_g2.x, vk.delta_g2.x].contains(&vk.beta_g2.x) {
        return degenerate("beta equals gamma or delta, or the opposite of one".to_owned());
    }
    if vk.gamma_g2 != g2 {
        return degenerate(
            "gamma is not the generator, as it is in every key made here".to_owned(),
        );
    }
    let mut both_groups = vec![
        ("beta", groth16.beta_g1, vk.beta_g2),
        ("delta", groth16.delta_g1, vk.delta_g2),
    ];
    if let Some(committed) = committed {
        if committed.delta_g2.x == g2.x || committed.delta_g1.x == g1.x {
            return degenerate("the commitment's delta equals gamma or its opposite".to_owned());
        }
        if committed.delta_g2.x == vk.delta_g2.x || committed.delta_g1.x == groth16.delta_g1.x {
            return degenerate("the commitment's delta equals delta or its opposite".to_owned());
        }
        if committed.delta_g2.x == vk.beta_g2.x {
            return degenerate("the commitment's delta equals beta or its opposite".to_owned());
        }
        both_groups.push((
            "the commitment's delta",
            committed.delta_g1,
            committed.delta_g2,
        ));
    }
    for (name, in_g1, in_g2) in both_groups {
        if Bn254::pairing(in_g1, g2) != Bn254::pairing(g1, in_g2) {
            return degenerate(format!("{name} in G1 and G2 are not the same"));
        }
    }
    Ok(())
}
