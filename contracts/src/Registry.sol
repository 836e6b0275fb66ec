// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IERC165} from "./interfaces/IERC165.sol";
import {IERCZKMLRegistry} from "./interfaces/IERC7992.sol";

/// @title Registry of models after ERC-7992
/// @notice Policy: a model id stands for one commitment for ever; `updateModel` always reverts. The id
/// is a hash of owner and commitment, so it cannot be squatted, and whoever pins it pins the
/// *package* digest (`modelHash`), circuit and key. The registry vouches for nothing: that the
/// digests belong together is what an audit of the package shows.
contract Registry is IERCZKMLRegistry, IERC165 {
    /// @notice The owner has registered this commitment before.
    error ModelAlreadyRegistered(uint256 modelId);
    /// @notice Models do not change: register a new one.
    error ModelIsImmutable(uint256 modelId);
    /// @notice A digest is zero.
    error CommitmentIncomplete();
    /// @notice How many public inputs are inputs was declared before, or is zero, which no model has.
    error InputsUndeclarable(uint256 modelId);

    /// @notice The owner has said how many public inputs of the model are its inputs.
    event InputsDeclared(uint256 indexed modelId, uint256 inputs);

    struct Model {
        ModelCommitment commitment;
        address owner;
        bool deprecated;
        uint64 inputs;
    }

    mapping(uint256 modelId => Model) private _models;

    /// @notice The id that this owner's registration of a commitment has. The URI is not in it.
    function modelIdOf(
        address owner,
        bytes32 modelHash,
        bytes32 circuitHash,
        bytes32 vkHash,
        bytes4 proofSystemId
    ) public pure returns (uint256) {
        return uint256(
            keccak256(
                abi.encode(
                    "proofmark/model/v1", owner, modelHash, circuitHash, vkHash, proofSystemId
                )
            )
        );
    }

    /// @inheritdoc IERCZKMLRegistry
    function registerModel(ModelCommitment calldata commitment) external returns (uint256 modelId) {
        if (
            commitment.modelHash == 0 || commitment.circuitHash == 0 || commitment.vkHash == 0
                || commitment.proofSystemId == 0
        ) revert CommitmentIncomplete();
        modelId = modelIdOf(
            msg.sender,
            commitment.modelHash,
            commitment.circuitHash,
            commitment.vkHash,
            commitment.proofSystemId
        );
        Model storage model = _models[modelId];
        if (model.owner != address(0)) revert ModelAlreadyRegistered(modelId);
        model.commitment = commitment;
        model.owner = msg.sender;
        emit ModelRegistered(modelId, msg.sender, commitment);
    }

    /// @notice Reverts: models do not change.
    function updateModel(uint256 modelId, ModelCommitment calldata) external view {
        _own(modelId);
        revert ModelIsImmutable(modelId);
    }

    /// @notice Marks a model as not to be used any more, for ever.
    function deprecateModel(uint256 modelId) external {
        Model storage model = _own(modelId);
        if (model.deprecated) revert ModelIsDeprecated(modelId);
        model.deprecated = true;
        emit ModelDeprecated(modelId);
    }

    /// @notice Says, once and for ever, how many of the model's public inputs are inputs; the context
    /// before them is not counted. `proofmark evm register` prints the number. Without it no
    /// inference of the model is verified: whoever chose the input commitment could also choose where
    /// the inputs end, and have an input taken for an output.
    function declareInputs(uint256 modelId, uint64 inputs) external {
        Model storage model = _own(modelId);
        if (inputs == 0 || model.inputs != 0) revert InputsUndeclarable(modelId);
        model.inputs = inputs;
        emit InputsDeclared(modelId, inputs);
    }

    /// @notice How many public inputs of a model are inputs; zero while the owner has not said.
    function inputsOf(uint256 modelId) external view returns (uint256) {
        return _find(modelId).inputs;
    }

    /// @inheritdoc IERCZKMLRegistry
    function getModel(uint256 modelId)
        external
        view
        returns (ModelCommitment memory commitment, bool deprecated, address owner)
    {
        Model storage model = _find(modelId);
        return (model.commitment, model.deprecated, model.owner);
    }

    /// @notice What a verifier needs of a model, without its URI.
    function keyOf(uint256 modelId)
        external
        view
        returns (bytes32 vkHash, bytes4 proofSystemId, bool deprecated)
    {
        Model storage model = _find(modelId);
        return (model.commitment.vkHash, model.commitment.proofSystemId, model.deprecated);
    }

    /// @inheritdoc IERC165
    function supportsInterface(bytes4 interfaceId) external pure returns (bool) {
        return interfaceId == type(IERCZKMLRegistry).interfaceId
            || interfaceId == type(IERC165).interfaceId;
    }

    function _find(uint256 modelId) private view returns (Model storage model) {
        model = _models[modelId];
        if (model.owner == address(0)) revert ModelNotFound(modelId);
    }

    function _own(uint256 modelId) private view returns (Model storage model) {
        model = _find(modelId);
        if (model.owner != msg.sender) revert NotModelOwner(modelId, msg.sender);
    }
}
