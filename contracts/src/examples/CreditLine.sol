// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Outputs} from "../Outputs.sol";
import {IKeyedVerifier} from "../interfaces/IKeyedVerifier.sol";

/// @title A credit line that is opened on a proven score
/// @notice Shows what a consumer must do, in the order in which it must be done. The model reads one
/// public input (packed features, or their digest) and has two int32 outputs; the applicant is
/// accepted when the first is the larger.
///
/// A proof says what the model answers to an input, not whose input it is. So the bureau records who
/// has which application, and a line is opened for that one only.
contract CreditLine {
    event ApplicationRecorded(address indexed applicant, uint256 application);
    event LineOpened(address indexed applicant, uint256 limit, int32 score);

    /// @notice Only the bureau records applications.
    error NotBureau(address caller);
    /// @notice The bureau has recorded no application of the caller.
    error NoApplication(address applicant);
    /// @notice The proof's deadline has passed.
    error DeadlinePassed(uint64 deadline);
    /// @notice A deadline so far away that contexts would have to be remembered for ever.
    error DeadlineTooFar(uint64 deadline);
    /// @notice This context was used: a proof opens a line once, however its bytes are changed.
    error ContextUsed(uint256 context);
    /// @notice The model's answer is no.
    error Declined(int32 score);

    /// @notice Longest time that a proof may be valid.
    uint64 public constant MAX_AGE = 1 days;
    /// @notice Wei of the line for each step of the score.
    uint256 public constant WEI_PER_POINT = 1 gwei;

    /// @notice A universal verifier, or a router before it.
    IKeyedVerifier public immutable verifier;
    /// @notice The one key, of a package that was audited.
    bytes32 public immutable key;
    /// @notice Who vouches for applications.
    address public immutable bureau;

    /// @notice The application of an account, as the model reads it.
    mapping(address applicant => uint256) public applicationOf;
    /// @notice Wei that an account may draw.
    mapping(address applicant => uint256) public limitOf;
    /// @notice Contexts that have opened a line.
    mapping(uint256 context => bool) public used;

    constructor(IKeyedVerifier verifier_, bytes32 key_, address bureau_) {
        verifier = verifier_;
        key = key_;
        bureau = bureau_;
    }

    /// @notice Records the application of an account.
    function record(address applicant, uint256 application) external {
        if (msg.sender != bureau) revert NotBureau(msg.sender);
        applicationOf[applicant] = application;
        emit ApplicationRecorded(applicant, application);
    }

    /// @notice Opens the caller's line. The proof was made with this chain's id, this contract as
    /// consumer, the caller's address as requester, and the nonce and deadline given here.
    /// @param outputs The two outputs as public inputs.
    function open(bytes32 nonce, uint64 deadline, uint256[] calldata outputs, bytes calldata proof)
        external
    {
        // 1. Not too late.
        if (deadline < block.timestamp) revert DeadlinePassed(deadline);
        if (deadline > block.timestamp + MAX_AGE) revert DeadlineTooFar(deadline);
        // 2. The context from what is known here, and used once. Proof bytes are no key: anybody can
        // change them into others that verify.
        uint256 context = Outputs.context(bytes32(uint256(uint160(msg.sender))), nonce, deadline);
        if (used[context]) revert ContextUsed(context);
        used[context] = true;
        // 3. The input from who vouches for it.
        uint256 application = applicationOf[msg.sender];
        if (application == 0) revert NoApplication(msg.sender);
        // 4. The proof, under the pinned key. It reverts where the proof does not hold, also for
        // more or fewer outputs than the model has.
        uint256[] memory inputs = new uint256[](2 + outputs.length);
        inputs[0] = context;
        inputs[1] = application;
        for (uint256 k = 0; k < outputs.length; ++k) {
            inputs[2 + k] = outputs[k];
        }
        verifier.requireProof(key, proof, inputs);
        // 5. The answer, as typed values.
        int32[] memory scores = Outputs.decode(outputs, 0, Outputs.Elem.Int32, 2);
        int256 margin = int256(scores[0]) - int256(scores[1]);
        if (margin <= 0) revert Declined(scores[0]);
        limitOf[msg.sender] = uint256(margin) * WEI_PER_POINT;
        emit LineOpened(msg.sender, limitOf[msg.sender], scores[0]);
    }
}
