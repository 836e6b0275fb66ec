//! The operators that choose a largest element: `MaxPool`, `GlobalMaxPool` and `ReduceMax` of 8
//! bits. They commute with every grid, because its scale is above 0.

use proofmark_onnx::{Attribute, Node};

use super::Importer;
use super::movers::{Move, Stored};
use super::shapes::dims;
use crate::num::i64_of_dim;
use crate::read::{Stop, only_attributes, refuse};
use crate::window::{Image, Window};

/// `MaxPool` and `GlobalMaxPool` of 8 bits; padding never wins.
pub(super) fn max_pool(node: &Node, shape: &[usize], stored: Stored) -> Result<Vec<Move>, Stop> {
    only_8_bits(stored)?;
    if node.op_type == "GlobalMaxPool" {
        only_attributes(node, &[])?;
        let axes: Vec<usize> = (2..shape.len()).collect();
        return Ok(reduce_max(shape, &axes, true));
    }
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
    if node.output(1).is_some() {
        return Err(refuse(
            "its second output, the indices, is used",
            "use the values only",
        ));
    }
    let image = Image::of(shape)?;
    let window = Window::pool(node, &image)?;
    let size = window.sized(image.size)?;
    let made = window.attributes(Node::new("", "MaxPool", &[], &[]));
    Ok(vec![Move::new(made, image.shape(image.channels, size))])
}

fn only_8_bits(stored: Stored) -> Result<(), Stop> {
    match stored {
        Stored::Int(elem) | Stored::Shown(elem, _) if elem.bits() != 8 => Err(refuse(
            "a largest element of int32",
            "requantize to 8 bits first",
        )),
        _ => Ok(()),
    }
}

/// The largest element over dimensions, as a pool over all of them.
fn reduce_max(shape: &[usize], axes: &[usize], keep: bool) -> Vec<Move> {
    let kept: Vec<usize> = (0..shape.len())
        .filter(|axis| !axes.contains(axis))
        .collect();
    let size = |axes: &[usize]| axes.iter().map(|&axis| shape[axis]).product::<usize>();
    let perm = [kept.as_slice(), axes].concat();
    let mut chain = Vec::new();
    if !perm.is_sorted() {
        let turned = perm.iter().map(|&axis| shape[axis]).collect();
        let node = Node::new("", "Transpose", &[], &[]).with("perm", Attribute::Ints(dims(&perm)));
        chain.push(Move::new(node, turned));
    }
    let rows = vec![1, size(&kept), size(axes)];
    chain.push(Move::reshape(rows.clone()));
    let pool = Node::new("", "MaxPool", &[], &[])
        .with("kernel_shape", Attribute::Ints(vec![i64_of_dim(rows[2])]));
    chain.push(Move::new(pool, vec![1, rows[1], 1]));
    let target = (0..shape.len()).filter_map(|axis| {
        if axes.contains(&axis) {
            keep.then_some(1)
        } else {
            Some(shape[axis])
        }
    });
    chain.push(Move::reshape(target.collect()));
    chain
}

impl Importer<'_> {
    /// `ReduceMax` of 8 bits.
    pub(super) fn reduce_max(
        &self,
        node: &Node,
        shape: &[usize],
        stored: Stored,
    ) -> Result<Vec<Move>, Stop> {
        only_8_bits(stored)?;
        let (axes, keep) = self.reduced_axes(node, shape.len())?;
        Ok(reduce_max(shape, &axes, keep))
    }
}
