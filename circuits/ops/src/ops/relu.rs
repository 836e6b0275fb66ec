//! `Relu` on signed integers.

use proofmark_tensor::ElemType::{Int8, Int32, Uint8};

use super::clip::Clamp;
use crate::context::{NodeContext, Refusal};
use crate::operator::{OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Relu",
    domain: "",
    since: 14,
    summary: "the larger of the value and 0",
    limits: "int8 and int32 (ONNX has no Relu on uint8)",
    cost: "9 for int8, 33 for int32; 0 where the interval is on one side of 0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[])?;
    let (name, x) = cx.data(0)?;
    if x.elem == Uint8 {
        return Err(Refusal::new(
            "Relu on uint8, which ONNX does not define",
            "remove the node, or clip at the zero point with Clip or Max",
        ));
    }
    let hi = x.elem.max();
    Ok(Parsed {
        operator: Box::new(Clamp {
            output: x,
            lo: 0,
            hi,
        }),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    vec![
        Vector::new("negative values become 0", &SPEC, &["x"])
            .input("x", Int8, &[5], &[-128, -1, 0, 1, 127])
            .gives(Int8, &[5], &[0, 0, 0, 1, 127])
            .saturating(),
        Vector::new("int32", &SPEC, &["x"])
            .input("x", Int32, &[1, 3], &[i32::MIN, -1, i32::MAX])
            .gives(Int32, &[1, 3], &[0, 0, i32::MAX]),
        Vector::new("uint8", &SPEC, &["x"])
            .input("x", Uint8, &[1], &[0])
            .refused("uint8"),
    ]
}
