// SPDX-License-Identifier: MIT OR Apache-2.0
// Written by `proofmark evm verifier`. Write it again rather than change it.
//
// Package: {{PACKAGE}}
// Public inputs:
{{LAYOUT}}
pragma solidity ^0.8.24;

/// @title Verifies Groth16 proofs with a commitment over BN254 of one package
/// @notice The constants are the verifying key's, with β, γ, δ and δc negated, so that the proof's points go to
/// the precompile as they came: e(A, B) · e(α, −β) · e(IC, −γ) · e(C, −δ) · e(D, −δc) = 1. The last
/// point of IC belongs to the challenge, which is computed here from key, D and public inputs and
/// never taken from outside. The precompile checks that coordinates are reduced (so D has one
/// encoding and one challenge), points on their curve, and B in its subgroup; the identity and
/// public inputs that are not below the field order are refused here.
contract {{NAME}} {
    /// @notice The proof is not 320 bytes long.
    error ProofLength(uint256 expected, uint256 got);
    /// @notice Another number of public inputs.
    error PublicInputCount(uint256 expected, uint256 got);
    /// @notice A public input is not below the field order: it would stand for its residue.
    error PublicInputNotBelowFieldOrder(uint256 index);
    /// @notice The equation does not hold, or a point is none or the identity.
    error ProofInvalid();

    /// @notice SHA-256 of the package's manifest: what to audit, and what receipts name.
    bytes32 public constant packageDigest = {{PACKAGE_DIGEST}};
    /// @notice SHA-256 of the verifying key's one encoding.
    bytes32 public constant keyDigest = {{KEY_DIGEST}};
    /// @notice ERC-7992: bytes4(keccak256("groth16-bn254-logup-v1")).
    bytes4 public constant proofSystemId = 0x39e7a114;
    /// @notice Number of public inputs.
    uint256 public constant publicInputs = {{INPUTS}};

    uint256 private constant PROOF_BYTES = 320;
    uint256 private constant FIELD_ORDER =
        0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;

    /// @notice Whether the proof (A, B, C, D as in EIP-197) holds for these public inputs. Never reverts.
    /// A malformed point burns the gas given, but for a 64th: so the pairing precompile answers. With
    /// too little gas the answer is false too: do nothing to anybody because of a false.
    function verifyProof(bytes calldata proof, uint256[] calldata inputs) external view returns (bool) {
        return _holds(proof, inputs);
    }

    /// @notice As `verifyProof`, but reverts with the reason where that returns false.
    function requireProof(bytes calldata proof, uint256[] calldata inputs) external view {
        if (_holds(proof, inputs)) return;
        if (proof.length != PROOF_BYTES) revert ProofLength(PROOF_BYTES, proof.length);
        if (inputs.length != publicInputs) revert PublicInputCount(publicInputs, inputs.length);
        for (uint256 k = 0; k < inputs.length; ++k) {
            if (inputs[k] >= FIELD_ORDER) revert PublicInputNotBelowFieldOrder(k);
        }
        revert ProofInvalid();
    }

    function _holds(bytes calldata proof, uint256[] calldata inputs) private view returns (bool holds) {
        if (proof.length != PROOF_BYTES || inputs.length != publicInputs) return false;
        assembly ("memory-safe") {
            // The pairing's input, 192 bytes a pair: (A, B), (α, −β), (IC, −γ), (C, −δ), (D, −δc).
            let pairs := mload(0x40)
            let sum := add(pairs, 0x180)
            let ok := 1
            mstore(sum, {{IC0_X}})
            mstore(add(sum, 0x20), {{IC0_Y}})

            // IC's other points behind it, the challenge's last, each with room for the scalar that it
            // is multiplied with.
            let point := add(pairs, 0x3c0)
            let end := add(point, {{POINTS_BYTES}})
{{POINTS}}

            // keccak256(domain ‖ key's digest ‖ D ‖ public inputs) mod r, behind the points. The
            // challenge is put after the public inputs, so that it is the last scalar.
            mstore(end, 0x70726f6f666d61726b2f6c6f6775702d6368616c6c656e67652f763100000000)
            mstore(add(end, 0x20), keyDigest)
            calldatacopy(add(end, 0x40), add(proof.offset, 0x100), 0x40)
            let value := add(end, 0x80)
            calldatacopy(value, inputs.offset, {{INPUT_BYTES}})
            mstore(add(value, {{INPUT_BYTES}}), mod(keccak256(end, {{HASHED_BYTES}}), FIELD_ORDER))

            // The sum. The 64 bytes behind it, a part of the pairing's input that is written later,
            // take the products.
            for {} lt(point, end) { point := add(point, 0x60) } {
                let scalar := mload(value)
                value := add(value, 0x20)
                mstore(add(point, 0x40), scalar)
                ok := and(ok, lt(scalar, FIELD_ORDER))
                ok := and(ok, staticcall(gas(), 7, point, 0x60, add(sum, 0x40), 0x40))
                ok := and(ok, staticcall(gas(), 6, sum, 0x80, sum, 0x40))
            }

            calldatacopy(pairs, proof.offset, 0xc0)
            mstore(add(pairs, 0xc0), {{ALPHA_X}})
            mstore(add(pairs, 0xe0), {{ALPHA_Y}})
            mstore(add(pairs, 0x100), {{BETA_X1}})
            mstore(add(pairs, 0x120), {{BETA_X0}})
            mstore(add(pairs, 0x140), {{BETA_Y1}})
            mstore(add(pairs, 0x160), {{BETA_Y0}})
            mstore(add(pairs, 0x1c0), {{GAMMA_X1}})
            mstore(add(pairs, 0x1e0), {{GAMMA_X0}})
            mstore(add(pairs, 0x200), {{GAMMA_Y1}})
            mstore(add(pairs, 0x220), {{GAMMA_Y0}})
            calldatacopy(add(pairs, 0x240), add(proof.offset, 0xc0), 0x40)
            mstore(add(pairs, 0x280), {{DELTA_X1}})
            mstore(add(pairs, 0x2a0), {{DELTA_X0}})
            mstore(add(pairs, 0x2c0), {{DELTA_Y1}})
            mstore(add(pairs, 0x2e0), {{DELTA_Y0}})
            calldatacopy(add(pairs, 0x300), add(proof.offset, 0x100), 0x40)
            mstore(add(pairs, 0x340), {{DELTA_COMMITTED_X1}})
            mstore(add(pairs, 0x360), {{DELTA_COMMITTED_X0}})
            mstore(add(pairs, 0x380), {{DELTA_COMMITTED_Y1}})
            mstore(add(pairs, 0x3a0), {{DELTA_COMMITTED_Y0}})

            // The identity is all zeros in any group; it would take its pairing out of the equation.
            let b := or(mload(add(pairs, 0x40)), mload(add(pairs, 0x60)))
            b := or(b, or(mload(add(pairs, 0x80)), mload(add(pairs, 0xa0))))
            let one := or(iszero(or(mload(pairs), mload(add(pairs, 0x20)))), iszero(b))
            one := or(one, iszero(or(mload(add(pairs, 0x240)), mload(add(pairs, 0x260)))))
            one := or(one, iszero(or(mload(add(pairs, 0x300)), mload(add(pairs, 0x320)))))
            ok := and(ok, iszero(one))
            if ok {
                ok := staticcall(gas(), 8, pairs, 0x3c0, pairs, 0x20)
                // On a chain without the precompile the call succeeds and leaves A where it stands.
                holds := and(and(ok, eq(returndatasize(), 0x20)), eq(mload(pairs), 1))
            }
        }
    }
}
