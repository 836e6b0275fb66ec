// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Verifier of many verifying keys, each named by its digest
/// @notice A consumer pins the digest: who operates the verifier cannot exchange the key under it.
interface IKeyedVerifier {
    /// @notice No key of this digest is known.
    error KeyUnknown(bytes32 key);
    /// @notice The key takes another number of public inputs.
    error PublicInputCount(uint256 expected, uint256 got);
    /// @notice The proof is of another length than those of the key's proof system.
    error ProofLength(uint256 expected, uint256 got);
    /// @notice A public input is not below the field order: it would stand for its residue.
    error PublicInputNotBelowFieldOrder(uint256 index);
    /// @notice The equation does not hold, or a point is none or the identity.
    error ProofInvalid();

    /// @notice As `IProofVerifier.verifyProof`, for the key of this digest; reverts with `KeyUnknown`.
    function verifyProof(bytes32 key, bytes calldata proof, uint256[] calldata inputs)
        external
        view
        returns (bool);

    /// @notice As `verifyProof`, but reverts with the reason where that returns false.
    function requireProof(bytes32 key, bytes calldata proof, uint256[] calldata inputs) external view;

    /// @notice The key's proof system in ERC-7992's form; reverts with `KeyUnknown`.
    function proofSystemId(bytes32 key) external view returns (bytes4);
}
