//! The consumers' library: the same context and the same values as in Rust.

use ark_bn254::Fr;
use proofmark_tests::Random;
use proofmark_tests::build::random_tensor;
use proofmark_types::statement::public_elements;
use proofmark_types::{Context, ElemType};
use revm::primitives::{Address, B256, U256};

use crate::chain::{CHAIN_ID, Chain, account, calldata};
use crate::compile::test_contract;
use crate::keys::{word, words};

const DECODE: &str = "decode(uint256[],uint256,uint8,uint256)";

fn deploy() -> (Chain, Address) {
    let mut chain = Chain::new();
    let address = chain.deploy(&test_contract("OutputsHarness"), &[]).0;
    (chain, address)
}

/// The number of a type in Solidity.
const fn elem_number(elem: ElemType) -> u16 {
    match elem {
        ElemType::Uint8 => 0,
        ElemType::Int8 => 1,
        ElemType::Int32 => 2,
    }
}

/// What `decode` returns: offset, length, values.
fn values(output: &[u8]) -> Vec<i32> {
    output
        .chunks(32)
        .skip(2)
        .map(|word| {
            let (sign, low) = word.split_at(28);
            let value = i32::from_be_bytes(low.try_into().unwrap());
            assert!(sign.iter().all(|b| *b == if value < 0 { 0xff } else { 0 }));
            value
        })
        .collect()
}

#[test]
fn contexts_are_those_of_the_statement() {
    let (mut chain, address) = deploy();
    for seed in 0..8_u8 {
        let context = Context {
            chain_id: U256::from(CHAIN_ID + u64::from(seed) * 1000).to_be_bytes(),
            consumer: [seed.wrapping_mul(37); 20],
            requester: [seed; 32],
            nonce: [255 - seed; 32],
            deadline: u64::from(seed) << 50,
        };
        let arguments = (
            U256::from_be_bytes(context.chain_id),
            Address::from(context.consumer),
            B256::from(context.requester),
            B256::from(context.nonce),
            context.deadline,
        );
        let signature = "contextOf(uint256,address,bytes32,bytes32,uint64)";
        let got = chain.call(account(2), address, signature, arguments).word();
        assert_eq!(got, word(&context.digest()));
        // For the contract that asks, on the chain that it is on.
        let own = Context {
            chain_id: U256::from(CHAIN_ID).to_be_bytes(),
            consumer: address.into_array(),
            ..context
        };
        let arguments = (
            B256::from(context.requester),
            B256::from(context.nonce),
            context.deadline,
        );
        let got = chain
            .call(
                account(2),
                address,
                "context(bytes32,bytes32,uint64)",
                arguments,
            )
            .word();
        assert_eq!(got, word(&own.digest()));
    }
}

#[test]
fn values_are_those_of_the_tensor() {
    let (mut chain, address) = deploy();
    let mut random = Random::new(7);
    for elem in [ElemType::Uint8, ElemType::Int8, ElemType::Int32] {
        for count in [1_usize, 2, 7, 8, 9, 14, 15, 31, 32, 62, 63] {
            let tensor = random_tensor(&mut random, elem, &[count]);
            let mut inputs = vec![Fr::from(1), Fr::from(2)];
            inputs.extend(public_elements(&tensor));
            let arguments = (
                words(&inputs),
                U256::from(2),
                elem_number(elem),
                U256::from(count),
            );
            let output = chain
                .call(account(2), address, DECODE, arguments.clone())
                .output;
            assert_eq!(values(&output), tensor.data(), "{elem} {count}");
            let positions = chain
                .call(
                    account(2),
                    address,
                    "positions(uint8,uint256)",
                    (elem_number(elem), U256::from(count)),
                )
                .word();
            assert_eq!(positions, U256::from(inputs.len() - 2));
            // One public input less.
            let mut short = arguments.clone();
            short.0.pop();
            chain.refused(
                account(2),
                address,
                DECODE,
                short,
                "TooFewPublicInputs(uint256,uint256)",
            );
            // A bit above the last element.
            let per = match elem {
                _ if count <= 8 => 1,
                ElemType::Int32 => 7,
                ElemType::Uint8 | ElemType::Int8 => 31,
            };
            let bits = if elem == ElemType::Int32 { 32 } else { 8 };
            let last = (count - 1) % per + 1;
            let mut above = arguments.clone();
            *above.0.last_mut().unwrap() += U256::ONE << (bits * last);
            chain.refused(account(2), address, DECODE, above, "NotCanonical(uint256)");
            let mut first = arguments;
            first.0[2] |= U256::ONE << 255;
            chain.refused(account(2), address, DECODE, first, "NotCanonical(uint256)");
        }
    }
}

#[test]
fn positions_that_overflow_are_refused() {
    let (mut chain, address) = deploy();
    for arguments in [
        (vec![U256::ZERO], U256::MAX, 0_u16, U256::ONE),
        (vec![U256::ZERO], U256::ZERO, 0_u16, U256::MAX),
        (vec![U256::ZERO], U256::ZERO, 2_u16, U256::MAX >> 3),
        (vec![U256::ZERO], U256::ZERO, 3_u16, U256::ONE),
    ] {
        let data = calldata(DECODE, arguments);
        assert!(!chain.send(account(2), address, &data).success);
    }
}

#[test]
fn the_largest_is_the_first_of_equals() {
    let (mut chain, address) = deploy();
    for (list, best) in [
        (vec![3], 0),
        (vec![-5, -3, -3, -9], 1),
        (vec![0, 0, 0], 0),
        (vec![i32::MIN, i32::MAX], 1),
    ] {
        let got = chain
            .call(account(2), address, "argmax(int32[])", (list,))
            .word();
        assert_eq!(got, U256::from(best));
    }
    chain.refused(
        account(2),
        address,
        "argmax(int32[])",
        (Vec::<i32>::new(),),
        "Empty()",
    );
}
