// SPDX-License-Identifier: MIT OR Apache-2.0
pragma solidity ^0.8.24;

import {Outputs} from "src/Outputs.sol";
import {Requests} from "src/Requests.sol";
import {IRequester} from "src/interfaces/IRequester.sol";

/// A requester that behaves as a test tells it to.
contract Callback is IRequester {
    enum Mode {
        Record,
        Revert,
        BurnGas,
        ReturnBomb,
        Attack
    }

    Requests public immutable requests;
    Mode public mode;
    bytes public attack;
    bool public attackSucceeded;
    uint256 public calls;
    uint256 public lastOutput;

    constructor(Requests requests_) {
        requests = requests_;
    }

    function arm(Mode mode_, bytes calldata attack_) external {
        mode = mode_;
        attack = attack_;
    }

    function ask(uint256 modelId, uint256[] calldata inputs, uint64 callbackGas, uint64 deadline)
        external
        payable
        returns (bytes32)
    {
        return requests.request{value: msg.value}(
            modelId, inputs, "", address(0), callbackGas, deadline
        );
    }

    function withdraw() external {
        requests.withdraw(payable(address(this)));
    }

    /// As a prover that is a contract.
    function run(bytes calldata message) external {
        (bool done, bytes memory answer) = address(requests).call(message);
        if (!done) {
            assembly {
                revert(add(answer, 0x20), mload(answer))
            }
        }
    }

    function inferenceFulfilled(bytes32, uint256[] calldata outputs) external {
        require(msg.sender == address(requests), "not the oracle");
        if (mode == Mode.Revert) revert("no");
        if (mode == Mode.BurnGas) {
            while (true) {}
        }
        if (mode == Mode.ReturnBomb) {
            assembly {
                revert(0, 60000)
            }
        }
        if (mode == Mode.Attack) (attackSucceeded,) = address(requests).call(attack);
        calls += 1;
        lastOutput = outputs[0];
    }

    receive() external payable {
        if (mode == Mode.Revert) revert("no");
        if (mode == Mode.Attack) (attackSucceeded,) = address(requests).call(attack);
    }
}

/// Makes the library's internal functions callable.
contract OutputsHarness {
    function context(bytes32 requester, bytes32 nonce, uint64 deadline) external view returns (uint256) {
        return Outputs.context(requester, nonce, deadline);
    }

    function contextOf(
        uint256 chainId,
        address consumer,
        bytes32 requester,
        bytes32 nonce,
        uint64 deadline
    ) external pure returns (uint256) {
        return Outputs.contextOf(chainId, consumer, requester, nonce, deadline);
    }

    function decode(uint256[] calldata inputs, uint256 first, Outputs.Elem elem, uint256 count)
        external
        pure
        returns (int32[] memory)
    {
        return Outputs.decode(inputs, first, elem, count);
    }

    function argmax(int32[] calldata values) external pure returns (uint256) {
        return Outputs.argmax(values);
    }

    function positions(Outputs.Elem elem, uint256 count) external pure returns (uint256) {
        return Outputs.positions(elem, count);
    }
}
