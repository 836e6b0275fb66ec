//! `Conv`.

use proofmark_onnx::Node;

use super::{Reader, Stop, only_attributes, refuse};
use crate::net::{Conv, Op};
use crate::window::{Image, Window, kernel_shape};

/// The two spatial dimensions of `[1, C, H, W]`.
pub(super) fn image(shape: &[usize]) -> Result<Image, Stop> {
    match Image::of(shape) {
        Ok(image) if image.rank == 2 => Ok(image),
        _ => Err(refuse(
            format!("its input has shape {shape:?}, not [1, channels, height, width]"),
            "use two spatial dimensions and batch 1; a 1-D signal can be reshaped to height 1",
        )),
    }
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
    if node.attr_ints("kernel_shape")?.is_some() && kernel_shape(node, 2)? != [kh, kw] {
        return Err(refuse(
            "kernel_shape is not the weights' own",
            "export the node with the right kernel_shape",
        ));
    }
    let (input, shape) = cx.data(node, 0)?;
    let image = image(&shape)?;
    let inputs = image.channels;
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
    let window = Window::read(node, [kh, kw], &image)?;
    let shape = image.shape(outputs, window.sized(image.size)?);
    let op = Op::Conv(Conv {
        window,
        group,
        inputs,
        outputs,
        weight,
        bias,
        relu: false,
    });
    cx.push(node, op, vec![input], shape)
}
