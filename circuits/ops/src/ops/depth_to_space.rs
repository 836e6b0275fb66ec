//! `DepthToSpace`: blocks of channels become blocks of pixels.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::{Int32, Uint8};

use super::relabel::Relabel;
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "DepthToSpace",
    domain: "",
    since: 11,
    summary: "blocks of channels become blocks of pixels, in DCR or CRD order",
    limits: "8-bit tensors of rank 4 (the runtime has no int32 kernel)",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

/// `[N, C, H, W]` of 8 bits and a block size.
pub(crate) fn image(cx: &NodeContext<'_>) -> Result<(String, Fact, [usize; 4], usize), Refusal> {
    let (name, x) = cx.data(0)?;
    if x.elem.bits() != 8 {
        return Err(Refusal::new(
            format!(
                "{} on {}, for which the runtime has no kernel",
                cx.node.op_type, x.elem
            ),
            "move 8-bit tensors, or write it as Reshape, Transpose, Reshape",
        ));
    }
    let &[n, c, h, w] = x.shape.as_slice() else {
        return Err(Refusal::new(
            format!("input shape {:?}", x.shape),
            "give a tensor of rank 4: batch, channels, height, width",
        ));
    };
    let block = cx.int("blocksize", 0)?;
    let block = usize::try_from(block)
        .ok()
        .filter(|&b| b > 0)
        .ok_or_else(|| {
            Refusal::new(
                format!("blocksize {block}"),
                "give the attribute blocksize, at least 1",
            )
        })?;
    Ok((name, x, [n, c, h, w], block))
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["blocksize", "mode"])?;
    let (name, x, [n, c, h, w], block) = image(cx)?;
    let depth_first = match cx.text("mode", "DCR")?.as_str() {
        "DCR" => true,
        "CRD" => false,
        other => {
            return Err(Refusal::new(format!("mode {other:?}"), "use DCR or CRD"));
        }
    };
    let area = block
        .checked_mul(block)
        .filter(|&area| c.is_multiple_of(area));
    let Some(area) = area else {
        return Err(Refusal::new(
            format!("{c} channels in blocks of {block} × {block}"),
            "give a multiple of blocksize² channels",
        ));
    };
    let channels = c / area;
    let shape = cx.bounded(vec![n, channels, h * block, w * block])?;
    let mut source = Vec::with_capacity(x.len());
    for image in 0..n {
        for channel in 0..channels {
            for row in 0..h * block {
                for column in 0..w * block {
                    let inside = row % block * block + column % block;
                    let from = if depth_first {
                        inside * channels + channel
                    } else {
                        channel * area + inside
                    };
                    let pixel = row / block * w + column / block;
                    source.push((0, (image * c + from) * h * w + pixel));
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
    // Eight channels of one pixel: channel k holds k. DCR reads channel (block)·2 + c, CRD reads
    // c·4 + (block).
    let x: Vec<i32> = (0..8).collect();
    let of = |name, mode: &str| {
        Vector::new(name, &SPEC, &["x"])
            .input("x", Uint8, &[1, 8, 1, 1], &x)
            .attribute("blocksize", Attribute::Int(2))
            .attribute("mode", Attribute::String(mode.to_owned()))
    };
    vec![
        of("DCR", "DCR").gives(Uint8, &[1, 2, 2, 2], &[0, 2, 4, 6, 1, 3, 5, 7]),
        of("CRD", "CRD").gives(Uint8, &[1, 2, 2, 2], &[0, 1, 2, 3, 4, 5, 6, 7]),
        of("another mode", "RCD").refused("mode"),
        Vector::new("int32 has no kernel", &SPEC, &["x"])
            .input("x", Int32, &[1, 4, 1, 1], &[0; 4])
            .attribute("blocksize", Attribute::Int(2))
            .refused("no kernel"),
        Vector::new("channels that are no multiple", &SPEC, &["x"])
            .input("x", Uint8, &[1, 6, 1, 1], &[0; 6])
            .attribute("blocksize", Attribute::Int(2))
            .refused("6 channels"),
    ]
}
