// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Owned} from "./Owned.sol";
import {IKeyedVerifier} from "./interfaces/IKeyedVerifier.sol";
import {IProofVerifier} from "./interfaces/IProofVerifier.sol";

/// @title Finds the verifier of a key, with an emergency stop
/// @notice What the owner can do is this: add a verifier for a key that has none, retire a key for
/// ever, and stop everything for a time. A key is never given another verifier, not even after it was
/// retired. While stopped, and for a retired key, every verification reverts; nothing is ever
/// answered with `true` that no verifier accepted.
///
/// The *first* verifier of a key is the owner's choice, and its word on its key is all that is checked
/// here. Before you pin a router, look at `verifierOf` your key: it must be a `UniversalVerifier` or a
/// generated verifier, not a proxy, whose code somebody could exchange under the address.
contract Router is IKeyedVerifier, Owned {
    event VerifierAdded(bytes32 indexed key, address indexed verifier, bool keyed);
    event KeyRetired(bytes32 indexed key);
    event Paused();
    event Resumed();

    /// @notice The owner has stopped verification for a time.
    error IsPaused();
    /// @notice The key was retired: it or its circuit was found unsound.
    error KeyIsRetired(bytes32 key);
    /// @notice The key has a verifier, or was retired.
    error KeyTaken(bytes32 key);
    /// @notice The verifier is no contract, or is not one of this key.
    error VerifierMismatch(bytes32 key, address verifier);

    enum State {
        Unknown,
        Fixed,
        Keyed,
        Retired
    }

    struct Route {
        address verifier;
        State state;
    }

    bool public paused;
    mapping(bytes32 key => Route) private _routes;

    constructor(address owner_) Owned(owner_) {}

    /// @notice Adds the generated verifier of a key.
    function addVerifier(bytes32 key, IProofVerifier verifier) external onlyOwner {
        if (!_isContract(address(verifier)) || verifier.keyDigest() != key) {
            revert VerifierMismatch(key, address(verifier));
        }
        _add(key, address(verifier), State.Fixed);
    }

    /// @notice Adds a key that a universal verifier knows.
    function addKeyed(bytes32 key, IKeyedVerifier verifier) external onlyOwner {
        if (!_isContract(address(verifier)) || address(verifier) == address(this)) {
            revert VerifierMismatch(key, address(verifier));
        }
        // Reverts for a key that the verifier does not know.
        verifier.proofSystemId(key);
        _add(key, address(verifier), State.Keyed);
    }

    /// @notice Retires a key for ever, known or not.
    function retire(bytes32 key) external onlyOwner {
        Route storage route = _routes[key];
        if (route.state == State.Retired) revert KeyIsRetired(key);
        route.state = State.Retired;
        emit KeyRetired(key);
    }

    /// @notice Stops verification. Consumers keep their refunds: those never ask a verifier.
    function pause() external onlyOwner {
        paused = true;
        emit Paused();
    }

    /// @notice Resumes verification.
    function resume() external onlyOwner {
        paused = false;
        emit Resumed();
    }

    /// @notice The verifier of a key; zero for an unknown one.
    function verifierOf(bytes32 key) external view returns (address verifier, State state) {
        Route memory route = _routes[key];
        return (route.verifier, route.state);
    }

    /// @inheritdoc IKeyedVerifier
    function verifyProof(bytes32 key, bytes calldata proof, uint256[] calldata inputs)
        external
        view
        returns (bool)
    {
        Route memory route = _find(key);
        if (route.state == State.Keyed) {
            return IKeyedVerifier(route.verifier).verifyProof(key, proof, inputs);
        }
        return IProofVerifier(route.verifier).verifyProof(proof, inputs);
    }

    /// @inheritdoc IKeyedVerifier
    function requireProof(bytes32 key, bytes calldata proof, uint256[] calldata inputs) external view {
        Route memory route = _find(key);
        if (route.state == State.Keyed) {
            IKeyedVerifier(route.verifier).requireProof(key, proof, inputs);
        } else {
            IProofVerifier(route.verifier).requireProof(proof, inputs);
        }
    }

    /// @inheritdoc IKeyedVerifier
    function proofSystemId(bytes32 key) external view returns (bytes4) {
        Route memory route = _find(key);
        if (route.state == State.Keyed) return IKeyedVerifier(route.verifier).proofSystemId(key);
        return IProofVerifier(route.verifier).proofSystemId();
    }

    function _add(bytes32 key, address verifier, State state) private {
        if (_routes[key].state != State.Unknown) revert KeyTaken(key);
        _routes[key] = Route(verifier, state);
        emit VerifierAdded(key, verifier, state == State.Keyed);
    }

    /// An account that delegates (EIP-7702) has 23 bytes of code, and its holder gives it others.
    function _isContract(address verifier) private view returns (bool) {
        return verifier.code.length > 23;
    }

    function _find(bytes32 key) private view returns (Route memory route) {
        if (paused) revert IsPaused();
        route = _routes[key];
        if (route.state == State.Unknown) revert KeyUnknown(key);
        if (route.state == State.Retired) revert KeyIsRetired(key);
    }
}
