//! Registration in the universal verifier: what is no key, or one that anybody could forge under, is
//! refused on chain.

use ark_bn254::Fq;
use ark_ff::{BigInteger as _, PrimeField as _};
use proofmark_evm::{Call, Contract};
use proofmark_types::manifest::Backend;
use proofmark_verifier::decode_verifying_key;
use revm::primitives::Bytes;
use revm::primitives::{Address, B256, U256};

use crate::chain::{Chain, account, calldata};
use crate::keys::{BACKENDS, Trapdoor, base_order, statement, words};
use crate::verifiers::generated;

const MALFORMED: &str = "KeyMalformed()";
const OFF_CURVE: &str = "KeyPointOffCurve(uint256)";
const NOT_IN_G2: &str = "KeyPointNotInG2()";
const DEGENERATE: &str = "KeyDegenerate()";

fn deploy() -> (Chain, Address) {
    let mut chain = Chain::new();
    let address = chain.deploy_contract(Contract::UniversalVerifier, &[]);
    (chain, address)
}

/// Where the points stand in the encoding: α, β, γ, δ, δc, IC.
const ALPHA: usize = 20;
const BETA: usize = ALPHA + 64;
const GAMMA: usize = BETA + 128;
const DELTA: usize = GAMMA + 128;
const DELTA_COMMITTED: usize = DELTA + 128;

#[test]
fn a_key_is_named_by_the_digest_that_packages_record() {
    let (mut chain, address) = deploy();
    for backend in BACKENDS {
        let trapdoor = Trapdoor::new(backend, 2, "named");
        let register = Call::register(&trapdoor.key_bytes());
        let info = calldata("keyInfo(bytes32)", (trapdoor.digest(),));
        chain
            .send(account(2), address, &info)
            .is_refused("KeyUnknown(bytes32)");
        let first = chain.send(account(2), address, &register);
        assert_eq!(first.word(), U256::from_be_bytes(trapdoor.digest().0));
        assert!(first.emitted("KeyRegistered(bytes32,bytes4,uint256,address)"));
        let known = chain.send(account(2), address, &info).output;
        // Again, by another: nothing changes.
        let again = chain.send(account(3), address, &register);
        assert_eq!(again.word(), first.word());
        assert!(again.logs.is_empty() && again.gas < first.gas / 2);
        assert_eq!(chain.send(account(2), address, &info).output, known);
        assert_eq!(U256::from_be_slice(&known[32..64]), U256::from(2));
        // The stored key is no program.
        let data = Address::from_slice(&known[76..96]);
        let called = chain.send(account(2), data, &[1, 2, 3, 4]);
        assert!(called.success && called.output.is_empty() && called.execution < 100);
    }
}

#[test]
fn an_unknown_key_verifies_nothing() {
    let (mut chain, address) = deploy();
    let trapdoor = Trapdoor::new(Backend::Groth16, 1, "unknown");
    let inputs = statement(1);
    let proof = Bytes::copy_from_slice(&trapdoor.prove(&inputs, "proof"));
    for function in ["verifyProof", "requireProof"] {
        chain.refused(
            account(2),
            address,
            &format!("{function}(bytes32,bytes,uint256[])"),
            (trapdoor.digest(), proof.clone(), words(&inputs)),
            "KeyUnknown(bytes32)",
        );
    }
    chain.refused(
        account(2),
        address,
        "proofSystemId(bytes32)",
        (B256::ZERO,),
        "KeyUnknown(bytes32)",
    );
}

#[test]
fn other_bytes_are_no_key() {
    let (mut chain, address) = deploy();
    for backend in BACKENDS {
        let good = Trapdoor::new(backend, 2, "bytes").key_bytes();
        let mut cases: Vec<(Vec<u8>, &str)> = Vec::new();
        for cut in [0, 1, 15, 16, 19, 20, 84, good.len() - 64, good.len() - 1] {
            cases.push((good[..cut].to_vec(), MALFORMED));
        }
        cases.push(([good.as_slice(), &[0]].concat(), MALFORMED));
        cases.push(([good.as_slice(), &[0; 64]].concat(), MALFORMED));
        for (byte, value) in [(0, b'P'), (14, b'2'), (15, b'x'), (16, 1), (16, 3), (17, 1)] {
            let mut bad = good.clone();
            bad[byte] = value;
            cases.push((bad, MALFORMED));
        }
        // A length that no contract's code holds; and the other proof system's name.
        let mut bad = good.clone();
        bad[19] = 1;
        cases.push((bad, "KeyTooLarge(uint256)"));
        let mut bad = good.clone();
        let other: &[u8; 16] = match backend {
            Backend::Groth16 => b"proofmark/vkc/v1",
            Backend::Groth16Logup => b"proofmark/vk/v1\0",
        };
        bad[..16].copy_from_slice(other);
        cases.push((bad, MALFORMED));
        for (bytes, error) in cases {
            assert!(decode_verifying_key(&bytes).is_err());
            chain
                .send(account(2), address, &Call::register(&bytes))
                .is_refused(error);
        }
    }
}

#[test]
fn points_off_their_curves_are_refused() {
    let (mut chain, address) = deploy();
    for backend in BACKENDS {
        let good = Trapdoor::new(backend, 2, "points").key_bytes();
        let in_g2: &[usize] = match backend {
            Backend::Groth16 => &[BETA, GAMMA, DELTA],
            Backend::Groth16Logup => &[BETA, GAMMA, DELTA, DELTA_COMMITTED],
        };
        let ic = in_g2.last().unwrap() + 128;
        let in_g1: Vec<usize> = [ALPHA]
            .into_iter()
            .chain((ic..good.len()).step_by(64))
            .collect();
        for (starts, size, error) in [(&in_g1[..], 64, OFF_CURVE), (in_g2, 128, NOT_IN_G2)] {
            for start in starts {
                for coordinate in (*start..start + size).step_by(32) {
                    let mut bad = good.clone();
                    bad[coordinate + 31] ^= 1;
                    assert!(decode_verifying_key(&bad).is_err());
                    chain
                        .send(account(2), address, &Call::register(&bad))
                        .is_refused(error);
                    // The same residue, not reduced.
                    let mut bad = good.clone();
                    let value = U256::from_be_slice(&bad[coordinate..coordinate + 32]);
                    bad[coordinate..coordinate + 32]
                        .copy_from_slice(&(value + base_order()).to_be_bytes::<32>());
                    assert!(decode_verifying_key(&bad).is_err());
                    chain
                        .send(account(2), address, &Call::register(&bad))
                        .is_refused(error);
                }
            }
        }
    }
}

#[test]
fn degenerate_keys_are_refused() {
    let (mut chain, address) = deploy();
    for backend in BACKENDS {
        let good = Trapdoor::new(backend, 2, "degenerate").key_bytes();
        let committed = backend == Backend::Groth16Logup;
        let ic = if committed {
            DELTA_COMMITTED + 128
        } else {
            DELTA + 128
        };
        let mut cases = Vec::new();
        let mut zeroed = vec![(ALPHA, 64), (BETA, 128), (GAMMA, 128), (DELTA, 128)];
        zeroed.extend((ic..good.len()).step_by(64).map(|start| (start, 64)));
        let mut copied = vec![(GAMMA, DELTA), (GAMMA, BETA), (DELTA, BETA)];
        if committed {
            zeroed.push((DELTA_COMMITTED, 128));
            copied.extend([BETA, GAMMA, DELTA].map(|from| (from, DELTA_COMMITTED)));
        }
        for (start, size) in zeroed {
            let mut bad = good.clone();
            bad[start..start + size].fill(0);
            cases.push(bad);
        }
        for (from, to) in copied {
            let mut bad = good.clone();
            bad.copy_within(from..from + 128, to);
            cases.push(bad.clone());
            // And its opposite.
            for y in [to + 64, to + 96] {
                let negated = -Fq::from_be_bytes_mod_order(&bad[y..y + 32]);
                bad[y..y + 32].copy_from_slice(&negated.into_bigint().to_bytes_be());
            }
            cases.push(bad);
        }
        for bad in cases {
            assert_eq!(
                decode_verifying_key(&bad).unwrap_err().code(),
                "key-degenerate"
            );
            chain
                .send(account(2), address, &Call::register(&bad))
                .is_refused(DEGENERATE);
        }
    }
}

#[test]
fn the_largest_key_is_held_and_verified_with() {
    let (mut chain, address) = deploy();
    for backend in BACKENDS {
        let trapdoor = Trapdoor::new(backend, 370, "largest");
        assert!(
            chain
                .send(account(2), address, &Call::register(&trapdoor.key_bytes()))
                .success
        );
        let inputs = statement(370);
        let proof = Bytes::copy_from_slice(&trapdoor.prove(&inputs, "proof"));
        let arguments = (trapdoor.digest(), proof, words(&inputs));
        let answer = chain.call(
            account(2),
            address,
            "verifyProof(bytes32,bytes,uint256[])",
            arguments,
        );
        assert_eq!(answer.word(), U256::ONE);
        let larger = Trapdoor::new(backend, 371, "larger").key_bytes();
        chain
            .send(account(2), address, &Call::register(&larger))
            .is_refused("KeyTooLarge(uint256)");
    }
}

#[test]
fn a_chain_without_the_precompiles_accepts_nothing() {
    for backend in BACKENDS {
        let (mut chain, universal) = deploy();
        let trapdoor = Trapdoor::new(backend, 2, "no curve");
        let fixed = chain.deploy(&generated(&trapdoor), &[]).0;
        let register = Call::register(&trapdoor.key_bytes());
        assert!(chain.send(account(2), universal, &register).success);
        // There a call of the pairing succeeds, returns nothing, and leaves A, whose x is 1, in its place.
        let proof = [[0; 31].as_slice(), &[1]].concat();
        let proof = Bytes::from(proof.repeat(trapdoor.prove(&statement(2), "proof").len() / 32));
        let inputs = words(&statement(2));
        let key = trapdoor.digest();
        let asked = [
            (
                fixed,
                calldata(
                    "verifyProof(bytes,uint256[])",
                    (proof.clone(), inputs.clone()),
                ),
            ),
            (
                universal,
                calldata("verifyProof(bytes32,bytes,uint256[])", (key, proof, inputs)),
            ),
        ];
        for curve in [true, false] {
            chain.curve = curve;
            for (verifier, data) in &asked {
                let answer = chain.send(account(2), *verifier, data);
                assert_eq!(answer.word(), U256::ZERO, "{backend:?}, {curve}");
            }
        }
        // Nor can what is no key be registered there.
        let mut bad = Trapdoor::new(backend, 2, "another").key_bytes();
        bad[ALPHA + 31] ^= 1;
        chain
            .send(account(2), universal, &Call::register(&bad))
            .is_refused(OFF_CURVE);
    }
}
