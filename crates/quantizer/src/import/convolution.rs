//! Shapes and attributes of convolutions and matrix products.

use proofmark_onnx::{Attribute, Node};

use crate::num::i64_of_dim;
use crate::read::{Stop, only_attributes, refuse};
use crate::window::{Image, Window, kernel_shape};

/// The attributes of a convolution as they are written, and its output shape.
pub(super) fn convolution(
    node: &Node,
    x: &[usize],
    weights: &[usize],
) -> Result<(Node, Vec<usize>), Stop> {
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
    let image = Image::of(x)?;
    let wrong = || {
        refuse(
            format!("its weights have shape {weights:?} for a tensor of shape {x:?}"),
            "use as many spatial dimensions, one or two",
        )
    };
    let (outputs, per_group, kernel) = match *weights {
        [outputs, per_group, height, width] if image.rank == 2 => {
            (outputs, per_group, [height, width])
        }
        [outputs, per_group, length] if image.rank == 1 => (outputs, per_group, [1, length]),
        _ => return Err(wrong()),
    };
    let group = usize::try_from(node.attr_int("group")?.unwrap_or(1)).unwrap_or(0);
    let kernel_fits =
        node.attr_ints("kernel_shape")?.is_none() || kernel_shape(node, image.rank)? == kernel;
    if group == 0
        || per_group.checked_mul(group) != Some(image.channels)
        || !outputs.is_multiple_of(group)
        || kernel.contains(&0)
        || !kernel_fits
    {
        return Err(refuse(
            format!(
                "weights {weights:?} in {group} groups do not fit {} channels",
                image.channels
            ),
            "check channels, groups and kernel_shape",
        ));
    }
    let window = Window::read(node, kernel, &image)?;
    let size = window.sized(image.size)?;
    let made = window
        .attributes(Node::new("", "Conv", &[], &[]))
        .with("group", Attribute::Int(i64_of_dim(group)));
    Ok((made, image.shape(outputs, size)))
}

/// The output shape of a product with a matrix, and the number of its columns.
pub(super) fn product(
    x: &[usize],
    weights: &[usize],
    transposed: bool,
) -> Result<(Vec<usize>, usize), Stop> {
    let wrong = || {
        refuse(
            format!("shapes {x:?} and {weights:?} do not multiply"),
            "multiply by a constant matrix of rank 2",
        )
    };
    let &[first, second] = weights else {
        return Err(wrong());
    };
    let (depth, columns) = if transposed {
        (second, first)
    } else {
        (first, second)
    };
    let (&last, lead) = x.split_last().ok_or_else(wrong)?;
    if last != depth || lead.is_empty() {
        return Err(wrong());
    }
    let mut shape = lead.to_vec();
    shape.push(columns);
    Ok((shape, columns))
}
