//! The example on the whole way: a model is sealed, run and proven as a service does it, and a contract
//! acts on the answer.

use std::collections::BTreeMap;

use ed25519_dalek::SigningKey;
use proofmark_engine::{BackendChoice, Engine, NoProgress, ProveRequest, seal};
use proofmark_evm::{Call, Contract, Target, VerifierContract};
use proofmark_tests::samples;
use proofmark_types::manifest::Backend;
use proofmark_types::{Context, IntTensor, ProofBytes};
use revm::primitives::Bytes;
use revm::primitives::{Address, B256, U256};

use crate::chain::{CHAIN_ID, Chain, Encode as _, account};
use crate::compile::contract;
use crate::keys::{field_order, rerandomised, words};

const MODEL: &str = "risk-classifier";
const OPEN: &str = "open(bytes32,uint64,uint256[],bytes)";
const RECORD: &str = "record(address,uint256)";
const BUREAU: u8 = 4;
const APPLICANT: u8 = 5;
const NONCE: [u8; 32] = [9; 32];
const INVALID: &str = "ProofInvalid()";

/// An answer of the model: statement and proof.
struct Answer {
    inputs: Vec<U256>,
    statement: Vec<proofmark_types::Fr>,
    proof: ProofBytes,
    logits: Vec<i32>,
}

impl Answer {
    fn application(&self) -> U256 {
        self.inputs[1]
    }

    fn outputs(&self) -> Vec<U256> {
        self.inputs[2..].to_vec()
    }
}

struct Bank {
    chain: Chain,
    line: Address,
    engine: Engine,
    _folder: tempfile::TempDir,
}

impl Bank {
    fn new(backend: BackendChoice) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("package");
        seal(&samples::folder(MODEL), &out, backend, &NoProgress).unwrap();
        let engine = Engine::load(&out, None).unwrap();
        let mut chain = Chain::new();
        let universal = chain.deploy_contract(Contract::UniversalVerifier, &[]);
        let registered = chain.send(
            account(1),
            universal,
            &Call::register(engine.verifying_key_bytes()),
        );
        let key = B256::from(registered.word().to_be_bytes::<32>());
        let recorded = engine.sealed().verifying_key.digest;
        assert_eq!(key, B256::from(*recorded.as_bytes()));
        let arguments = (universal, key, account(BUREAU)).encode();
        let line = chain.deploy_contract(Contract::CreditLine, &arguments);
        Self {
            chain,
            line,
            engine,
            _folder: folder,
        }
    }

    /// The context of an applicant's proof for the credit line.
    fn context(&self) -> Context {
        Context {
            chain_id: U256::from(CHAIN_ID).to_be_bytes(),
            consumer: self.line.into_array(),
            requester: B256::left_padding_from(account(APPLICANT).as_slice()).0,
            nonce: NONCE,
            deadline: self.chain.now + 3600,
        }
    }

    fn prove(&self, input: &IntTensor, context: Context) -> Answer {
        let request = ProveRequest {
            inputs: BTreeMap::from([(
                self.engine.manifest().inputs[0].name.clone(),
                input.clone(),
            )]),
            context,
            proved_at: 1,
        };
        let proven = self
            .engine
            .prove(&request, &SigningKey::from_bytes(&[7; 32]))
            .unwrap();
        let receipt = proven.envelope.receipt();
        let statement = receipt.public_inputs(&receipt.layout().unwrap()).unwrap();
        Answer {
            inputs: words(&statement),
            statement,
            proof: receipt.proof,
            logits: proven.outputs[0].1.data().to_vec(),
        }
    }

    /// A held-out sample that the model accepts, or one that it does not.
    fn sample(&self, accepted: bool, context: Context) -> Answer {
        let (x, labels) = samples::heldout(MODEL);
        let label = usize::from(!accepted);
        for (values, _) in x.iter().zip(&labels).filter(|(_, l)| **l == label) {
            let answer = self.prove(&samples::quantized(self.engine.manifest(), values), context);
            if (answer.logits[0] > answer.logits[1]) == accepted {
                return answer;
            }
        }
        panic!("the model errs on all of a class")
    }

    fn record(&mut self, application: U256) {
        let arguments = (account(APPLICANT), application);
        self.chain
            .call(account(BUREAU), self.line, RECORD, arguments);
    }

    fn refuses(&mut self, by: u8, arguments: (B256, u64, Vec<U256>, Bytes), error: &str) {
        self.chain
            .refused(account(by), self.line, OPEN, arguments, error);
    }
}

fn arguments(context: &Context, answer: &Answer) -> (B256, u64, Vec<U256>, Bytes) {
    let proof = Bytes::copy_from_slice(&answer.proof);
    (
        B256::from(context.nonce),
        context.deadline,
        answer.outputs(),
        proof,
    )
}

#[test]
fn a_line_is_opened_on_a_proven_score_and_on_nothing_else() {
    for backend in [BackendChoice::Plain, BackendChoice::Lookup] {
        let mut bank = Bank::new(backend);
        let context = bank.context();
        let answer = bank.sample(true, context);
        let honest = arguments(&context, &answer);

        // No application, somebody else's, or one that nobody may record.
        bank.refuses(APPLICANT, honest.clone(), "NoApplication(address)");
        let mine = (account(APPLICANT), answer.application());
        let line = bank.line;
        bank.chain
            .refused(account(APPLICANT), line, RECORD, mine, "NotBureau(address)");
        bank.record(answer.application() + U256::ONE);
        bank.refuses(APPLICANT, honest.clone(), INVALID);
        bank.record(answer.application());

        // Another caller with the same application, another nonce, another deadline.
        let theirs = (account(6), answer.application());
        bank.chain.call(account(BUREAU), line, RECORD, theirs);
        bank.refuses(6, honest.clone(), INVALID);
        let mut other = honest.clone();
        other.0 = B256::repeat_byte(1);
        bank.refuses(APPLICANT, other, INVALID);
        let mut other = honest.clone();
        other.1 -= 1;
        bank.refuses(APPLICANT, other, INVALID);
        let mut other = honest.clone();
        other.1 += 86_400;
        bank.refuses(APPLICANT, other, "DeadlineTooFar(uint64)");

        // Other outputs, more of them, fewer, and one plus the field order.
        let mut other = honest.clone();
        other.2[0] += U256::ONE;
        bank.refuses(APPLICANT, other, INVALID);
        let mut other = honest.clone();
        other.2.push(U256::ZERO);
        bank.refuses(APPLICANT, other, "PublicInputCount(uint256,uint256)");
        let mut other = honest.clone();
        other.2.pop();
        bank.refuses(APPLICANT, other, "PublicInputCount(uint256,uint256)");
        let mut other = honest.clone();
        other.2[0] += field_order();
        bank.refuses(APPLICANT, other, "PublicInputNotBelowFieldOrder(uint256)");

        // Proofs of the same inference for another consumer, another chain, or no chain.
        let elsewhere: [fn(&mut Context); 3] = [
            |c| c.consumer = [1; 20],
            |c| c.chain_id = U256::ONE.to_be_bytes(),
            |c| *c = Context::off_chain(NONCE),
        ];
        for change in elsewhere {
            let mut foreign = context;
            change(&mut foreign);
            let mut other = honest.clone();
            other.3 = Bytes::copy_from_slice(&bank.sample(true, foreign).proof);
            bank.refuses(APPLICANT, other, INVALID);
        }

        // Too late.
        bank.chain.now = context.deadline + 1;
        bank.refuses(APPLICANT, honest.clone(), "DeadlinePassed(uint64)");
        bank.chain.now = context.deadline;

        // The honest way, once.
        let opened = bank
            .chain
            .call(account(APPLICANT), line, OPEN, honest.clone());
        assert!(opened.emitted("LineOpened(address,uint256,int32)"));
        let margin = i64::from(answer.logits[0]) - i64::from(answer.logits[1]);
        let limit = bank
            .chain
            .call(account(2), line, "limitOf(address)", (account(APPLICANT),))
            .word();
        let gwei = U256::from(1_000_000_000_u64);
        assert_eq!(limit, U256::from(u64::try_from(margin).unwrap()) * gwei);
        bank.refuses(APPLICANT, honest.clone(), "ContextUsed(uint256)");
        let mut again = honest.clone();
        again.3 = Bytes::copy_from_slice(&rerandomised(&answer.proof));
        assert_ne!(again.3, honest.3);
        bank.refuses(APPLICANT, again, "ContextUsed(uint256)");
        // Not even by another proof, made anew.
        let mut again = honest;
        again.3 = Bytes::copy_from_slice(&bank.sample(true, context).proof);
        bank.refuses(APPLICANT, again, "ContextUsed(uint256)");
    }
}

#[test]
fn a_proven_no_opens_nothing() {
    let mut bank = Bank::new(BackendChoice::Plain);
    let context = bank.context();
    let answer = bank.sample(false, context);
    bank.record(answer.application());
    bank.refuses(APPLICANT, arguments(&context, &answer), "Declined(int32)");
}

#[test]
fn the_verifier_of_a_package_accepts_its_receipts() {
    for backend in [BackendChoice::Plain, BackendChoice::Lookup] {
        let mut bank = Bank::new(backend);
        let package = bank.engine.package();
        let key = bank.engine.verifying_key_bytes();
        let digest = package.digest();
        let verifier =
            VerifierContract::of_package(digest, package.manifest_bytes(), key, None).unwrap();
        assert_eq!(verifier.name(), "RiskClassifierVerifier");
        let source = verifier.source();
        assert!(source.contains("// Package: risk-classifier version 1"));
        assert!(source.contains("//   0: context digest"));
        let compiled = contract(verifier.name(), &source);
        let answer = bank.sample(true, Context::off_chain(NONCE));
        let address = bank.chain.deploy(&compiled, &[]).0;
        let data = Call::VerifyProof.encode(Target::Generated, &answer.proof, &answer.statement);
        assert_eq!(
            bank.chain.send(account(2), address, &data).word(),
            U256::ONE
        );
        let mut other = answer.statement.clone();
        other[3] += proofmark_types::Fr::from(1);
        let data = Call::VerifyProof.encode(Target::Generated, &answer.proof, &other);
        assert_eq!(
            bank.chain.send(account(2), address, &data).word(),
            U256::ZERO
        );
        let data = Call::RequireProof.encode(Target::Generated, &answer.proof, &other);
        bank.chain
            .send(account(2), address, &data)
            .is_refused(INVALID);

        // Not for a package that is not the pinned one, nor with another package's key.
        let manifest = bank.engine.package().manifest_bytes();
        let pinned = proofmark_types::Digest::of(b"another");
        let error = VerifierContract::of_package(pinned, manifest, key, None).unwrap_err();
        assert_eq!(error.code(), "package-not-pinned");
        let other = crate::keys::Trapdoor::new(Backend::Groth16, 4, "other").key_bytes();
        let error = VerifierContract::of_package(digest, manifest, &other, None).unwrap_err();
        assert_eq!(error.code(), "verifying-key-mismatch");
    }
}
