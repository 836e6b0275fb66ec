//! `MaxPool` on 8-bit tensors: exact on integers.

use proofmark_gadgets::{Lowering, Num, max::max};
use proofmark_tensor::IntTensor;

use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar};
use crate::window::{Window, kernel_shape};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "MaxPool",
    domain: "",
    since: 12,
    summary: "largest value of each window, strides, pads, dilations; padding never wins",
    limits: "8-bit tensors; batch 1; 1 or 2 spatial dimensions; no ceil_mode, no indices output",
    cost: "10 for each window element after the first",
    portability: "every processor",
    vectors: Vec::new,
    parse,
};

#[derive(Debug)]
struct MaxPool {
    node: String,
    output: Fact,
    channels: usize,
    window: Window,
}

impl Operator for MaxPool {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        let (rows, columns) = (self.window.rows, self.window.columns);
        let mut out = Vec::with_capacity(self.output.len());
        for c in 0..self.channels {
            for oh in 0..rows.output {
                for ow in 0..columns.output {
                    let mut largest = self.output.elem.min();
                    for kh in 0..rows.kernel {
                        for kw in 0..columns.kernel {
                            let h = (oh * rows.stride + kh * rows.dilation).wrapping_sub(rows.pad_begin);
                            let w = (ow * columns.stride + kw * columns.dilation)
                                .wrapping_sub(columns.pad_begin);
                            if h < rows.input && w < columns.input {
                                let at = (c * rows.input + h) * columns.input + w;
                                largest = largest.max(x.get(at).copied().unwrap_or(largest));
                            }
                        }
                    }
                    out.push(largest);
                }
            }
        }
        Ok(out)
    }

    fn synthesize(&self, cx: &mut Lowering<'_>, inputs: &[&TensorVar]) -> Result<Vec<Num>, OpsError> {
        let x = inputs.first().map(|t| t.nums.as_slice()).unwrap_or_default();
        let plane = self.window.rows.input * self.window.columns.input;
        let mut out = Vec::with_capacity(self.output.len());
        for c in 0..self.channels {
            for row in 0..self.window.rows.output {
                for column in 0..self.window.columns.output {
                    let mut largest: Option<Num> = None;
                    for (_, source) in self.window.taps(row, column) {
                        let num = x.get(c * plane + source).ok_or_else(|| OpsError::Internal {
                            node: self.node.clone(),
                            reason: "window outside of the input".to_owned(),
                        })?;
                        largest = Some(match largest {
                            None => num.clone(),
                            Some(so_far) => max(cx, &so_far, num)?,
                        });
                    }
                    // A window that lies in the padding whole yields the type's minimum.
                    let lowest = i64::from(self.output.elem.min());
                    out.push(largest.unwrap_or_else(|| Num::constant(cx, lowest)));
                }
            }
        }
        Ok(out)
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&[
        "auto_pad",
        "ceil_mode",
        "dilations",
        "kernel_shape",
        "pads",
        "storage_order",
        "strides",
    ])?;
    if cx.int("ceil_mode", 0)? != 0 || cx.int("storage_order", 0)? != 0 {
        return Err(Refusal::new(
            "ceil_mode or storage_order is set",
            "export the pool with ceil_mode = 0 and storage_order = 0; pad explicitly",
        ));
    }
    if cx.node.output(1).is_some() {
        return Err(Refusal::new("the indices output is used", "use the values output only"));
    }
    let (name, x) = cx.data(0)?;
    let [1, channels, spatial @ ..] = x.shape.as_slice() else {
        return Err(Refusal::new(format!("input shape {:?}", x.shape), "use batch 1, channels first"));
    };
    if x.elem.bits() != 8 {
        return Err(Refusal::new(format!("a pool over {}", x.elem), "pool 8-bit tensors"));
    }
    let kernel = kernel_shape(cx, spatial.len())?
        .ok_or_else(|| Refusal::new("no kernel_shape", "give the attribute kernel_shape"))?;
    let window = Window::parse(cx, spatial, &kernel)?;
    let mut shape = vec![1, *channels];
    shape.extend_from_slice(&window.output);
    let shape = cx.bounded(shape)?;
    let pool = MaxPool {
        node: cx.node.name.clone(),
        output: Fact { elem: x.elem, shape },
        channels: *channels,
        window,
    };
    Ok(Parsed { operator: Box::new(pool), data: vec![name] })
}
