// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title What a consumer needs to act on a proof: the context, and typed values from public inputs
/// @notice Public inputs stand in this order: the context, the model's inputs, its outputs. A public
/// tensor of at most 8 elements takes one public input for each; a larger one is packed,
/// little-endian, 31 elements of 8 bits or 7 of 32 bits a public input. Elements are offset-binary:
/// the value minus its type's minimum. A hashed or private tensor takes one public input, its digest.
library Outputs {
    /// @notice Element types of tensors.
    enum Elem {
        Uint8,
        Int8,
        Int32
    }

    /// @notice A public input that no tensor of this type and length packs to.
    error NotCanonical(uint256 index);
    /// @notice The public inputs end before the tensor does.
    error TooFewPublicInputs(uint256 expected, uint256 got);
    /// @notice There is no element to choose from.
    error Empty();

    /// @notice Order of BN254's scalar field: every public input is below it.
    uint256 internal constant FIELD_ORDER =
        0x30644e72e131a029b85045b68181585d2833e84879b9709143e1f593f0000001;
    /// @notice Largest public tensor that is not packed.
    uint256 internal constant MAX_RAW_ELEMENTS = 8;

    /// @notice The context that a proof for the calling contract, on this chain, must carry. Compute
    /// it here from what you know; never take it from whoever brings the proof. Then refuse a
    /// deadline that has passed and a context that was used: proof bytes are no key, since anybody
    /// can change them into others that verify.
    function context(bytes32 requester, bytes32 nonce, uint64 deadline) internal view returns (uint256) {
        return contextOf(block.chainid, address(this), requester, nonce, deadline);
    }

    /// @notice The context for any chain and consumer.
    function contextOf(
        uint256 chainId,
        address consumer,
        bytes32 requester,
        bytes32 nonce,
        uint64 deadline
    ) internal pure returns (uint256) {
        return uint256(
            keccak256(
                abi.encode("proofmark/context/v1", chainId, consumer, requester, nonce, deadline)
            )
        ) >> 8;
    }

    /// @notice Number of public inputs that a public tensor takes.
    function positions(Elem elem, uint256 count) internal pure returns (uint256) {
        if (count <= MAX_RAW_ELEMENTS) return count;
        uint256 per = perWord(elem);
        return (count + per - 1) / per;
    }

    /// @notice Elements that one public input holds when packed.
    function perWord(Elem elem) internal pure returns (uint256) {
        return elem == Elem.Int32 ? 7 : 31;
    }

    /// @notice The values of the public tensor whose first public input is `inputs[first]`,
    /// row-major. Reverts where the proof could not have come from a tensor of this type and length.
    function decode(uint256[] calldata inputs, uint256 first, Elem elem, uint256 count)
        internal
        pure
        returns (int32[] memory values)
    {
        uint256 needed = first + positions(elem, count);
        if (inputs.length < needed) revert TooFewPublicInputs(needed, inputs.length);
        values = new int32[](count);
        uint256 bits = elem == Elem.Int32 ? 32 : 8;
        uint256 mask = (1 << bits) - 1;
        uint256 per = count <= MAX_RAW_ELEMENTS ? 1 : perWord(elem);
        int256 least = minimum(elem);
        uint256 done = 0;
        for (uint256 position = first; position < needed; ++position) {
            uint256 word = inputs[position];
            for (uint256 k = 0; k < per && done < count; ++k) {
                // At most 32 bits and a minimum of 32 bits: within int32 by construction.
                values[done++] = int32(int256(word & mask) + least);
                word >>= bits;
            }
            if (word != 0) revert NotCanonical(position);
        }
    }

    /// @notice Index of the largest value; the lowest one of equals, as a reader of a receipt takes it.
    function argmax(int32[] memory values) internal pure returns (uint256 best) {
        if (values.length == 0) revert Empty();
        for (uint256 k = 1; k < values.length; ++k) {
            if (values[k] > values[best]) best = k;
        }
    }

    /// @notice Least value of the type: what an element of 0 stands for.
    function minimum(Elem elem) internal pure returns (int256) {
        if (elem == Elem.Uint8) return 0;
        return elem == Elem.Int8 ? int256(type(int8).min) : int256(type(int32).min);
    }
}
