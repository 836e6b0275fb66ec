//! The router: never repointed, stopped by its owner, silent about nothing.

use proofmark_evm::{Call, Contract};
use proofmark_types::manifest::Backend;
use revm::primitives::Bytes;
use revm::primitives::{Address, B256, U256};

use crate::chain::{Chain, Encode as _, account, selector};
use crate::keys::{Trapdoor, statement, words};
use crate::verifiers::generated;

const OWNER: u8 = 4;
const VERIFY: &str = "verifyProof(bytes32,bytes,uint256[])";

struct Routed {
    chain: Chain,
    router: Address,
    universal: Address,
    fixed: Address,
    trapdoors: [Trapdoor; 2],
}

impl Routed {
    fn new() -> Self {
        let mut chain = Chain::new();
        let trapdoors = [
            Trapdoor::new(Backend::Groth16, 2, "fixed"),
            Trapdoor::new(Backend::Groth16Logup, 2, "keyed"),
        ];
        let fixed = chain.deploy(&generated(&trapdoors[0]), &[]).0;
        let universal = chain.deploy_contract(Contract::UniversalVerifier, &[]);
        for trapdoor in &trapdoors {
            chain.send(
                account(1),
                universal,
                &Call::register(&trapdoor.key_bytes()),
            );
        }
        let router = chain.deploy_contract(Contract::Router, &(account(OWNER),).encode());
        Self {
            chain,
            router,
            universal,
            fixed,
            trapdoors,
        }
    }

    fn add_both(&mut self) {
        let keys = self.keys();
        let (router, fixed, universal) = (self.router, self.fixed, self.universal);
        self.owner("addVerifier(bytes32,address)", (keys[0], fixed));
        self.owner("addKeyed(bytes32,address)", (keys[1], universal));
        assert_eq!(self.router, router);
    }

    fn keys(&self) -> [B256; 2] {
        [self.trapdoors[0].digest(), self.trapdoors[1].digest()]
    }

    fn owner(&mut self, signature: &str, arguments: impl crate::chain::Encode) {
        self.chain
            .call(account(OWNER), self.router, signature, arguments);
    }

    fn arguments(&self, index: usize) -> (B256, Bytes, Vec<U256>) {
        let inputs = statement(2);
        let proof = self.trapdoors[index].prove(&inputs, "proof");
        (
            self.keys()[index],
            Bytes::copy_from_slice(&proof),
            words(&inputs),
        )
    }

    fn answers(&mut self, index: usize) {
        let mut arguments = self.arguments(index);
        let answer = self
            .chain
            .call(account(2), self.router, VERIFY, arguments.clone());
        assert_eq!(answer.word(), U256::ONE);
        self.chain.call(
            account(2),
            self.router,
            "requireProof(bytes32,bytes,uint256[])",
            arguments.clone(),
        );
        arguments.2[0] += U256::ONE;
        let answer = self
            .chain
            .call(account(2), self.router, VERIFY, arguments.clone());
        assert_eq!(answer.word(), U256::ZERO);
        self.chain.refused(
            account(2),
            self.router,
            "requireProof(bytes32,bytes,uint256[])",
            arguments,
            "ProofInvalid()",
        );
    }

    fn silent(&mut self, index: usize, error: &str) {
        let arguments = self.arguments(index);
        for function in ["verifyProof", "requireProof"] {
            let signature = format!("{function}(bytes32,bytes,uint256[])");
            self.chain.refused(
                account(2),
                self.router,
                &signature,
                arguments.clone(),
                error,
            );
        }
        let key = (self.keys()[index],);
        self.chain.refused(
            account(2),
            self.router,
            "proofSystemId(bytes32)",
            key,
            error,
        );
    }
}

#[test]
fn both_kinds_of_verifier_are_found() {
    let mut routed = Routed::new();
    for index in [0, 1] {
        routed.silent(index, "KeyUnknown(bytes32)");
    }
    routed.add_both();
    for index in [0, 1] {
        routed.answers(index);
    }
}

#[test]
fn a_key_is_never_given_another_verifier() {
    let mut routed = Routed::new();
    routed.add_both();
    let keys = routed.keys();
    let (router, fixed, universal) = (routed.router, routed.fixed, routed.universal);
    for retired in [false, true] {
        let again = [
            ("addVerifier(bytes32,address)", keys[0], fixed),
            ("addKeyed(bytes32,address)", keys[0], universal),
            ("addKeyed(bytes32,address)", keys[1], universal),
        ];
        for (signature, key, verifier) in again {
            let arguments = (key, verifier);
            routed.chain.refused(
                account(OWNER),
                router,
                signature,
                arguments,
                "KeyTaken(bytes32)",
            );
        }
        if !retired {
            for key in keys {
                routed.owner("retire(bytes32)", (key,));
            }
        }
    }
    for (index, key) in keys.into_iter().enumerate() {
        routed.silent(index, "KeyIsRetired(bytes32)");
        routed.chain.refused(
            account(OWNER),
            router,
            "retire(bytes32)",
            (key,),
            "KeyIsRetired(bytes32)",
        );
    }
}

#[test]
fn a_verifier_must_be_one_of_the_key() {
    let mut routed = Routed::new();
    let keys = routed.keys();
    let (router, fixed) = (routed.router, routed.fixed);
    let empty = account(77);
    for (signature, verifier) in [
        ("addVerifier(bytes32,address)", fixed),
        ("addVerifier(bytes32,address)", empty),
        ("addKeyed(bytes32,address)", empty),
        ("addKeyed(bytes32,address)", router),
    ] {
        routed.chain.refused(
            account(OWNER),
            router,
            signature,
            (keys[1], verifier),
            "VerifierMismatch(bytes32,address)",
        );
    }
    // The right code, in the hands of an account that can give itself another.
    let holder = account(78);
    for (signature, index, code) in [
        ("addVerifier(bytes32,address)", 0, routed.fixed),
        ("addKeyed(bytes32,address)", 1, routed.universal),
    ] {
        routed.chain.delegating(holder, code);
        routed.chain.refused(
            account(OWNER),
            router,
            signature,
            (keys[index], holder),
            "VerifierMismatch(bytes32,address)",
        );
    }
    let unknown = (B256::repeat_byte(1), routed.universal);
    routed.chain.refused(
        account(OWNER),
        router,
        "addKeyed(bytes32,address)",
        unknown,
        "KeyUnknown(bytes32)",
    );
}

#[test]
fn the_stop_stops_everything_and_is_lifted() {
    let mut routed = Routed::new();
    routed.add_both();
    routed.owner("pause()", ());
    for index in [0, 1] {
        routed.silent(index, "IsPaused()");
    }
    routed.owner("resume()", ());
    for index in [0, 1] {
        routed.answers(index);
    }
}

#[test]
fn only_the_owner_decides_and_ownership_takes_two_steps() {
    let mut routed = Routed::new();
    let router = routed.router;
    let stranger = account(5);
    let key = routed.keys()[0];
    let not_owner = "NotOwner(address)";
    for signature in ["pause()", "resume()"] {
        routed
            .chain
            .refused(stranger, router, signature, (), not_owner);
    }
    for signature in ["addVerifier(bytes32,address)", "addKeyed(bytes32,address)"] {
        let arguments = (key, routed.fixed);
        routed
            .chain
            .refused(stranger, router, signature, arguments, not_owner);
    }
    routed
        .chain
        .refused(stranger, router, "retire(bytes32)", (key,), not_owner);
    routed.chain.refused(
        stranger,
        router,
        "offerOwnership(address)",
        (stranger,),
        not_owner,
    );
    let not_candidate = "NotCandidate(address)";
    routed
        .chain
        .refused(stranger, router, "takeOwnership()", (), not_candidate);
    routed.owner("offerOwnership(address)", (stranger,));
    // Nothing has changed yet, and nobody else can take it.
    routed
        .chain
        .refused(stranger, router, "pause()", (), not_owner);
    routed
        .chain
        .refused(account(6), router, "takeOwnership()", (), not_candidate);
    routed.owner("pause()", ());
    routed.chain.call(stranger, router, "takeOwnership()", ());
    routed
        .chain
        .refused(account(OWNER), router, "resume()", (), not_owner);
    routed.chain.call(stranger, router, "resume()", ());
    // The offer is used up.
    routed
        .chain
        .refused(stranger, router, "takeOwnership()", (), not_candidate);
    let owner = routed.chain.send(account(2), router, &selector("owner()"));
    assert_eq!(Address::from_slice(&owner.output[12..]), stranger);
}
