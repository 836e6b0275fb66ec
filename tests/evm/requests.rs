//! The oracle: escrow, fulfilment, callback, refund, and those who would cheat.

use ark_bn254::Fr;
use proofmark_evm::Contract;
use proofmark_types::manifest::Backend;
use proofmark_types::{Context, ProofBytes};
use revm::primitives::Bytes;
use revm::primitives::{Address, B256, TxKind, U256, keccak256};

use crate::chain::{CHAIN_ID, Chain, ENOUGH, Encode as _, Outcome, account, calldata, selector};
use crate::compile::test_contract;
use crate::keys::{BACKENDS, Trapdoor, element, rerandomised, scalar, word, words};
use crate::registry::registered;

const REQUEST: &str = "request(uint256,uint256[],bytes,address,uint64,uint64)";
const FULFIL: &str = "fulfil((address,uint256,uint256,uint256[],bytes,address,uint64,uint64,uint256),uint256[],bytes)";
const REFUND: &str =
    "refund((address,uint256,uint256,uint256[],bytes,address,uint64,uint64,uint256))";
const ID_OF: &str = "idOf((address,uint256,uint256,uint256[],bytes,address,uint64,uint64,uint256))";
const CONTEXT_OF: &str =
    "contextOf((address,uint256,uint256,uint256[],bytes,address,uint64,uint64,uint256),address)";
const WITHDRAW: &str = "withdraw(address)";
const REQUESTED: &str = "Requested(bytes32,uint256,address,(address,uint256,uint256,uint256[],bytes,address,uint64,uint64,uint256))";
const NOT_OPEN: &str = "RequestNotOpen(bytes32)";
const FEE: u128 = 5_000_000;
const PROVER: u8 = 6;
const ASKER: u8 = 3;

type Request = (
    Address,
    U256,
    U256,
    Vec<U256>,
    Bytes,
    Address,
    u64,
    u64,
    U256,
);

struct Oracle {
    chain: Chain,
    requests: Address,
    registry: Address,
    router: Address,
    model: U256,
    trapdoor: Trapdoor,
}

impl Oracle {
    fn new(backend: Backend) -> Self {
        let mut chain = Chain::new();
        let trapdoor = Trapdoor::new(backend, 4, "oracle");
        let (universal, registry, model) = registered(&mut chain, &trapdoor, backend);
        let router = chain.deploy_contract(Contract::Router, &(account(1),).encode());
        let route = (trapdoor.digest(), universal);
        chain.call(account(1), router, "addKeyed(bytes32,address)", route);
        let requests = chain.deploy_contract(Contract::Requests, &(registry, router).encode());
        Self {
            chain,
            requests,
            registry,
            router,
            model,
            trapdoor,
        }
    }

    fn inputs() -> Vec<U256> {
        vec![word(&scalar("what is asked"))]
    }

    /// A request by an account, without a callback.
    fn ask(&mut self) -> Request {
        let (deadline, sequence) = (self.chain.now + 100, self.sequence());
        let arguments = (
            self.model,
            Self::inputs(),
            Bytes::from_static(b"data"),
            Address::ZERO,
            0_u64,
            deadline,
        );
        let data = calldata(REQUEST, arguments);
        let (done, _) = self.chain.transact(
            account(ASKER),
            TxKind::Call(self.requests),
            FEE,
            &data,
            ENOUGH,
        );
        assert!(done.success && done.emitted(REQUESTED), "{done:?}");
        let made = (
            account(ASKER),
            sequence,
            self.model,
            Self::inputs(),
            Bytes::from_static(b"data"),
            Address::ZERO,
            0,
            deadline,
            U256::from(FEE),
        );
        assert_eq!(done.word(), self.id(&made));
        made
    }

    /// A contract that asks, in a mode that the tests choose later.
    fn callback(&mut self) -> Address {
        let artifact = test_contract("Callback");
        self.chain.deploy(&artifact, &(self.requests,).encode()).0
    }

    /// A request by a contract that is to be called back.
    fn ask_through(&mut self, callback: Address, gas: u64) -> Request {
        let (deadline, sequence) = (self.chain.now + 100, self.sequence());
        let arguments = (self.model, Self::inputs(), gas, deadline);
        let data = calldata("ask(uint256,uint256[],uint64,uint64)", arguments);
        let (done, _) =
            self.chain
                .transact(account(ASKER), TxKind::Call(callback), FEE, &data, ENOUGH);
        let made = (
            callback,
            sequence,
            self.model,
            Self::inputs(),
            Bytes::new(),
            Address::ZERO,
            gas,
            deadline,
            U256::from(FEE),
        );
        assert_eq!(done.word(), self.id(&made));
        made
    }

    fn sequence(&mut self) -> U256 {
        self.chain
            .send(account(2), self.requests, &selector("sequence()"))
            .word()
    }

    fn id(&mut self, made: &Request) -> U256 {
        self.chain
            .call(account(2), self.requests, ID_OF, (made.clone(),))
            .word()
    }

    fn is_open(&mut self, made: &Request) -> bool {
        let id = B256::from(self.id(made).to_be_bytes::<32>());
        self.chain
            .call(account(2), self.requests, "isOpen(bytes32)", (id,))
            .word()
            == U256::ONE
    }

    fn owed(&mut self, to: Address) -> U256 {
        self.chain
            .call(account(2), self.requests, "owed(address)", (to,))
            .word()
    }

    fn outputs() -> Vec<Fr> {
        vec![Fr::from(11), Fr::from(12)]
    }

    fn prove(&mut self, made: &Request) -> ProofBytes {
        self.prove_by(account(PROVER), made)
    }

    /// The proof that this account can fulfil with.
    fn prove_by(&mut self, prover: Address, made: &Request) -> ProofBytes {
        let id = B256::from(self.id(made).to_be_bytes::<32>());
        let hashed = ("proofmark/fulfilment/v1".to_owned(), id, prover).encode();
        let context = Context {
            chain_id: U256::from(CHAIN_ID).to_be_bytes(),
            consumer: self.requests.into_array(),
            requester: B256::left_padding_from(made.0.as_slice()).0,
            nonce: keccak256(hashed).0,
            deadline: made.7,
        };
        // What the contract says of itself is what the specification says.
        let said = self
            .chain
            .call(
                account(2),
                self.requests,
                CONTEXT_OF,
                (made.clone(), prover),
            )
            .word();
        assert_eq!(said, word(&context.digest()));
        let mut all = vec![context.digest()];
        all.extend(made.3.iter().map(|input| element(*input)));
        all.extend(Self::outputs());
        self.trapdoor.prove(&all, "fulfilment")
    }

    fn fulfilment(made: &Request, outputs: &[Fr], proof: &[u8]) -> Vec<u8> {
        calldata(
            FULFIL,
            (made.clone(), words(outputs), Bytes::copy_from_slice(proof)),
        )
    }

    fn fulfil(&mut self, made: &Request, proof: &[u8]) -> Outcome {
        let data = Self::fulfilment(made, &Self::outputs(), proof);
        self.chain.send(account(PROVER), self.requests, &data)
    }
}

#[test]
fn a_request_is_fulfilled_once_and_paid() {
    for backend in BACKENDS {
        let mut oracle = Oracle::new(backend);
        let made = oracle.ask();
        assert!(oracle.is_open(&made));
        let proof = oracle.prove(&made);
        let done = oracle.fulfil(&made, &proof);
        assert!(done.success, "{done:?}");
        assert!(done.emitted("Fulfilled(bytes32,address,uint256[])"));
        assert!(!oracle.is_open(&made));
        // Not again: neither as it was, nor re-randomised, nor refunded.
        oracle.fulfil(&made, &proof).is_refused(NOT_OPEN);
        oracle
            .fulfil(&made, &rerandomised(&proof))
            .is_refused(NOT_OPEN);
        oracle.chain.now += 1000;
        let requests = oracle.requests;
        oracle
            .chain
            .refused(account(ASKER), requests, REFUND, (made.clone(),), NOT_OPEN);
        // Paid out once.
        assert_eq!(oracle.owed(account(PROVER)), U256::from(FEE));
        let to = account(9);
        let before = oracle.chain.balance(to);
        oracle
            .chain
            .call(account(PROVER), requests, WITHDRAW, (to,));
        assert_eq!(oracle.chain.balance(to), before + U256::from(FEE));
        assert_eq!(oracle.chain.balance(requests), U256::ZERO);
        oracle
            .chain
            .refused(account(PROVER), requests, WITHDRAW, (to,), "NothingOwed()");
    }
}

#[test]
fn a_fulfilment_is_of_this_request_and_proven() {
    let mut oracle = Oracle::new(Backend::Groth16Logup);
    let made = oracle.ask();
    let second = oracle.ask();
    let proof = oracle.prove(&made);
    // The proof of another request that differs in nothing but its number.
    oracle.fulfil(&second, &proof).is_refused("ProofInvalid()");
    // A request that was never made, or with one thing changed.
    type Change = fn(&mut Request);
    let changes: [Change; 9] = [
        |r| r.0 = account(8),
        |r| r.1 += U256::from(2),
        |r| r.2 += U256::ONE,
        |r| r.3[0] += U256::ONE,
        |r| r.4 = Bytes::new(),
        |r| r.5 = account(PROVER),
        |r| r.6 = 1,
        |r| r.7 += 1,
        |r| r.8 += U256::ONE,
    ];
    for change in changes {
        let mut other = made.clone();
        change(&mut other);
        oracle.fulfil(&other, &proof).is_refused(NOT_OPEN);
        oracle.chain.now += 1000;
        let requests = oracle.requests;
        oracle
            .chain
            .refused(account(ASKER), requests, REFUND, (other,), NOT_OPEN);
        oracle.chain.now -= 1000;
    }
    // Other outputs, a damaged proof, an output plus the field order.
    let requests = oracle.requests;
    let wrong = Oracle::fulfilment(&made, &[Fr::from(12), Fr::from(11)], &proof);
    oracle
        .chain
        .send(account(PROVER), requests, &wrong)
        .is_refused("ProofInvalid()");
    let mut damaged = proof.to_vec();
    damaged[0] ^= 1;
    oracle.fulfil(&made, &damaged).is_refused("ProofInvalid()");
    let mut outputs = words(&Oracle::outputs());
    outputs[0] += crate::keys::field_order();
    let data = calldata(
        FULFIL,
        (made.clone(), outputs, Bytes::copy_from_slice(&proof)),
    );
    oracle
        .chain
        .send(account(PROVER), requests, &data)
        .is_refused("PublicInputNotBelowFieldOrder(uint256)");
    // None of it closed the request or paid anybody.
    assert!(oracle.is_open(&made));
    assert_eq!(oracle.owed(account(PROVER)), U256::ZERO);
    assert!(oracle.fulfil(&made, &proof).success);
}

#[test]
fn after_the_deadline_there_is_a_refund_and_nothing_else() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let made = oracle.ask();
    let proof = oracle.prove(&made);
    let requests = oracle.requests;
    oracle.chain.now = made.7 - 1;
    let early = "DeadlineNotPassed(uint64)";
    oracle
        .chain
        .refused(account(ASKER), requests, REFUND, (made.clone(),), early);
    oracle.chain.now = made.7;
    oracle
        .fulfil(&made, &proof)
        .is_refused("DeadlinePassed(uint64)");
    // By anybody, to the requester.
    let done = oracle
        .chain
        .call(account(9), requests, REFUND, (made.clone(),));
    assert!(done.emitted("Refunded(bytes32,address,uint256)"));
    assert_eq!(oracle.owed(account(ASKER)), U256::from(FEE));
    assert_eq!(oracle.owed(account(9)), U256::ZERO);
    oracle
        .chain
        .refused(account(9), requests, REFUND, (made.clone(),), NOT_OPEN);
    oracle.fulfil(&made, &proof).is_refused(NOT_OPEN);
    oracle
        .chain
        .call(account(ASKER), requests, WITHDRAW, (account(ASKER),));
    assert_eq!(oracle.chain.balance(requests), U256::ZERO);
}

#[test]
fn requests_that_make_no_sense_are_refused() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let (model, now, requests) = (oracle.model, oracle.chain.now, oracle.requests);
    let cases = [
        (model, 0, now, "DeadlinePassed(uint64)"),
        (model, 2_000_001, now + 9, "CallbackGasTooHigh(uint64)"),
        (U256::from(1), 0, now + 9, "ModelNotFound(uint256)"),
        // A month, and no more: a deadline in milliseconds would keep the fee for ever.
        (model, 0, now + 30 * 86_400 + 1, "DeadlineTooFar(uint64)"),
        (model, 0, now * 1000, "DeadlineTooFar(uint64)"),
        (model, 0, u64::MAX, "DeadlineTooFar(uint64)"),
    ];
    for (model, gas, deadline, error) in cases {
        let arguments = (
            model,
            Oracle::inputs(),
            Bytes::new(),
            Address::ZERO,
            gas,
            deadline,
        );
        oracle
            .chain
            .refused(account(ASKER), requests, REQUEST, arguments, error);
    }
    // Money without a request is not taken.
    let (sent, _) = oracle
        .chain
        .transact(account(ASKER), TxKind::Call(requests), 1, &[], ENOUGH);
    assert!(!sent.success);
}

#[test]
fn a_named_prover_alone_fulfils() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let deadline = oracle.chain.now + 100;
    let named = account(8);
    let arguments = (
        oracle.model,
        Oracle::inputs(),
        Bytes::new(),
        named,
        0_u64,
        deadline,
    );
    let requests = oracle.requests;
    oracle
        .chain
        .call(account(ASKER), requests, REQUEST, arguments);
    let made = (
        account(ASKER),
        U256::ZERO,
        oracle.model,
        Oracle::inputs(),
        Bytes::new(),
        named,
        0,
        deadline,
        U256::ZERO,
    );
    let proof = oracle.prove(&made);
    oracle
        .fulfil(&made, &proof)
        .is_refused("NotTheProver(address)");
    let proof = oracle.prove_by(named, &made);
    let data = Oracle::fulfilment(&made, &Oracle::outputs(), &proof);
    assert!(oracle.chain.send(named, requests, &data).success);
}

#[test]
fn a_deprecated_model_is_refunded_not_fulfilled() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let made = oracle.ask();
    let proof = oracle.prove(&made);
    let (registry, requests, model) = (oracle.registry, oracle.requests, oracle.model);
    oracle
        .chain
        .call(account(4), registry, "deprecateModel(uint256)", (model,));
    oracle
        .fulfil(&made, &proof)
        .is_refused("ModelDeprecated(uint256)");
    let arguments = (
        model,
        Oracle::inputs(),
        Bytes::new(),
        Address::ZERO,
        0_u64,
        made.7,
    );
    let error = "ModelDeprecated(uint256)";
    oracle
        .chain
        .refused(account(ASKER), requests, REQUEST, arguments, error);
    oracle.chain.now = made.7;
    oracle.chain.call(account(ASKER), requests, REFUND, (made,));
    assert_eq!(oracle.owed(account(ASKER)), U256::from(FEE));
}

#[test]
fn a_stopped_router_keeps_nobodys_money() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let (router, requests) = (oracle.router, oracle.requests);
    let paid = oracle.ask();
    let proof = oracle.prove(&paid);
    assert!(oracle.fulfil(&paid, &proof).success);
    let made = oracle.ask();
    let proof = oracle.prove(&made);
    oracle.chain.call(account(1), router, "pause()", ());
    oracle.fulfil(&made, &proof).is_refused("IsPaused()");
    // What was earned is paid, what was not is refunded.
    oracle
        .chain
        .call(account(PROVER), requests, WITHDRAW, (account(PROVER),));
    oracle.chain.now = made.7;
    oracle.chain.call(account(ASKER), requests, REFUND, (made,));
    oracle
        .chain
        .call(account(ASKER), requests, WITHDRAW, (account(ASKER),));
    assert_eq!(oracle.chain.balance(requests), U256::ZERO);
}

const MODES: [&str; 5] = ["record", "revert", "burn gas", "return bomb", "attack"];

impl Oracle {
    fn arm(&mut self, callback: Address, mode: &str, attack: &[u8]) {
        let mode = MODES.iter().position(|name| *name == mode).unwrap();
        let arguments = (u16::try_from(mode).unwrap(), Bytes::copy_from_slice(attack));
        self.chain
            .call(account(ASKER), callback, "arm(uint8,bytes)", arguments);
    }

    fn read(&mut self, contract: Address, getter: &str) -> U256 {
        self.chain
            .send(account(2), contract, &selector(getter))
            .word()
    }
}

#[test]
fn the_requester_is_called_back_with_what_was_proven() {
    let mut oracle = Oracle::new(Backend::Groth16Logup);
    let callback = oracle.callback();
    let made = oracle.ask_through(callback, 100_000);
    let proof = oracle.prove(&made);
    let done = oracle.fulfil(&made, &proof);
    assert!(done.success && !done.emitted("CallbackFailed(bytes32)"));
    assert_eq!(oracle.read(callback, "calls()"), U256::ONE);
    assert_eq!(oracle.read(callback, "lastOutput()"), U256::from(11));
    // The callback refuses everybody but the oracle.
    let arguments = (B256::ZERO, vec![U256::from(1)]);
    let data = calldata("inferenceFulfilled(bytes32,uint256[])", arguments);
    assert!(!oracle.chain.send(account(2), callback, &data).success);
}

#[test]
fn a_failing_callback_costs_the_prover_nothing_but_its_gas() {
    for mode in ["revert", "burn gas", "return bomb"] {
        let mut oracle = Oracle::new(Backend::Groth16);
        let callback = oracle.callback();
        let gas = 200_000;
        let made = oracle.ask_through(callback, gas);
        oracle.arm(callback, mode, &[]);
        let proof = oracle.prove(&made);
        let done = oracle.fulfil(&made, &proof);
        assert!(done.success, "{mode}");
        assert!(
            done.emitted("Fulfilled(bytes32,address,uint256[])"),
            "{mode}"
        );
        assert!(done.emitted("CallbackFailed(bytes32)"), "{mode}");
        assert!(
            done.execution < 260_000 + 60_000 + gas,
            "{mode}: {}",
            done.execution
        );
        assert_eq!(oracle.owed(account(PROVER)), U256::from(FEE));
        assert_eq!(oracle.read(callback, "calls()"), U256::ZERO);
        oracle.fulfil(&made, &proof).is_refused(NOT_OPEN);
    }
}

#[test]
fn a_prover_cannot_starve_the_callback() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let callback = oracle.callback();
    let gas = 1_000_000;
    let made = oracle.ask_through(callback, gas);
    let proof = oracle.prove(&made);
    let data = Oracle::fulfilment(&made, &Oracle::outputs(), &proof);
    let requests = oracle.requests;
    let mut fulfilled = false;
    // Whatever the gas: either the whole transaction fails, or the callback has what it was promised.
    for limit in (300_000..1_500_000).step_by(20_000) {
        let (done, _) =
            oracle
                .chain
                .transact(account(PROVER), TxKind::Call(requests), 0, &data, limit);
        if done.success {
            assert!(!done.emitted("CallbackFailed(bytes32)"), "{limit}");
            assert!(limit > gas);
            fulfilled = true;
            break;
        }
    }
    assert!(fulfilled);
    assert_eq!(oracle.read(callback, "calls()"), U256::ONE);
}

#[test]
fn reentering_gains_nothing() {
    // From the callback: fulfil the same request again, have it refunded, withdraw what was earned.
    for attack in 0..3 {
        let mut oracle = Oracle::new(Backend::Groth16);
        let callback = oracle.callback();
        let made = oracle.ask_through(callback, 1_500_000);
        let proof = oracle.prove(&made);
        let fulfilment = Oracle::fulfilment(&made, &Oracle::outputs(), &proof);
        let message = match attack {
            0 => fulfilment.clone(),
            1 => calldata(REFUND, (made.clone(),)),
            _ => calldata(WITHDRAW, (callback,)),
        };
        oracle.arm(callback, "attack", &message);
        let done = oracle.fulfil(&made, &proof);
        assert!(
            done.success && !done.emitted("CallbackFailed(bytes32)"),
            "{attack}"
        );
        assert_eq!(oracle.read(callback, "calls()"), U256::ONE);
        assert_eq!(
            oracle.read(callback, "attackSucceeded()"),
            U256::ZERO,
            "{attack}"
        );
        assert_eq!(oracle.owed(account(PROVER)), U256::from(FEE));
        assert_eq!(oracle.owed(callback), U256::ZERO);
    }

    // From the payment: withdraw again while the first payment is under way, with another's money in
    // the contract.
    let mut oracle = Oracle::new(Backend::Groth16);
    let callback = oracle.callback();
    let made = oracle.ask_through(callback, 0);
    let other = oracle.ask();
    let requests = oracle.requests;
    oracle.chain.now = made.7;
    oracle.chain.call(account(9), requests, REFUND, (made,));
    oracle.arm(callback, "attack", &calldata(WITHDRAW, (callback,)));
    oracle.chain.call(account(9), callback, "withdraw()", ());
    assert_eq!(oracle.chain.balance(callback), U256::from(FEE));
    assert_eq!(oracle.read(callback, "attackSucceeded()"), U256::ZERO);
    assert_eq!(oracle.chain.balance(requests), U256::from(FEE));
    assert!(oracle.is_open(&other));
}

#[test]
fn a_payment_that_is_refused_stays_owed() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let callback = oracle.callback();
    let made = oracle.ask_through(callback, 0);
    let requests = oracle.requests;
    oracle.chain.now = made.7;
    oracle.chain.call(account(9), requests, REFUND, (made,));
    oracle.arm(callback, "revert", &[]);
    oracle
        .chain
        .refused(account(9), callback, "withdraw()", (), "PaymentRefused()");
    assert_eq!(oracle.owed(callback), U256::from(FEE));
    // To another address it goes.
    let data = (Bytes::from(calldata(WITHDRAW, (account(9),))),);
    oracle.chain.call(account(9), callback, "run(bytes)", data);
    assert_eq!(oracle.owed(callback), U256::ZERO);
}

#[test]
fn the_id_is_of_this_contract_and_chain() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let made = oracle.ask();
    let id = oracle.id(&made);
    let arguments = (oracle.registry, oracle.router).encode();
    oracle.requests = oracle.chain.deploy_contract(Contract::Requests, &arguments);
    assert_ne!(oracle.id(&made), id);
    assert!(!oracle.is_open(&made));
}

#[test]
fn a_copied_fulfilment_earns_nothing() {
    for backend in BACKENDS {
        let mut oracle = Oracle::new(backend);
        let made = oracle.ask();
        let proof = oracle.prove(&made);
        // Whoever sees it in the public pool sends it first.
        let data = Oracle::fulfilment(&made, &Oracle::outputs(), &proof);
        let again = Oracle::fulfilment(&made, &Oracle::outputs(), &rerandomised(&proof));
        let (thief, requests) = (account(7), oracle.requests);
        for copied in [&data, &again] {
            oracle
                .chain
                .send(thief, requests, copied)
                .is_refused("ProofInvalid()");
        }
        assert_eq!(oracle.owed(thief), U256::ZERO);
        assert!(oracle.chain.send(account(PROVER), requests, &data).success);
        assert_eq!(oracle.owed(account(PROVER)), U256::from(FEE));
    }
}

#[test]
fn a_fee_is_held_for_a_month_at_most() {
    let mut oracle = Oracle::new(Backend::Groth16);
    let (model, requests) = (oracle.model, oracle.requests);
    let deadline = oracle.chain.now + 30 * 86_400;
    let arguments = (
        model,
        Oracle::inputs(),
        Bytes::new(),
        Address::ZERO,
        0_u64,
        deadline,
    );
    oracle
        .chain
        .call(account(ASKER), requests, REQUEST, arguments);
}
