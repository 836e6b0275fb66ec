//! `Cast` between integer types: the same integers under another type.

use proofmark_gadgets::{Lowering, Num};
use proofmark_tensor::{ElemType, IntTensor};

use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Cast",
    domain: "",
    since: 6,
    summary: "8-bit integers to int32; int32 to 8 bits where every value fits",
    limits: "no cast between uint8 and int8; to 8 bits only where the proven interval fits",
    cost: "0",
    portability: "every processor",
    vectors: Vec::new,
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
