//! Key, proof and public inputs in snarkjs's JSON: `verification_key.json`, `proof.json` and
//! `public.json`, as `snarkjs groth16 verify` reads them.
//!
//! Numbers are decimal strings, points projective with a third coordinate of 1, elements of Fq2
//! as `[real, imaginary]`. The member `vk_alphabeta_12`, a pairing that snarkjs's verifier does
//! not read, is left out.

use ark_bn254::{Bn254, Fq, Fr, G1Affine, G2Affine};
use ark_ec::AffineRepr;
use ark_groth16::{Proof, VerifyingKey};
use serde_json::{Value, json};

fn decimal(value: &Fq) -> String {
    value.to_string()
}

fn g1(point: &G1Affine) -> Value {
    match point.xy() {
        Some((x, y)) => json!([decimal(&x), decimal(&y), "1"]),
        None => json!(["0", "1", "0"]),
    }
}

fn g2(point: &G2Affine) -> Value {
    match point.xy() {
        Some((x, y)) => json!([
            [decimal(&x.c0), decimal(&x.c1)],
            [decimal(&y.c0), decimal(&y.c1)],
            ["1", "0"]
        ]),
        None => json!([["0", "0"], ["1", "0"], ["0", "0"]]),
    }
}

/// `verification_key.json`.
pub fn verification_key(vk: &VerifyingKey<Bn254>) -> Value {
    json!({
        "protocol": "groth16",
        "curve": "bn128",
        "nPublic": vk.gamma_abc_g1.len().saturating_sub(1),
        "vk_alpha_1": g1(&vk.alpha_g1),
        "vk_beta_2": g2(&vk.beta_g2),
        "vk_gamma_2": g2(&vk.gamma_g2),
        "vk_delta_2": g2(&vk.delta_g2),
        "IC": vk.gamma_abc_g1.iter().map(g1).collect::<Vec<_>>(),
    })
}

/// `proof.json`.
pub fn proof(proof: &Proof<Bn254>) -> Value {
    json!({
        "pi_a": g1(&proof.a),
        "pi_b": g2(&proof.b),
        "pi_c": g1(&proof.c),
        "protocol": "groth16",
        "curve": "bn128",
    })
}

/// `public.json`: the public inputs in order, without the constant 1.
pub fn public(inputs: &[Fr]) -> Value {
    inputs.iter().map(ToString::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn generators_read_as_everywhere() {
        assert_eq!(g1(&G1Affine::generator()), json!(["1", "2", "1"]));
        // The generator of G2 as EIP-197 gives it; there the imaginary part comes first.
        assert_eq!(
            g2(&G2Affine::generator())[0],
            json!([
                "10857046999023057135944570762232829481370756359578518086990519993285655852781",
                "11559732032986387107991004021392285783925812861821192530917403151452391805634"
            ])
        );
        assert_eq!(
            public(&[Fr::from(0), -Fr::from(1)]),
            json!([
                "0",
                "21888242871839275222246405745257275088548364400416034343698204186575808495616"
            ])
        );
    }
}
