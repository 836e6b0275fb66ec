//! `Pad` with constant pads; negative ones crop.

use proofmark_gadgets::{Lowering, Num};
use proofmark_onnx::Attribute;
use proofmark_tensor::ElemType::{Int8, Int32, Uint8};
use proofmark_tensor::IntTensor;

use super::relabel::{distinct_axes, strides};
use crate::context::{NodeContext, Refusal};
use crate::error::OpsError;
use crate::operator::{Fact, OpSpec, Operator, Parsed, TensorVar};
use crate::vector::Vector;

pub(super) static SPEC: OpSpec = OpSpec {
    op_type: "Pad",
    domain: "",
    since: 11,
    summary: "a border of a constant, of the edge, of the mirrored or of the repeated tensor; negative pads crop",
    limits: "constant pads, value and axes; no dimension cropped whole; mirrored at most once; wrap from operator set 19",
    cost: "0",
    portability: "every processor",
    vectors,
    parse,
};

#[derive(Debug)]
struct Pad {
    output: Fact,
    /// For each output element the input element, or none where the constant stands.
    source: Vec<Option<usize>>,
    value: i32,
}

impl Pad {
    fn outside(&self) -> OpsError {
        OpsError::Internal {
            node: format!("{:?}", self.output),
            reason: "source position outside of the input".to_owned(),
        }
    }
}

impl Operator for Pad {
    fn output(&self) -> &Fact {
        &self.output
    }

    fn eval(&self, inputs: &[&IntTensor]) -> Result<Vec<i32>, OpsError> {
        let x = inputs.first().map(|t| t.data()).unwrap_or_default();
        let element = |&at: &Option<usize>| match at {
            None => Some(self.value),
            Some(at) => x.get(at).copied(),
        };
        let all: Option<_> = self.source.iter().map(element).collect();
        all.ok_or_else(|| self.outside())
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
        let value = Num::constant(cx, self.value.into());
        let element = |&at: &Option<usize>| match at {
            None => Some(value.clone()),
            Some(at) => x.get(at).cloned(),
        };
        let all: Option<_> = self.source.iter().map(element).collect();
        all.ok_or_else(|| self.outside())
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    Constant,
    Edge,
    Reflect,
    Wrap,
}

/// What becomes of one dimension.
#[derive(Debug, Clone, Copy)]
struct Border {
    /// First index that is kept, and how many are.
    first: i64,
    kept: i64,
    before: i64,
    after: i64,
}

impl Border {
    /// `None` when nothing is kept or a size leaves int64.
    fn new(size: usize, begin: i64, end: i64) -> Option<Self> {
        let size = i64::try_from(size).ok()?;
        let cropped = begin.min(0).checked_add(end.min(0))?;
        let kept = size.checked_add(cropped).filter(|&kept| kept > 0)?;
        Some(Self {
            first: begin.min(0).checked_neg()?,
            kept,
            before: begin.max(0),
            after: end.max(0),
        })
    }

    fn size(self) -> Option<usize> {
        let size = self
            .before
            .checked_add(self.kept)?
            .checked_add(self.after)?;
        usize::try_from(size).ok()
    }

    /// Where index `at` of the output comes from.
    fn source(self, mode: Mode, at: i64) -> Option<usize> {
        let inside = at - self.before;
        let last = self.kept - 1;
        let from = match mode {
            Mode::Constant => Some(inside).filter(|i| (0..=last).contains(i))?,
            Mode::Edge => inside.clamp(0, last),
            Mode::Wrap => inside.rem_euclid(self.kept),
            Mode::Reflect if inside < 0 => -inside,
            Mode::Reflect if inside > last => 2 * last - inside,
            Mode::Reflect => inside,
        };
        usize::try_from(self.first + from).ok()
    }
}

fn mode(cx: &NodeContext<'_>) -> Result<Mode, Refusal> {
    match cx.text("mode", "constant")?.as_str() {
        "constant" => Ok(Mode::Constant),
        "edge" => Ok(Mode::Edge),
        "reflect" => Ok(Mode::Reflect),
        "wrap" if cx.opset >= 19 => Ok(Mode::Wrap),
        other => Err(Refusal::new(
            format!("mode {other:?} in operator set {}", cx.opset),
            "use constant, edge, reflect, or wrap from operator set 19",
        )),
    }
}

/// Begin and end of every dimension.
fn pads(cx: &NodeContext<'_>, rank: usize) -> Result<Vec<(i64, i64)>, Refusal> {
    let refuse = |reason: String| {
        Refusal::new(
            reason,
            "give a constant int64 list: the begins of all axes, then their ends",
        )
    };
    let list = cx.int64s(1)?.ok_or_else(|| refuse("no pads".to_owned()))?;
    let axes = match cx.node.input(3) {
        None => (0..rank).collect(),
        Some(_) if cx.opset < 18 => {
            return Err(Refusal::new(
                format!("axes in operator set {}", cx.opset),
                "use operator set 18, or pads for all axes",
            ));
        }
        Some(_) => distinct_axes(cx.int64s(3)?.unwrap_or_default(), rank)?,
    };
    let flat = cx
        .constant(1)?
        .is_some_and(|tensor| tensor.shape.len() == 1);
    if rank == 0 || !flat || list.len() != 2 * axes.len() {
        return Err(refuse(format!(
            "{} pads for {} axes of a tensor of rank {rank}",
            list.len(),
            axes.len()
        )));
    }
    let mut all = vec![(0, 0); rank];
    let (begins, ends) = list.split_at(axes.len());
    for ((at, &begin), &end) in axes.into_iter().zip(begins).zip(ends) {
        if let Some(slot) = all.get_mut(at) {
            *slot = (begin, end);
        }
    }
    Ok(all)
}

/// The constant of the border: 0 where none is given.
fn value(cx: &NodeContext<'_>, x: &Fact) -> Result<i32, Refusal> {
    if cx.node.input(2).is_none() {
        return Ok(0);
    }
    let constant = cx.ints(2)?;
    match constant.data() {
        &[value] if constant.elem() == x.elem && constant.shape().len() <= 1 => Ok(value),
        _ => Err(Refusal::new(
            format!(
                "a constant value of type {} and shape {:?} for a tensor of {}",
                constant.elem(),
                constant.shape(),
                x.elem
            ),
            "give one value of the tensor's type",
        )),
    }
}

fn parse(cx: &NodeContext<'_>) -> Result<Parsed, Refusal> {
    cx.only_attributes(&["mode"])?;
    let (name, x) = cx.data(0)?;
    let (mode, value) = (mode(cx)?, value(cx, &x)?);
    let pads = pads(cx, x.shape.len())?;
    let mut borders = Vec::with_capacity(pads.len());
    let mut shape = Vec::with_capacity(pads.len());
    for (&size, (begin, end)) in x.shape.iter().zip(pads) {
        let border = Border::new(size, begin, end);
        let Some((border, padded)) = border.and_then(|b| Some((b, b.size()?))) else {
            return Err(Refusal::new(
                format!("pads {begin} and {end} of a dimension of {size}"),
                "leave at least one element of each dimension before it is padded",
            ));
        };
        if mode == Mode::Reflect && border.before.max(border.after) >= border.kept {
            return Err(Refusal::new(
                format!("{begin} and {end} mirrored elements of a dimension of {size}"),
                "mirror at most all elements but the edge",
            ));
        }
        borders.push(border);
        shape.push(padded);
    }
    let shape = cx.bounded(shape)?;
    let dimensions = borders.iter().zip(&shape).zip(strides(&x.shape));
    let source = dimensions.fold(
        vec![Some(0)],
        |outer: Vec<Option<usize>>, ((border, &size), step)| {
            let map: Vec<Option<usize>> = (0_i64..)
                .take(size)
                .map(|at| border.source(mode, at).map(|at| at * step))
                .collect();
            let inner = |base: &Option<usize>| {
                let base = *base;
                map.iter()
                    .map(move |at| Some(base? + (*at)?))
                    .collect::<Vec<_>>()
            };
            outer.iter().flat_map(inner).collect()
        },
    );
    let output = Fact {
        elem: x.elem,
        shape,
    };
    Ok(Parsed {
        operator: Box::new(Pad {
            output,
            source,
            value,
        }),
        data: vec![name],
    })
}

fn vectors() -> Vec<Vector> {
    let of = |name, mode: &str, pads: &[i64]| {
        Vector::new(name, &SPEC, &["x", "pads"])
            .input("x", Uint8, &[2, 3], &[1, 2, 3, 4, 5, 6])
            .int64s("pads", pads)
            .attribute("mode", Attribute::String(mode.to_owned()))
    };
    let valued = |name, elem, value: i32| {
        Vector::new(name, &SPEC, &["x", "pads", "value"])
            .input("x", Int8, &[1, 2], &[-1, 1])
            .int64s("pads", &[1, 0, 0, 1])
            .ints("value", elem, &[], &[value])
    };
    vec![
        of("zeros on three sides", "constant", &[1, 0, 0, 2]).gives(
            Uint8,
            &[3, 5],
            &[0, 0, 0, 0, 0, 1, 2, 3, 0, 0, 4, 5, 6, 0, 0],
        ),
        valued("a value", Int8, -128).gives(Int8, &[2, 3], &[-128, -128, -128, -1, 1, -128]),
        of("crop and pad", "constant", &[-1, 1, 0, -2]).gives(Uint8, &[1, 2], &[0, 4]),
        of("edge", "edge", &[0, 2, 1, 0]).gives(
            Uint8,
            &[3, 5],
            &[1, 1, 1, 2, 3, 4, 4, 4, 5, 6, 4, 4, 4, 5, 6],
        ),
        of("reflect", "reflect", &[1, 2, 0, 1]).gives(
            Uint8,
            &[3, 6],
            &[6, 5, 4, 5, 6, 5, 3, 2, 1, 2, 3, 2, 6, 5, 4, 5, 6, 5],
        ),
        of("wrap", "wrap", &[0, 1, 0, 4]).gives(
            Uint8,
            &[2, 8],
            &[3, 1, 2, 3, 1, 2, 3, 1, 6, 4, 5, 6, 4, 5, 6, 4],
        ),
        Vector::new("one axis", &SPEC, &["x", "pads", "", "axes"])
            .input("x", Int32, &[1, 2], &[i32::MIN, i32::MAX])
            .int64s("pads", &[1, 0])
            .int64s("axes", &[-1])
            .gives(Int32, &[1, 3], &[0, i32::MIN, i32::MAX]),
        of("reflected twice", "reflect", &[2, 0, 0, 0]).refused("mirrored"),
        of("all of a dimension cropped", "constant", &[-1, 0, -1, 0]).refused("dimension of 2"),
        of("another mode", "symmetric", &[0; 4]).refused("symmetric"),
        of("too few pads", "constant", &[1, 1]).refused("2 pads"),
        valued("a value of another type", Uint8, 3).refused("constant value"),
    ]
}
