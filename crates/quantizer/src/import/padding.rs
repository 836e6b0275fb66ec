//! What `Pad` does, and the integers that it brings in.

use proofmark_onnx::{Attribute, Node};
use proofmark_types::ElemType;

use super::movers::{Move, Stored};
use super::shapes::{dims, int64s, list};
use super::value::Grid;
use crate::emit::ints;
use crate::num::{f32_of_i64, round_to};
use crate::read::{Constants, Stop, axis_of, check_shape, only_attributes, refuse};

/// The integer of a padding value.
fn padding(
    cx: &impl Constants,
    node: &Node,
    stored: Stored,
) -> Result<Option<(ElemType, i32)>, Stop> {
    let constant = cx.constant(node, 2)?;
    let one = |ok: bool| {
        if ok {
            return Ok(());
        }
        Err(refuse(
            "its padding value is no scalar of its input's type",
            "pad with one value of the input's type",
        ))
    };
    let float = match constant {
        Some(tensor) => tensor.floats().and_then(|v| <[f32; 1]>::try_from(v).ok()),
        None => node.attr_float("value")?.map(|value| [value]),
    };
    match stored {
        Stored::Later => {
            one(constant.is_none() || float.is_some())?;
            Ok(None)
        }
        Stored::Int(elem) => {
            let Some(tensor) = constant else {
                one(float.is_none() || float == Some([0.0]))?;
                return Ok(Some((elem, 0)));
            };
            let value = tensor.ints().filter(|t| t.elem() == elem && t.len() == 1);
            one(value.is_some())?;
            let value = value.and_then(|t| t.data().first().copied());
            Ok(Some((elem, value.unwrap_or_default())))
        }
        Stored::Shown(elem, grid) => {
            one(constant.is_none() || float.is_some())?;
            let [value] = float.unwrap_or([0.0]);
            on_grid(value, elem, grid).map(|value| Some((elem, value)))
        }
    }
}

/// The integer that stands for a float; refused where there is none.
fn on_grid(value: f32, elem: ElemType, grid: Grid) -> Result<i32, Stop> {
    let steps = f64::from((value / grid.scale).round_ties_even());
    let at = round_to(steps + f64::from(grid.zero_point), elem.min(), elem.max());
    let shown = grid.scale * f32_of_i64(i64::from(at - grid.zero_point));
    if value.is_finite() && shown.to_bits() == (value + 0.0).to_bits() {
        return Ok(at);
    }
    Err(refuse(
        format!(
            "it pads with {value}, which {elem} of scale {} and zero point {} does not hold",
            grid.scale, grid.zero_point
        ),
        "pad with 0 or with a value of the quantized grid",
    ))
}

pub(super) fn pad(
    cx: &impl Constants,
    node: &Node,
    shape: &[usize],
    stored: Stored,
) -> Result<Move, Stop> {
    only_attributes(node, &["mode", "pads", "value"])?;
    let mode = node.attr_string("mode")?.unwrap_or("constant").to_owned();
    if !["constant", "edge", "reflect"].contains(&mode.as_str()) {
        return Err(refuse(
            format!("mode {mode:?} is not supported"),
            "pad with mode constant, edge or reflect",
        ));
    }
    let rank = shape.len();
    let given = list(cx, node, "pads", 1)?
        .ok_or_else(|| refuse("its pads are missing", "give constant pads"))?;
    let axes = match list(cx, node, "axes", 3)? {
        Some(axes) => axes
            .iter()
            .map(|&axis| axis_of(axis, rank))
            .collect::<Result<Vec<_>, _>>()?,
        None => (0..rank).collect(),
    };
    let wrong = || {
        refuse(
            format!("pads {given:?} of shape {shape:?}"),
            "give a begin and an end of at least 0 for each dimension; crop with Slice; reflect less than the dimension",
        )
    };
    let sizes: Option<Vec<usize>> = given.iter().map(|&v| usize::try_from(v).ok()).collect();
    let sizes = sizes
        .filter(|sizes| sizes.len() == 2 * axes.len())
        .ok_or_else(wrong)?;
    let mut pads = vec![0; 2 * rank];
    let mut target = shape.to_vec();
    for (at, &axis) in axes.iter().enumerate() {
        let (begin, end) = (sizes[at], sizes[at + axes.len()]);
        let dim = shape[axis];
        if mode == "reflect" && begin.max(end) >= dim || begin.max(end) > 1 << 24 {
            return Err(wrong());
        }
        (pads[axis], pads[axis + rank]) = (begin, end);
        target[axis] = dim + begin + end;
    }
    check_shape(&target)?;
    let constant = mode == "constant";
    let made = Node::new("", "Pad", &[], &[]).with("mode", Attribute::String(mode));
    let mut made = Move::new(made, target);
    made.constants = vec![("pads", int64s(&dims(&pads)))];
    if constant && let Some((elem, value)) = padding(cx, node, stored)? {
        let value = ints(elem, Vec::new(), vec![value])
            .map_err(|error| refuse(error.to_string(), "report this model"))?;
        made.constants.push(("value", value));
    }
    Ok(made)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::import::small::{BOTH, Small};

    #[test]
    fn padding_values_lie_on_the_grid() {
        let grid = Grid {
            scale: 0.1,
            zero_point: 12,
        };
        assert_eq!(on_grid(0.0, ElemType::Uint8, grid).ok(), Some(12));
        assert_eq!(on_grid(-0.0, ElemType::Uint8, grid).ok(), Some(12));
        assert_eq!(on_grid(0.1 * 7.0, ElemType::Uint8, grid).ok(), Some(19));
        assert!(on_grid(0.75, ElemType::Uint8, grid).is_err());
        assert!(on_grid(-2.0, ElemType::Uint8, grid).is_err());
        assert!(on_grid(f32::NEG_INFINITY, ElemType::Int8, grid).is_err());
        assert!(on_grid(f32::NAN, ElemType::Int8, grid).is_err());
    }

    #[test]
    fn padding_brings_its_own_integers() {
        for elem in BOTH {
            let mut small = Small::new(elem, &[&[1, 4]]);
            small
                .ints("p", &[0, 1, 0, 2])
                .bytes("v", elem, &[], &[elem.min() + 5]);
            small
                .node("Pad", &["q0", "p", "v"], &["y"], &[])
                .output("y", elem);
            small.exact(30);
            let mut small = Small::new(elem, &[&[1, 4]]);
            small
                .grid("x", 0.5, elem.min() + 7, elem)
                .ints("p", &[0, 1, 0, 2]);
            small.floats("v", &[], &[10.5]).show("q0", "x", "d");
            small.node("Pad", &["d", "p", "v"], &["m"], &[]);
            small.quantize("m", "x", "y").output("y", elem);
            small.exact(30);
            small.floats("v", &[], &[10.6]);
            assert!(small.refused()[0].contains("does not hold"));
        }
    }
}
