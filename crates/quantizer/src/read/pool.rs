//! Pools: `MaxPool`, `AveragePool`, the global ones, and `ReduceMean` over height and width.

use proofmark_onnx::Node;

use super::conv::image;
use super::{
    Constants as _, Known, Reader, Stop, axis_of, only_attributes, only_first_output, refuse,
};
use crate::net::{Layer, Op, Window};

fn pool(cx: &mut Reader<'_>, node: &Node, max: bool) -> Result<(), Stop> {
    let (input, shape) = cx.data(node, 0)?;
    let image = image(&shape)?;
    let window = Window::pool(node, &image)?;
    let excluded = node.attr_int("count_include_pad")?.unwrap_or(0) == 0;
    if !max && excluded && window.padded() {
        return Err(refuse(
            "it averages over padded windows without counting the padding",
            "export with count_include_pad = 1, or without padding",
        ));
    }
    if !max && window.dilations != [1, 1] {
        return Err(refuse(
            "a dilated average is not supported",
            "export it as a depthwise convolution",
        ));
    }
    let shape = image.shape(image.channels, window.sized(image.size)?);
    let op = if max {
        Op::MaxPool(window)
    } else {
        Op::AveragePool(window)
    };
    cx.push(node, op, vec![input], shape)
}

pub(super) fn max(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(
        node,
        &[
            "auto_pad",
            "ceil_mode",
            "dilations",
            "kernel_shape",
            "pads",
            "storage_order",
            "strides",
        ],
    )?;
    only_first_output(node)?;
    if node.attr_int("storage_order")?.unwrap_or(0) != 0 {
        return Err(refuse(
            "storage_order = 1 is not supported",
            "export with storage_order = 0",
        ));
    }
    pool(cx, node, true)
}

pub(super) fn average(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(
        node,
        &[
            "auto_pad",
            "ceil_mode",
            "count_include_pad",
            "dilations",
            "kernel_shape",
            "pads",
            "strides",
        ],
    )?;
    if node.attr_int("ceil_mode")?.unwrap_or(0) != 0 {
        return Err(refuse(
            "ceil_mode = 1 is not supported",
            "export with ceil_mode = 0 and explicit pads",
        ));
    }
    pool(cx, node, false)
}

pub(super) fn global(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &[])?;
    let (input, shape) = cx.data(node, 0)?;
    let image = image(&shape)?;
    let (channels, kernel) = (image.channels, image.size);
    let window = Window {
        kernel,
        ..Window::POINT
    };
    let op = if node.op_type == "GlobalMaxPool" {
        Op::MaxPool(window)
    } else {
        Op::AveragePool(window)
    };
    cx.push(node, op, vec![input], vec![1, channels, 1, 1])
}

pub(super) fn reduce_mean(cx: &mut Reader<'_>, node: &Node) -> Result<(), Stop> {
    only_attributes(node, &["axes", "keepdims", "noop_with_empty_axes"])?;
    let axes = match node.attr_ints("axes")? {
        Some(axes) => axes.to_vec(),
        None => cx.int64s(node, 1)?.unwrap_or_default(),
    };
    let (input, shape) = cx.data(node, 0)?;
    let mut at = axes
        .iter()
        .map(|&axis| axis_of(axis, shape.len()))
        .collect::<Result<Vec<_>, _>>()?;
    at.sort_unstable();
    if shape.len() != 4 || at != [2, 3] {
        return Err(refuse(
            format!("a mean of shape {shape:?} over axes {axes:?}"),
            "take the mean over height and width of [1, channels, height, width]",
        ));
    }
    let image = image(&shape)?;
    let (channels, kernel) = (image.channels, image.size);
    let op = Op::AveragePool(Window {
        kernel,
        ..Window::POINT
    });
    if node.attr_int("keepdims")?.unwrap_or(1) != 0 {
        return cx.push(node, op, vec![input], vec![1, channels, 1, 1]);
    }
    let output = node
        .output(0)
        .ok_or_else(|| refuse("it has no output", "remove the node"))?;
    let mean = cx.net.fresh(&format!("{output}.mean"));
    cx.net.shapes.insert(mean.clone(), vec![1, channels, 1, 1]);
    cx.values.insert(mean.clone(), Known::Data(mean.clone()));
    let name = cx.net.fresh(&format!("{}.mean", node.name));
    cx.net.layers.push(Layer {
        name,
        op,
        inputs: vec![input],
        output: mean.clone(),
    });
    let flat = vec![1, channels];
    cx.push(node, Op::Reshape(flat.clone()), vec![mean], flat)
}
