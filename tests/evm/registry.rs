//! Models and inferences after ERC-7992.

use alloy_sol_types::SolValue as _;
use ark_bn254::Fr;
use proofmark_evm::{Call, Contract};
use proofmark_types::Context;
use proofmark_types::manifest::Backend;
use revm::primitives::{Address, B256, U256, keccak256};
use revm::primitives::{Bytes, FixedBytes};

use crate::chain::{CHAIN_ID, Chain, Encode as _, Outcome, account, calldata, selector};
use crate::keys::{BACKENDS, Trapdoor, rerandomised, scalar, words};

const OWNER: u8 = 4;
const CONSUMER: u8 = 5;
const REGISTER: &str = "registerModel((bytes32,bytes32,bytes32,bytes4,string))";
const UPDATE: &str = "updateModel(uint256,(bytes32,bytes32,bytes32,bytes4,string))";
const DECLARE: &str = "declareInputs(uint256,uint64)";
const VERIFY: &str = "verifyInference(uint256,bytes32,bytes,bytes)";
const STORE: &str = "verifyAndStoreInference(uint256,bytes32,bytes,bytes)";

pub(crate) type Commitment = (B256, B256, B256, FixedBytes<4>, String);

/// The proof system's id of a backend.
pub(crate) fn system(backend: Backend) -> FixedBytes<4> {
    FixedBytes::from_slice(&keccak256(backend.proof_system_name())[..4])
}

pub(crate) fn commitment(trapdoor: &Trapdoor, backend: Backend) -> Commitment {
    (
        B256::repeat_byte(0xaa),
        B256::repeat_byte(0xbb),
        trapdoor.digest(),
        system(backend),
        "https://models.example/a".to_owned(),
    )
}

/// A universal verifier that knows the key, and a registry with its model: the model's id.
pub(crate) fn registered(
    chain: &mut Chain,
    trapdoor: &Trapdoor,
    backend: Backend,
) -> (Address, Address, U256) {
    let universal = chain.deploy_contract(Contract::UniversalVerifier, &[]);
    let done = chain.send(
        account(1),
        universal,
        &Call::register(&trapdoor.key_bytes()),
    );
    assert!(done.success);
    let registry = chain.deploy_contract(Contract::Registry, &[]);
    let made = (commitment(trapdoor, backend),);
    let id = chain.call(account(OWNER), registry, REGISTER, made).word();
    (universal, registry, id)
}

#[test]
fn a_model_is_registered_once_and_never_changed() {
    let mut chain = Chain::new();
    let trapdoor = Trapdoor::new(Backend::Groth16, 3, "model");
    let (_, registry, id) = registered(&mut chain, &trapdoor, Backend::Groth16);
    let made = commitment(&trapdoor, Backend::Groth16);
    let owner = account(OWNER);
    // The id is a hash of owner and commitment.
    let hashed = (
        "proofmark/model/v1".to_owned(),
        owner,
        made.0,
        made.1,
        made.2,
        made.3,
    );
    assert_eq!(
        id,
        U256::from_be_bytes(keccak256(hashed.abi_encode_params()).0)
    );
    let read = chain
        .call(account(2), registry, "getModel(uint256)", (id,))
        .output;
    assert_eq!(read, (made.clone(), false, owner).abi_encode_params());

    let again = "ModelAlreadyRegistered(uint256)";
    chain.refused(owner, registry, REGISTER, (made.clone(),), again);
    let renamed = (made.0, made.1, made.2, made.3, "elsewhere".to_owned());
    chain.refused(owner, registry, REGISTER, (renamed.clone(),), again);
    // Another owner has another id: nobody can be kept from registering.
    let other = chain
        .call(account(2), registry, REGISTER, (made.clone(),))
        .word();
    assert_ne!(other, id);
    chain.refused(
        owner,
        registry,
        UPDATE,
        (id, renamed.clone()),
        "ModelIsImmutable(uint256)",
    );
    chain.refused(
        account(2),
        registry,
        UPDATE,
        (id, renamed.clone()),
        "NotModelOwner(uint256,address)",
    );
    let unknown = U256::from(1);
    chain.refused(
        owner,
        registry,
        UPDATE,
        (unknown, renamed),
        "ModelNotFound(uint256)",
    );
    chain.refused(
        owner,
        registry,
        "getModel(uint256)",
        (unknown,),
        "ModelNotFound(uint256)",
    );
    for missing in 0..4 {
        let mut part = made.clone();
        match missing {
            0 => part.0 = B256::ZERO,
            1 => part.1 = B256::ZERO,
            2 => part.2 = B256::ZERO,
            _ => part.3 = FixedBytes::ZERO,
        }
        chain.refused(owner, registry, REGISTER, (part,), "CommitmentIncomplete()");
    }
}

#[test]
fn interface_ids_and_selectors_are_the_drafts() {
    assert_eq!(selector(REGISTER), [0x88, 0xe9, 0x60, 0x6f]);
    assert_eq!(selector("getModel(uint256)"), [0x6d, 0x36, 0x16, 0x94]);
    assert_eq!(selector(VERIFY), [0x80, 0xb1, 0x71, 0xef]);
    assert_eq!(selector(STORE), [0x71, 0x88, 0x59, 0xd5]);
    assert_eq!(system(Backend::Groth16), [0x05, 0x50, 0xd1, 0x37]);
    let mut inference = Inference::new(Backend::Groth16);
    let id = |signatures: &[&str]| {
        let mut id = [0_u8; 4];
        for signature in signatures {
            for (byte, other) in id.iter_mut().zip(selector(signature)) {
                *byte ^= other;
            }
        }
        FixedBytes::<4>::from(id)
    };
    let registry = id(&[
        REGISTER,
        UPDATE,
        "deprecateModel(uint256)",
        "getModel(uint256)",
    ]);
    let verifier = id(&[VERIFY, "proofSystemOf(uint256)", "registry()"]);
    let storage = id(&[STORE, "getInference(bytes32)"]);
    let erc165 = FixedBytes::<4>::from([0x01, 0xff, 0xc9, 0xa7]);
    for (contract, interface, expected) in [
        (inference.registry, registry, true),
        (inference.registry, erc165, true),
        (inference.registry, verifier, false),
        (inference.verifier, verifier, true),
        (inference.verifier, storage, true),
        (inference.verifier, erc165, true),
        (inference.verifier, FixedBytes::from([0xff; 4]), false),
    ] {
        let answer = inference
            .chain
            .call(
                account(2),
                contract,
                "supportsInterface(bytes4)",
                (interface,),
            )
            .word();
        assert_eq!(answer == U256::ONE, expected, "{interface}");
    }
}

/// A verifier of inferences with a proven inference for a consumer.
struct Inference {
    chain: Chain,
    registry: Address,
    verifier: Address,
    model: U256,
    trapdoor: Trapdoor,
    context: Context,
    inputs: Vec<Fr>,
    outputs: Vec<Fr>,
}

impl Inference {
    fn new(backend: Backend) -> Self {
        let mut chain = Chain::new();
        let trapdoor = Trapdoor::new(backend, 4, "inference");
        let (universal, registry, model) = registered(&mut chain, &trapdoor, backend);
        let arguments = (registry, universal).encode();
        let verifier = chain.deploy_contract(Contract::InferenceVerifier, &arguments);
        let declared = chain.call(account(OWNER), registry, DECLARE, (model, 1_u64));
        assert!(declared.emitted("InputsDeclared(uint256,uint256)"));
        let context = Context {
            chain_id: U256::from(CHAIN_ID).to_be_bytes(),
            consumer: account(CONSUMER).into_array(),
            requester: [6; 32],
            nonce: [7; 32],
            deadline: chain.now + 100,
        };
        Self {
            chain,
            registry,
            verifier,
            model,
            trapdoor,
            context,
            inputs: vec![scalar("an input")],
            outputs: vec![Fr::from(3), Fr::from(5)],
        }
    }

    fn proof(&self, label: &str) -> Vec<u8> {
        let mut all = vec![self.context.digest()];
        all.extend(&self.inputs);
        all.extend(&self.outputs);
        self.trapdoor.prove(&all, label).to_vec()
    }

    fn input_commitment(&self) -> B256 {
        let context = words(&[self.context.digest()])[0];
        let hashed = (
            "proofmark/input-commitment/v1".to_owned(),
            context,
            words(&self.inputs),
        );
        keccak256(hashed.abi_encode_params())
    }

    fn output(&self) -> Vec<u8> {
        words(&self.outputs)
            .iter()
            .flat_map(|word| word.to_be_bytes::<32>())
            .collect()
    }

    fn evidence(&self, proof: &[u8]) -> Vec<u8> {
        let evidence = (
            B256::from(self.context.requester),
            B256::from(self.context.nonce),
            self.context.deadline,
            words(&self.inputs),
            Bytes::copy_from_slice(proof),
        );
        evidence.abi_encode()
    }

    fn ask(
        &mut self,
        from: Address,
        function: &str,
        commitment: B256,
        output: &[u8],
        evidence: &[u8],
    ) -> Outcome {
        let arguments = (
            self.model,
            commitment,
            Bytes::copy_from_slice(output),
            Bytes::copy_from_slice(evidence),
        );
        self.chain
            .send(from, self.verifier, &calldata(function, arguments))
    }

    fn honest(&mut self, function: &str, label: &str) -> Outcome {
        let evidence = self.evidence(&self.proof(label));
        let (commitment, output) = (self.input_commitment(), self.output());
        self.ask(account(CONSUMER), function, commitment, &output, &evidence)
    }
}

#[test]
fn an_inference_is_verified_for_its_consumer_only() {
    for backend in BACKENDS {
        let mut inference = Inference::new(backend);
        let honest = inference.honest(VERIFY, "one");
        assert!(honest.success, "{honest:?}");
        assert!(honest.emitted("InferenceVerified(uint256,bytes32,bytes,address)"));
        let (commitment, output) = (inference.input_commitment(), inference.output());
        let evidence = inference.evidence(&inference.proof("one"));
        let consumer = account(CONSUMER);

        // Another caller is another consumer.
        inference
            .ask(account(2), VERIFY, commitment, &output, &evidence)
            .is_refused("InputCommitmentMismatch()");
        inference
            .ask(consumer, VERIFY, B256::repeat_byte(1), &output, &evidence)
            .is_refused("InputCommitmentMismatch()");
        // Other outputs.
        let mut other = output.clone();
        other[31] ^= 1;
        inference
            .ask(consumer, VERIFY, commitment, &other, &evidence)
            .is_refused("InvalidProof()");
        inference
            .ask(consumer, VERIFY, commitment, &output[1..], &evidence)
            .is_refused("OutputMismatch()");
        inference
            .ask(consumer, VERIFY, commitment, &output[32..], &evidence)
            .is_refused("InvalidProof()");
        // Another proof's bytes.
        let bad = inference.evidence(&[1; 256]);
        inference
            .ask(consumer, VERIFY, commitment, &output, &bad)
            .is_refused("InvalidProof()");
        // Other inputs with their commitment, but no proof of them.
        let proof = inference.proof("one");
        inference.inputs = vec![scalar("another input")];
        let bad = inference.evidence(&proof);
        let their = inference.input_commitment();
        inference
            .ask(consumer, VERIFY, their, &output, &bad)
            .is_refused("InvalidProof()");
        assert!(
            !inference
                .ask(consumer, VERIFY, commitment, &output, &[])
                .success
        );
    }
}

/// The same public inputs in the same order, and so the same proof, divided otherwise: an input that
/// somebody chose would stand as the first output, or an output would be hidden among the inputs.
#[test]
fn who_chooses_the_commitment_does_not_choose_where_inputs_end() {
    for backend in BACKENDS {
        let mut inference = Inference::new(backend);
        let evidence = inference.evidence(&inference.proof("one"));
        assert!(inference.honest(VERIFY, "one").success);
        let (inputs, outputs) = (inference.inputs.clone(), inference.outputs.clone());
        let all = [inputs.clone(), outputs].concat();
        for end in [0, 2, 3] {
            (inference.inputs, inference.outputs) = (all[..end].to_vec(), all[end..].to_vec());
            for function in [VERIFY, STORE] {
                inference
                    .honest(function, "one")
                    .is_refused("InputCountMismatch(uint256)");
            }
        }
        // The right number, but the commitment of another division.
        let (commitment, output) = (inference.input_commitment(), inference.output());
        inference
            .ask(account(CONSUMER), VERIFY, commitment, &output, &evidence)
            .is_refused("InputCommitmentMismatch()");
    }
}

#[test]
fn inputs_are_declared_once_by_the_owner() {
    let mut inference = Inference::new(Backend::Groth16);
    let (registry, first, owner) = (inference.registry, inference.model, account(OWNER));
    let mut made = commitment(&inference.trapdoor, Backend::Groth16);
    made.0 = B256::repeat_byte(0xcc);
    let chain = &mut inference.chain;
    let model = chain.call(owner, registry, REGISTER, (made,)).word();
    let of = "inputsOf(uint256)";
    assert_eq!(
        chain.call(account(2), registry, of, (first,)).word(),
        U256::ONE
    );
    assert_eq!(
        chain.call(account(2), registry, of, (model,)).word(),
        U256::ZERO
    );
    inference.model = model;
    inference
        .honest(VERIFY, "one")
        .is_refused("InputsNotDeclared(uint256)");
    let chain = &mut inference.chain;
    let undeclarable = "InputsUndeclarable(uint256)";
    chain.refused(owner, registry, DECLARE, (model, 0_u64), undeclarable);
    let stranger = "NotModelOwner(uint256,address)";
    chain.refused(account(2), registry, DECLARE, (model, 1_u64), stranger);
    let unknown = "ModelNotFound(uint256)";
    chain.refused(owner, registry, DECLARE, (U256::from(1), 1_u64), unknown);
    chain.refused(owner, registry, of, (U256::from(1),), unknown);
    assert!(
        chain
            .call(owner, registry, DECLARE, (model, 1_u64))
            .emitted("InputsDeclared(uint256,uint256)")
    );
    for again in [1_u64, 2] {
        chain.refused(owner, registry, DECLARE, (model, again), undeclarable);
    }
    assert!(inference.honest(VERIFY, "one").success);
}

#[test]
fn an_inference_expires() {
    let mut inference = Inference::new(Backend::Groth16Logup);
    inference.chain.now = inference.context.deadline;
    assert!(inference.honest(VERIFY, "one").success);
    inference.chain.now += 1;
    inference
        .honest(VERIFY, "one")
        .is_refused("DeadlinePassed(uint64)");
}

#[test]
fn an_inference_is_stored_once_however_its_proof_is_changed() {
    let mut inference = Inference::new(Backend::Groth16);
    let stored = inference.honest(STORE, "one");
    assert!(stored.success && stored.emitted("InferenceStored(bytes32)"));
    let hashed = [
        &inference.model.to_be_bytes::<32>()[..],
        inference.input_commitment().as_slice(),
        &inference.output(),
    ]
    .concat();
    let id = keccak256(hashed);
    assert_eq!(stored.word(), U256::from_be_bytes(id.0));
    let verifier = inference.verifier;
    let read = inference
        .chain
        .call(account(2), verifier, "getInference(bytes32)", (id,))
        .output;
    let expected = (
        inference.model,
        inference.input_commitment(),
        Bytes::from(inference.output()),
    );
    assert_eq!(read, expected.abi_encode_params());
    let again = "InferenceAlreadyStored(bytes32)";
    inference.honest(STORE, "one").is_refused(again);
    inference.honest(STORE, "two").is_refused(again);
    let proof =
        proofmark_types::ProofBytes::new(Backend::Groth16, &inference.proof("one")).unwrap();
    let evidence = inference.evidence(&rerandomised(&proof));
    let (commitment, output) = (inference.input_commitment(), inference.output());
    inference
        .ask(account(CONSUMER), STORE, commitment, &output, &evidence)
        .is_refused(again);
    inference.chain.refused(
        account(2),
        verifier,
        "getInference(bytes32)",
        (B256::ZERO,),
        "InferenceNotFound(bytes32)",
    );
}

#[test]
fn deprecated_unknown_and_foreign_models_verify_nothing() {
    let mut inference = Inference::new(Backend::Groth16);
    let (registry, model) = (inference.registry, inference.model);
    let (owner, deprecate) = (account(OWNER), "deprecateModel(uint256)");
    let stranger = "NotModelOwner(uint256,address)";
    inference
        .chain
        .refused(account(2), registry, deprecate, (model,), stranger);
    let done = inference.chain.call(owner, registry, deprecate, (model,));
    assert!(done.emitted("ModelDeprecated(uint256)"));
    inference.chain.refused(
        owner,
        registry,
        deprecate,
        (model,),
        "ModelIsDeprecated(uint256)",
    );
    inference
        .honest(VERIFY, "one")
        .is_refused("VerificationRefused_ModelDeprecated(uint256)");
    inference.model = U256::from(1);
    inference
        .honest(VERIFY, "one")
        .is_refused("ModelNotFound(uint256)");

    // The same key under the other proof system's name, and under one that nobody knows.
    let mut made = commitment(&inference.trapdoor, Backend::Groth16Logup);
    inference.model = inference
        .chain
        .call(owner, registry, REGISTER, (made.clone(),))
        .word();
    inference
        .honest(VERIFY, "one")
        .is_refused("ModelMismatch()");
    made.3 = FixedBytes::from([1, 2, 3, 4]);
    inference.model = inference
        .chain
        .call(owner, registry, REGISTER, (made.clone(),))
        .word();
    inference
        .honest(VERIFY, "one")
        .is_refused("UnsupportedProofSystem(bytes4)");
    // A key that the verifier does not know.
    made.2 = B256::repeat_byte(9);
    made.3 = system(Backend::Groth16);
    inference.model = inference
        .chain
        .call(owner, registry, REGISTER, (made,))
        .word();
    inference
        .honest(VERIFY, "one")
        .is_refused("KeyUnknown(bytes32)");
}
