//! A pool with ceil_mode whose last window would begin in the padding behind the input: the
//! runtime's kernel leaves the window out, its shape inference counts it, and the memory planned
//! by the one does not fit the other.

use std::collections::BTreeMap;

use proofmark_onnx::Attribute;
use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::ElemType::{Int8, Int32};
use proofmark_tensor::IntTensor;
use proofmark_tests::build::Builder;

#[test]
fn is_refused() {
    let ints = |list: &[i64]| Attribute::Ints(list.to_vec());
    let mut b = Builder::new();
    let x = b.input(Int8, &[1, 1, 2]);
    let pooled = b.node(
        "",
        "MaxPool",
        &[&x],
        &[
            ("ceil_mode", Attribute::Int(1)),
            ("kernel_shape", ints(&[2])),
            ("pads", ints(&[0, 1])),
            ("strides", ints(&[3])),
        ],
    );
    let wide = b.node("", "Cast", &[&pooled], &[("to", Attribute::Int(6))]);
    b.output(&wide, Int32, &[1, 1, 1]);
    let model = b.finish();
    assert!(crate::refusal(&model).contains("shape inference"));
    // The kernel's own shape, where no planned memory is in the way.
    let session = IntSession::load(&proofmark_onnx::encode(&model), OptLevel::DisableAll);
    let input = IntTensor::new(Int8, vec![1, 1, 2], vec![3, 4]).expect("a tensor");
    if let Ok(outputs) = session.and_then(|s| s.run(&BTreeMap::from([(x, input)]))) {
        assert_eq!(outputs[&wide].shape(), [1, 1, 1]);
    }
}
