//! `Conv`, and the window geometry that pools share.

use proofmark_onnx::Node;

use super::{Reader, Stop, only_attributes, refuse};
use crate::net::{Conv, Op, Window};

/// The two spatial dimensions of `[1, C, H, W]`.
pub(crate) fn image(shape: &[usize]) -> Result<(usize, [usize; 2]), Stop> {
    match shape {
        &[1, channels, height, width] => Ok((channels, [height, width])),
        _ => Err(refuse(
            format!("its input has shape {shape:?}, not [1, channels, height, width]"),
            "use two spatial dimensions and batch 1; a 1-D signal can be reshaped to height 1",
        )),
    }
}

fn pair(node: &Node, name: &str, least: usize) -> Result<[usize; 2], Stop> {
    let Some(values) = node.attr_ints(name)? else {
        return Ok([1, 1]);
    };
    let sizes: Option<Vec<usize>> = values
        .iter()
        .map(|&v| {
            usize::try_from(v)
                .ok()
                .filter(|&v| v >= least && v <= 1 << 20)
        })
        .collect();
    match sizes.as_deref() {
        Some(&[a, b]) => Ok([a, b]),
        _ => Err(refuse(
            format!("{name} is {values:?}"),
            format!("give two values of at least {least}"),
        )),
    }
}

/// Strides, dilations and pads with `auto_pad` resolved, for a kernel over an image of known size.
pub(crate) fn window(node: &Node, kernel: [usize; 2], size: [usize; 2]) -> Result<Window, Stop> {
    let mut window = Window {
        kernel,
        strides: pair(node, "strides", 1)?,
        dilations: pair(node, "dilations", 1)?,
        pads: [0; 4],
    };
    let auto_pad = node.attr_string("auto_pad")?.unwrap_or("NOTSET");
    match auto_pad {
        "NOTSET" | "" => {
            if let Some(values) = node.attr_ints("pads")? {
                let pads: Option<Vec<usize>> = values
                    .iter()
                    .map(|&v| usize::try_from(v).ok().filter(|&v| v <= 1 << 20))
                    .collect();
                window.pads = pads
                    .and_then(|pads| <[usize; 4]>::try_from(pads).ok())
                    .ok_or_else(|| {
                        refuse(
                            format!("pads are {values:?}"),
                            "give four values of at least 0",
                        )
                    })?;
            }
        }
        "VALID" => {}
        "SAME_UPPER" | "SAME_LOWER" => {
            for axis in 0..2 {
                let stride = window.strides[axis];
                let span = window.dilations[axis] * (kernel[axis] - 1) + 1;
                let total = (size[axis].div_ceil(stride) - 1) * stride + span;
                let total = total.saturating_sub(size[axis]);
                let (small, large) = (total / 2, total - total / 2);
                let upper = auto_pad == "SAME_UPPER";
                window.pads[axis] = if upper { small } else { large };
                window.pads[axis + 2] = if upper { large } else { small };
            }
        }
        other => {
            return Err(refuse(
                format!("auto_pad {other:?} is not known"),
                "give explicit pads",
            ));
        }
    }
    Ok(window)
}

/// The `kernel_shape` of a pool.
pub(crate) fn kernel_shape(node: &Node) -> Result<[usize; 2], Stop> {
    if node.attr_ints("kernel_shape")?.is_none() {
        return Err(refuse("kernel_shape is missing", "give the kernel's size"));
    }
    pair(node, "kernel_shape", 1)
}

/// Output height and width, or why there is none.
pub(crate) fn sized(window: &Window, size: [usize; 2]) -> Result<[usize; 2], Stop> {
    window.output(size).ok_or_else(|| {
        refuse(
            format!(
                "a kernel {:?} does not fit an image {size:?}",
                window.kernel
            ),
            "check the input's size and the pads",
        )
    })
}

pub(super) fn conv(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(
        node,
        &[
            "auto_pad",
            "dilations",
            "group",
            "kernel_shape",
            "pads",
            "strides",
        ],
    )?;
    let (weight_shape, weight) = cx.weights(node, 1)?;
    let bias = cx.floats(node, 2)?;
    let &[outputs, per_group, kh, kw] = weight_shape.as_slice() else {
        return Err(refuse(
            format!("its weights have shape {weight_shape:?}, not [out, in, height, width]"),
            "use two spatial dimensions; a 1-D convolution can be given height 1",
        ));
    };
    if outputs == 0 || per_group == 0 || kh == 0 || kw == 0 {
        return Err(refuse("its kernel is empty", "check the weights' shape"));
    }
    if node.attr_ints("kernel_shape")?.is_some() && kernel_shape(node)? != [kh, kw] {
        return Err(refuse(
            "kernel_shape is not the weights' own",
            "export the node with the right kernel_shape",
        ));
    }
    let (input, shape) = cx.data(node, 0)?;
    let (inputs, size) = image(&shape)?;
    let group = usize::try_from(node.attr_int("group")?.unwrap_or(1)).unwrap_or(0);
    if group == 0 || per_group.checked_mul(group) != Some(inputs) || !outputs.is_multiple_of(group)
    {
        return Err(refuse(
            format!("{inputs} channels in {group} groups of {per_group} make {outputs}"),
            "make the channels divisible by the groups",
        ));
    }
    let bias = match bias {
        None => vec![0.0; outputs],
        Some((_, bias)) if bias.len() == outputs => bias,
        Some((shape, _)) => {
            return Err(refuse(
                format!("its bias has shape {shape:?} for {outputs} channels"),
                "give one bias a channel",
            ));
        }
    };
    let window = window(node, [kh, kw], size)?;
    let [height, width] = sized(&window, size)?;
    let op = Op::Conv(Conv {
        window,
        group,
        inputs,
        outputs,
        weight,
        bias,
        relu: false,
    });
    cx.push(node, op, vec![input], vec![1, outputs, height, width])
}
