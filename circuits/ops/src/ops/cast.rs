//! `Cast` between integer types: the same integers under another type.

use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::{Attribute, Node};
use proofmark_tensor::{ElemType, IntTensor};

use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Cast",
    domain: "",
    since: 6,
    summary: "8-bit integers to int32; int32 to 8 bits where every value fits",
    limits: "no cast between uint8 and int8; to 8 bits only where the proven interval fits",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

#[derive(Debug)]
struct Cast {
    node: String,
    output: Fact,
}

impl Operator for Cast {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        // ONNX: an integer that does not fit keeps its low bits.
        let low = |v: i32| match self.output.elem {
            ElemType::Uint8 => v & 0xff,
            ElemType::Int8 => ((v & 0xff) ^ 0x80) - 0x80,
            ElemType::Int32 => v,
        };
        Ok(x.iter().map(|&v| low(v)).collect())
    }

    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        let x = inputs
            .first()
            .map(|t| t.nums.as_slice())
            .unwrap_or_default();
        let elem = self.output.elem;
        let (min, max) = (i64::from(elem.min()), i64::from(elem.max()));
        if let Some(bad) = x.iter().find(|num| num.lo() < min || num.hi() > max) {
            return Err(OpsError::Interval {
                node: cx.path(&self.node),
                reason: format!("values {} ..= {} may leave {elem}", bad.lo(), bad.hi()),
                remedy: "clip the values to the type first (Clip, or Max and Min)",
            });
        }
        Ok(x.to_vec())
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    // `saturate` and `round_mode` speak of casts to 8-bit floats only.
    cx.only_attributes(&["to", "saturate", "round_mode"])?;
    let (name, x) = cx.data(0)?;
    let to = cx.int("to", 0)?;
    let elem = match to {
        2 => ElemType::Uint8,
        3 => ElemType::Int8,
        6 => ElemType::Int32,
        other => {
            return Err(Refusal::new(
                format!("a cast to the ONNX type {other}"),
                "keep integers; casts go to uint8 (2), int8 (3) and int32 (6)",
            ));
        }
    };
    if x.elem != elem && x.elem.bits() == elem.bits() {
        return Err(Refusal::new(
            format!("a cast from {} to {elem}, which wraps", x.elem),
            "cast to int32, add or subtract 128, and cast back",
        ));
    }
    let cast = Cast {
        node: cx.node.name.clone(),
        output: Fact {
            elem,
            shape: x.shape,
        },
    };
    Ok(Parsed {
        operator: Box::new(cast),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let to = |vector: Vector, elem: i64| vector.attribute("to", Attribute::Int(elem));
    let of = |name, elem, values: &[i32]| {
        Vector::new(name, &SPEC, &["x"]).input("x", elem, &[2], values)
    };
    let halved = |name| {
        let wide = Node::new("wide", "Cast", &["x"], &["w"]);
        Vector::new(name, &SPEC, &["h"])
            .input("x", ElemType::Uint8, &[2], &[7, 255])
            .ints("two", ElemType::Int32, &[], &[2])
            .after(wide.with("to", Attribute::Int(6)))
            .after(Node::new("half", "Div", &["w", "two"], &["h"]))
    };
    vec![
        to(of("uint8 to int32", ElemType::Uint8, &[0, 255]), 6).gives(
            ElemType::Int32,
            &[2],
            &[0, 255],
        ),
        to(of("int8 to int32", ElemType::Int8, &[-128, 127]), 6).gives(
            ElemType::Int32,
            &[2],
            &[-128, 127],
        ),
        to(of("to its own type", ElemType::Int8, &[-128, 127]), 3).gives(
            ElemType::Int8,
            &[2],
            &[-128, 127],
        ),
        to(halved("int32 to int8 where it fits"), 3).gives(ElemType::Int8, &[2], &[3, 127]),
        to(halved("int32 to uint8 where it fits"), 2).gives(ElemType::Uint8, &[2], &[3, 127]),
        to(
            Vector::new("int32 to uint8 where it may not fit", &SPEC, &["x"]).input(
                "x",
                ElemType::Int32,
                &[1],
                &[1],
            ),
            2,
        )
        .refused("may leave uint8"),
        to(of("uint8 to int8", ElemType::Uint8, &[1, 2]), 3).refused("which wraps"),
        to(of("to float", ElemType::Uint8, &[1, 2]), 1).refused("a cast to the ONNX type 1"),
    ]
}
