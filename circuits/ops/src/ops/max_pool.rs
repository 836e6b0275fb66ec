//! `MaxPool` on 8-bit tensors: exact on integers.

use proofmark_gadgets::{Lowering, Num, max::max};
use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::{Int8, Int32, Uint8};
use proofmark_tensor::IntTensor;

use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, Maxima, OpSpec, Operator, Parsed, TensorVar};
use crate::vector::Vector;
use crate::window::{Window, kernel_shape};

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "MaxPool",
    domain: "",
    since: 12,
    summary: "largest value of each window, strides, pads, dilations; padding never wins",
    limits: "8-bit tensors; batch 1; 1 or 2 spatial dimensions; pads smaller than the kernel; no indices output",
    cost: "10 for each window element after the first",
    portability: "every processor",
    vectors,
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
                            let h = (oh * rows.stride + kh * rows.dilation)
                                .wrapping_sub(rows.pad_begin);
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

    fn synthesize(
        &self,
        cx: &mut Lowering<'_>,
        inputs: &[&TensorVar],
    ) -> Result<Vec<Num>, OpsError> {
        let x = inputs
            .first()
            .map(|t| t.nums.as_slice())
            .unwrap_or_default();
        let mut out = Vec::with_capacity(self.output.len());
        for element in 0..self.output.len() {
            let mut largest: Option<Num> = None;
            for at in self.operands(element) {
                let num = x.get(at).ok_or_else(|| OpsError::Internal {
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
        Ok(out)
    }

    fn maxima(&self) -> Option<&dyn Maxima> {
        Some(self)
    }
}

impl Maxima for MaxPool {
    fn operands(&self, element: usize) -> Vec<usize> {
        let (rows, columns) = (self.window.rows.output, self.window.columns.output);
        let (line, column) = (element / columns, element % columns);
        let plane = self.window.rows.input * self.window.columns.input;
        let first = line / rows * plane;
        let taps = self.window.taps(line % rows, column);
        taps.map(|(_, source)| first + source).collect()
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
    if cx.flag("storage_order", false)? {
        return Err(Refusal::new(
            "storage_order is set",
            "export the pool with storage_order = 0",
        ));
    }
    if cx.node.output(1).is_some() {
        return Err(Refusal::new(
            "the indices output is used",
            "use the values output only",
        ));
    }
    let (name, x) = cx.data(0)?;
    let [1, channels, spatial @ ..] = x.shape.as_slice() else {
        return Err(Refusal::new(
            format!("input shape {:?}", x.shape),
            "use batch 1, channels first",
        ));
    };
    if x.elem.bits() != 8 {
        return Err(Refusal::new(
            format!("a pool over {}", x.elem),
            "pool 8-bit tensors",
        ));
    }
    let kernel = kernel_shape(cx, spatial.len())?
        .ok_or_else(|| Refusal::new("no kernel_shape", "give the attribute kernel_shape"))?;
    let pads = cx.int_list("pads")?.unwrap_or_default();
    let fits = |(&pad, &size): (&i64, &usize)| usize::try_from(pad).is_ok_and(|pad| pad < size);
    if !pads.iter().zip(kernel.iter().cycle()).all(fits) {
        return Err(Refusal::new(
            format!("pads {pads:?} around a kernel of {kernel:?}, which the runtime does not run"),
            "pad by less than the kernel, and with a Pad node where more is meant",
        ));
    }
    let window = Window::parse(cx, spatial, &kernel)?;
    let mut shape = vec![1, *channels];
    shape.extend_from_slice(&window.output);
    let shape = cx.bounded(shape)?;
    let pool = MaxPool {
        node: cx.node.name.clone(),
        output: Fact {
            elem: x.elem,
            shape,
        },
        channels: *channels,
        window,
    };
    Ok(Parsed {
        operator: Box::new(pool),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let ints = |list: &[i64]| Attribute::Ints(list.to_vec());
    let row = [1, 9, 3, 200, 5];
    let of = |name| Vector::new(name, &SPEC, &["x"]).input("x", Uint8, &[1, 1, 5], &row);
    let square = |name| {
        Vector::new(name, &SPEC, &["x"])
            .input("x", Int8, &[1, 1, 2, 3], &[-128, -5, -7, -128, -128, -1])
            .attribute("kernel_shape", ints(&[2, 2]))
    };
    vec![
        of("a row in strides")
            .attribute("kernel_shape", ints(&[2]))
            .attribute("strides", ints(&[2]))
            .gives(Uint8, &[1, 1, 2], &[9, 200]),
        of("the last window half past the end")
            .attribute("kernel_shape", ints(&[2]))
            .attribute("strides", ints(&[2]))
            .attribute("ceil_mode", Attribute::Int(1))
            .gives(Uint8, &[1, 1, 3], &[9, 200, 5]),
        // ⌈(5 + 1 − 2)/3⌉ + 1 = 3 windows, of which the last would begin in the padding.
        of("a last window that begins in the padding")
            .attribute("kernel_shape", ints(&[2]))
            .attribute("strides", ints(&[3]))
            .attribute("pads", ints(&[0, 1]))
            .attribute("ceil_mode", Attribute::Int(1))
            .refused("shape inference"),
        of("every second element")
            .attribute("kernel_shape", ints(&[2]))
            .attribute("dilations", ints(&[2]))
            .gives(Uint8, &[1, 1, 3], &[3, 200, 5]),
        of("as many windows as strides, padded at the end")
            .attribute("kernel_shape", ints(&[2]))
            .attribute("auto_pad", Attribute::String("SAME_UPPER".to_owned()))
            .gives(Uint8, &[1, 1, 5], &[9, 9, 200, 200, 5]),
        of("as many windows as strides, padded at the beginning")
            .attribute("kernel_shape", ints(&[2]))
            .attribute("auto_pad", Attribute::String("SAME_LOWER".to_owned()))
            .gives(Uint8, &[1, 1, 5], &[1, 9, 9, 200, 200]),
        square("padding never wins")
            .attribute("pads", ints(&[1, 1, 0, 0]))
            .gives(Int8, &[1, 1, 2, 3], &[-128, -5, -5, -128, -5, -1]),
        square("auto_pad past a kernel")
            .attribute("strides", ints(&[3, 3]))
            .attribute("auto_pad", Attribute::String("SAME_UPPER".to_owned()))
            .refused("stride of 3"),
        square("auto_pad with dilations")
            .attribute("dilations", ints(&[2, 2]))
            .attribute("auto_pad", Attribute::String("SAME_LOWER".to_owned()))
            .refused("dilations"),
        square("pads as large as the kernel")
            .attribute("pads", ints(&[0, 2, 0, 0]))
            .refused("pads"),
        square("columns first")
            .attribute("storage_order", Attribute::Int(1))
            .refused("storage_order"),
        Vector::new("int32 has no kernel", &SPEC, &["x"])
            .input("x", Int32, &[1, 1, 2], &[0, 0])
            .attribute("kernel_shape", ints(&[2]))
            .refused("int32"),
        of("no kernel_shape").refused("kernel_shape"),
    ]
}
