//! A receipt with every kind of tensor record, for the tests of this module.

use ed25519_dalek::SigningKey;

use super::{ModelRef, Opening, Receipt, RecordValue, SetupRef, Software, TensorRecord};
use crate::context::Context;
use crate::digest::Digest;
use crate::field::Fr;
use crate::manifest::{RuntimePin, SetupKind};
use crate::tensor::{ElemType, IntTensor};

pub(super) fn key() -> SigningKey {
    SigningKey::from_bytes(&[7; 32])
}

pub(super) fn sample() -> Receipt {
    let x = IntTensor::new(ElemType::Uint8, vec![1, 3], vec![0, 128, 255]).unwrap();
    let y = IntTensor::new(ElemType::Int32, vec![1, 2], vec![-5, 9]).unwrap();
    Receipt {
        package: Digest::of(b"package"),
        model: ModelRef {
            name: "m".into(),
            version: "1".into(),
            integer_model: Digest::of(b"onnx"),
        },
        circuit: Digest::of(b"circuit"),
        verifying_key: Digest::of(b"vk"),
        setup: SetupRef {
            kind: SetupKind::SingleParty,
            transcript: Digest::of(b"transcript"),
        },
        runtime: RuntimePin::current(),
        software: Software {
            name: "proofmark".into(),
            version: "0.1.0".into(),
        },
        context: Context::off_chain([3; 32]),
        inputs: vec![
            TensorRecord::public("x", x),
            TensorRecord {
                name: "z".into(),
                elem: ElemType::Int8,
                shape: vec![4],
                value: RecordValue::Private(Fr::from(12)),
            },
        ],
        outputs: vec![
            TensorRecord::public("y", y),
            TensorRecord {
                name: "h".into(),
                elem: ElemType::Int8,
                shape: vec![40],
                value: RecordValue::Hashed(Fr::from(-1)),
            },
        ],
        proof: core::array::from_fn::<u8, 256, _>(|k| u8::try_from(k).unwrap()).into(),
        proved_at: 1_760_000_000,
        signer: key().verifying_key().to_bytes(),
    }
}

pub(super) fn openings() -> Vec<Opening> {
    let tensor = IntTensor::new(ElemType::Int8, vec![1, 2], vec![-128, 5]).unwrap();
    vec![
        Opening {
            name: "x".to_owned(),
            tensor: tensor.clone(),
            salt: Some(Fr::from(7)),
        },
        Opening {
            name: "y".to_owned(),
            tensor,
            salt: None,
        },
    ]
}
