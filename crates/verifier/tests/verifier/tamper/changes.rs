//! What the tamper manifest does to leaves: other values in the JSON text, and the same change in
//! the receipt's content.

use proofmark_types::manifest::{Backend, Visibility};
use proofmark_types::receipt::{RecordValue, TensorRecord};
use proofmark_types::{Digest, ElemType, Fr, IntTensor, ProofBytes, Receipt};

use crate::tamper::cases::Case;
use crate::tamper::manifest::Place;

pub(super) fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

pub(super) fn other_digest(_: &Case, _: &str) -> String {
    quoted(&Digest::of(b"other").to_string())
}

pub(super) fn other_word(_: &Case, _: &str) -> String {
    quoted(&format!("0x{}07", "0".repeat(62)))
}

pub(super) fn longer(_: &Case, old: &str) -> String {
    (old.parse::<usize>().unwrap() + 1).to_string()
}

const fn other_type(elem: ElemType) -> ElemType {
    match elem {
        ElemType::Uint8 | ElemType::Int32 => ElemType::Int8,
        ElemType::Int8 => ElemType::Uint8,
    }
}

pub(super) fn other_elem(_: &Case, old: &str) -> String {
    quoted(other_type(serde_json::from_str(old).unwrap()).name())
}

pub(super) fn other_hidden(_: &Case, old: &str) -> String {
    quoted(if old.contains("hashed") {
        "private"
    } else {
        "hashed"
    })
}

pub(super) fn nothing(_: &Case, _: &mut Receipt, _: Place) {}

pub(super) fn other_proof_system(case: &Case, receipt: &mut Receipt, _: Place) {
    receipt.proof = match case.other_backend() {
        Backend::Groth16 => ProofBytes::from([7; 256]),
        Backend::Groth16Logup => ProofBytes::from([7; 320]),
    };
}

/// Changes type, shape or values of a record, its values with them: as many as the shape says, in
/// the range of the type.
pub(super) fn edit(
    record: &mut TensorRecord,
    change: impl FnOnce(&mut ElemType, &mut Vec<usize>, &mut Vec<i32>),
) {
    let (mut elem, mut shape) = (record.elem, record.shape.clone());
    let mut values = match &record.value {
        RecordValue::Public(tensor) => tensor.data().to_vec(),
        RecordValue::Hashed(_) | RecordValue::Private(_) => Vec::new(),
    };
    change(&mut elem, &mut shape, &mut values);
    (record.elem, record.shape) = (elem, shape.clone());
    if let RecordValue::Public(tensor) = &mut record.value {
        values.resize(shape.iter().product(), 0);
        let values = values.iter().map(|v| (*v).clamp(elem.min(), elem.max()));
        *tensor = IntTensor::new(elem, shape, values.collect()).unwrap();
    }
}

pub(super) fn rename(_: &Case, receipt: &mut Receipt, place: Place) {
    place.record(receipt).name = "other".to_owned();
}

pub(super) fn retype(_: &Case, receipt: &mut Receipt, place: Place) {
    edit(place.record(receipt), |elem, _, _| {
        *elem = other_type(*elem);
    });
}

pub(super) fn reshape(_: &Case, receipt: &mut Receipt, place: Place) {
    edit(place.record(receipt), |_, shape, _| {
        shape[place.dimension] += 1;
    });
}

pub(super) fn hide(_: &Case, receipt: &mut Receipt, place: Place) {
    place.record(receipt).value = RecordValue::Hashed(Fr::from(7));
}

pub(super) fn rehide(_: &Case, receipt: &mut Receipt, place: Place) {
    let record = place.record(receipt);
    record.value = match &record.value {
        RecordValue::Hashed(x) => RecordValue::Private(*x),
        RecordValue::Private(x) => RecordValue::Hashed(*x),
        RecordValue::Public(_) => panic!("a hidden record"),
    };
}

pub(super) fn recommit(_: &Case, receipt: &mut Receipt, place: Place) {
    let record = place.record(receipt);
    record.value = match record.visibility() {
        Visibility::Hashed => RecordValue::Hashed(Fr::from(7)),
        Visibility::Private => RecordValue::Private(Fr::from(7)),
        Visibility::Public => panic!("a hidden record"),
    };
}
