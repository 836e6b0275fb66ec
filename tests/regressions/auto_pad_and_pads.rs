//! A convolution with auto_pad and pads, even pads of 0: the compiler took it, the runtime does not
//! load it.

use proofmark_onnx::Attribute;
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::ElemType::{Int32, Uint8};
use proofmark_tests::build::Builder;

#[test]
fn is_refused_by_both() {
    let mut b = Builder::new();
    let x = b.input(Uint8, &[1, 1, 4]);
    let w = b.ints(Uint8, &[1, 1, 2], vec![1, 2]);
    let attributes = [
        ("auto_pad", Attribute::String("VALID".to_owned())),
        ("pads", Attribute::Ints(vec![0, 0])),
    ];
    let y = b.node("", "ConvInteger", &[&x, &w], &attributes);
    b.output(&y, Int32, &[1, 1, 3]);
    let model = b.finish();
    assert!(crate::refusal(&model).contains("auto_pad with pads"));
    let bytes = proofmark_onnx::encode(&model);
    assert!(IntSession::load(&bytes, OptLevel::DisableAll).is_err());
}
