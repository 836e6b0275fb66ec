//! Attributes that say yes or no with another value than 0 and 1: the runtime's `ReduceSum` keeps
//! dimensions only where keepdims is 1, the compiler wherever it was not 0.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::{Int32, Uint8};
use proofmark_tests::build::Builder;

#[test]
fn are_refused() {
    for value in [2, -1, i64::MIN, i64::MAX] {
        let mut b = Builder::new();
        let x = b.input(Int32, &[1, 2]);
        let y = b.node(
            "",
            "ReduceSum",
            &[&x],
            &[("keepdims", Attribute::Int(value))],
        );
        b.output(&y, Int32, &[1, 1]);
        assert!(crate::refusal(&b.finish()).contains("keepdims"), "{value}");

        for name in ["keepdims", "select_last_index"] {
            let mut b = Builder::new();
            let x = b.input(Uint8, &[1, 2]);
            let index = b.node("", "ArgMax", &[&x], &[(name, Attribute::Int(value))]);
            let y = b.node("", "Cast", &[&index], &[("to", Attribute::Int(6))]);
            b.output(&y, Int32, &[1, 2]);
            assert!(crate::refusal(&b.finish()).contains(name), "{value}");
        }
    }
}
