// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title ERC-165
interface IERC165 {
    /// @notice Whether the contract implements the interface.
    function supportsInterface(bytes4 interfaceId) external view returns (bool);
}
