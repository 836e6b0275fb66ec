// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title Verifier of one verifying key, as `proofmark evm verifier` writes it
/// @notice Public inputs are those of the statement, in its order: the context, then the model's
/// inputs, then its outputs. The constant 1 and the challenge are not among them.
interface IProofVerifier {
    /// @notice Whether the proof holds for these public inputs. False, never a revert, for a proof or
    /// public inputs of the wrong length, a public input that is not below the field order, a point
    /// that is none, or the identity. A proof with a malformed point burns the gas that it is given,
    /// but for a 64th: that is how the pairing precompile answers. And false where the gas does not
    /// suffice, which whoever calls can bring about: act on a true only, never on a false.
    function verifyProof(bytes calldata proof, uint256[] calldata inputs) external view returns (bool);

    /// @notice As `verifyProof`, but reverts with the reason where that returns false.
    function requireProof(bytes calldata proof, uint256[] calldata inputs) external view;

    /// @notice SHA-256 of the verifying key's one encoding, as packages and receipts record it.
    function keyDigest() external view returns (bytes32);

    /// @notice The proof system in ERC-7992's form.
    function proofSystemId() external view returns (bytes4);

    /// @notice Number of public inputs.
    function publicInputs() external view returns (uint256);
}
