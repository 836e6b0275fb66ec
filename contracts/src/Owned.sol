// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

/// @title An owner who can be changed in two steps, so that none is lost to a mistyped address
abstract contract Owned {
    event OwnershipOffered(address indexed owner, address indexed candidate);
    event OwnershipTaken(address indexed previous, address indexed owner);

    error NotOwner(address caller);
    error NotCandidate(address caller);
    error NoOwner();

    address public owner;
    address public candidate;

    constructor(address first) {
        if (first == address(0)) revert NoOwner();
        owner = first;
        emit OwnershipTaken(address(0), first);
    }

    modifier onlyOwner() {
        if (msg.sender != owner) revert NotOwner(msg.sender);
        _;
    }

    /// @notice Offers ownership; nothing changes until the candidate takes it. An offer to nobody
    /// withdraws an earlier one.
    function offerOwnership(address to) external onlyOwner {
        candidate = to;
        emit OwnershipOffered(owner, to);
    }

    /// @notice Takes the ownership that was offered.
    function takeOwnership() external {
        if (msg.sender != candidate) revert NotCandidate(msg.sender);
        emit OwnershipTaken(owner, msg.sender);
        owner = msg.sender;
        candidate = address(0);
    }
}
