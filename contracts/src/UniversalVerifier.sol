// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {IKeyedVerifier} from "./interfaces/IKeyedVerifier.sol";

/// @title Verifies proofs of every registered verifying key, of both proof systems
/// @notice Anybody registers a key by its bytes, the package's `verifying_key.bin`; it is named by
/// SHA-256 of them ever after. There is no owner, no upgrade and no removal. A key that is registered
/// is well-formed; only a package's audit says what it stands for, so consumers pin digests.
contract UniversalVerifier is IKeyedVerifier {
    /// @notice A key was registered. `data` holds it prepared, as code.
    event KeyRegistered(bytes32 indexed key, bytes4 proofSystemId, uint256 publicInputs, address data);

    /// @notice The bytes are not a verifying key of version 1 of either proof system.
    error KeyMalformed();
    /// @notice The key has more public inputs than a contract's code holds.
    error KeyTooLarge(uint256 publicInputs);
    /// @notice α or a point of IC is not on the curve, or its coordinates are not reduced. The index
    /// is 0 for α, from 1 for IC.
    error KeyPointOffCurve(uint256 index);
    /// @notice β, γ, δ or δc is not on its curve or not in the subgroup.
    error KeyPointNotInG2();
    /// @notice A point is the identity, or two of γ, δ and δc are equal: anybody could forge.
    error KeyDegenerate();
    /// @notice The key's data could not be stored.
    error KeyNotStored();

    struct Key {
        address data;
        uint32 publicInputs;
        bool committed;
    }

    uint256 private constant FIELD_ORDER =
        0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    uint256 private constant BASE_ORDER =
        0x30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd47;
    bytes16 private constant PLAIN_MAGIC = "proofmark/vk/v1";
    bytes16 private constant COMMITTED_MAGIC = "proofmark/vkc/v1";
    bytes32 private constant CHALLENGE_DOMAIN = "proofmark/logup-challenge/v1";
    /// ERC-7992: bytes4(keccak256("groth16-bn254-v1")) and of "groth16-bn254-logup-v1".
    bytes4 private constant PLAIN_SYSTEM = 0x0550d137;
    bytes4 private constant COMMITTED_SYSTEM = 0x39e7a114;
    /// So that the prepared key and the byte before it fit a contract's 24,576 bytes of code.
    uint256 private constant MAX_PUBLIC_INPUTS = 370;
    /// Magic, number of public inputs.
    uint256 private constant HEADER = 20;
    uint256 private constant G1 = 64;
    uint256 private constant G2 = 128;

    mapping(bytes32 digest => Key) private _keys;

    /// @notice Registers a key and returns its digest; does nothing for one that is registered.
    function register(bytes calldata key) external returns (bytes32 digest) {
        digest = sha256(key);
        if (_keys[digest].data != address(0)) return digest;
        if (key.length < HEADER) revert KeyMalformed();
        bool committed = bytes16(key[:16]) == COMMITTED_MAGIC;
        if (!committed && bytes16(key[:16]) != PLAIN_MAGIC) revert KeyMalformed();
        // A little-endian u32.
        uint256 count = uint8(key[16]) | (uint256(uint8(key[17])) << 8) | (uint256(uint8(key[18])) << 16)
            | (uint256(uint8(key[19])) << 24);
        if (count > MAX_PUBLIC_INPUTS) revert KeyTooLarge(count);
        uint256 fixedInG2 = committed ? 4 : 3;
        uint256 ic = count + (committed ? 2 : 1);
        if (key.length != HEADER + G1 + fixedInG2 * G2 + ic * G1) revert KeyMalformed();

        bytes memory data = key[HEADER:];
        _checkG1(data, 0, 0);
        for (uint256 k = 0; k < ic; ++k) {
            _checkG1(data, G1 + fixedInG2 * G2 + k * G1, k + 1);
        }
        _checkAndNegateG2(data, fixedInG2);

        address stored = _store(data);
        _keys[digest] = Key(stored, uint32(count), committed);
        emit KeyRegistered(digest, committed ? COMMITTED_SYSTEM : PLAIN_SYSTEM, count, stored);
    }

    /// @notice What is known of a key; reverts with `KeyUnknown`.
    function keyInfo(bytes32 key)
        external
        view
        returns (bytes4 systemId, uint256 publicInputs, address data)
    {
        Key memory found = _find(key);
        return (_system(found), found.publicInputs, found.data);
    }

    /// @inheritdoc IKeyedVerifier
    function proofSystemId(bytes32 key) external view returns (bytes4) {
        return _system(_find(key));
    }

    /// @inheritdoc IKeyedVerifier
    function verifyProof(bytes32 key, bytes calldata proof, uint256[] calldata inputs)
        external
        view
        returns (bool)
    {
        return _holds(_find(key), key, proof, inputs);
    }

    /// @inheritdoc IKeyedVerifier
    function requireProof(bytes32 key, bytes calldata proof, uint256[] calldata inputs) external view {
        Key memory found = _find(key);
        if (_holds(found, key, proof, inputs)) return;
        if (proof.length != _proofBytes(found)) revert ProofLength(_proofBytes(found), proof.length);
        if (inputs.length != found.publicInputs) {
            revert PublicInputCount(found.publicInputs, inputs.length);
        }
        for (uint256 k = 0; k < inputs.length; ++k) {
            if (inputs[k] >= FIELD_ORDER) revert PublicInputNotBelowFieldOrder(k);
        }
        revert ProofInvalid();
    }

    function _find(bytes32 key) private view returns (Key memory found) {
        found = _keys[key];
        if (found.data == address(0)) revert KeyUnknown(key);
    }

    function _system(Key memory key) private pure returns (bytes4) {
        return key.committed ? COMMITTED_SYSTEM : PLAIN_SYSTEM;
    }

    function _proofBytes(Key memory key) private pure returns (uint256) {
        return key.committed ? 320 : 256;
    }

    /// The equation of the generated verifiers, with the key from the code at `key.data`: a STOP, then
    /// α, −β, −γ, −δ, for a commitment −δc, and IC.
    function _holds(Key memory key, bytes32 digest, bytes calldata proof, uint256[] calldata inputs)
        private
        view
        returns (bool holds)
    {
        if (proof.length != _proofBytes(key) || inputs.length != key.publicInputs) return false;
        address data = key.data;
        bool committed = key.committed;
        assembly ("memory-safe") {
            // sum ← sum + scalar · point; 0 where the scalar is not below the field order. The 96
            // bytes behind the sum are overwritten.
            function accumulate(sum, point, scalar) -> ok {
                let term := add(sum, 0x40)
                mstore(term, mload(point))
                mstore(add(sum, 0x60), mload(add(point, 0x20)))
                mstore(add(sum, 0x80), scalar)
                ok := staticcall(gas(), 7, term, 0x60, term, 0x40)
                ok := and(ok, staticcall(gas(), 6, sum, 0x80, sum, 0x40))
                ok := and(ok, lt(scalar, FIELD_ORDER))
            }

            // The pairing's input, 192 bytes a pair: (A, B), (α, −β), (IC, −γ), (C, −δ), and with a
            // commitment (D, −δc). IC's points are put behind it for the sum.
            let pairs := mload(0x40)
            let sum := add(pairs, 0x180)
            let ic := add(pairs, 0x3c0)
            let count := inputs.length
            let size := mul(0x40, add(count, add(1, committed)))
            let from := add(0x1c1, mul(0x80, committed))
            extcodecopy(data, ic, from, size)
            mstore(sum, mload(ic))
            mstore(add(sum, 0x20), mload(add(ic, 0x20)))
            let ok := 1
            let point := add(ic, 0x40)
            let input := inputs.offset
            for { let end := add(input, mul(0x20, count)) } lt(input, end) { input := add(input, 0x20) } {
                ok := and(ok, accumulate(sum, point, calldataload(input)))
                point := add(point, 0x40)
            }
            if committed {
                // keccak256(domain ‖ key's digest ‖ D ‖ public inputs) mod r.
                let hashed := add(ic, size)
                mstore(hashed, CHALLENGE_DOMAIN)
                mstore(add(hashed, 0x20), digest)
                calldatacopy(add(hashed, 0x40), add(proof.offset, 0x100), 0x40)
                calldatacopy(add(hashed, 0x80), inputs.offset, mul(0x20, count))
                let challenge := mod(keccak256(hashed, add(0x80, mul(0x20, count))), FIELD_ORDER)
                ok := and(ok, accumulate(sum, point, challenge))
                calldatacopy(add(pairs, 0x300), add(proof.offset, 0x100), 0x40)
                extcodecopy(data, add(pairs, 0x340), 0x1c1, 0x80)
            }
            calldatacopy(pairs, proof.offset, 0xc0)
            extcodecopy(data, add(pairs, 0xc0), 0x01, 0xc0)
            extcodecopy(data, add(pairs, 0x1c0), 0xc1, 0x80)
            calldatacopy(add(pairs, 0x240), add(proof.offset, 0xc0), 0x40)
            extcodecopy(data, add(pairs, 0x280), 0x141, 0x80)

            // The identity is all zeros in any group; it would take its pairing out of the equation.
            let b := or(mload(add(pairs, 0x40)), mload(add(pairs, 0x60)))
            b := or(b, or(mload(add(pairs, 0x80)), mload(add(pairs, 0xa0))))
            let one := or(iszero(or(mload(pairs), mload(add(pairs, 0x20)))), iszero(b))
            one := or(one, iszero(or(mload(add(pairs, 0x240)), mload(add(pairs, 0x260)))))
            if committed {
                one := or(one, iszero(or(mload(add(pairs, 0x300)), mload(add(pairs, 0x320)))))
            }
            ok := and(ok, iszero(one))
            if ok {
                ok := staticcall(gas(), 8, pairs, add(0x300, mul(0xc0, committed)), pairs, 0x20)
                // On a chain without the precompile the call succeeds and leaves A where it stands.
                holds := and(and(ok, eq(returndatasize(), 0x20)), eq(mload(pairs), 1))
            }
        }
    }

    /// A point of G1 is checked by adding the identity to it. The whole group has prime order.
    function _checkG1(bytes memory data, uint256 offset, uint256 index) private view {
        bool onCurve;
        bool identity;
        assembly ("memory-safe") {
            let point := add(add(data, 0x20), offset)
            let scratch := mload(0x40)
            mstore(scratch, mload(point))
            mstore(add(scratch, 0x20), mload(add(point, 0x20)))
            mstore(add(scratch, 0x40), 0)
            mstore(add(scratch, 0x60), 0)
            identity := iszero(or(mload(scratch), mload(add(scratch, 0x20))))
            onCurve := staticcall(gas(), 6, scratch, 0x80, scratch, 0x40)
            // Nothing comes back on a chain without the precompile.
            onCurve := and(onCurve, eq(returndatasize(), 0x40))
        }
        if (!onCurve) revert KeyPointOffCurve(index);
        if (identity) revert KeyDegenerate();
    }

    /// Points of G2 are checked by pairing them with the generator of G1: whatever comes out, the
    /// precompile fails on one that is not in its group. Then their y are negated in place.
    function _checkAndNegateG2(bytes memory data, uint256 points) private view {
        bool inGroup;
        bool degenerate;
        assembly ("memory-safe") {
            let first := add(add(data, 0x20), 0x40)
            let scratch := mload(0x40)
            for { let k := 0 } lt(k, points) { k := add(k, 1) } {
                let point := add(first, mul(k, 0x80))
                let pair := add(scratch, mul(k, 0xc0))
                mstore(pair, 1)
                mstore(add(pair, 0x20), 2)
                let any := 0
                for { let w := 0 } lt(w, 0x80) { w := add(w, 0x20) } {
                    let word := mload(add(point, w))
                    mstore(add(add(pair, 0x40), w), word)
                    any := or(any, word)
                }
                degenerate := or(degenerate, iszero(any))
                // No two of β, γ, δ and δc have the same x: of two that are equal or opposite everybody
                // knows the ratio.
                let own := keccak256(point, 0x40)
                for { let j := 0 } lt(j, k) { j := add(j, 1) } {
                    degenerate := or(degenerate, eq(own, keccak256(add(first, mul(j, 0x80)), 0x40)))
                }
            }
            inGroup := staticcall(gas(), 8, scratch, mul(points, 0xc0), scratch, 0x20)
            inGroup := and(inGroup, eq(returndatasize(), 0x20))
            for { let k := 0 } lt(k, points) { k := add(k, 1) } {
                let y := add(add(first, mul(k, 0x80)), 0x40)
                mstore(y, mod(sub(BASE_ORDER, mload(y)), BASE_ORDER))
                mstore(add(y, 0x20), mod(sub(BASE_ORDER, mload(add(y, 0x20))), BASE_ORDER))
            }
        }
        // A point of the curve with a coordinate that is not reduced is refused by the precompile, so
        // equal coordinates have equal bytes.
        if (!inGroup) revert KeyPointNotInG2();
        if (degenerate) revert KeyDegenerate();
    }

    /// Stores bytes as the code of a new contract, behind a STOP, so that it cannot be run.
    function _store(bytes memory data) private returns (address stored) {
        // PUSH2 size, DUP1, PUSH1 10, RETURNDATASIZE (0), CODECOPY, RETURNDATASIZE, RETURN: returns
        // what follows.
        bytes memory creation =
            abi.encodePacked(hex"61", uint16(data.length + 1), hex"80600a3d393df300", data);
        assembly ("memory-safe") {
            stored := create(0, add(creation, 0x20), mload(creation))
        }
        if (stored == address(0)) revert KeyNotStored();
    }
}
