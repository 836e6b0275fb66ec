//! Shapes and axes as a constant of rank 2: the compiler took them, the runtime loads the model and
//! fails whenever it runs.

use proofmark_onnx::{Tensor, TensorData};
use proofmark_tensor::ElemType::Uint8;
use proofmark_tests::build::Builder;

#[test]
fn are_refused() {
    for (op, list, output) in [
        ("Reshape", vec![2, 1], vec![2, 1]),
        ("Unsqueeze", vec![0, 1], vec![1, 1, 1, 2]),
        ("Expand", vec![2, 2], vec![2, 2]),
    ] {
        let mut b = Builder::new();
        let x = b.input(Uint8, &[1, 2]);
        let data = TensorData::Int64(list);
        let list = b.constant(Tensor::new(vec![1, 2], data).expect("two"));
        let y = b.node("", op, &[&x, &list], &[]);
        b.output(&y, Uint8, &output);
        assert!(crate::refusal(&b.finish()).contains("int64 list"), "{op}");
    }
}
