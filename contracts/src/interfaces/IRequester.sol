// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title A contract that asks for inferences and acts on them
interface IRequester {
    /// @notice Called once for a request that was fulfilled, with at most the gas it named. Refuse
    /// every caller but the `Requests` contract that was asked.
    /// @param id The request.
    /// @param outputs The public inputs of the model's outputs, as `Outputs` decodes them; proven.
    function inferenceFulfilled(bytes32 id, uint256[] calldata outputs) external;
}
