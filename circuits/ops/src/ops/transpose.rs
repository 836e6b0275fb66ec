//! `Transpose`: permutes dimensions.

use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::Uint8;

use super::relabel::{Relabel, strides};
use crate::context::{NodeContext, Refusal};
use crate::operator::{Fact, OpSpec, Parsed};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Transpose",
    domain: "",
    since: 1,
    summary: "the same elements with permuted dimensions",
    limits: "none",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["perm"])?;
    let (name, x) = cx.data(0)?;
    let rank = x.shape.len();
    let perm: Vec<usize> = match cx.int_list("perm")? {
        None => (0..rank).rev().collect(),
        Some(perm) => perm
            .iter()
            .map(|&p| usize::try_from(p).unwrap_or(usize::MAX))
            .collect(),
    };
    let mut sorted = perm.clone();
    sorted.sort_unstable();
    if !sorted.iter().copied().eq(0..rank) {
        return Err(Refusal::new(
            format!("perm {perm:?} for rank {rank}"),
            "give a permutation",
        ));
    }
    let in_strides = strides(&x.shape);
    let pick = |list: &[usize], p: usize| list.get(p).copied().unwrap_or(1);
    let shape: Vec<usize> = perm.iter().map(|&p| pick(&x.shape, p)).collect();
    let steps: Vec<usize> = perm.iter().map(|&p| pick(&in_strides, p)).collect();
    let out_strides = strides(&shape);
    let source = (0..x.len())
        .map(|flat| {
            let at = shape
                .iter()
                .zip(&out_strides)
                .zip(&steps)
                .map(|((&size, &stride), &step)| flat / stride % size * step)
                .sum();
            (0, at)
        })
        .collect();
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
    let of =
        |name| Vector::new(name, &SPEC, &["x"]).input("x", Uint8, &[1, 2, 3], &[1, 2, 3, 4, 5, 6]);
    let perm = |list: &[i64]| Attribute::Ints(list.to_vec());
    vec![
        // y[a, b, c] = x[c, a, b]
        of("a rotation").attribute("perm", perm(&[1, 2, 0])).gives(
            Uint8,
            &[2, 3, 1],
            &[1, 2, 3, 4, 5, 6],
        ),
        of("a swap").attribute("perm", perm(&[0, 2, 1])).gives(
            Uint8,
            &[1, 3, 2],
            &[1, 4, 2, 5, 3, 6],
        ),
        of("without perm, reversed").gives(Uint8, &[3, 2, 1], &[1, 4, 2, 5, 3, 6]),
        of("an index twice")
            .attribute("perm", perm(&[0, 1, 1]))
            .refused("perm"),
        of("too few indices")
            .attribute("perm", perm(&[1, 0]))
            .refused("perm"),
    ]
}
