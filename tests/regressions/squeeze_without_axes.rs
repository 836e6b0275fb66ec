//! `Squeeze` with an empty list of axes: the runtime drops all dimensions of size 1, as without a
//! list; the compiler dropped none.

use std::collections::BTreeMap;

use proofmark_runtime::{IntSession, OptLevel};
use proofmark_tensor::ElemType::Int8;
use proofmark_tensor::IntTensor;
use proofmark_tests::build::Builder;

#[test]
fn is_refused() {
    let mut b = Builder::new();
    let x = b.input(Int8, &[1, 2, 1]);
    let axes = b.int64s(&[]);
    let y = b.node("", "Squeeze", &[&x, &axes], &[]);
    b.output(&y, Int8, &[2]);
    let model = b.finish();
    assert!(crate::refusal(&model).contains("empty list of axes"));
    // What the runtime makes of it.
    let bytes = proofmark_onnx::encode(&model);
    let session = IntSession::load(&bytes, OptLevel::DisableAll).expect("loads");
    let input = IntTensor::new(Int8, vec![1, 2, 1], vec![3, 4]).expect("a tensor");
    let outputs = session.run(&BTreeMap::from([(x, input)])).expect("runs");
    assert_eq!(outputs[&y].shape(), [2]);
}
