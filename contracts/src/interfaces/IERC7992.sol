// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

// The interfaces of ERC-7992 (draft of 2025-07-23). Two lines of the draft do not compile and are
// changed here, nothing else, so that selectors, events and interface ids are the draft's:
// * it declares an event and an error of one name, `ModelDeprecated`; the error is
//   `ModelIsDeprecated` here;
// * its reference implementation overrides `registry()`, which returns `address`, with a variable of
//   a contract type; here it returns `address`.

/// @title Registry of model commitments
interface IERCZKMLRegistry {
    /// @notice What a model is. Here: `modelHash` is the package digest, `circuitHash` the circuit
    /// digest, `vkHash` SHA-256 of the verifying key's encoding.
    struct ModelCommitment {
        bytes32 modelHash;
        bytes32 circuitHash;
        bytes32 vkHash;
        bytes4 proofSystemId;
        string uri;
    }

    event ModelRegistered(uint256 indexed modelId, address indexed owner, ModelCommitment commitment);
    event ModelUpdated(
        uint256 indexed modelId, ModelCommitment oldCommitment, ModelCommitment newCommitment
    );
    event ModelDeprecated(uint256 indexed modelId);

    error ModelNotFound(uint256 modelId);
    error NotModelOwner(uint256 modelId, address caller);
    /// @notice The draft's `ModelDeprecated`.
    error ModelIsDeprecated(uint256 modelId);

    function registerModel(ModelCommitment calldata commitment) external returns (uint256 modelId);

    function updateModel(uint256 modelId, ModelCommitment calldata newCommitment) external;

    function deprecateModel(uint256 modelId) external;

    function getModel(uint256 modelId)
        external
        view
        returns (ModelCommitment memory commitment, bool deprecated, address owner);
}

/// @title Verifier of inferences of registered models
interface IERCZKMLVerifier {
    event InferenceVerified(
        uint256 indexed modelId, bytes32 indexed inputCommitment, bytes output, address indexed caller
    );

    error InvalidProof();
    error ModelMismatch();
    error InputCommitmentMismatch();
    error OutputMismatch();
    error UnsupportedProofSystem(bytes4 proofSystemId);
    error VerificationRefused_ModelDeprecated(uint256 modelId);

    function verifyInference(
        uint256 modelId,
        bytes32 inputCommitment,
        bytes calldata output,
        bytes calldata proof
    ) external;

    function proofSystemOf(uint256 modelId) external view returns (bytes4);

    function registry() external view returns (address registryAddress);
}

/// @title The optional extension that keeps what was verified
interface IERCZKMLStorageExtension {
    event InferenceStored(bytes32 indexed inferenceId);

    function verifyAndStoreInference(
        uint256 modelId,
        bytes32 inputCommitment,
        bytes calldata output,
        bytes calldata proof
    ) external returns (bytes32 inferenceId);

    function getInference(bytes32 inferenceId)
        external
        view
        returns (uint256 modelId, bytes32 inputCommitment, bytes memory output);
}
