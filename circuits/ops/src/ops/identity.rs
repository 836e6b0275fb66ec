//! `Identity`: the same tensor.

use proofmark_tensor::ElemType::{Int32, Uint8};

use super::relabel::Relabel;
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Identity",
    domain: "",
    since: 1,
    summary: "the same tensor under another name",
    limits: "none",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[])?;
    let (name, x) = cx.data(0)?;
    Ok(Parsed {
        operator: Box::new(Relabel::identity(x)),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    vec![
        Vector::new("nothing changes", &SPEC, &["x"])
            .input("x", Int32, &[2], &[i32::MIN, i32::MAX])
            .gives(Int32, &[2], &[i32::MIN, i32::MAX]),
        Vector::new("an attribute that the operator has not", &SPEC, &["x"])
            .input("x", Uint8, &[1], &[0])
            .attribute("axis", proofmark_onnx::Attribute::Int(0))
            .refused("axis"),
    ]
}
