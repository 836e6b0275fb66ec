//! `SpaceToDepth`: blocks of pixels become channels.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::{Int8, Int32};

use super::depth_to_space::image;
use super::relabel::Relabel;
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "SpaceToDepth",
    domain: "",
    since: 1,
    summary: "blocks of pixels become channels",
    limits: "8-bit tensors of rank 4 (the runtime has no int32 kernel)",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["blocksize"])?;
    let (name, x, [n, c, h, w], block) = image(cx)?;
    if !h.is_multiple_of(block) || !w.is_multiple_of(block) {
        return Err(Refusal::new(
            format!("an image of {h} × {w} in blocks of {block}"),
            "give a height and a width that are multiples of blocksize",
        ));
    }
    let (rows, columns) = (h / block, w / block);
    // h·w is at least block² or 0, so this is at most the number of elements.
    let shape = cx.bounded(vec![
        n,
        c.saturating_mul(block.saturating_mul(block)),
        rows,
        columns,
    ])?;
    let mut source = Vec::with_capacity(x.len());
    for image in 0..n {
        for row_inside in 0..block.min(h) {
            for column_inside in 0..block.min(w) {
                for channel in 0..c {
                    for row in 0..rows {
                        for column in 0..columns {
                            let from_row = row * block + row_inside;
                            let from = (image * c + channel) * h + from_row;
                            source.push((0, from * w + column * block + column_inside));
                        }
                    }
                }
            }
        }
    }
    let output = Fact {
        elem: x.elem,
        shape,
    };
    Ok(Parsed {
        operator: Box::new(Relabel { output, source }),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    vec![
        // Two channels of 2 × 4; each output channel takes one corner of every block, corners in
        // the outer order, channels in the inner.
        Vector::new("corners, then channels", &SPEC, &["x"])
            .input(
                "x",
                Int8,
                &[1, 2, 2, 4],
                &[1, 2, 3, 4, 5, 6, 7, 8, -1, -2, -3, -4, -5, -6, -7, -8],
            )
            .attribute("blocksize", Attribute::Int(2))
            .gives(
                Int8,
                &[1, 8, 1, 2],
                &[1, 3, -1, -3, 2, 4, -2, -4, 5, 7, -5, -7, 6, 8, -6, -8],
            ),
        Vector::new("a height that is no multiple", &SPEC, &["x"])
            .input("x", Int8, &[1, 1, 3, 2], &[0; 6])
            .attribute("blocksize", Attribute::Int(2))
            .refused("3 × 2"),
        Vector::new("no block size", &SPEC, &["x"])
            .input("x", Int8, &[1, 1, 2, 2], &[0; 4])
            .refused("blocksize"),
        Vector::new("int32 has no kernel", &SPEC, &["x"])
            .input("x", Int32, &[1, 1, 2, 2], &[0; 4])
            .attribute("blocksize", Attribute::Int(2))
            .refused("no kernel"),
    ]
}
