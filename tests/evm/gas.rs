//! What it costs, held below what is promised, and written to `docs/reference/gas.md`.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;

use proofmark_evm::{Artifact, Call, Contract, Target};
use proofmark_types::Digest;
use proofmark_types::manifest::Backend;
use revm::primitives::Bytes;
use revm::primitives::U256;

use crate::chain::{Chain, Encode as _, Outcome, account};
use crate::keys::{Trapdoor, statement};
use crate::verifiers::generated;

/// Public inputs: context with a digest each of input and output; the samples; all pixels in the open.
const COUNTS: [usize; 5] = [1, 3, 4, 6, 29];
/// A deployment's promise.
const MOST_DEPLOYMENT: u64 = 1_200_000;

struct Measured {
    deployment: u64,
    generated: Outcome,
    universal: Outcome,
    routed: Outcome,
    registration: u64,
}

fn measure(backend: Backend, count: usize) -> Measured {
    let mut chain = Chain::new();
    let trapdoor = Trapdoor::new(backend, count, "gas");
    let inputs = statement(count);
    let proof = trapdoor.prove(&inputs, "proof");
    let (address, deployment) = chain.deploy(&generated(&trapdoor), &[]);
    let data = Call::VerifyProof.encode(Target::Generated, &proof, &inputs);
    let generated = chain.send(account(2), address, &data);
    assert_eq!(generated.word(), U256::ONE);

    let universal = chain.deploy_contract(Contract::UniversalVerifier, &[]);
    let registered = chain.send(
        account(2),
        universal,
        &Call::register(&trapdoor.key_bytes()),
    );
    let registration = registered.gas;
    let key = Digest::from_bytes(trapdoor.digest().0);
    let data = Call::VerifyProof.encode(Target::Keyed(key), &proof, &inputs);
    let router = chain.deploy_contract(Contract::Router, &(account(1),).encode());
    let route = (trapdoor.digest(), address);
    chain.call(account(1), router, "addVerifier(bytes32,address)", route);
    let universal = chain.send(account(2), universal, &data);
    assert_eq!(universal.word(), U256::ONE);
    let routed = chain.send(account(2), router, &data);
    assert_eq!(routed.word(), U256::ONE);
    Measured {
        deployment,
        generated,
        universal,
        routed,
        registration,
    }
}

fn deployment(contract: Contract, arguments: &[u8]) -> (Artifact, u64) {
    let artifact = contract.artifact().unwrap();
    let gas = Chain::new().deploy(&artifact, arguments).1;
    (artifact, gas)
}

#[test]
fn gas_is_as_promised_and_as_documented() {
    let mut page = String::from(
        "# Gas\n\n\
         Measured in revm by `tests/evm` with solc's settings of `contracts/build.mjs`; a test keeps this page \
         current\n(`UPDATE_EXPECT=1 cargo nextest run -p proofmark-tests --test evm gas`) and fails where a figure \
         exceeds what\nis promised: verification by a generated verifier at most 1.05 · (181,000 + 6,200 · n) gas for n public \
         inputs with\nthe plain backend, at most 260,000 with the lookup backend for three (context, and a digest each \
         of input and\noutput); deployment of a verifier at most 1,200,000 (up to 29 public inputs are measured).\n\n\
         *Execution* is without the transaction's own 21,000 and its calldata, that is, what a call from a \
         contract that\nis already running costs, but for that call itself. *Transaction* is all of it.\n\n\
         | backend | public inputs | execution | promised | transaction | through a router | universal verifier | \
         deployment of the verifier | registration of the key |\n\
         | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for (backend, name) in [
        (Backend::Groth16, "plain"),
        (Backend::Groth16Logup, "lookup"),
    ] {
        for count in COUNTS {
            let measured = measure(backend, count);
            let inputs = u64::try_from(count).unwrap();
            let plain = (181_000 + 6_200 * inputs) * 105 / 100;
            // One pair, one term and one hash more than plain; the issue names it for three inputs.
            let promised = match (backend, count) {
                (Backend::Groth16, _) => plain,
                (Backend::Groth16Logup, 3) => 260_000,
                (Backend::Groth16Logup, _) => plain + 46_000,
            };
            let got = measured.generated.execution;
            assert!(
                got <= promised,
                "{name}, {count} inputs: {got} > {promised}"
            );
            assert!(
                measured.deployment <= MOST_DEPLOYMENT,
                "{}",
                measured.deployment
            );
            writeln!(
                page,
                "| {name} | {count} | {} | {} | {} | {} | {} | {} | {} |",
                number(got),
                number(promised),
                number(measured.generated.gas),
                number(measured.routed.execution),
                number(measured.universal.execution),
                number(measured.deployment),
                number(measured.registration)
            )
            .unwrap();
        }
    }
    page.push_str(
        "\nWhat is deployed once, for everybody:\n\n\
         | contract | deployment | bytes of creation code |\n| --- | --- | --- |\n",
    );
    let (one, two) = (account(1), account(2));
    for (contract, arguments) in [
        (Contract::UniversalVerifier, vec![]),
        (Contract::Router, (one,).encode()),
        (Contract::Registry, vec![]),
        (Contract::InferenceVerifier, (one, two).encode()),
        (Contract::Requests, (one, two).encode()),
        (Contract::CreditLine, (one, U256::ONE, two).encode()),
    ] {
        let (artifact, gas) = deployment(contract, &arguments);
        writeln!(
            page,
            "| `{}` | {} | {} |",
            contract.name(),
            number(gas),
            number(artifact.bytecode.len() as u64)
        )
        .unwrap();
    }
    page.push_str(
        "\nA pairing that is given a malformed point burns the gas of the call but for a 64th (EIP-197), so whoever \
         sends a\nmalformed proof pays for it. A contract that verifies strangers' proofs and goes on when they fail \
         bounds the gas\nof the call.\n",
    );
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/gas.md");
    if std::env::var_os("UPDATE_EXPECT").is_some() {
        fs::write(&path, &page).unwrap();
    }
    assert_eq!(
        fs::read_to_string(&path).unwrap_or_default(),
        page,
        "docs/reference/gas.md is stale: run the tests with UPDATE_EXPECT=1"
    );
}

#[test]
fn what_a_malformed_proof_burns_can_be_bounded() {
    let mut chain = Chain::new();
    let trapdoor = Trapdoor::new(Backend::Groth16, 3, "burn");
    let inputs = statement(3);
    let mut proof = trapdoor.prove(&inputs, "proof").to_vec();
    let (address, _) = chain.deploy(&generated(&trapdoor), &[]);
    proof[31] ^= 1;
    let data = crate::chain::calldata(
        "verifyProof(bytes,uint256[])",
        (Bytes::from(proof), crate::keys::words(&inputs)),
    );
    for limit in [300_000, 3_000_000] {
        let to = revm::primitives::TxKind::Call(address);
        let (done, _) = chain.transact(account(2), to, 0, &data, limit);
        assert_eq!(done.word(), U256::ZERO);
        assert!(done.gas > limit * 9 / 10, "{} of {limit}", done.gas);
    }
}

/// 1,234,567.
fn number(n: u64) -> String {
    let digits = n.to_string();
    let mut text = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}
