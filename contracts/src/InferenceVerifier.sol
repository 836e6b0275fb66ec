// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Outputs} from "./Outputs.sol";
import {Registry} from "./Registry.sol";
import {IERC165} from "./interfaces/IERC165.sol";
import {IERCZKMLStorageExtension, IERCZKMLVerifier} from "./interfaces/IERC7992.sol";
import {IKeyedVerifier} from "./interfaces/IKeyedVerifier.sol";

/// @title Verifier of inferences after ERC-7992, for both proof systems
/// @notice What the draft leaves open is this:
/// * `proof` is `abi.encode(Evidence)`;
/// * `output` is `abi.encodePacked(uint256[])` of the outputs' public inputs, as `Outputs` decodes
///   them;
/// * `inputCommitment` is `commitmentOf(context, inputs)`, where the context is computed here for the
///   *caller* as consumer, and `inputs` are the public inputs of the model's inputs. It is domain
///   separated and, since the context holds a nonce, unique to one request.
/// Where the inputs end and the outputs begin is what the model's owner declared in the registry
/// (`declareInputs`), not what the commitment or its maker says.
///
/// A proof that was made for another consumer, chain or request therefore does not verify, and none
/// does after its deadline. A caller that acts on an inference remembers its commitment, or has it
/// stored here, which succeeds once.
contract InferenceVerifier is IERCZKMLVerifier, IERCZKMLStorageExtension, IERC165 {
    /// @notice The deadline in the proof's context has passed.
    error DeadlinePassed(uint64 deadline);
    /// @notice The model's owner has not declared how many public inputs are inputs.
    error InputsNotDeclared(uint256 modelId);
    /// @notice The evidence has another number of inputs than the model.
    error InputCountMismatch(uint256 inputs);
    /// @notice This inference was stored before.
    error InferenceAlreadyStored(bytes32 inferenceId);
    /// @notice No such inference was stored.
    error InferenceNotFound(bytes32 inferenceId);

    /// @notice What `proof` encodes.
    struct Evidence {
        bytes32 requester;
        bytes32 nonce;
        uint64 deadline;
        uint256[] inputs;
        bytes proof;
    }

    struct Inference {
        uint256 modelId;
        bytes32 inputCommitment;
        bytes output;
    }

    bytes4 private constant PLAIN_SYSTEM = bytes4(keccak256("groth16-bn254-v1"));
    bytes4 private constant COMMITTED_SYSTEM = bytes4(keccak256("groth16-bn254-logup-v1"));

    Registry private immutable _registry;
    /// @notice Verifies the proofs; keys are named by the registry.
    IKeyedVerifier public immutable verifier;
    mapping(bytes32 inferenceId => Inference) private _stored;

    constructor(Registry registry_, IKeyedVerifier verifier_) {
        _registry = registry_;
        verifier = verifier_;
    }

    /// @inheritdoc IERCZKMLVerifier
    function registry() external view returns (address) {
        return address(_registry);
    }

    /// @inheritdoc IERCZKMLVerifier
    function proofSystemOf(uint256 modelId) external view returns (bytes4 proofSystemId) {
        (, proofSystemId,) = _registry.keyOf(modelId);
    }

    /// @notice The input commitment of an inference.
    function commitmentOf(uint256 context, uint256[] memory inputs) public pure returns (bytes32) {
        return keccak256(abi.encode("proofmark/input-commitment/v1", context, inputs));
    }

    /// @inheritdoc IERCZKMLVerifier
    function verifyInference(
        uint256 modelId,
        bytes32 inputCommitment,
        bytes calldata output,
        bytes calldata proof
    ) external {
        _verify(modelId, inputCommitment, output, proof);
    }

    /// @inheritdoc IERCZKMLStorageExtension
    function verifyAndStoreInference(
        uint256 modelId,
        bytes32 inputCommitment,
        bytes calldata output,
        bytes calldata proof
    ) external returns (bytes32 inferenceId) {
        inferenceId = keccak256(abi.encodePacked(modelId, inputCommitment, output));
        if (_stored[inferenceId].inputCommitment != 0) revert InferenceAlreadyStored(inferenceId);
        _verify(modelId, inputCommitment, output, proof);
        _stored[inferenceId] = Inference(modelId, inputCommitment, output);
        emit InferenceStored(inferenceId);
    }

    /// @inheritdoc IERCZKMLStorageExtension
    function getInference(bytes32 inferenceId)
        external
        view
        returns (uint256 modelId, bytes32 inputCommitment, bytes memory output)
    {
        Inference storage found = _stored[inferenceId];
        if (found.inputCommitment == 0) revert InferenceNotFound(inferenceId);
        return (found.modelId, found.inputCommitment, found.output);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERCZKMLVerifier).interfaceId
            || interfaceId == type(IERCZKMLStorageExtension).interfaceId
            || interfaceId == type(IERC165).interfaceId;
    }

    function _verify(
        uint256 modelId,
        bytes32 inputCommitment,
        bytes calldata output,
        bytes calldata proof
    ) private {
        (bytes32 key, bytes4 system, bool deprecated) = _registry.keyOf(modelId);
        if (deprecated) revert VerificationRefused_ModelDeprecated(modelId);
        if (system != PLAIN_SYSTEM && system != COMMITTED_SYSTEM) revert UnsupportedProofSystem(system);
        if (verifier.proofSystemId(key) != system) revert ModelMismatch();

        uint256 inputs = _registry.inputsOf(modelId);
        if (inputs == 0) revert InputsNotDeclared(modelId);
        Evidence memory evidence = abi.decode(proof, (Evidence));
        if (evidence.inputs.length != inputs) revert InputCountMismatch(evidence.inputs.length);
        if (evidence.deadline < block.timestamp) revert DeadlinePassed(evidence.deadline);
        // Who calls is the consumer: a proof that was made for another does not verify.
        uint256 context = Outputs.contextOf(
            block.chainid, msg.sender, evidence.requester, evidence.nonce, evidence.deadline
        );
        if (commitmentOf(context, evidence.inputs) != inputCommitment) revert InputCommitmentMismatch();
        if (output.length % 32 != 0) revert OutputMismatch();

        uint256[] memory all = new uint256[](1 + inputs + output.length / 32);
        all[0] = context;
        for (uint256 k = 0; k < inputs; ++k) {
            all[1 + k] = evidence.inputs[k];
        }
        for (uint256 k = 0; k < output.length / 32; ++k) {
            all[1 + inputs + k] = uint256(bytes32(output[32 * k:32 * k + 32]));
        }
        if (!verifier.verifyProof(key, evidence.proof, all)) revert InvalidProof();
        emit InferenceVerified(modelId, inputCommitment, output, msg.sender);
    }
}
