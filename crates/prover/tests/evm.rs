//! The EVM's precompiles for BN254 (EIP-196, EIP-197), in an implementation that shares no field or
//! curve arithmetic with ours, accept the proofs of both backends. What a contract does is done
//! here on the bytes of key, proof and public inputs alone.
#![expect(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test that panics has failed, which is what it is for"
)]

use ark_bn254::Fr;
use ark_ff::{BigInteger, Field, PrimeField};
use proofmark_gadgets::limbs::ranged_wire;
use proofmark_gadgets::{Backend, Challenger, Circuit, LowerError, Lowering};
use proofmark_prover::{NoProgress, Prover, setup};
use proofmark_verifier::{CHALLENGE_DOMAIN, encode_proof, encode_verifying_key};
use revm_precompile::Precompile;
use revm_precompile::bn254::{add, mul, pair};
use sha2::Sha256;
use sha3::{Digest as _, Keccak256};

const G1: usize = 64;
const G2: usize = 128;

/// `x² = y` of two public inputs, and a secret integer of three bits.
fn lower(cx: &mut Lowering<'_>, secret: i64) -> Result<(), LowerError> {
    let (x, y) = (cx.public(0)?, cx.public(1)?);
    cx.enforce("square", x.lc.clone(), x.lc, y.lc)?;
    let wire = cx.hint("secret", || Fr::from(secret))?;
    ranged_wire(cx, "secret", wire, secret, 3)?;
    cx.close()
}

fn circuit(backend: Backend) -> Circuit {
    let mut cx = Lowering::shape(backend, 2).unwrap();
    lower(&mut cx, 0).unwrap();
    cx.into_circuit(2, Vec::new()).unwrap()
}

fn assignment(backend: Backend, public: &[Fr], challenger: &mut dyn Challenger) -> Vec<Fr> {
    let mut cx = Lowering::witness(backend, public, challenger).unwrap();
    lower(&mut cx, 5).unwrap();
    cx.into_assignment().unwrap()
}

fn word(value: Fr) -> Vec<u8> {
    value.into_bigint().to_bytes_be()
}

/// `None` where the precompile halts: a coordinate or point that is none.
fn run(precompile: &Precompile, input: &[u8]) -> Option<Vec<u8>> {
    let done = precompile.execute(input, u64::MAX, 0).unwrap();
    done.status.is_success().then(|| done.bytes.to_vec())
}

fn added(left: &[u8], right: &[u8]) -> Option<Vec<u8>> {
    run(&add::ISTANBUL, &[left, right].concat())
}

fn multiplied(point: &[u8], scalar: &[u8]) -> Option<Vec<u8>> {
    run(&mul::ISTANBUL, &[point, scalar].concat())
}

fn pairing_is_one(pairs: &[u8]) -> Option<bool> {
    run(&pair::ISTANBUL, pairs).map(|bytes| bytes.last() == Some(&1))
}

/// A contract's verification: `e(−A, B) · e(α, β) · e(IC, γ) · e(C, δ) [· e(D, δc)] = 1`.
fn accepted(key: &[u8], proof: &[u8], inputs: &[Vec<u8>]) -> Option<bool> {
    let committed = &key[..16] == b"proofmark/vkc/v1";
    let (alpha, g2) = key[20..].split_at(G1);
    let (g2, ic) = g2.split_at(if committed { 4 * G2 } else { 3 * G2 });
    let fixed: Vec<&[u8]> = g2.chunks(G2).collect();
    let ic: Vec<&[u8]> = ic.chunks(G1).collect();
    let (a, b) = (&proof[..G1], &proof[G1..G1 + G2]);
    let (c, d) = proof[G1 + G2..].split_at(G1);
    let mut scalars = inputs.to_vec();
    if committed {
        let mut domain = CHALLENGE_DOMAIN.as_bytes().to_vec();
        domain.resize(32, 0);
        let hashed = [
            domain.as_slice(),
            Sha256::digest(key).as_slice(),
            d,
            &inputs.concat(),
        ]
        .concat();
        let challenge = Fr::from_be_bytes_mod_order(&Keccak256::digest(hashed));
        scalars.push(word(challenge));
    }
    assert_eq!(ic.len(), 1 + scalars.len());
    let mut sum = ic[0].to_vec();
    for (point, scalar) in ic[1..].iter().zip(&scalars) {
        sum = added(&sum, &multiplied(point, scalar)?)?;
    }
    let minus_a = multiplied(a, &word(-Fr::ONE))?;
    let mut pairs = [&minus_a, b, alpha, fixed[0], &sum, fixed[1], c, fixed[2]].concat();
    if committed {
        pairs.extend_from_slice(d);
        pairs.extend_from_slice(fixed[3]);
    }
    pairing_is_one(&pairs)
}

#[test]
fn precompiles_accept_the_proofs_of_both_backends_and_nothing_else() {
    for (backend, proof_bytes) in [(Backend::Plain, 256), (Backend::Committed, 320)] {
        let circuit = circuit(backend);
        let prover = Prover::new(&circuit, setup(&circuit, &NoProgress).unwrap()).unwrap();
        let prove = |x: u64| {
            let public = [Fr::from(x), Fr::from(x * x)];
            let mut committer = prover.committer();
            let assignment = assignment(backend, &public, &mut committer);
            let proof = prover.prove(&assignment, committer.finish()).unwrap();
            (public.map(word), encode_proof(proof))
        };
        let key = encode_verifying_key(prover.verifying_key()).unwrap();
        let (inputs, proof) = prove(3);
        assert_eq!(proof.len(), proof_bytes);
        assert_eq!(accepted(&key, &proof, &inputs), Some(true));

        let (other_inputs, other) = prove(4);
        assert_eq!(accepted(&key, &other, &other_inputs), Some(true));
        assert_eq!(accepted(&key, &proof, &other_inputs), Some(false));
        // Each part of the one proof in the other.
        for part in [
            0..G1,
            G1..G1 + G2,
            G1 + G2..2 * G1 + G2,
            2 * G1 + G2..proof_bytes,
        ] {
            if part.is_empty() {
                continue;
            }
            let mut mixed = proof.to_vec();
            mixed[part.clone()].copy_from_slice(&other[part]);
            assert_eq!(accepted(&key, &mixed, &inputs), Some(false));
        }
        let mut off_curve = proof.to_vec();
        off_curve[G1 - 1] ^= 1;
        assert_eq!(accepted(&key, &off_curve, &inputs), None);
    }
}
