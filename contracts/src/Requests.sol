// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Outputs} from "./Outputs.sol";
import {Registry} from "./Registry.sol";
import {IKeyedVerifier} from "./interfaces/IKeyedVerifier.sol";
import {IRequester} from "./interfaces/IRequester.sol";

/// @title Requests for proven inferences, paid from escrow
/// @notice A request names a model, its inputs and a deadline, and holds a fee. Whoever brings a proof
/// before the deadline has the fee; the proof is verified in the same transaction, and then the
/// requester is called back. After the deadline the requester has the fee back. Nobody else decides
/// anything: there is no owner, no dispute, no role.
///
/// The proof's context has this contract as consumer, and a hash of the request's id and of the prover's
/// account as nonce; the id is a hash of everything in the request. So a proof answers one request on
/// one chain, a request that comes back with other contents after a reorganisation is another request,
/// and who copies a proof from the public pool has nothing: it verifies for the account that made it.
contract Requests {
    /// @notice Everything about a request. Only its hash is stored; the event carries it all.
    struct Request {
        /// Who asked and is called back.
        address requester;
        /// Number of requests that this contract had seen before.
        uint256 sequence;
        /// In the registry.
        uint256 modelId;
        /// The public inputs of the model's inputs: packed values, or a digest for each hidden one.
        uint256[] inputs;
        /// For the prover, and not proven: what a hashed input holds, as the relay's guide says.
        bytes data;
        /// Who alone may fulfil; zero for anybody.
        address prover;
        /// Gas of the callback, 0 for none.
        uint64 callbackGas;
        /// Unix seconds: fulfilled until then, refunded from then on.
        uint64 deadline;
        /// In wei, held from the beginning.
        uint256 fee;
    }

    /// @notice A request was made.
    event Requested(bytes32 indexed id, uint256 indexed modelId, address indexed requester, Request request);
    /// @notice A request was fulfilled; the fee is the prover's.
    event Fulfilled(bytes32 indexed id, address indexed prover, uint256[] outputs);
    /// @notice The requester's callback failed. The inference stands in `Fulfilled`.
    event CallbackFailed(bytes32 indexed id);
    /// @notice The deadline passed; the fee is the requester's.
    event Refunded(bytes32 indexed id, address indexed requester, uint256 fee);
    /// @notice What was owed was paid.
    event Withdrawn(address indexed account, address to, uint256 amount);

    /// @notice Fulfilled, refunded, or never made.
    error RequestNotOpen(bytes32 id);
    /// @notice The deadline is not in the future, or has passed.
    error DeadlinePassed(uint64 deadline);
    /// @notice The deadline is so far away that the fee would be held for longer than anybody wants,
    /// as when it was given in milliseconds.
    error DeadlineTooFar(uint64 most);
    /// @notice A refund is due only when the deadline has passed.
    error DeadlineNotPassed(uint64 deadline);
    /// @notice More gas for the callback than a block may be trusted to have.
    error CallbackGasTooHigh(uint64 most);
    /// @notice The transaction has less gas left than the callback was promised.
    error TooLittleGas();
    /// @notice The model's owner has deprecated it.
    error ModelDeprecated(uint256 modelId);
    /// @notice Another prover was named.
    error NotTheProver(address prover);
    /// @notice Nothing is owed to the caller.
    error NothingOwed();
    /// @notice The receiver refused the payment; it stays owed.
    error PaymentRefused();

    /// @notice Most gas that a callback may be promised.
    uint64 public constant MAX_CALLBACK_GAS = 2_000_000;
    /// @notice Longest time, in seconds, that a fee is held.
    uint64 public constant MAX_WAIT = 30 days;
    /// Gas that is spent between the check and the callback, generously.
    uint256 private constant CALLBACK_OVERHEAD = 10_000;

    /// @notice Names the models' keys.
    Registry public immutable registry;
    /// @notice Verifies the proofs.
    IKeyedVerifier public immutable verifier;
    /// @notice Number of requests made.
    uint256 public sequence;
    /// @notice Whether a request waits for its fulfilment or refund.
    mapping(bytes32 id => bool) public isOpen;
    /// @notice What is owed to an account, in wei.
    mapping(address account => uint256) public owed;

    constructor(Registry registry_, IKeyedVerifier verifier_) {
        registry = registry_;
        verifier = verifier_;
    }

    /// @notice Asks for an inference; the value sent is the fee.
    function request(
        uint256 modelId,
        uint256[] calldata inputs,
        bytes calldata data,
        address prover,
        uint64 callbackGas,
        uint64 deadline
    ) external payable returns (bytes32 id) {
        if (deadline <= block.timestamp) revert DeadlinePassed(deadline);
        uint64 most = uint64(block.timestamp) + MAX_WAIT;
        if (deadline > most) revert DeadlineTooFar(most);
        if (callbackGas > MAX_CALLBACK_GAS) revert CallbackGasTooHigh(MAX_CALLBACK_GAS);
        (,, bool deprecated) = registry.keyOf(modelId);
        if (deprecated) revert ModelDeprecated(modelId);
        Request memory made = Request(
            msg.sender, sequence++, modelId, inputs, data, prover, callbackGas, deadline, msg.value
        );
        id = idOf(made);
        isOpen[id] = true;
        emit Requested(id, modelId, msg.sender, made);
    }

    /// @notice The id of a request: a hash of all of it, this contract and the chain.
    function idOf(Request memory made) public view returns (bytes32) {
        return keccak256(abi.encode("proofmark/request/v1", block.chainid, address(this), made));
    }

    /// @notice The nonce in the context of a request's proof: it binds the proof to who fulfils.
    function nonceOf(bytes32 id, address prover) public pure returns (bytes32) {
        return keccak256(abi.encode("proofmark/fulfilment/v1", id, prover));
    }

    /// @notice The context that the proof for a request must carry when this account fulfils it.
    function contextOf(Request memory made, address prover) public view returns (uint256) {
        return _context(idOf(made), prover, made.requester, made.deadline);
    }

    /// @notice Fulfils a request: verifies the proof, which was made for the caller, credits the fee to
    /// the caller, calls back.
    /// @param outputs The public inputs of the model's outputs.
    function fulfil(Request calldata made, uint256[] calldata outputs, bytes calldata proof) external {
        bytes32 id = idOf(made);
        if (!isOpen[id]) revert RequestNotOpen(id);
        if (made.deadline <= block.timestamp) revert DeadlinePassed(made.deadline);
        if (made.prover != address(0) && made.prover != msg.sender) revert NotTheProver(made.prover);
        // Closed before anything is called, so that nothing can be fulfilled twice.
        isOpen[id] = false;
        owed[msg.sender] += made.fee;

        (bytes32 key,, bool deprecated) = registry.keyOf(made.modelId);
        if (deprecated) revert ModelDeprecated(made.modelId);
        verifier.requireProof(key, proof, _publicInputs(id, made, outputs));

        emit Fulfilled(id, msg.sender, outputs);
        if (made.callbackGas > 0) _callBack(id, made, outputs);
    }

    /// @notice Gives the fee of a request back to its requester after the deadline. Anybody may call.
    function refund(Request calldata made) external {
        bytes32 id = idOf(made);
        if (!isOpen[id]) revert RequestNotOpen(id);
        if (made.deadline > block.timestamp) revert DeadlineNotPassed(made.deadline);
        isOpen[id] = false;
        owed[made.requester] += made.fee;
        emit Refunded(id, made.requester, made.fee);
    }

    /// @notice Pays what is owed to the caller.
    function withdraw(address payable to) external {
        uint256 amount = owed[msg.sender];
        if (amount == 0) revert NothingOwed();
        owed[msg.sender] = 0;
        emit Withdrawn(msg.sender, to, amount);
        (bool paid,) = to.call{value: amount}("");
        if (!paid) revert PaymentRefused();
    }

    function _context(bytes32 id, address prover, address requester, uint64 deadline)
        private
        view
        returns (uint256)
    {
        return Outputs.context(bytes32(uint256(uint160(requester))), nonceOf(id, prover), deadline);
    }

    function _publicInputs(bytes32 id, Request calldata made, uint256[] calldata outputs)
        private
        view
        returns (uint256[] memory all)
    {
        uint256 inputs = made.inputs.length;
        all = new uint256[](1 + inputs + outputs.length);
        all[0] = _context(id, msg.sender, made.requester, made.deadline);
        for (uint256 k = 0; k < inputs; ++k) {
            all[1 + k] = made.inputs[k];
        }
        for (uint256 k = 0; k < outputs.length; ++k) {
            all[1 + inputs + k] = outputs[k];
        }
    }

    /// Exactly the gas that was promised, and nothing of what comes back is copied: a callback can
    /// neither take the prover's gas nor fail the fulfilment, and the prover cannot starve it.
    function _callBack(bytes32 id, Request calldata made, uint256[] calldata outputs) private {
        bytes memory message = abi.encodeCall(IRequester.inferenceFulfilled, (id, outputs));
        uint256 promised = made.callbackGas;
        // A call keeps a 64th of the gas back.
        if (gasleft() < promised + promised / 63 + CALLBACK_OVERHEAD) revert TooLittleGas();
        address to = made.requester;
        bool done;
        assembly ("memory-safe") {
            done := call(promised, to, 0, add(message, 0x20), mload(message), 0, 0)
        }
        if (!done) emit CallbackFailed(id);
    }
}
