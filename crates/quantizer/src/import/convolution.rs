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

#[cfg(test)]
mod tests {
    use proofmark_types::ElemType;

    use super::*;
    use crate::graphs::list;
    use crate::import::small::{BOTH, Small};

    /// Attributes, input and weights of a one-dimensional convolution.
    type Case = (Vec<(&'static str, Attribute)>, [usize; 3], [usize; 3]);

    fn cases() -> Vec<Case> {
        let auto = |mode: &str| ("auto_pad", Attribute::String(mode.to_owned()));
        let (group, int) = ("group", Attribute::Int);
        vec![
            (vec![], [1, 2, 9], [3, 2, 3]),
            (
                vec![
                    ("strides", list(&[2])),
                    ("pads", list(&[2, 1])),
                    ("dilations", list(&[2])),
                    (group, int(2)),
                ],
                [1, 4, 11],
                [4, 2, 3],
            ),
            (
                vec![(group, int(4)), auto("SAME_UPPER"), ("strides", list(&[2]))],
                [1, 4, 8],
                [4, 1, 3],
            ),
            (
                vec![(group, int(4)), auto("SAME_LOWER")],
                [1, 4, 7],
                [8, 1, 4],
            ),
            (
                vec![(group, int(2)), auto("VALID"), ("kernel_shape", list(&[5]))],
                [1, 4, 5],
                [2, 2, 5],
            ),
            (vec![], [1, 3, 1], [2, 3, 1]),
        ]
    }

    fn start(elem: ElemType, x: [usize; 3], w: [usize; 3]) -> Small {
        let mut small = Small::new(elem, &[&x]);
        let weights: Vec<i32> = (0..w.iter().product::<usize>())
            .map(|at| i32::try_from(at * 37 % 251).unwrap() + elem.min())
            .collect();
        small.bytes("w", elem, &w, &weights);
        small
            .grid("x", 0.021, elem.min() + 60, elem)
            .grid("w", 0.007, elem.min() + 120, elem);
        small.grid("y", 0.033, elem.min() + 100, elem);
        let bias: Vec<i32> = (0..w[0])
            .map(|at| i32::try_from(at * 700).unwrap() - 900)
            .collect();
        small.bytes("b", ElemType::Int32, &[w[0]], &bias);
        small.floats("bs", &[], &[0.021_f32 * 0.007]);
        small
    }

    #[test]
    fn one_dimension() {
        for elem in BOTH {
            for (attributes, x, w) in cases() {
                let mut small = start(elem, x, w);
                let inputs = ["q0", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"];
                small.node("QLinearConv", &inputs, &["y"], &attributes);
                small.output("y", elem).exact(60);
                let mut small = start(elem, x, w);
                small.node("ConvInteger", &["q0", "w", "xz", "wz"], &["y"], &attributes);
                small.output("y", ElemType::Int32).exact(60);
                let mut small = start(elem, x, w);
                small.show("q0", "x", "d").show("w", "w", "dw");
                small.node("DequantizeLinear", &["b", "bs"], &["db"], &[]);
                small.node("Conv", &["d", "dw", "db"], &["m"], &attributes);
                small.quantize("m", "y", "y").output("y", elem);
                small.exact_where_fused(elem, 60);
            }
        }
    }

    #[test]
    fn dimensions_that_do_not_fit_are_refused() {
        let elem = ElemType::Uint8;
        for (attributes, x, w) in [
            (vec![("pads", list(&[1, 1, 1, 1]))], [1, 2, 9], [3, 2, 3]),
            (vec![("kernel_shape", list(&[2]))], [1, 2, 9], [3, 2, 3]),
            (vec![], [1, 2, 9], [3, 3, 3]),
            (vec![], [1, 2, 2], [3, 2, 3]),
            (
                vec![("auto_pad", Attribute::String("SAME".to_owned()))],
                [1, 2, 9],
                [3, 2, 3],
            ),
        ] {
            let mut small = start(elem, x, w);
            let inputs = ["q0", "xs", "xz", "w", "ws", "wz", "ys", "yz", "b"];
            small.node("QLinearConv", &inputs, &["y"], &attributes);
            small.output("y", elem);
            assert_eq!(small.refused().len(), 1, "{attributes:?} {x:?} {w:?}");
        }
    }
}
